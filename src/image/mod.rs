//! A node's image: a clone of the base, the plan applied to it, and the read-back. `inspect` and `verify`
//! examine a finished image. Nothing here knows overlays or profiles.

mod apply;
mod clone;
mod disk_check;
mod image_file;
pub(crate) mod inspect;
mod path_write;
mod readback;
mod resolve;
pub(crate) mod verify;

use std::fs::File;
use std::sync::Arc;

pub(crate) use path_write::PathWrite;

use crate::base::Survey;
use crate::base::layout::Layout;
use crate::disk::window::Window;
use crate::disk::{ext4, fat, table};
use crate::error::{Context as _, Explain, Result};
use crate::plan::Plan;
use crate::progress::Progress;
use resolve::BaseVolumes;
pub(crate) use resolve::Resolved;

/// The two file systems of an image, FAT and ext4, as windows of its file.
struct Volumes {
    boot: Window,
    root: Window,
}

impl Volumes {
    fn read_only(file: &Arc<File>, layout: &Layout) -> Result<Self> {
        Ok(Self {
            boot: layout.boot().read_only(file).map_err(WindowError)?,
            root: layout.root().read_only(file).map_err(WindowError)?,
        })
    }

    fn writable(file: &Arc<File>, layout: &Layout) -> Result<Self> {
        Ok(Self {
            boot: layout.boot().writable(file).map_err(WindowError)?,
            root: layout.root().writable(file).map_err(WindowError)?,
        })
    }
}

/// The partition's offset is larger than any file can be.
#[derive(Debug, thiserror::Error)]
#[error("a partition lies outside the image")]
struct WindowError(#[source] std::io::Error);

impl Explain for WindowError {}

/// The image can't be as long as asked: the file system's largest file is smaller.
#[derive(Debug, thiserror::Error)]
#[error("cannot set the length of the image")]
struct LengthError(#[source] std::io::Error);

impl Explain for LengthError {
    fn hint(&self) -> Option<String> {
        Some("choose a smaller `image.size`, or another folder with `--out-dir`".into())
    }
}

/// What `plan` makes of an image of this base. A plan that doesn't fit the base is an error.
pub(crate) fn resolve(base: &Arc<File>, survey: &Survey, plan: &Plan) -> Result<Resolved> {
    let volumes = Volumes::read_only(base, &survey.layout)?;
    let boot = fat::Reader::open(volumes.boot)?;
    let root = ext4::Reader::open(&volumes.root)?;
    let disk = resolve::disk::resolve(&survey.layout, survey.size, &plan.shape)?;
    let base = BaseVolumes { boot: &boot, root: &root, renamed: &disk.renamed };
    let writes = resolve::resolve(plan, &base)?;
    Ok(Resolved { disk, writes })
}

/// Makes `image` a clone of `base`, applies `resolved` and reads everything back. `node` labels the progress.
pub(crate) fn write(
    base: &File,
    image: &Arc<File>,
    survey: &Survey,
    node: &str,
    resolved: &Resolved,
    progress: &dyn Progress,
) -> Result<()> {
    let Resolved { disk, writes } = resolved;
    let task = progress.start(&format!("{node}: copying"), Some(survey.size));
    clone::clone_into(base, image, &*task)?;
    task.finish();
    let is_rewritten = disk.is_changed(survey.size);
    if is_rewritten {
        image.set_len(disk.size).map_err(LengthError)?;
        let root = survey.layout.root().first_lba;
        table::rewrite(image, disk.size, &disk.before, &disk.after, root)?;
    }
    let task = progress.start(&format!("{node}: writing"), Some(writes.iter().map(PathWrite::size).sum()));
    apply::apply(Volumes::writable(image, &survey.layout)?, writes, survey.stamp, &*task)?;
    task.finish();
    let expected: Vec<_> = writes.iter().map(|write| write.expected.clone()).collect();
    let task = progress.start(&format!("{node}: reading back"), None);
    readback::check(&Volumes::read_only(image, &survey.layout)?, &expected)
        .while_doing(|| "reading the image back".into())?;
    if is_rewritten {
        readback::check_disk(image, &disk.expected())
            .while_doing(|| "reading the partition table back".into())?;
    }
    task.finish();
    Ok(())
}

//! A node's image: a clone of the base, the plan applied to it, and the read-back; and what can be said of a
//! finished image.

mod apply;
mod clone;
pub(crate) mod inspect;
mod opened;
mod readback;
mod resolve;
pub(crate) mod verify;

use std::fs::File;
use std::sync::Arc;

pub(crate) use resolve::Step;

use crate::base::Survey;
use crate::base::layout::Layout;
use crate::disk::window::Window;
use crate::disk::{ext4, fat};
use crate::error::{Context as _, Explain, Result};
use crate::plan::Plan;
use crate::progress::Progress;
use resolve::{BaseVolumes, resolve};

/// The two file systems of an image, as windows of its file.
pub(crate) struct Volumes {
    /// The FAT.
    boot: Window,
    /// The ext4.
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

/// A partition at an offset that no file can have.
#[derive(Debug, thiserror::Error)]
#[error("a partition lies outside the image")]
struct WindowError(#[source] std::io::Error);

impl Explain for WindowError {}

/// What `plan` writes to an image of this base, or why it doesn't fit.
pub(crate) fn steps(base: &Arc<File>, layout: &Layout, plan: &Plan) -> Result<Vec<Step>> {
    let volumes = Volumes::read_only(base, layout)?;
    let boot = fat::Reader::open(volumes.boot)?;
    let root = ext4::Reader::open(&volumes.root)?;
    resolve(plan, &BaseVolumes { boot: &boot, root: &root })
}

/// Makes `image` a clone of `base`, applies `steps` and reads them back. `node` is for progress.
pub(crate) fn write(
    base: &File,
    image: &Arc<File>,
    survey: &Survey,
    node: &str,
    steps: &[Step],
    progress: &dyn Progress,
) -> Result<()> {
    let task = progress.start(&format!("{node}: copying"), Some(survey.size));
    clone::clone_into(base, image, &*task)?;
    task.finish();
    let task = progress.start(&format!("{node}: writing"), Some(steps.iter().map(Step::size).sum()));
    apply::apply(Volumes::writable(image, &survey.layout)?, steps, survey.stamp, &*task)?;
    task.finish();
    let expected: Vec<_> = steps.iter().map(|s| s.expected.clone()).collect();
    let task = progress.start(&format!("{node}: reading back"), None);
    readback::require(&Volumes::read_only(image, &survey.layout)?, &expected)
        .while_doing(|| "reading the image back".into())?;
    task.finish();
    Ok(())
}

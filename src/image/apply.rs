//! Writes resolved steps into an image. Nothing counts until both file systems are finished.

use super::Volumes;
use super::resolve::Step;
use crate::disk::ext4;
use crate::disk::fat;
use crate::error::{Context as _, Result};
use crate::interrupt;
use crate::plan::Area;
use crate::plan::PathState;
use crate::progress::Task;

/// Applies `steps`, in their order; all times become `stamp` (seconds since 1970).
pub(crate) fn apply(volumes: Volumes, steps: &[Step], stamp: u32, task: &dyn Task) -> Result<()> {
    let Volumes { boot, root } = volumes;
    let on = |area: Area| steps.iter().filter(move |s| s.expected.area == area);
    let mut fat = fat::Writer::open(boot, stamp)?;
    for step in on(Area::Boot) {
        write_fat(&mut fat, step).while_doing(|| format!("writing `{}` to the FAT", step.expected.path))?;
    }
    fat.finish()?;
    let ext4 = ext4::Writer::open(root, i64::from(stamp))?;
    for step in on(Area::Root) {
        interrupt::check()?;
        write_ext4(&ext4, step)?;
        if let PathState::File { size, .. } = step.expected.state {
            task.advance(size);
        }
    }
    ext4.finish()?;
    Ok(())
}

fn write_fat(fat: &mut fat::Writer, step: &Step) -> Result<()> {
    let path = &step.expected.path;
    match &step.expected.state {
        PathState::Directory { .. } => fat.make_dir(path)?,
        // The plan has no links on a FAT: overlays can't declare them there.
        PathState::Symlink { .. } => {}
        PathState::File { .. } => {
            let (mut source, length) = step.body.open()?;
            fat.write(path, &mut source, length)?;
        }
    }
    Ok(())
}

fn write_ext4(ext4: &ext4::Writer, step: &Step) -> Result<()> {
    let path = &step.expected.path;
    match &step.expected.state {
        PathState::Directory { attributes: Some(attributes) } => ext4.directory(path, *attributes)?,
        PathState::Symlink { target } => ext4.symlink(path, target)?,
        PathState::File { attributes: Some(attributes), .. } => {
            let (mut source, length) = step.body.open()?;
            ext4.file(path, *attributes, &mut source, length)?;
        }
        // Without attributes it isn't meant for ext4; the read-back would notice.
        PathState::Directory { attributes: None } | PathState::File { attributes: None, .. } => {}
    }
    Ok(())
}

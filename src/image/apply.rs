//! Writes resolved paths into an image. The image is complete only after both file systems are finished.

use super::Volumes;
use super::path_write::PathWrite;
use crate::disk::{ext4, fat};
use crate::error::{Context as _, Result};
use crate::interrupt;
use crate::plan::{Area, PathState};
use crate::progress::Task;

/// Applies `writes` in their order; all times become `stamp` (seconds since 1970).
pub(super) fn apply(volumes: Volumes, writes: &[PathWrite], stamp: u32, task: &dyn Task) -> Result<()> {
    let Volumes { boot, root } = volumes;
    let on = |area: Area| writes.iter().filter(move |write| write.expected.area == area);
    let mut fat = fat::Writer::open(boot, stamp)?;
    for write in on(Area::Boot) {
        let doing = || format!("writing `{}` to the FAT", write.expected.path);
        write_fat(&mut fat, write).while_doing(doing)?;
    }
    fat.finish()?;
    let ext4 = ext4::Writer::open(root, i64::from(stamp))?;
    for write in on(Area::Root) {
        interrupt::check()?;
        write_ext4(&ext4, write)?;
        task.advance(write.size());
    }
    ext4.finish()?;
    Ok(())
}

fn write_fat(fat: &mut fat::Writer, write: &PathWrite) -> Result<()> {
    let path = &write.expected.path;
    match &write.expected.state {
        PathState::Directory { .. } => fat.make_dir(path)?,
        // An overlay can't declare a symlink on the FAT.
        PathState::Symlink { .. } => {}
        PathState::File { .. } => {
            let (mut source, length) = write.content.open()?;
            fat.write(path, &mut source, length)?;
        }
    }
    Ok(())
}

fn write_ext4(ext4: &ext4::Writer, write: &PathWrite) -> Result<()> {
    let path = &write.expected.path;
    match &write.expected.state {
        PathState::Directory { attributes: Some(attributes) } => ext4.directory(path, *attributes)?,
        PathState::Symlink { target } => ext4.symlink(path, target)?,
        PathState::File { attributes: Some(attributes), .. } => {
            let (mut source, length) = write.content.open()?;
            ext4.file(path, *attributes, &mut source, length)?;
        }
        // Only paths on the FAT have no attributes; the read-back would find one that was left out here.
        PathState::Directory { attributes: None } | PathState::File { attributes: None, .. } => {}
    }
    Ok(())
}

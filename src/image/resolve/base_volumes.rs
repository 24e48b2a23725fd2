//! The two file systems of the base, before anything is written.

use crate::disk::ext4::{self, FileKind};
use crate::disk::fat;
use crate::error::Result;
use crate::plan::Area;

pub(in crate::image) struct BaseVolumes<'a> {
    pub(in crate::image) boot: &'a fat::Reader,
    pub(in crate::image) root: &'a ext4::Reader,
    /// The PARTUUIDs that change, old and new.
    pub(in crate::image) renamed: &'a [(String, String)],
}

impl BaseVolumes<'_> {
    /// What is at `path`; symlinks are not followed.
    pub(super) fn kind(&self, area: Area, path: &str) -> Result<Option<FileKind>> {
        Ok(match area {
            Area::Boot => {
                let entry = self.boot.find(path)?;
                entry.map(|e| if e.folder { FileKind::Directory } else { FileKind::File })
            }
            Area::Root => self.root.stat(path)?.map(|stat| stat.kind),
        })
    }
}

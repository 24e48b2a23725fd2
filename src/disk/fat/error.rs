//! Why a FAT can't be read or written.

use std::io;

use super::damage::{BootDamage, FatDamage};
use crate::disk::window::ReadLimitExceeded;
use crate::error::{Exit, Explain};

/// Paths are those on the FAT, sizes are in bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FatError {
    /// The image can't be read or written, or the user asked to stop.
    #[error("cannot access the FAT file system")]
    Io(#[from] io::Error),
    /// The other end of a copy failed: what is read can't be passed on, or what is to be written can't be read.
    #[error("cannot copy `{path}`")]
    Copy {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("not a FAT file system")]
    NotFat,
    #[error("this is a FAT12 file system ({0} clusters); FAT16 or FAT32 is needed")]
    Fat12(u32),
    #[error("the FAT's boot sector is damaged: {0}")]
    Boot(#[from] BootDamage),
    #[error("the FAT file system is damaged: {0}")]
    Damaged(#[from] FatDamage),
    #[error("`{0}` does not exist on the FAT")]
    NotFound(String),
    #[error("`{0}` on the FAT is a folder")]
    IsFolder(String),
    #[error("`{0}` on the FAT is not a folder")]
    NotFolder(String),
    /// The file is larger than FAT's limit, or larger than what is read into memory.
    #[error("`{path}` has {bytes} bytes, the limit is {limit}")]
    TooLarge { path: String, bytes: u64, limit: u64 },
    /// FAT or fatfs doesn't allow the name.
    #[error("`{name}` is not a valid file name on the FAT: it {why}")]
    Name { name: String, why: &'static str },
    /// `needed` counts whole clusters.
    #[error(
        "no space for `{path}` on the FAT: {needed} bytes are needed, {free} are free, {} are missing", needed - free
    )]
    NoSpace { path: String, needed: u64, free: u64 },
    /// FAT16's root directory can't grow, and every other directory has a limit. `free` is the longest run of
    /// free slots.
    #[error(
        "directory full: the name of `{path}` needs {needed} consecutive slots on the FAT, the directory has \
         {total} slots with at most {free} consecutive free ones"
    )]
    NoSlots { path: String, needed: usize, free: usize, total: usize },
    #[error(transparent)]
    ReadLimit(#[from] ReadLimitExceeded),
    /// fatfs failed although this module's checks had passed. `path` is `/` for the whole volume.
    #[error("`fatfs` cannot write `{path}`")]
    Library {
        path: String,
        #[source]
        source: io::Error,
    },
}

impl Explain for FatError {
    fn exit(&self) -> Exit {
        match self {
            Self::Name { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotFat | Self::Fat12(_) => "use a base image with a FAT16 or FAT32 boot partition",
            Self::Boot(_) | Self::Damaged(_) | Self::ReadLimit(_) => {
                "download the base image again; if it was copied from a card, repair it with `fsck.vfat` first"
            }
            Self::NoSpace { .. } => "use a base with a larger boot partition, or put less into `boot/`",
            Self::NoSlots { .. } => {
                "a name of up to 13 characters takes two slots, and one more for every 13 further characters: \
                 shorten the names, or put the files into a folder"
            }
            Self::Name { .. } => "rename the file",
            _ => return None,
        };
        Some(text.into())
    }
}

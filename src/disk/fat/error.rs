//! What goes wrong on a FAT.

use std::io;

use crate::error::{Exit, Explain};
use crate::interrupt::Interrupted;

/// Why a FAT can't be read, or something can't be written to it. Paths are those on the FAT.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FatError {
    /// The image can't be read or written.
    #[error("cannot access the FAT file system")]
    Io(#[source] io::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// What is read can't be passed on, or what is to be written can't be had.
    #[error("cannot copy `{path}`")]
    Copy {
        /// The file on the FAT.
        path: String,
        /// What the other side said.
        #[source]
        source: io::Error,
    },
    /// No boot sector.
    #[error("this is no FAT file system")]
    NotFat,
    /// Too small a kind.
    #[error("this is a FAT12 file system ({0} clusters); FAT16 or FAT32 is needed")]
    Fat12(u32),
    /// The boot sector's numbers don't fit together.
    #[error("the FAT's boot sector is damaged: {0}")]
    Boot(String),
    /// The allocation table or a directory lies.
    #[error("the FAT file system is damaged: {0}")]
    Damaged(String),
    /// A path that isn't there.
    #[error("there is no `{0}` on the FAT")]
    NotFound(String),
    /// A folder where a file is needed.
    #[error("`{0}` on the FAT is a folder")]
    IsFolder(String),
    /// A file where a folder is needed.
    #[error("`{0}` on the FAT is no folder")]
    NotFolder(String),
    /// More than can sensibly be held in memory, or than FAT can hold.
    #[error("`{path}` has {bytes} bytes, more than the {limit} that are possible")]
    TooLarge {
        /// The file on the FAT.
        path: String,
        /// Its size in bytes.
        bytes: u64,
        /// The most that is possible, in bytes.
        limit: u64,
    },
    /// A name that FAT or fatfs doesn't take.
    #[error("`{name}` can't be the name of a file on the FAT: it {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong, as a verb phrase.
        why: &'static str,
    },
    /// No room for the contents.
    #[error(
        "no room for `{path}` on the FAT: it takes {needed} bytes, {free} are free, {} are missing", needed - free
    )]
    NoSpace {
        /// The file on the FAT.
        path: String,
        /// What it takes, in bytes of whole clusters.
        needed: u64,
        /// What there is, in bytes.
        free: u64,
    },
    /// No room for the name: FAT16's root directory can't grow, and no other one without end.
    #[error(
        "no room for the name of `{path}` in its folder on the FAT: it takes {needed} slots in a row, and of the \
         {total} there at most {free} are free in a row"
    )]
    NoSlots {
        /// The file on the FAT.
        path: String,
        /// What it takes, in slots of 32 bytes.
        needed: usize,
        /// The most that are free in a row.
        free: usize,
        /// How many there are.
        total: usize,
    },
    /// fatfs failed where our own checks saw no reason to.
    #[error("`fatfs` can't write `{path}`: {message}")]
    Library {
        /// What was being written, or `/`.
        path: String,
        /// What it said.
        message: String,
    },
}

impl From<io::Error> for FatError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Interrupted>() {
            Ok(interrupted) => Self::Interrupted(interrupted),
            Err(error) => Self::Io(error),
        }
    }
}

impl Explain for FatError {
    fn exit(&self) -> Exit {
        match self {
            Self::Name { .. } => Exit::Usage,
            Self::Interrupted(interrupted) => interrupted.exit(),
            _ => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotFat | Self::Fat12(_) => "take a base image with a FAT16 or FAT32 boot partition",
            Self::Boot(_) | Self::Damaged(_) => {
                "download the base image again; if it was taken from a card, repair that with `fsck.vfat` first"
            }
            Self::NoSpace { .. } => "take a base with a larger boot partition, or put less into `boot/`",
            Self::NoSlots { .. } => {
                "a name of up to 13 characters takes two slots and each 13 more another one: shorten the names, \
                 or put the files into a folder"
            }
            Self::Name { .. } => "rename the file",
            _ => return None,
        };
        Some(text.into())
    }
}

//! ext4: facts from the superblock, a reader (ext4-view) and a writer (rust-fs-ext4) that share no code.

mod reader;
pub(crate) mod superblock;
mod writer;

pub(crate) use reader::Reader;
pub(crate) use superblock::Superblock;
pub(crate) use writer::Writer;

use crate::error::{Exit, Explain};

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, a fifo, a socket.
    Special,
}

/// What an inode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// What it is.
    pub(crate) kind: FileKind,
    /// In bytes.
    pub(crate) size: u64,
    /// The lower twelve bits of `st_mode`.
    pub(crate) mode: u16,
    /// User number.
    pub(crate) uid: u32,
    /// Group number.
    pub(crate) gid: u32,
    /// Last change of the content, in seconds since 1970.
    pub(crate) mtime: i64,
}

/// What can go wrong in an ext4 file system.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ext4Error {
    /// The superblock isn't one.
    #[error("no ext4 superblock: {0}")]
    NotExt4(String),
    /// A state that would have to be repaired first.
    #[error("the ext4 file system is unclean: {0}")]
    Unclean(&'static str),
    /// Features that nobody here knows.
    #[error("the ext4 file system can't be written: it {0}")]
    Features(String),
    /// The file system's own structures contradict each other.
    #[error("the ext4 file system is damaged at `{path}`: {why}")]
    Damaged {
        /// The path that was looked at.
        path: String,
        /// What the library said.
        why: String,
    },
    /// A file larger than what it is read for.
    #[error("`{path}` has {size} bytes, more than the {limit} expected")]
    TooLarge {
        /// Which.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// Writing failed.
    #[error("cannot write `{path}`: {why}")]
    Write {
        /// Which path.
        path: String,
        /// What the library said.
        why: String,
    },
    /// The data to be written couldn't be read.
    #[error("cannot read what goes to `{path}`")]
    Input {
        /// Which path.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl Explain for Ext4Error {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unclean(_) => Some("use an image as it was published: one that never ran".into()),
            Self::Features(_) => {
                Some("use an image as it was published, or one made with `mkfs.ext4`'s own features".into())
            }
            Self::NotExt4(_) | Self::Damaged { .. } => Some(
                "the image is damaged or made by something unusual; `e2fsck -fn` on the partition says more"
                    .into(),
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

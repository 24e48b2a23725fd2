//! ext4: facts from the superblock, a reader (ext4-view) and a writer (rust-fs-ext4) that share no code.

mod error;
mod reader;
mod superblock;
mod writer;

use error::{Ext4Cause, Ext4Error};
pub(crate) use reader::Reader;
pub(crate) use superblock::Superblock;
pub(crate) use writer::Writer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    File,
    Directory,
    Symlink,
    /// A device, a FIFO or a socket.
    Special,
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: FileKind,
    /// In bytes.
    pub(crate) size: u64,
    /// The lower twelve bits of `st_mode`.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
}

#[cfg(test)]
mod tests;

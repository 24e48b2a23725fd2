//! What a partition holds.

use std::fmt;
use std::io;

use serde::Serialize;

use super::Probed;
use crate::disk::ext4::Superblock;
use crate::disk::fat::{FatError, FatInfo, Reader};
use crate::disk::magic::Magic;
use crate::disk::table::Partition;
use crate::disk::window::Window;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PartitionContent {
    /// FAT16 or FAT32 that can be read.
    Fat(FatInfo),
    /// FAT12, or a FAT whose boot sector or root directory is damaged.
    UnusableFat { reason: String },
    /// ext2, ext3 or ext4, by the features in the superblock.
    Ext {
        /// `ext2`, `ext3` or `ext4`.
        version: &'static str,
        /// May be empty.
        label: String,
        uuid: String,
    },
    /// ext file system with an invalid superblock.
    UnusableExt { reason: String },
    /// Other content with a known magic number.
    Other(Magic),
    /// MBR extended partition, which contains the logical partitions.
    Extended,
    /// Content without a known magic number.
    Unknown,
}

impl PartitionContent {
    /// Detects the content of a partition. Damaged content is a variant; only a failed read is an error.
    pub(super) fn find(partition: &Partition, window: Window) -> io::Result<Self> {
        if partition.extended {
            return Ok(Self::Extended);
        }
        Ok(match Magic::find(&window)? {
            Some(Magic::Fat) => match Reader::open(window).and_then(|reader| reader.info()) {
                Ok(info) => Self::Fat(info),
                Err(FatError::Io(error)) => return Err(error),
                Err(error) => Self::UnusableFat { reason: error.to_string() },
            },
            Some(Magic::Ext) => match Superblock::read(&window) {
                Ok(found) => Self::Ext { version: found.version(), label: found.label, uuid: found.uuid },
                Err(error) => Self::UnusableExt { reason: error.to_string() },
            },
            Some(magic) => Self::Other(magic),
            None => Self::Unknown,
        })
    }
}

impl fmt::Display for PartitionContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled = |f: &mut fmt::Formatter<'_>, kind: &str, label: &str| match label {
            "" => f.write_str(kind),
            label => write!(f, "{kind} `{label}`"),
        };
        match self {
            Self::Fat(info) => labelled(f, &format!("FAT{}", info.bits), &info.label),
            Self::UnusableFat { reason } => write!(f, "an unusable FAT ({reason})"),
            Self::UnusableExt { reason } => write!(f, "an unusable ext file system ({reason})"),
            Self::Ext { version, label, .. } => labelled(f, version, label),
            Self::Other(magic) => f.write_str(magic.describe()),
            Self::Extended => f.write_str("an extended partition"),
            Self::Unknown => f.write_str("something unknown"),
        }
    }
}

/// All partitions in one line, for messages.
pub(super) fn list(parts: &[Probed]) -> String {
    let texts: Vec<_> =
        parts.iter().map(|part| format!("partition {}: {}", part.partition.number, part.content)).collect();
    texts.join(", ")
}

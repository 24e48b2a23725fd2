//! What a partition holds.

use std::fmt;
use std::io;

use serde::Serialize;

use super::Probed;
use crate::disk::fat::{FatError, FatInfo, Reader};
use crate::disk::magic::Magic;
use crate::disk::table::Partition;
use crate::disk::window::Window;

/// The content of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// FAT16 or FAT32 that can be read.
    Fat(FatInfo),
    /// FAT12, or a FAT whose boot sector or root directory is damaged.
    UnusableFat {
        /// What is wrong with it.
        reason: String,
    },
    /// ext2, ext3 or ext4, by the features in the superblock.
    Ext {
        /// `ext2`, `ext3` or `ext4`.
        version: &'static str,
        /// Its label; may be empty.
        label: String,
        /// Its UUID.
        uuid: String,
    },
    /// Something else that is known by its magic number.
    Other(Magic),
    /// A container of further partitions (MBR).
    Extended,
    /// Nothing that is known.
    Unknown,
}

impl Content {
    /// Looks into a partition. Damage is a content too; only failing input is an error.
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
            Some(Magic::Ext) => superblock(&window)?,
            Some(magic) => Self::Other(magic),
            None => Self::Unknown,
        })
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labelled = |f: &mut fmt::Formatter<'_>, kind: &str, label: &str| match label {
            "" => f.write_str(kind),
            label => write!(f, "{kind} `{label}`"),
        };
        match self {
            Self::Fat(info) => labelled(f, &format!("FAT{}", info.bits), &info.label),
            Self::UnusableFat { reason } => write!(f, "an unusable FAT ({reason})"),
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

/// Offsets in the superblock, which begins 1024 bytes into the file system: the kernel's
/// `Documentation/filesystems/ext4/super.rst`.
const SUPERBLOCK: u64 = 1024;
const COMPAT: usize = 0x5C;
const INCOMPAT: usize = 0x60;
const RO_COMPAT: usize = 0x64;
const UUID: usize = 0x68;
const LABEL: usize = 0x78;
/// Features that ext3 and ext2 know; `blkid` tells the versions apart by the same sets.
const HAS_JOURNAL: u32 = 0x4;
const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;

fn superblock(window: &Window) -> io::Result<Content> {
    let mut block = [0; LABEL + 16];
    window.read_exact_at(SUPERBLOCK, &mut block)?;
    let field = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let newer = field(INCOMPAT) & !EXT3_INCOMPAT != 0 || field(RO_COMPAT) & !EXT3_RO_COMPAT != 0;
    let version = match (newer, field(COMPAT) & HAS_JOURNAL != 0) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    };
    let label = block[LABEL..].split(|&byte| byte == 0).next().unwrap_or_default();
    let hex = |range: std::ops::Range<usize>| {
        block[UUID..][range].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    Ok(Content::Ext {
        version,
        label: String::from_utf8_lossy(label).into_owned(),
        uuid: [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-"),
    })
}

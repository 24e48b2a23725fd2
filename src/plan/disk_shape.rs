//! The size and the partition table that an image shall have, before its base is known.

use serde::{Deserialize, Serialize};

/// Bytes in a sector, as on every SD card.
pub(crate) const SECTOR: u64 = 512;

/// The format of a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TableKind {
    /// Four entries in the first sector, and logical partitions in extended ones.
    Mbr,
    /// GUID partition table after a protective MBR.
    Gpt,
    /// GPT, and an MBR that lists some of its partitions too, for firmware that knows no GPT.
    HybridGpt,
}

/// What differs from the base's disk; the default is the base's disk as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DiskShape {
    /// Of the whole image, in bytes; a multiple of 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Of the root partition, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_size: Option<u64>,
    /// An empty partition at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra: Option<ExtraPartition>,
    /// Whether a GPT becomes an MBR.
    pub(crate) as_mbr: bool,
}

/// An empty partition behind the root partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ExtraPartition {
    /// In bytes; `None` for all space behind the root partition.
    pub(crate) size: Option<u64>,
    /// The label of its file system; its name in a GPT.
    pub(crate) label: String,
}

/// The disk that a build must leave: recorded in the manifest, checked by read-back and `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedDisk {
    /// Of the raw image, in bytes.
    pub(crate) size: u64,
    pub(crate) table: TableKind,
    /// Eight hex digits (MBR) or a GUID.
    pub(crate) id: String,
    /// By number.
    pub(crate) partitions: Vec<ExpectedPartition>,
}

/// One entry of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedPartition {
    pub(crate) number: u32,
    /// First sector, of 512 bytes.
    pub(crate) start: u64,
    /// In sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// `0x0c` or a GUID.
    #[serde(rename = "type")]
    pub(crate) type_id: String,
    /// The PARTUUID of Linux.
    pub(crate) uuid: String,
}

impl DiskShape {
    /// Whether the base's partition table stays as it is.
    pub(crate) fn is_as_base(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the root partition must not grow to the end of the card.
    pub(crate) fn fixes_root(&self) -> bool {
        self.root_size.is_some() || self.extra.is_some()
    }
}

//! Partition tables: MBR with logical partitions, GPT, and GPT with a hybrid MBR. Sectors have 512 bytes, as on
//! every SD card.

mod agree;
mod change;
mod ebr;
mod gpt;
mod mbr;
mod types;
mod write;

use std::fs::File;
use std::io;
use std::sync::Arc;

use ::gpt::GptError;
use serde::Serialize;

pub(crate) use self::agree::{Disagreement, copies};
pub(crate) use self::change::{ChangeError, added, as_mbr, usable_end};
use self::ebr::EbrProblem;
use self::mbr::Mbr;
pub(crate) use self::write::rewrite;
use super::magic::Magic;
use super::window::Window;
use crate::error::Explain;
use crate::guard::Panicked;
use crate::plan::SECTOR;
pub(crate) use crate::plan::TableKind;

/// Sectors of the entries of a GPT: 128 of 128 bytes (UEFI 2.10, section 5.3), as all tools make them.
const GPT_ARRAY_SECTORS: u64 = 32;

/// A checked partition table: partitions lie within the image and don't overlap, except that logical ones lie
/// within their extended partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PartitionTable {
    pub(crate) kind: TableKind,
    /// The disk id as `blkid` writes it: eight hex digits (MBR) or a GUID.
    pub(crate) id: String,
    /// The used entries, in the order of their numbers.
    pub(crate) partitions: Vec<Partition>,
}

/// One used entry of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Partition {
    /// From 1, as in Linux; logical partitions of an MBR from 5.
    pub(crate) number: u32,
    pub(crate) first_lba: u64,
    pub(crate) sectors: u64,
    /// The type as written in the table: `0x0c` or a GUID.
    pub(crate) type_id: String,
    /// The type's name as `fdisk` prints it, or `unknown`.
    pub(crate) type_name: &'static str,
    /// GPT only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// The PARTUUID of Linux.
    pub(crate) uuid: String,
    /// Whether the active flag (MBR) or the legacy-BIOS flag (GPT) is set.
    pub(crate) bootable: bool,
    /// An MBR entry that contains logical partitions, which are listed after the entries of the MBR.
    pub(crate) extended: bool,
}

impl Partition {
    /// The offset of the first byte in the image.
    pub(crate) fn start(&self) -> u64 {
        self.first_lba * SECTOR
    }

    /// The length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.sectors * SECTOR
    }

    /// A read-only window onto the partition.
    pub(crate) fn read_only(&self, image: &Arc<File>) -> io::Result<Window> {
        Window::read_only(Arc::clone(image), self.start(), self.bytes())
    }

    /// A writable window onto the partition; the file must have been opened for writing.
    pub(crate) fn writable(&self, image: &Arc<File>) -> io::Result<Window> {
        Window::writable(Arc::clone(image), self.start(), self.bytes())
    }
}

/// Why an image's partitions can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("cannot read the partition table")]
    Io(#[from] io::Error),
    #[error("the image has {0} bytes, too few for a partition table")]
    TooShort(u64),
    /// No table, but a known format.
    #[error("the image has no partition table: it looks like {}", .0.describe())]
    OtherFormat(Magic),
    #[error("the image has no partition table: its first sector doesn't end in 55 AA")]
    None,
    #[error("the image's partition table is empty")]
    Empty,
    /// The MBR announces a GPT that is missing or damaged.
    #[error("the image's GPT is damaged: {0}")]
    Gpt(#[from] GptError),
    #[error("the image's GPT is damaged: {0}")]
    GptPanic(#[from] Panicked),
    /// A partition ends before it begins, or overlaps the table.
    #[error("partition {number} has an invalid range: first LBA {first}, {sectors} sectors")]
    Range { number: u32, first: u64, sectors: u64 },
    /// `end` and `len`, the image's length, are in bytes.
    #[error("partition {number} ends at byte {end}, but the image has only {len}: {} bytes are missing", end - len)]
    PastEnd { number: u32, end: u64, len: u64 },
    #[error("partitions {0} and {1} overlap")]
    Overlap(u32, u32),
    /// Logical partitions that can't be read.
    #[error("the extended boot record at LBA {lba} is damaged: {problem}")]
    Ebr { lba: u64, problem: EbrProblem },
}

impl Explain for TableError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io(_) => return None,
            Self::OtherFormat(Magic::Xz | Magic::Gzip | Magic::Zstd) => {
                "the image is compressed: its name must end in `.xz`, `.gz` or `.zst`"
            }
            Self::OtherFormat(Magic::Bzip2 | Magic::Zip | Magic::Tar | Magic::Qcow2) => {
                "unpack it first: the base must be a raw disk image"
            }
            Self::OtherFormat(Magic::Html) => "the download is a web page, not an image; check the URL",
            Self::TooShort(_) | Self::PastEnd { .. } => "the image is truncated; download or unpack it again",
            Self::OtherFormat(_) | Self::None | Self::Empty => {
                "the base must be a complete disk image for the Raspberry Pi, with a boot and a root partition"
            }
            Self::Gpt(_) | Self::GptPanic(_) | Self::Range { .. } | Self::Overlap(..) | Self::Ebr { .. } => {
                "the image is damaged; download it again, or inspect it with `sfdisk --list`"
            }
        };
        Some(text.into())
    }
}

/// Reads and checks the partition table of an image of `len` bytes.
pub(crate) fn read(file: &Arc<File>, len: u64) -> Result<PartitionTable, TableError> {
    if len < 2 * SECTOR {
        return Err(TableError::TooShort(len));
    }
    let whole = Window::read_only(Arc::clone(file), 0, len)?;
    let mut sector = [0; 512];
    whole.read_exact_at(0, &mut sector)?;
    let magic = Magic::find(&whole)?;
    if sector[510..] != [0x55, 0xAA] {
        return Err(magic.map_or(TableError::None, TableError::OtherFormat));
    }
    // The boot sector of a file system ends in 55 AA too, and its code would be read as entries.
    if let Some(file_system @ (Magic::Fat | Magic::ExFat | Magic::Ntfs)) = magic {
        return Err(TableError::OtherFormat(file_system));
    }
    let mut table = match mbr::parse(&sector)? {
        Mbr::Partitions(table) => table,
        Mbr::Protective { hybrid } => gpt::read(whole.reopen(), hybrid)?,
    };
    check(&table.partitions, len)?;
    let logical = ebr::read(&whole, &table)?;
    check_overlaps(&logical)?;
    table.partitions.extend(logical);
    Ok(table)
}

/// Refuses an empty table and partitions that overlap, are empty or lie outside the image.
fn check(partitions: &[Partition], len: u64) -> Result<(), TableError> {
    if partitions.is_empty() {
        return Err(TableError::Empty);
    }
    for part in partitions {
        let end = part.first_lba.checked_add(part.sectors).and_then(|end| end.checked_mul(SECTOR));
        let end = end.filter(|_| part.first_lba > 0 && part.sectors > 0).ok_or(TableError::Range {
            number: part.number,
            first: part.first_lba,
            sectors: part.sectors,
        })?;
        if end > len {
            return Err(TableError::PastEnd { number: part.number, end, len });
        }
    }
    check_overlaps(partitions)
}

fn check_overlaps(partitions: &[Partition]) -> Result<(), TableError> {
    let mut sorted: Vec<_> = partitions.iter().collect();
    sorted.sort_by_key(|part| (part.first_lba, part.number));
    let overlap = sorted.windows(2).find(|pair| pair[0].first_lba + pair[0].sectors > pair[1].first_lba);
    match overlap {
        Some(pair) => {
            let (one, other) = (pair[0].number, pair[1].number);
            Err(TableError::Overlap(one.min(other), one.max(other)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

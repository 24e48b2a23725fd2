//! Partition tables: MBR, GPT and GPT with a hybrid MBR. Sectors are of 512 bytes, as on every SD card.

mod gpt;
mod mbr;
mod types;

use std::fs::File;
use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::magic::Magic;
use super::window::Window;
use crate::error::Explain;

/// Bytes in a sector.
pub(crate) const SECTOR: u64 = 512;

/// How the partitions are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TableKind {
    /// Four entries in the first sector.
    Mbr,
    /// GUID partition table behind a protective MBR.
    Gpt,
    /// GPT, and an MBR that names some of its partitions too, for firmware that knows no GPT.
    HybridGpt,
}

/// A partition table that fits its image: in range, without overlaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Table {
    /// Its kind.
    pub(crate) kind: TableKind,
    /// The disk's id as `blkid` writes it: eight hex digits (MBR) or a GUID.
    pub(crate) id: String,
    /// The used entries, in the order of their numbers.
    pub(crate) partitions: Vec<Partition>,
}

/// One used entry of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Partition {
    /// As Linux counts them, from 1.
    pub(crate) number: u32,
    /// The first sector (LBA).
    pub(crate) first_lba: u64,
    /// Its length in sectors.
    pub(crate) sectors: u64,
    /// The type as written in the table: `0x0c` or a GUID.
    pub(crate) type_id: String,
    /// What that type is called, or `unknown`.
    pub(crate) type_name: &'static str,
    /// The name that only GPT has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    /// The PARTUUID that Linux knows it by.
    pub(crate) uuid: String,
    /// Whether the active flag (MBR) or the legacy-BIOS flag (GPT) is set.
    pub(crate) bootable: bool,
    /// Whether it holds further partitions (MBR); these are not walked.
    pub(crate) extended: bool,
}

impl Partition {
    /// Where it begins, in bytes.
    pub(crate) fn start(&self) -> u64 {
        self.first_lba * SECTOR
    }

    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.sectors * SECTOR
    }

    /// Its bytes of the image, to read.
    pub(crate) fn read_only(&self, image: &Arc<File>) -> io::Result<Window> {
        Window::read_only(Arc::clone(image), self.start(), self.bytes())
    }

    /// Its bytes of the image, to write; the file must have been opened for that.
    pub(crate) fn writable(&self, image: &Arc<File>) -> io::Result<Window> {
        Window::writable(Arc::clone(image), self.start(), self.bytes())
    }
}

/// Why an image's partitions can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// The image can't be read.
    #[error("cannot read the partition table")]
    Io(#[from] io::Error),
    /// Less than the smallest table.
    #[error("the image has {0} bytes, too few for a partition table")]
    TooShort(u64),
    /// No table, but something known.
    #[error("the image has no partition table: it looks like {}", .0.describe())]
    Instead(Magic),
    /// No table and nothing known.
    #[error("the image has no partition table: its first sector doesn't end in 55 AA")]
    None,
    /// A table without entries.
    #[error("the image's partition table is empty")]
    Empty,
    /// The MBR announces a GPT that isn't there or is damaged.
    #[error("the image's GPT is damaged: {0}")]
    Gpt(String),
    /// A partition ends before it begins, or lies over the table.
    #[error("partition {number} has an impossible place: sector {first} and {sectors} sectors")]
    Place {
        /// Its number.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its length in sectors.
        sectors: u64,
    },
    /// The image ends too early.
    #[error("partition {number} ends at byte {end}, but the image has only {len}: {} bytes are missing", end - len)]
    PastEnd {
        /// Its number.
        number: u32,
        /// Where it ends, in bytes.
        end: u64,
        /// The image's length in bytes.
        len: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {0} and {1} overlap")]
    Overlap(u32, u32),
}

impl Explain for TableError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Io(_) => return None,
            Self::Instead(Magic::Xz | Magic::Gzip | Magic::Zstd) => {
                "give it the ending that it was compressed with (`.xz`, `.gz`, `.zst`)"
            }
            Self::Instead(Magic::Bzip2 | Magic::Zip | Magic::Tar | Magic::Qcow2) => {
                "unpack it first: the base must be a raw disk image, as it would be written to a card"
            }
            Self::Instead(Magic::Html) => "the download gave a page instead of the image; check the URL",
            Self::TooShort(_) | Self::PastEnd { .. } => "the image is cut short; download or unpack it again",
            Self::Instead(_) | Self::None | Self::Empty => {
                "the base must be a whole disk image for the Raspberry Pi, with a boot and a root partition"
            }
            Self::Gpt(_) | Self::Place { .. } | Self::Overlap(..) => {
                "the image is damaged; download it again, or look at it with `sfdisk --list`"
            }
        };
        Some(text.into())
    }
}

/// Reads the table of an image of `len` bytes and checks that its partitions lie in it, beside each other.
pub(crate) fn read(file: &Arc<File>, len: u64) -> Result<Table, TableError> {
    if len < 2 * SECTOR {
        return Err(TableError::TooShort(len));
    }
    let whole = Window::read_only(Arc::clone(file), 0, len)?;
    let mut sector = [0; 512];
    whole.read_exact_at(0, &mut sector)?;
    let magic = Magic::find(&whole)?;
    if sector[510..] != [0x55, 0xAA] {
        return Err(magic.map_or(TableError::None, TableError::Instead));
    }
    // A file system's boot sector ends in 55 AA too, and its code would be taken for entries.
    if let Some(bare @ (Magic::Fat | Magic::ExFat | Magic::Ntfs)) = magic {
        return Err(TableError::Instead(bare));
    }
    let table = match mbr::parse(&sector)? {
        mbr::Parsed::Plain(table) => table,
        mbr::Parsed::Protective { hybrid } => gpt::read(whole, hybrid)?,
    };
    check(&table.partitions, len)?;
    Ok(table)
}

/// Refuses no partitions, impossible, cut-off and overlapping ones.
fn check(partitions: &[Partition], len: u64) -> Result<(), TableError> {
    if partitions.is_empty() {
        return Err(TableError::Empty);
    }
    for part in partitions {
        let end = part.first_lba.checked_add(part.sectors).and_then(|end| end.checked_mul(SECTOR));
        let end = end.filter(|_| part.first_lba > 0 && part.sectors > 0).ok_or(TableError::Place {
            number: part.number,
            first: part.first_lba,
            sectors: part.sectors,
        })?;
        if end > len {
            return Err(TableError::PastEnd { number: part.number, end, len });
        }
    }
    let mut by_place: Vec<_> = partitions.iter().collect();
    by_place.sort_by_key(|part| (part.first_lba, part.number));
    let clash = by_place.windows(2).find(|pair| pair[0].first_lba + pair[0].sectors > pair[1].first_lba);
    match clash {
        Some(pair) => {
            let (one, other) = (pair[0].number, pair[1].number);
            Err(TableError::Overlap(one.min(other), one.max(other)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

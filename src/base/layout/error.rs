//! Why no boot and root partitions were found, and what was found instead.

use std::io;

use super::{Family, SYSCONF};
use crate::disk::fat::FatError;
use crate::disk::table::{TableError, TableKind};
use crate::error::{Exit, Explain};

/// Why an image is no base.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// No usable partition table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A partition that can't be read.
    #[error("cannot read partition {number}")]
    Read {
        /// Its number.
        number: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A FAT that can't be read.
    #[error("cannot read the FAT on partition {number}")]
    Fat {
        /// Its number.
        number: u32,
        /// What is wrong with it.
        #[source]
        source: FatError,
    },
    /// No FAT at all.
    #[error("the image has no FAT16 or FAT32 partition to boot from; it has {found}")]
    NoFat {
        /// The partitions and what they hold.
        found: String,
    },
    /// FATs, but none with a Pi's files.
    #[error("no FAT in the image has `{SYSCONF}` or the Raspberry Pi's firmware; it has {found}")]
    NoFirmware {
        /// The partitions and what they hold.
        found: String,
    },
    /// No ext4.
    #[error("the image has no ext4 partition for the root file system; it has {found}")]
    NoExt4 {
        /// The partitions and what they hold.
        found: String,
    },
    /// Two boot partitions.
    #[error("partitions {0} and {1} both look like the boot partition")]
    SeveralBoots(u32, u32),
    /// Two root partitions.
    #[error(
        "partitions {0} and {1} are both ext4 and of the same size; either could be the root file system"
    )]
    SeveralRoots(u32, u32),
    /// A boot partition of another family.
    #[error("partition {number} boots a Raspberry Pi, but has no `{SYSCONF}`{}", seen(*family, *table))]
    NoSysconf {
        /// The boot partition's number.
        number: u32,
        /// Whose image it looks like.
        family: Family,
        /// Its partition table.
        table: TableKind,
    },
}

fn seen(family: Family, table: TableKind) -> &'static str {
    match (family, table) {
        (Family::RaspberryPiOs, _) => ": this looks like Raspberry Pi OS, which is set up by cloud-init",
        (Family::DebianCloud, TableKind::HybridGpt) => {
            ": this looks like Debian's cloud image for the Pi (GPT with a hybrid MBR)"
        }
        (Family::DebianCloud, _) => ": this looks like Debian's cloud image for the Pi (GPT)",
        _ => "",
    }
}

impl Explain for LayoutError {
    fn exit(&self) -> Exit {
        match self {
            Self::Table(error) => error.exit(),
            Self::Fat { source, .. } => source.exit(),
            _ => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Table(error) => error.hint(),
            Self::Fat { source, .. } => source.hint(),
            Self::Read { .. } => None,
            Self::NoSysconf { .. } | Self::NoFirmware { .. } => Some(
                "take an image from https://raspi.debian.net, such as `20231109_raspi_4_bookworm.img.xz`"
                    .into(),
            ),
            Self::NoFat { .. } | Self::NoExt4 { .. } => Some(
                "the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root"
                    .into(),
            ),
            Self::SeveralBoots(..) | Self::SeveralRoots(..) => {
                Some("remove the other partition from the base image".into())
            }
        }
    }
}

//! Why the boot partition or the root file system wasn't found, and what was found instead.

use std::io;

use crate::disk::fat::FatError;
use crate::disk::table::TableError;
use crate::error::{Exit, Explain};

/// Why an image can't be used as a base.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// No usable partition table.
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot read partition {number}")]
    Read {
        number: u32,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the FAT on partition {number}")]
    Fat {
        number: u32,
        #[source]
        source: FatError,
    },
    #[error("the image has no FAT16 or FAT32 partition to boot from; it has {found}")]
    NoFat { found: String },
    /// No FAT has a Raspberry Pi's boot files.
    #[error("no FAT in the image has `cmdline.txt`, `config.txt` or `sysconf.txt`; it has {found}")]
    NoFirmware { found: String },
    #[error("the image has no ext4 partition for the root file system; it has {found}")]
    NoExt4 { found: String },
    #[error("{} each hold a `{file}`: any of them could be the boot partition", partitions(numbers))]
    SeveralBoots { file: &'static str, numbers: Vec<u32> },
    #[error(
        "`cmdline.txt` names the root file system `{root}`, which the image doesn't have; it has {found}"
    )]
    RootMissing { root: String, found: String },
    #[error("`cmdline.txt` names the root file system `{root}`: {} have that name", partitions(numbers))]
    SeveralNamed { root: String, numbers: Vec<u32> },
    #[error(
        "`cmdline.txt` names the root file system `{root}`, but partition {number} holds {content}, not ext4"
    )]
    RootNotExt4 { root: String, number: u32, content: String },
    #[error("partition {number}, the root file system `{root}` of `cmdline.txt`, has no `/etc/os-release`")]
    NoSystem { root: String, number: u32 },
    /// Several ext4 partitions, none with `/etc/os-release`, and no `root=` in `cmdline.txt`.
    #[error("none of the ext4 partitions has an `/etc/os-release`; the image has {found}")]
    NoRoot { found: String },
    /// Several ext4 partitions with `/etc/os-release`, and no `root=` in `cmdline.txt`.
    #[error("{} each hold a system: any of them could be the root file system", partitions(.0))]
    SeveralRoots(Vec<u32>),
}

/// `partitions 2, 3 and 5`.
pub(crate) fn partitions(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("partitions {} and {last}", rest.join(", ")),
        _ => format!("partition {}", texts.concat()),
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
            Self::NoFirmware { .. } | Self::NoFat { .. } | Self::NoExt4 { .. } => Some(
                "the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root"
                    .into(),
            ),
            Self::SeveralBoots { .. } => {
                Some("use a base image with one system, or remove the boot files of the others".into())
            }
            Self::SeveralRoots(..) => {
                Some("name the root file system with `root=` in `cmdline.txt` of the base image".into())
            }
            Self::RootNotExt4 { .. } => {
                Some("only ext4 can be written: use a base image with an ext4 root".into())
            }
            Self::RootMissing { .. } | Self::SeveralNamed { .. } | Self::NoSystem { .. } => Some(
                "use the image as its publisher made it, or correct `root=` in `cmdline.txt` of the base image"
                    .into(),
            ),
            Self::NoRoot { .. } => Some("use the image as its publisher made it".into()),
        }
    }
}

//! Why a base cannot be unpacked. The messages are made here, from values.

use super::detect::{Compression, Unsupported};
use crate::error::{Exit, Explain};

#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("`{file}` is damaged: {damage} at byte {at}")]
    Damaged {
        file: String,
        damage: Damage,
        /// The position in the packed file.
        at: u64,
    },
    #[error("`{file}` is no base image: {reason}")]
    NotAnImage { file: String, reason: NotAnImage },
    #[error("`{file}` cannot be unpacked: {limit}")]
    OverLimit { file: String, limit: Limit },
}

impl Explain for UnpackError {
    fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } => Exit::Verification,
            Self::NotAnImage { .. } => Exit::Usage,
            Self::OverLimit { .. } => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Damaged { .. } => "get the file again from its source",
            Self::NotAnImage { reason, .. } => reason.hint(),
            Self::OverLimit { .. } => "unpack it yourself and give the raw image",
        };
        Some(hint.into())
    }
}

/// What is wrong with packed data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("truncated {0} data")]
    Truncated(Compression),
    #[error("corrupt {0} data")]
    Corrupt(Compression),
    /// With the decoder's message.
    #[error("corrupt {0} data ({1})")]
    CorruptBecause(Compression, String),
    #[error("unknown options in the {0} data")]
    UnknownOptions(Compression),
    #[error("unexpected data behind the end of the {0} data")]
    Trailing(Compression),
    /// With the tar reader's message.
    #[error("corrupt tar ({0})")]
    Tar(String),
    /// With the limit in bytes.
    #[error("tar headers of more than {} MiB", .0 >> 20)]
    TarHeaders(u64),
}

/// What unpacking would need too much of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Limit {
    #[error("the raw image is larger than {} GiB", .bytes >> 30)]
    RawSize { bytes: u64 },
    #[error("{compression} needs more than {} MiB of memory", .bytes >> 20)]
    Memory { compression: Compression, bytes: u64 },
}

/// Why readable data is not a base image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnImage {
    #[error("the file is empty")]
    Empty,
    #[error("{} {}", if *.is_packed { "it contains" } else { "it is" }, .format.name)]
    Unsupported {
        format: &'static Unsupported,
        /// Found after decompression.
        is_packed: bool,
    },
    #[error("compressed twice: it contains {0} data")]
    PackedTwice(Compression),
    #[error("it has only {0} bytes")]
    TooShort(usize),
    #[error("the first sector has no partition table (0x55 0xAA at byte 510)")]
    NoPartitionTable,
    #[error("the size of {0} bytes is not a multiple of the sector size 512")]
    PartialSector(u64),
    /// With some of the members.
    #[error("the tar contains no image (`.raw` or `.img`){}", but_members(.0))]
    NoImageInTar(Vec<String>),
    #[error("the tar contains more than one image: `{0}` and `{1}`")]
    SeveralImages(String, String),
    #[error("`{0}` in the tar is a sparse file in pax format, which is not supported")]
    PaxSparse(String),
    #[error("`{name}` in the tar is no disk image: {reason}")]
    MemberIsNoDisk { name: String, reason: Box<NotAnImage> },
    #[error("unexpected data behind the end of the tar")]
    DataBehindTar,
}

fn but_members(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(", but {}", crate::text::listed(names.iter())) }
}

impl NotAnImage {
    fn hint(&self) -> &'static str {
        match self {
            Self::Unsupported { format, .. } => format.hint,
            Self::PackedTwice(_) => "unpack it and give the .img inside",
            Self::PaxSparse(_) => "unpack it with tar and give the image inside",
            _ => "give a disk image with a partition table: .img, .img.xz, .img.gz, .img.zst or .tar.xz",
        }
    }
}

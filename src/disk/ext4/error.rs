//! Why an ext4 file system can't be read or written.

use std::io;

use crate::error::Explain;
use crate::guard::Panicked;

/// Paths are those in the file system, sizes are in bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ext4Error {
    #[error("invalid ext4 superblock: {0}")]
    Superblock(#[from] SuperblockError),
    #[error("the ext4 file system is not clean: {0}")]
    Unclean(#[from] Unclean),
    /// At least one problem.
    #[error("the ext4 file system cannot be written: {}", joined(.0))]
    Features(Vec<FeatureProblem>),
    #[error("the ext4 file system cannot be opened: {0}")]
    Open(Ext4Cause),
    #[error("the ext4 file system is damaged at `{path}`: {cause}")]
    Damaged { path: String, cause: Ext4Cause },
    /// A feature that only some inodes use.
    #[error("the ext4 file system cannot be read at `{path}`: {cause}")]
    Incompatible { path: String, cause: Ext4Cause },
    /// ext4-view hashes names as signed bytes, which differs for names outside ASCII.
    #[error("cannot look up `{path}`: `{folder}` has an unsigned directory hash, and the name is not ASCII")]
    UnsignedHash { path: String, folder: String },
    #[error("`{path}` has {size} bytes, the limit is {limit}")]
    TooLarge { path: String, size: u64, limit: u64 },
    #[error("cannot write `{path}`: {cause}")]
    Write { path: String, cause: Ext4Cause },
    #[error("cannot write `{0}`: a file of another type exists there")]
    OtherType(String),
    #[error("cannot clear the journal: {0}")]
    Journal(#[source] io::Error),
    #[error("the journal is larger than the file system")]
    JournalSize,
    /// The data to be written can't be read.
    #[error("cannot read the content for `{path}`")]
    Input {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// What a third-party crate reported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ext4Cause {
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error(transparent)]
    View(#[from] ext4_view::Ext4Error),
    #[error(transparent)]
    Writer(#[from] fs_ext4::Error),
}

/// What is wrong with a superblock.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuperblockError {
    #[error("{0}")]
    Read(#[source] io::Error),
    #[error("magic number {0:#06x} instead of 0xef53")]
    Magic(u16),
    #[error("block size 2^{0} bytes")]
    BlockSize(u64),
    #[error("{blocks} blocks of {block_size} bytes in a partition of {partition} bytes")]
    LargerThanPartition { blocks: u64, block_size: u32, partition: u64 },
    #[error("contradictory numbers of blocks or inodes")]
    Counts,
    #[error("block groups without blocks or inodes")]
    EmptyGroups,
}

/// A state that only the kernel or `e2fsck` should repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclean {
    #[error("it is an external journal")]
    ExternalJournal,
    #[error("its journal needs recovery")]
    NeedsRecovery,
    #[error("its superblock records errors")]
    Errors,
    #[error("it was not cleanly unmounted")]
    NotUnmounted,
    #[error("it has orphaned inodes")]
    Orphans,
}

/// Why a file system can't be written by this tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeatureProblem {
    #[error("unsupported feature `{0}`")]
    Unsupported(&'static str),
    #[error("unknown feature bits {0:#x}")]
    UnknownBits(u32),
    #[error("missing feature `{0}`")]
    Missing(&'static str),
    /// In bytes.
    #[error("inodes of {found} bytes, at least {smallest} are needed")]
    InodeSize { found: u16, smallest: u16 },
    /// In bytes.
    #[error("blocks of {0} bytes, 1024 or 4096 are needed")]
    BlockSize(u32),
    #[error("directory hash `legacy`")]
    LegacyHash,
    #[error("external journal")]
    ExternalJournal,
}

fn joined(problems: &[FeatureProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How to replace the directory hash `legacy`.
const REHASH: &str = "use an image as published; `tune2fs -E hash_alg=half_md4` and `e2fsck -fD` on the partition \
                      change the directory hash";

/// Whether ext4-view doesn't support a directory's hash; its error only shows this as text.
fn is_hash(error: &ext4_view::Ext4Error) -> bool {
    error.to_string().contains("directory hash")
}

impl Explain for Ext4Error {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Unclean(_) => "use an image as published, one that has never booted",
            Self::Features(problems) if problems.contains(&FeatureProblem::LegacyHash) => REHASH,
            Self::Incompatible { cause: Ext4Cause::View(error), .. } if is_hash(error) => REHASH,
            Self::Features(_) | Self::Incompatible { .. } => {
                "use an image as published, or one made with the default options of `mkfs.ext4`"
            }
            Self::Superblock(_) | Self::Open(_) | Self::Damaged { .. } | Self::JournalSize => {
                "the image is damaged; `e2fsck -fn` on the partition shows details"
            }
            Self::UnsignedHash { .. } => "use a name in ASCII, or another folder",
            Self::TooLarge { .. }
            | Self::Write { .. }
            | Self::OtherType(_)
            | Self::Journal(_)
            | Self::Input { .. } => return None,
        };
        Some(text.into())
    }
}

//! The superblock: sizes, free space, and whether the file system may be written.
//!
//! Offsets are those of `struct ext4_super_block` in the kernel's documentation
//! (filesystems/ext4, "The Super Block").

use uuid::Uuid;

use super::error::{Ext4Error, FeatureProblem, SuperblockError, Unclean};
use crate::disk::window::Window;

/// In bytes from the start of the partition.
const OFFSET: u64 = 1024;
const MAGIC: u16 = 0xEF53;
const STATE_CLEAN: u16 = 1;
const STATE_ERRORS: u16 = 2;
const COMPAT_HAS_JOURNAL: u32 = 0x4;
const COMPAT_DIR_INDEX: u32 = 0x20;
/// The inode of a journal that is in the file system.
const JOURNAL_INODE: u32 = 8;
/// The smallest inodes that the reader supports, in bytes.
const SMALLEST_INODE: u16 = 256;
/// Supported block sizes in bytes. Linux on a Raspberry Pi mounts no larger ones than its memory page, and
/// rust-fs-ext4 puts the checksum of an extent block into the wrong place where blocks have 2048 bytes.
const BLOCK_SIZES: [u32; 2] = [1024, 4096];
/// Bit of `s_flags`: names of indexed directories are hashed as unsigned bytes, as `mkfs.ext4` sets it on ARM.
const FLAG_UNSIGNED_HASH: u32 = 0x2;
/// `s_def_hash_version` of the directory hash that the reader doesn't support; `half_md4` is 1, `tea` is 2.
const HASH_LEGACY: u8 = 0;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
const INCOMPAT_64BIT: u32 = 0x80;
/// Features of ext3; any other feature makes an ext4.
const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
const RO_COMPAT_ORPHAN_PRESENT: u32 = 0x10000;
const INCOMPAT_FILETYPE: u32 = 0x2;
const INCOMPAT_EXTENTS: u32 = 0x40;
/// Features that reader and writer both support; compatible features need no support.
const KNOWN_INCOMPAT: u32 = INCOMPAT_FILETYPE | INCOMPAT_EXTENTS | INCOMPAT_64BIT | 0x200 | 0x2000;
const KNOWN_RO_COMPAT: u32 = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x400;

/// The feature names of `dumpe2fs`, by word (compat, incompat, `ro_compat`) and bit.
const FEATURES: [&[(u32, &str)]; 3] = [
    &[
        (0x4, "has_journal"),
        (0x8, "ext_attr"),
        (0x10, "resize_inode"),
        (0x20, "dir_index"),
        (0x200, "sparse_super2"),
        (0x400, "fast_commit"),
        (0x1000, "orphan_file"),
    ],
    &[
        (0x2, "filetype"),
        (0x4, "needs_recovery"),
        (0x8, "journal_dev"),
        (0x10, "meta_bg"),
        (0x40, "extent"),
        (0x80, "64bit"),
        (0x100, "mmp"),
        (0x200, "flex_bg"),
        (0x400, "ea_inode"),
        (0x2000, "metadata_csum_seed"),
        (0x4000, "large_dir"),
        (0x8000, "inline_data"),
        (0x10000, "encrypt"),
        (0x20000, "casefold"),
    ],
    &[
        (0x1, "sparse_super"),
        (0x2, "large_file"),
        (0x8, "huge_file"),
        (0x10, "uninit_bg"),
        (0x20, "dir_nlink"),
        (0x40, "extra_isize"),
        (0x100, "quota"),
        (0x200, "bigalloc"),
        (0x400, "metadata_csum"),
        (0x2000, "project"),
        (0x8000, "verity"),
        (0x10000, "orphan_present"),
    ],
];

/// Facts from a superblock, for `inspect` and the checks before writing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Superblock {
    /// In bytes: 1024 to 65536.
    pub(crate) block_size: u32,
    pub(crate) blocks: u64,
    /// Includes the blocks reserved for root.
    pub(crate) free_blocks: u64,
    pub(crate) inodes: u32,
    pub(crate) free_inodes: u32,
    pub(crate) label: String,
    pub(crate) uuid: String,
    /// Last write, in seconds since 1970.
    pub(crate) written: u32,
    /// The names of `dumpe2fs`.
    pub(crate) features: Vec<&'static str>,
    #[serde(skip)]
    state: u16,
    /// Compat, incompat and `ro_compat`.
    #[serde(skip)]
    words: [u32; 3],
    #[serde(skip)]
    last_orphan: u32,
    /// In bytes.
    #[serde(skip)]
    inode_size: u16,
    /// The inode of the journal; 0 for a journal on another device.
    #[serde(skip)]
    journal_inode: u32,
    /// The hash of new indexed directories.
    #[serde(skip)]
    directory_hash: u8,
    #[serde(skip)]
    flags: u32,
}

impl Superblock {
    /// Reads the superblock and checks its size against the partition's.
    pub(crate) fn read(window: &Window) -> Result<Self, Ext4Error> {
        let mut raw = [0u8; 1024];
        window.read_exact_at(OFFSET, &mut raw).map_err(SuperblockError::Read)?;
        let sb = Self::parse(&raw)?;
        let (blocks, block_size, partition) = (sb.blocks, sb.block_size, window.len());
        let bytes = blocks.checked_mul(u64::from(block_size));
        if bytes.is_none_or(|bytes| bytes > partition) {
            return Err(SuperblockError::LargerThanPartition { blocks, block_size, partition }.into());
        }
        Ok(sb)
    }

    fn parse(raw: &[u8; 1024]) -> Result<Self, SuperblockError> {
        let u16_at = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let u32_at = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        if u16_at(0x38) != MAGIC {
            return Err(SuperblockError::Magic(u16_at(0x38)));
        }
        let log = u32_at(0x18);
        if log > 6 {
            return Err(SuperblockError::BlockSize(u64::from(log) + 10));
        }
        let words = [u32_at(0x5C), u32_at(0x60), u32_at(0x64)];
        let high = |at: usize| if words[1] & INCOMPAT_64BIT == 0 { 0 } else { u64::from(u32_at(at)) << 32 };
        let sb = Self {
            block_size: 1024 << log,
            blocks: u64::from(u32_at(0x4)) | high(0x150),
            free_blocks: u64::from(u32_at(0xC)) | high(0x158),
            inodes: u32_at(0x0),
            free_inodes: u32_at(0x10),
            label: text(&raw[0x78..0x88]),
            uuid: Uuid::from_bytes(std::array::from_fn(|index| raw[0x68 + index])).to_string(),
            written: u32_at(0x30),
            features: features(words),
            state: u16_at(0x3A),
            words,
            last_orphan: u32_at(0xE8),
            // Revision 0 has no such field.
            inode_size: if u32_at(0x4C) == 0 { 128 } else { u16_at(0x58) },
            journal_inode: u32_at(0xE0),
            directory_hash: raw[0xFC],
            flags: u32_at(0x160),
        };
        if sb.blocks == 0 || sb.inodes == 0 || sb.free_blocks > sb.blocks || sb.free_inodes > sb.inodes {
            return Err(SuperblockError::Counts);
        }
        if u32_at(0x20) == 0 || u32_at(0x28) == 0 {
            return Err(SuperblockError::EmptyGroups);
        }
        Ok(sb)
    }

    /// Refuses a file system that was not cleanly unmounted: replaying the journal is the kernel's task.
    pub(crate) fn require_clean(&self) -> Result<(), Ext4Error> {
        let Self { state, words, .. } = self;
        if words[1] & INCOMPAT_JOURNAL_DEV != 0 {
            return Err(Unclean::ExternalJournal.into());
        }
        if words[1] & INCOMPAT_RECOVER != 0 {
            return Err(Unclean::NeedsRecovery.into());
        }
        if state & STATE_ERRORS != 0 {
            return Err(Unclean::Errors.into());
        }
        if state & STATE_CLEAN == 0 {
            return Err(Unclean::NotUnmounted.into());
        }
        if self.last_orphan != 0 || words[2] & RO_COMPAT_ORPHAN_PRESENT != 0 {
            return Err(Unclean::Orphans.into());
        }
        Ok(())
    }

    /// Refuses a file system that the reader or the writer doesn't support: by its features, inode size, directory
    /// hash or journal.
    pub(crate) fn require_known_features(&self) -> Result<(), Ext4Error> {
        let [compat, incompat, ro_compat] = self.words;
        let unknown = [0, incompat & !(KNOWN_INCOMPAT | INCOMPAT_RECOVER), ro_compat & !KNOWN_RO_COMPAT];
        let mut problems: Vec<_> = features(unknown).into_iter().map(FeatureProblem::Unsupported).collect();
        let named = FEATURES.map(|all| all.iter().fold(0, |bits, (bit, _)| bits | bit));
        let unnamed = unknown.into_iter().zip(named).map(|(word, named)| word & !named);
        problems.extend(unnamed.filter(|bits| *bits != 0).map(FeatureProblem::UnknownBits));
        let required = [(INCOMPAT_EXTENTS, "extent"), (INCOMPAT_FILETYPE, "filetype")];
        let missing = required.into_iter().filter(|(bit, _)| incompat & bit == 0);
        problems.extend(missing.map(|(_, name)| FeatureProblem::Missing(name)));
        if self.inode_size < SMALLEST_INODE {
            problems.push(FeatureProblem::InodeSize { found: self.inode_size, smallest: SMALLEST_INODE });
        }
        if !BLOCK_SIZES.contains(&self.block_size) {
            problems.push(FeatureProblem::BlockSize(self.block_size));
        }
        if compat & COMPAT_DIR_INDEX != 0 && self.directory_hash == HASH_LEGACY {
            problems.push(FeatureProblem::LegacyHash);
        }
        if compat & COMPAT_HAS_JOURNAL != 0 && self.journal_inode != JOURNAL_INODE {
            problems.push(FeatureProblem::ExternalJournal);
        }
        if problems.is_empty() { Ok(()) } else { Err(Ext4Error::Features(problems)) }
    }

    /// Whether the index of a directory has hashes of names as unsigned bytes.
    pub(super) fn has_unsigned_hash(&self) -> bool {
        self.flags & FLAG_UNSIGNED_HASH != 0
    }

    /// `ext2`, `ext3` or `ext4`, by the same features as `blkid`.
    pub(crate) fn version(&self) -> &'static str {
        let [compat, incompat, ro_compat] = self.words;
        let newer = incompat & !EXT3_INCOMPAT != 0 || ro_compat & !EXT3_RO_COMPAT != 0;
        match (newer, compat & COMPAT_HAS_JOURNAL != 0) {
            (true, _) => "ext4",
            (false, true) => "ext3",
            (false, false) => "ext2",
        }
    }
}

fn features(words: [u32; 3]) -> Vec<&'static str> {
    let named = |(word, names): (u32, &'static [(u32, &'static str)])| {
        names.iter().filter(move |(bit, _)| word & bit != 0).map(|(_, name)| *name)
    };
    words.into_iter().zip(FEATURES).flat_map(named).collect()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

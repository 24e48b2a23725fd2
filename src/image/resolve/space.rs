//! Whether the root file system has room for the writes.

use super::error::ResolveError;
use crate::disk::ext4::Superblock;
use crate::image::path_write::PathWrite;
use crate::plan::{Area, PathState};

/// An upper bound: a path that replaces another counts as a new one. A path takes an inode and a block of its
/// folder; a file takes its blocks and one for its extents.
pub(super) fn check(superblock: &Superblock, writes: &[PathWrite]) -> Result<(), ResolveError> {
    let block = u64::from(superblock.block_size);
    let (mut blocks, mut inodes) = (0u64, 0u64);
    for write in writes.iter().filter(|write| write.expected.area == Area::Root) {
        inodes += 1;
        blocks = blocks.saturating_add(match write.expected.state {
            PathState::File { size, .. } => size.div_ceil(block).saturating_add(2),
            PathState::Directory { .. } => 2,
            PathState::Symlink { .. } => 1,
        });
    }
    let (needed, free) = (blocks.saturating_mul(block), superblock.free_blocks.saturating_mul(block));
    if needed > free {
        return Err(ResolveError::NoSpace { needed, free });
    }
    let free = u64::from(superblock.free_inodes);
    if inodes > free { Err(ResolveError::NoInodes { needed: inodes, free }) } else { Ok(()) }
}

//! The packed blocks of a base, by their number. A block that can't be read or kept is packed again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// Bytes of the SHA-256, in hex, at the end of each file.
const CHECKSUM: usize = 64;

pub(super) struct BlockCache {
    folder: PathBuf,
}

impl BlockCache {
    /// The cache for one base and one recipe.
    pub(super) fn open(kept: &Path, base: &Sha256, recipe: &str) -> Self {
        Self { folder: kept.join(base.to_string()).join(recipe) }
    }

    /// The packed block with this number; `None` if it is missing or damaged.
    pub(super) fn get(&self, number: usize) -> Option<Vec<u8>> {
        let mut content = fs::read(self.path(number)).ok()?;
        let checksum = content.split_off(content.len().checked_sub(CHECKSUM)?);
        (Sha256::of(&content).to_string().as_bytes() == checksum).then_some(content)
    }

    /// Writes atomically and ignores errors: a full disk must not fail the build. `files::atomic` would search
    /// the folder for stale files before each of its hundreds of blocks.
    pub(super) fn keep(&self, number: usize, packed: &[u8]) {
        let _ = fs::create_dir_all(&self.folder).and_then(|()| {
            let mut staged = tempfile::NamedTempFile::new_in(&self.folder)?;
            staged.write_all(packed)?;
            staged.write_all(Sha256::of(packed).to_string().as_bytes())?;
            staged.persist(self.path(number)).map(drop).map_err(|e| e.error)
        });
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }
}

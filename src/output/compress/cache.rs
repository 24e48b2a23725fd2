//! Blocks that were compressed before, by the hash of what is in them. Only ever a shortcut: what can't be
//! read or kept is compressed again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// Bytes of the hash behind each entry's content.
const SEAL: usize = 64;

pub(super) struct BlockCache {
    folder: PathBuf,
}

impl BlockCache {
    /// The cache for one recipe.
    pub(super) fn open(kept: &Path, recipe: &str) -> Self {
        Self { folder: kept.join(recipe) }
    }

    /// The packed form of the block with this hash, if it is there and whole.
    pub(super) fn get(&self, raw: &Sha256) -> Option<Vec<u8>> {
        let mut content = fs::read(self.path(raw)).ok()?;
        let seal = content.split_off(content.len().checked_sub(SEAL)?);
        (Sha256::of(&content).to_string().as_bytes() == seal).then_some(content)
    }

    /// Keeps it, atomically; a full disk is no reason to fail.
    pub(super) fn keep(&self, raw: &Sha256, packed: &[u8]) {
        let path = self.path(raw);
        let Some(folder) = path.parent() else { return };
        let _ = fs::create_dir_all(folder).and_then(|()| {
            let mut staged = tempfile::NamedTempFile::new_in(folder)?;
            staged.write_all(packed)?;
            staged.write_all(Sha256::of(packed).to_string().as_bytes())?;
            staged.persist(&path).map(drop).map_err(|e| e.error)
        });
    }

    fn path(&self, raw: &Sha256) -> PathBuf {
        let name = raw.to_string();
        self.folder.join(&name[..2]).join(name)
    }
}

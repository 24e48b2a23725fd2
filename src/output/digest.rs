//! The SHA-256 of an image, without reading its holes.

use std::fs::File;
use std::io;

use crate::digest::{Sha256, Sha256Hasher};
use crate::error::{Exit, Explain};
use crate::interrupt::{self, Interrupted};
use crate::output::sparse::pieces;
use crate::progress::Task;

/// Why a file couldn't be hashed.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// Reading it failed.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for DigestError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read(_) => Exit::Failed,
            Self::Interrupted(e) => e.exit(),
        }
    }
}

/// The SHA-256 of the whole of `file`. `task` advances by its length; its position isn't kept.
pub fn sha256_file(file: &File, task: &dyn Task) -> Result<Sha256, DigestError> {
    let mut hasher = Sha256Hasher::default();
    pieces(file, 0..file.metadata()?.len(), |piece| {
        interrupt::check()?;
        hasher.update(piece);
        task.advance(piece.len() as u64);
        Ok::<_, DigestError>(())
    })?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::sparse::write_all_at;
    use crate::progress::Silent;

    #[test]
    fn holes_count_as_zeros() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len((3 << 20) + 77).unwrap();
        for at in [1, 700_000, 3 << 20] {
            write_all_at(file.as_file(), b"some data", at).unwrap();
        }
        let sum = sha256_file(file.as_file(), &Silent).unwrap();
        assert_eq!(sum, Sha256::of(&std::fs::read(file.path()).unwrap()));
    }
}

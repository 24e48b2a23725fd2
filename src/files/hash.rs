//! The SHA-256 of files.

use std::fs::File;
use std::io;
use std::path::Path;

use super::sparse::pieces;
use crate::digest::{Sha256, Sha256Hasher};
use crate::error::FileError;
use crate::interrupt;
use crate::progress::Task;

/// SHA-256 and size in bytes of the file at `path`.
pub(crate) fn of_path(path: &Path) -> Result<(Sha256, u64), FileError> {
    let file = File::open(path).map_err(FileError::new("read", path))?;
    Sha256::of_reader(file).map_err(FileError::new("read", path))
}

/// The SHA-256 of the whole `file`; holes count as zeros and are not read. `task` advances by the file's length.
pub(crate) fn of_sparse(file: &File, task: &dyn Task) -> io::Result<Sha256> {
    let mut hasher = Sha256Hasher::default();
    pieces(file, 0..file.metadata()?.len(), |piece| {
        interrupt::check_io()?;
        hasher.update(piece);
        task.advance(piece.len() as u64);
        Ok::<_, io::Error>(())
    })?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::positional::write_all_at;
    use crate::progress::Silent;

    #[test]
    fn sparse_hash_counts_holes_as_zeros() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len((3 << 20) + 77).unwrap();
        for at in [1, 700_000, 3 << 20] {
            write_all_at(file.as_file(), b"some data", at).unwrap();
        }
        let sum = of_sparse(file.as_file(), &Silent).unwrap();
        assert_eq!(sum, Sha256::of(&std::fs::read(file.path()).unwrap()));
    }
}

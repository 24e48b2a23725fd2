//! Small files that only their owner may read: secrets and keys.

use std::path::{Path, PathBuf};

use super::atomic::{self, Access, Existing, StagedError};
use crate::error::FileError;

/// Writes `bytes` to `path`, mode 0600 from the first byte, and replaces an existing file. A symlink stays and
/// its target changes; a device or a pipe is never replaced.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StagedError> {
    let target = followed(path).map_err(FileError::new("write", path))?;
    if target.exists() && !target.is_file() {
        return Err(FileError::new("write", path)(not_a_file()).into());
    }
    atomic::write(&target, bytes, Access::Private, Existing::Replace)
}

/// The same, but an existing file is an error: of two processes that create it, one wins.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StagedError> {
    let target = followed(path).map_err(FileError::new("create", path))?;
    atomic::write(&target, bytes, Access::Private, Existing::Refuse)
}

/// The path behind all symlinks of `path`'s last part, whether or not a file is there.
pub(crate) fn followed(path: &Path) -> std::io::Result<PathBuf> {
    let mut at = path.to_owned();
    // Linux follows 40 as well (MAXSYMLINKS).
    for _ in 0..40 {
        let Ok(link) = std::fs::read_link(&at) else { return Ok(at) };
        at = at.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(std::io::Error::other("the symlink points to itself"))
}

fn not_a_file() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, "it isn't a regular file")
}

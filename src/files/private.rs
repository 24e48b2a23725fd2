//! Small files with mode 0600: secrets and keys.

use std::io;
use std::path::{Path, PathBuf};

use super::atomic::{self, Access, Existing, StagedError};
use crate::error::FileError;

/// Writes `bytes` to `path`, mode 0600 from the first byte, and replaces an existing file. Symlinks are followed;
/// a device or a pipe is an error.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), StagedError> {
    let target = followed(path).map_err(FileError::new("write", path))?;
    if target.exists() && !target.is_file() {
        let irregular = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(FileError::new("write", path)(irregular).into());
    }
    atomic::write(&target, bytes, Access::Private, Existing::Replace)
}

/// Like [`write()`], but an existing file is an error: of two processes that create the file, one succeeds.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StagedError> {
    let target = followed(path).map_err(FileError::new("create", path))?;
    atomic::write(&target, bytes, Access::Private, Existing::Refuse)
}

/// Follows the symlinks of `path`'s last component. The file itself may be missing.
pub(crate) fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    // Linux has the same limit (MAXSYMLINKS).
    for _ in 0..40 {
        let Ok(link) = std::fs::read_link(&at) else { return Ok(at) };
        at = at.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(io::Error::other("too many levels of symlinks"))
}

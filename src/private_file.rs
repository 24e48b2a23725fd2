//! Small files that only their owner may read: secrets and keys.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::FileError;

/// Writes `bytes` to `path`, mode 0600 from its first moment, in the place of an existing file. A symlink
/// stays one, and what it leads to changes; a device or a pipe is never replaced.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = followed(path).map_err(FileError::new("write", path))?;
    if target.exists() && !target.is_file() {
        return Err(FileError::new("write", path)(not_a_file()));
    }
    let staged = stage(&target, bytes)?;
    staged.persist(&target).map(drop).map_err(|e| FileError::new("write", path)(e.error))
}

/// The same, but an existing file is an error: of two that come first, one stays.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = followed(path).map_err(FileError::new("create", path))?;
    let staged = stage(&target, bytes)?;
    staged.persist_noclobber(&target).map(drop).map_err(|e| FileError::new("create", path)(e.error))
}

/// Where `path` leads at last, whether or not there is anything.
pub fn followed(path: &Path) -> std::io::Result<PathBuf> {
    let mut at = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(link) = std::fs::read_link(&at) else { return Ok(at) };
        at = at.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(std::io::Error::other("it is a symlink that leads to itself"))
}

fn not_a_file() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, "it isn't a regular file")
}

fn stage(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // tempfile makes its files 0600.
    let staged = NamedTempFile::new_in(folder);
    // Without the words that tempfile adds: its name means nothing to anybody.
    let mut staged = staged.map_err(|e| FileError::new("create", path)(e.kind().into()))?;
    staged.write_all(bytes).map_err(FileError::new("write", path))?;
    staged.as_file().sync_all().map_err(FileError::new("write", path))?;
    Ok(staged)
}

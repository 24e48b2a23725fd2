//! Small files that only their owner may read: secrets and keys.

use std::io::Write as _;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::FileError;

/// Writes `bytes` to `path`, mode 0600 from its first moment, in the place of an existing file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let staged = stage(path, bytes)?;
    staged.persist(path).map(drop).map_err(|e| FileError::new("write", path)(e.error))
}

/// The same, but an existing file is an error: of two that come first, one stays.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let staged = stage(path, bytes)?;
    staged.persist_noclobber(path).map(drop).map_err(|e| FileError::new("create", path)(e.error))
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

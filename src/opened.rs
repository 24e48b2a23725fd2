//! An image that the user names, raw or compressed, opened as a raw file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::base::unpack;
use crate::error::{Context as _, FileError, Result};
use crate::progress::Progress;

/// A raw image; a compressed one was unpacked into a file that goes with this value.
pub struct Opened {
    /// The raw content.
    pub file: Arc<File>,
    /// In bytes.
    pub size: u64,
    /// Whether the file itself is the raw image.
    pub raw: bool,
}

/// Opens the image at `path`.
pub fn open(path: &Path, progress: &dyn Progress) -> Result<Opened> {
    let file = File::open(path).map_err(FileError::new("read", path))?;
    let doing = || format!("opening `{}`", path.display());
    if unpack::is_raw(&file).map_err(FileError::new("read", path))? {
        let size = file.metadata().map_err(FileError::new("read", path))?.len();
        return Ok(Opened { file: Arc::new(file), size, raw: true });
    }
    let unpacked = tempfile::tempfile().map_err(FileError::new("create", &std::env::temp_dir()))?;
    let done = unpack::unpack(&file, path, &unpacked, progress).while_doing(doing)?;
    Ok(Opened { file: Arc::new(unpacked), size: done.size, raw: false })
}

//! An image that the user names, raw or compressed, opened as a raw file.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempPath;

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
    _unpacked: Option<TempPath>,
}

/// Opens the image at `path`.
pub fn open(path: &Path, progress: &dyn Progress) -> Result<Opened> {
    let doing = || format!("opening `{}`", path.display());
    // What is no container is taken for raw: the partition table's reader says better what is wrong with it.
    let raw = unpack::container(path).map_or_else(|e| matches!(e.exit(), crate::Exit::Usage), |c| c == "raw");
    if raw {
        let file = File::open(path).map_err(FileError::new("read", path))?;
        let size = file.metadata().map_err(FileError::new("read", path))?.len();
        return Ok(Opened { file: Arc::new(file), size, raw, _unpacked: None });
    }
    // Beside the image, where there is room for images; /tmp is often memory.
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = tempfile::NamedTempFile::new_in(folder).or_else(|_| tempfile::NamedTempFile::new());
    let unpacked = place.map_err(FileError::new("create", folder))?.into_temp_path();
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let done = unpack::unpack_file(path, &name, &unpacked, progress).while_doing(doing)?;
    let file = File::open(&unpacked).map_err(FileError::new("read", &unpacked))?;
    Ok(Opened { file: Arc::new(file), size: done.size, raw, _unpacked: Some(unpacked) })
}

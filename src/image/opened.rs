//! An image that the user names, raw or compressed, opened as a raw file.

use std::fs::{File, FileType};
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempPath;

use crate::base::unpack;
use crate::error::{Context as _, Exit, Explain, FileError, Result};
use crate::progress::Progress;
use crate::text::printable;

/// A raw image; a compressed one was unpacked into a file that goes with this value.
pub(crate) struct Opened {
    /// The raw content.
    pub(crate) file: Arc<File>,
    /// In bytes.
    pub(crate) size: u64,
    /// Whether the file itself is the raw image.
    pub(crate) raw: bool,
    _unpacked: Option<TempPath>,
}

/// What can't be an image, and may never end.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is {what}, not an image", printable(path))]
pub(crate) struct NotAnImage {
    path: PathBuf,
    what: &'static str,
}

impl Explain for NotAnImage {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("give an image's file, or the block device of a card".into())
    }
}

/// Opens the image at `path`.
pub(crate) fn open(path: &Path, progress: &dyn Progress) -> Result<Opened> {
    let doing = || format!("opening `{}`", path.display());
    let meta = std::fs::metadata(path).map_err(FileError::named(path)).while_doing(doing)?;
    // Before it's opened: a fifo without a writer would keep us waiting for ever.
    if let Some(what) = unfit(meta.file_type()) {
        return Err(NotAnImage { path: path.into(), what }.into());
    }
    // What is no container is taken for raw: the partition table's reader says better what is wrong with it.
    let raw = unpack::is_raw(path).unwrap_or_else(|e| matches!(e.exit(), crate::Exit::Usage));
    if raw {
        let mut file = File::open(path).map_err(FileError::new("read", path))?;
        // A block device has no size but an end.
        let size = file.seek(SeekFrom::End(0)).map_err(FileError::new("read", path))?;
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

/// Why nothing of this type is an image.
fn unfit(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_block_device() {
            return None;
        }
        if kind.is_fifo() {
            return Some("a fifo");
        }
        if kind.is_char_device() {
            return Some("a device without an end");
        }
    }
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        _ => Some("no file"),
    }
}

//! An image that the user names, raw or compressed, opened as a raw file.

use std::fs::{File, FileType};
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{NamedTempFile, TempPath};

use crate::base::unpack;
use crate::error::{Context as _, Exit, Explain, FileError, Result};
use crate::progress::Progress;
use crate::text::printable;

/// A raw image. A compressed one was unpacked into a temporary file, which is removed on drop.
pub(super) struct ImageFile {
    /// The raw content.
    pub(super) file: Arc<File>,
    /// Of the raw content, in bytes.
    pub(super) size: u64,
    pub(super) is_compressed: bool,
    _unpacked: Option<TempPath>,
}

/// A file type that can't hold an image; reading it may block forever.
#[derive(Debug, thiserror::Error)]
enum NotAnImage {
    #[error("`{}` is a folder, not an image", printable(.0))]
    Folder(PathBuf),
    #[error("`{}` is a fifo, not an image", printable(.0))]
    Fifo(PathBuf),
    #[error("`{}` is a character device, not an image", printable(.0))]
    CharacterDevice(PathBuf),
    #[error("`{}` isn't a regular file", printable(.0))]
    Special(PathBuf),
}

impl Explain for NotAnImage {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("give an image file, or the block device of a card".into())
    }
}

impl ImageFile {
    pub(super) fn open(path: &Path, progress: &dyn Progress) -> Result<Self> {
        let doing = || format!("opening `{}`", path.display());
        let meta = std::fs::metadata(path).map_err(FileError::named(path)).while_doing(doing)?;
        // Checked before opening: opening a fifo without a writer blocks forever.
        check_type(path, meta.file_type())?;
        // A file of an unknown format is taken for raw: the error of the partition table's reader is clearer.
        let is_raw = unpack::is_raw(path).unwrap_or_else(|error| error.exit() == Exit::Usage);
        if is_raw { Self::raw(path) } else { Self::unpack(path, progress).while_doing(doing) }
    }

    fn raw(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(FileError::new("read", path))?;
        // The length of a block device is not in its metadata.
        let size = file.seek(SeekFrom::End(0)).map_err(FileError::new("read", path))?;
        Ok(Self { file: Arc::new(file), size, is_compressed: false, _unpacked: None })
    }

    fn unpack(path: &Path, progress: &dyn Progress) -> Result<Self> {
        // Beside the image, where there is space for images: /tmp is often in memory.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let place = NamedTempFile::new_in(folder).or_else(|_| NamedTempFile::new());
        let unpacked = place.map_err(FileError::new("create", folder))?.into_temp_path();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let done = unpack::unpack_file(path, &name, &unpacked, progress)?;
        let file = File::open(&unpacked).map_err(FileError::new("read", &unpacked))?;
        Ok(Self { file: Arc::new(file), size: done.size, is_compressed: true, _unpacked: Some(unpacked) })
    }
}

fn check_type(path: &Path, kind: FileType) -> Result<(), NotAnImage> {
    let path = || path.to_path_buf();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_block_device() {
            return Ok(());
        }
        if kind.is_fifo() {
            return Err(NotAnImage::Fifo(path()));
        }
        if kind.is_char_device() {
            return Err(NotAnImage::CharacterDevice(path()));
        }
    }
    match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(NotAnImage::Folder(path())),
        _ => Err(NotAnImage::Special(path())),
    }
}

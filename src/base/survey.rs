//! What is in a base image: its partitions, its family, and the facts that overlays may depend on.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::family::{self, Evidence};
use super::layout::{self, Layout};
use crate::disk::{ext4, fat};
use crate::error::{Context as _, FileError, Result};
use crate::plan::BaseFacts;

/// The content of a base image, as found by [`survey`].
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) layout: Layout,
    pub(crate) facts: BaseFacts,
    /// Size of the raw image in bytes.
    pub(crate) size: u64,
    /// Timestamp for everything that is written: the base's last write, in seconds since 1970.
    pub(crate) stamp: u32,
}

/// Surveys the raw image at `path`; `sample` says whether it is the built-in sample.
pub(crate) fn survey(path: &Path, sample: bool) -> Result<Survey> {
    look_into(path, sample).while_doing(|| format!("looking into the base `{}`", path.display()))
}

fn look_into(path: &Path, sample: bool) -> Result<Survey> {
    let file = Arc::new(File::open(path).map_err(FileError::new("read", path))?);
    let size = file.metadata().map_err(FileError::new("read", path))?.len();
    let layout = layout::find(&file, size)?;
    let window = layout.root().read_only(&file).map_err(FileError::new("read", path))?;
    // Checked before opening: opening an unclean file system may fail with a less helpful message.
    let superblock = ext4::Superblock::read(&window)?;
    superblock.require_clean()?;
    superblock.require_known_features()?;
    let root = ext4::Reader::open(&window)?;
    let boot = fat::Reader::open(layout.boot().read_only(&file).map_err(FileError::new("read", path))?)?;
    let evidence = Evidence::gather(&boot, &root, sample)?;
    let facts = family::facts(&evidence)?;
    Ok(Survey { stamp: root.superblock().written, size, layout, facts })
}

//! A node's image: a clone of the base, the plan applied to it, and the read-back.

pub mod apply;
pub mod build;
pub mod clone;
pub mod expect;
pub mod readback;
pub mod resolve;

use std::fs::File;
use std::sync::Arc;

use crate::disk::layout::Layout;
use crate::disk::window::Window;
use crate::error::Result;

/// The two file systems of an image, as windows of its file.
pub struct Volumes {
    /// The FAT.
    pub boot: Window,
    /// The ext4.
    pub root: Window,
}

impl Volumes {
    /// For reading.
    pub fn read_only(file: &Arc<File>, layout: &Layout) -> Result<Self> {
        Ok(Self {
            boot: layout.boot().read_only(file).map_err(WindowError)?,
            root: layout.root().read_only(file).map_err(WindowError)?,
        })
    }

    /// For writing.
    pub fn writable(file: &Arc<File>, layout: &Layout) -> Result<Self> {
        Ok(Self {
            boot: layout.boot().writable(file).map_err(WindowError)?,
            root: layout.root().writable(file).map_err(WindowError)?,
        })
    }
}

/// A partition outside of what a file can have.
#[derive(Debug, thiserror::Error)]
#[error("a partition lies outside the image")]
struct WindowError(#[source] std::io::Error);

impl crate::error::Explain for WindowError {}

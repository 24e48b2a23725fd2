//! One path to write into an image, with the state that the read-back must find.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::FileError;
use crate::plan::{ExpectedPath, PathState};

#[derive(Debug)]
pub(crate) struct PathWrite {
    pub(crate) expected: ExpectedPath,
    pub(super) content: ContentSource,
}

/// Where the content of a path comes from.
#[derive(Debug, Clone)]
pub(super) enum ContentSource {
    /// The path is a folder or a symlink.
    Empty,
    Memory(Arc<[u8]>),
    /// A file of this machine.
    File(PathBuf),
}

impl PathWrite {
    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        if let PathState::File { size, .. } = self.expected.state { size } else { 0 }
    }
}

impl ContentSource {
    /// A reader of the content, and its length in bytes.
    pub(super) fn open(&self) -> Result<(Box<dyn Read + '_>, u64), FileError> {
        match self {
            Self::Empty => Ok((Box::new(io::empty()), 0)),
            Self::Memory(bytes) => Ok((Box::new(&bytes[..]), bytes.len() as u64)),
            Self::File(path) => {
                let file = File::open(path).map_err(FileError::new("read", path))?;
                let length = file.metadata().map_err(FileError::new("read", path))?.len();
                // A file that grows meanwhile is read to its first length only.
                Ok((Box::new(file.take(length)), length))
            }
        }
    }
}

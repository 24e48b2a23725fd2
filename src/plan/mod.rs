//! The plan: what will be written to one node's image, as a value.
//!
//! Pure: the same profile, overlays, secrets and base facts give the same plan. Nothing here opens an
//! image; [`make`] renders, `crate::image` applies and reads back, the manifest records.

pub mod context;
pub mod make;
mod path;
pub mod show;
pub mod want;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use crate::digest::Sha256;
use crate::error::FileError;

pub use crate::attributes::Attributes;
pub use crate::overlay::Area;
pub use make::{Inputs, PlanError, make};

/// Everything that will be written to one node's image, in the order of [`Edit::key`].
#[derive(Debug, Clone)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// Parents before children.
    pub edits: Vec<Edit>,
}

/// One path and what it will be.
#[derive(Debug, Clone)]
pub struct Edit {
    /// On which file system.
    pub area: Area,
    /// Absolute, with `/`.
    pub path: String,
    /// The overlay that wants it.
    pub overlay: String,
    /// What it will be.
    pub action: Action,
    /// Made with a secret: its content and hash are shown nowhere.
    pub secret: bool,
}

/// What becomes of a path.
#[derive(Debug, Clone)]
pub enum Action {
    /// A folder; an existing one gets this mode and owner.
    Directory(Attributes),
    /// A file, in the place of an existing one.
    File(Content, Attributes),
    /// A symlink, in the place of an existing one.
    Symlink {
        /// What it points to.
        target: String,
    },
    /// A change of a file that the base has; mode and owner stay.
    Patch(Patch),
}

/// What a file holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes made from an overlay.
    Inline(Arc<[u8]>),
    /// A verified file in the cache or of the user's.
    Fetched(Asset),
}

/// A fetched file, ready to be copied in.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Where it lies now; `None` when the plan is only shown and nothing was fetched.
    pub file: Option<PathBuf>,
    /// Where it came from: a URL or a path.
    pub origin: String,
    /// In bytes, if known.
    pub size: Option<u64>,
    /// Lower-case hex, if known.
    pub sha256: Option<String>,
}

/// A change of a file's content.
#[derive(Debug, Clone)]
pub enum Patch {
    /// Replaces every match.
    Regex {
        /// What is looked for.
        pattern: Regex,
        /// With `$1` and the like.
        replace: String,
        /// Whether no match is an error.
        required: bool,
    },
    /// Sets keys of a `sysconf.txt`, by the rules of its parser.
    Sysconf(Vec<(&'static str, String)>),
}

impl Edit {
    /// Sorts edits: by file system, then by path, so that parents come first.
    pub fn key(&self) -> (Area, &str) {
        (self.area, &self.path)
    }

    /// Its path as messages show it.
    pub fn shown(&self) -> String {
        self.area.shown(&self.path)
    }
}

impl Asset {
    /// A file of the user's, hashed as it is now.
    pub fn local(path: &Path) -> Result<Self, FileError> {
        let file = std::fs::File::open(path).map_err(FileError::new("read", path))?;
        let (sha256, size) = Sha256::of_reader(file).map_err(FileError::new("read", path))?;
        let (origin, sha256) = (path.display().to_string(), sha256.to_string());
        Ok(Self { file: Some(path.to_path_buf()), origin, size: Some(size), sha256: Some(sha256) })
    }
}

impl Content {
    /// In bytes, if known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Inline(bytes) => Some(bytes.len() as u64),
            Self::Fetched(asset) => asset.size,
        }
    }
}

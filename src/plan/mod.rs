//! The plan: what will be written to one node's image, as a value.
//!
//! Values only: nothing here opens an image, a file or a socket, or imports from another room. `compose`
//! makes a plan, `image` applies it and reads it back, the manifest records it.

mod area;
mod attributes;
mod base_facts;
mod expect;
pub(crate) mod path;
pub(crate) mod show;
mod want;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use crate::digest::Sha256;

pub(crate) use area::Area;
pub(crate) use attributes::Attributes;
pub(crate) use base_facts::{BaseFacts, BaseNetwork, BaseSsh};
pub(crate) use expect::{ExpectedPath, PathState};
pub(crate) use want::{Assets, NotFetched, Proof, Unfetched, Want};

/// Everything that will be written to one node's image, in the order of [`Edit::key`].
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) node: String,
    /// Parents before children.
    pub(crate) edits: Vec<Edit>,
}

/// One path and what it will be.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) area: Area,
    /// Absolute, with `/`.
    pub(crate) path: String,
    /// The overlay that declares it.
    pub(crate) overlay: String,
    pub(crate) action: Action,
    /// Made with a secret: its content and hash are shown nowhere.
    pub(crate) secret: bool,
}

/// What is done at a path.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Creates a directory; an existing one gets this mode and owner.
    Directory(Attributes),
    /// Writes a file and replaces an existing one.
    File(FileContent, Attributes),
    /// Creates a symlink and replaces an existing one.
    Symlink { target: String },
    /// Changes a file of the base; mode and owner stay.
    Patch(Patch),
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(crate) enum FileContent {
    /// Bytes made from an overlay.
    Inline(Arc<[u8]>),
    /// A verified file of this machine, in the cache or the user's own.
    Fetched(Asset),
    /// A file that is not fetched yet: enough to show a plan, not to build.
    Pending { origin: String, sha256: Option<Sha256> },
}

/// A file of this machine, hashed, to be copied into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    pub(crate) file: PathBuf,
    /// Where it came from: a URL or a path.
    pub(crate) origin: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// A change of a file's content.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// Replaces every match.
    Regex {
        pattern: Regex,
        /// With `$1` and the like.
        replace: String,
        /// Whether no match is an error.
        required: bool,
    },
    /// Sets keys of a `sysconf.txt`, by the rules of its parser.
    Sysconf(Vec<(&'static str, String)>),
    /// Adds words to the kernel's command line.
    KernelWords(Vec<String>),
}

impl Edit {
    /// Sorts edits: by file system, then by path, so that parents come first.
    pub(crate) fn key(&self) -> (Area, &str) {
        (self.area, &self.path)
    }

    /// Its path as messages show it.
    pub(crate) fn shown(&self) -> String {
        self.area.shown(&self.path)
    }
}

impl Asset {
    /// A file of the user's, whose size and hash were just computed.
    pub(crate) fn local(path: &Path, (sha256, size): (Sha256, u64)) -> Self {
        Self { file: path.to_path_buf(), origin: path.display().to_string(), size, sha256 }
    }
}

impl FileContent {
    /// In bytes, if known.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Inline(bytes) => Some(bytes.len() as u64),
            Self::Fetched(asset) => Some(asset.size),
            Self::Pending { .. } => None,
        }
    }

    /// The hash of the content, if known.
    pub(crate) fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::Inline(bytes) => Some(Sha256::of(bytes)),
            Self::Fetched(asset) => Some(asset.sha256),
            Self::Pending { sha256, .. } => *sha256,
        }
    }

    /// The URL or path that it was or will be fetched from.
    pub(crate) fn origin(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::Fetched(Asset { origin, .. }) | Self::Pending { origin, .. } => Some(origin),
        }
    }
}

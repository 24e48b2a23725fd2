//! The plan: what will be written to one node's image, as a value.
//!
//! Values only: this room opens no image, file or socket, and uses no other room but the ground. `compose` makes a
//! plan, `image` applies and verifies it, the manifest records it.

mod area;
mod attributes;
mod base_facts;
mod disk_shape;
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
pub(crate) use disk_shape::{DiskShape, ExpectedDisk, ExpectedPartition, ExtraPartition, SECTOR, TableKind};
pub(crate) use expect::{ExpectedPath, PathState};
pub(crate) use want::{Assets, NotFetched, Proof, Unfetched, Want};

/// Everything that will be written to one node's image, in the order of [`Edit::key`].
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) node: String,
    pub(crate) shape: DiskShape,
    /// Parents before children.
    pub(crate) edits: Vec<Edit>,
    /// What the overlays' checks say without being an error.
    pub(crate) warnings: Vec<String>,
}

/// One path and its action.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) area: Area,
    /// Absolute, with `/`.
    pub(crate) path: String,
    /// The overlay that declares it.
    pub(crate) overlay: String,
    pub(crate) action: Action,
    /// Contains a secret: content and hash are never shown.
    pub(crate) secret: bool,
}

/// What the build does at a path.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    /// Creates a directory, or sets mode and owner of an existing one.
    Directory(Attributes),
    /// Writes or replaces a file.
    File(FileContent, Attributes),
    /// Creates or replaces a symlink.
    Symlink { target: String },
    /// Changes the content of a file of the base; mode and owner stay.
    Patch(Patch),
}

/// The content of a file.
#[derive(Debug, Clone)]
pub(crate) enum FileContent {
    /// Made from an overlay.
    Inline(Arc<[u8]>),
    /// A verified file in the cache, or a file of the user.
    Fetched(Asset),
    /// A file that is not fetched yet: sufficient for `plan`, not for `build`.
    Pending { origin: String, sha256: Option<Sha256> },
}

/// A hashed file on this machine, to be copied into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asset {
    pub(crate) file: PathBuf,
    /// A URL or a path.
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
        /// No match is an error.
        required: bool,
    },
    /// Sets keys of `sysconf.txt`.
    Sysconf(Vec<(&'static str, String)>),
    /// Adds words to the kernel's command line.
    KernelWords(Vec<String>),
    /// Adds lines to `config.txt`, which the Pi's firmware reads.
    FirmwareLines(Vec<String>),
    /// Removes words from the kernel's command line.
    WithoutKernelWords(Vec<String>),
    /// Replaces the PARTUUIDs of the base by those of the rewritten partition table.
    PartUuids,
}

impl Edit {
    /// The order of edits: by file system, then by path, so that parents come first.
    pub(crate) fn key(&self) -> (Area, &str) {
        (self.area, &self.path)
    }

    /// The path as messages show it.
    pub(crate) fn shown(&self) -> String {
        self.area.shown(&self.path)
    }
}

impl Asset {
    /// A file of the user, with its hash and size.
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

    /// If known.
    pub(crate) fn sha256(&self) -> Option<Sha256> {
        match self {
            Self::Inline(bytes) => Some(Sha256::of(bytes)),
            Self::Fetched(asset) => Some(asset.sha256),
            Self::Pending { sha256, .. } => *sha256,
        }
    }

    /// The URL or path that the content is fetched from.
    pub(crate) fn origin(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::Fetched(Asset { origin, .. }) | Self::Pending { origin, .. } => Some(origin),
        }
    }
}

//! What a path must be after the build: written into the manifest, compared at read-back and by `verify`.

use serde::{Deserialize, Serialize};

use super::{Area, Attributes};
use crate::digest::Sha256;

/// One path of a finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedPath {
    /// On which file system.
    pub(crate) area: Area,
    /// Absolute.
    pub(crate) path: String,
    /// The overlay that wanted it.
    pub(crate) overlay: String,
    /// Whether the content is a secret; its hash is then not written down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) secret: bool,
    /// What it is.
    #[serde(flatten)]
    pub(crate) state: PathState,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum PathState {
    /// A folder.
    Directory {
        /// Bits and owner; none on a FAT.
        #[serde(flatten)]
        attributes: Option<Attributes>,
    },
    /// A regular file.
    File {
        /// Bits and owner; none on a FAT.
        #[serde(flatten)]
        attributes: Option<Attributes>,
        /// In bytes.
        size: u64,
        /// Lower-case hex; `None` once a secret's manifest was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256>,
        /// Where it was fetched from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// A symlink.
    Symlink {
        /// What it points to.
        target: String,
    },
}

impl ExpectedPath {
    /// As the manifest may hold it.
    #[must_use]
    pub(crate) fn masked(mut self) -> Self {
        if let (true, PathState::File { sha256, .. }) = (self.secret, &mut self.state) {
            *sha256 = None;
        }
        self
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !value
}

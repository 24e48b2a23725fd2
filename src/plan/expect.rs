//! The state that a path must have after the build: recorded in the manifest, checked by read-back and `verify`.

use serde::{Deserialize, Serialize};

use super::{Area, Attributes};
use crate::digest::Sha256;

/// One path of a finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectedPath {
    pub(crate) area: Area,
    /// Absolute.
    pub(crate) path: String,
    pub(crate) overlay: String,
    /// The content is secret; the manifest then has no hash of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) secret: bool,
    #[serde(flatten)]
    pub(crate) state: PathState,
}

/// Type, attributes and content of a path. A FAT has no attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum PathState {
    Directory {
        #[serde(flatten)]
        attributes: Option<Attributes>,
    },
    File {
        #[serde(flatten)]
        attributes: Option<Attributes>,
        /// In bytes.
        size: u64,
        /// `None` for a secret in a manifest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256>,
        /// The URL or path of a fetched file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    Symlink {
        target: String,
    },
}

impl ExpectedPath {
    /// Without the hash of a secret, for the manifest.
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

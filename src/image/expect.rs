//! What a path must be after the build: written into the manifest, compared at read-back and by `verify`.

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::overlay::Area;

/// One path of a finished image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// On which file system.
    pub area: Area,
    /// Absolute.
    pub path: String,
    /// The overlay that wanted it.
    pub overlay: String,
    /// Whether the content is a secret; its hash is then not written down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secret: bool,
    /// What it is.
    #[serde(flatten)]
    pub state: State,
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum State {
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
        sha256: Option<String>,
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

impl Expectation {
    /// As the manifest may hold it.
    #[must_use]
    pub fn masked(mut self) -> Self {
        if let (true, State::File { sha256, .. }) = (self.secret, &mut self.state) {
            *sha256 = None;
        }
        self
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_false(value: &bool) -> bool {
    !value
}

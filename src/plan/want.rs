//! Files that a plan needs from the network or from the user, before they are fetched.

use super::{Attributes, FileContent};
use crate::digest::Sha256;
use crate::error::Explain;

/// A file that an overlay needs for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) overlay: String,
    /// The path in the image.
    pub(crate) path: String,
    pub(crate) attributes: Attributes,
    pub(crate) url: String,
    /// A local file instead of the URL.
    pub(crate) local: Option<String>,
    pub(crate) proof: Proof,
}

/// How a fetched file is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    Sha256(Sha256),
    /// By the line for `name` in the checksum file at `url`. The lock file keeps the hash after the first fetch.
    Sums {
        url: String,
        name: String,
    },
    /// An OpenPGP key with this fingerprint.
    Fingerprint(String),
    /// A file of the user, not verified.
    Local,
    /// No hash is known; fetching is an error.
    Nothing,
}

/// Access to fetched files.
pub(crate) trait Assets {
    fn get(&self, want: &Want) -> Result<FileContent, NotFetched>;
}

/// A plan needs a file that was not fetched.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` was not fetched")]
pub(crate) struct NotFetched(pub(crate) String);

impl Explain for NotFetched {}

/// Gives every file as [`FileContent::Pending`], for plans that are only checked or shown.
pub(crate) struct Unfetched;

impl Assets for Unfetched {
    fn get(&self, want: &Want) -> Result<FileContent, NotFetched> {
        let sha256 = match &want.proof {
            Proof::Sha256(hash) => Some(*hash),
            _ => None,
        };
        let origin = want.local.clone().unwrap_or_else(|| want.url.clone());
        Ok(FileContent::Pending { origin, sha256 })
    }
}

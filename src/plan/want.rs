//! Files that a plan needs from the network or from the user, before they are there.

use super::{Attributes, FileContent};
use crate::digest::Sha256;
use crate::error::Explain;

/// A file that an overlay wants fetched for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) overlay: String,
    /// Its path in the image.
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
    /// By the line of `name` in the checksum file at `url`; the lock keeps the hash from then on.
    Sums {
        url: String,
        name: String,
    },
    /// The file is an OpenPGP key with this fingerprint.
    Fingerprint(String),
    /// The user's own file: not verified.
    Local,
    /// No hash is known: an error when it is fetched.
    Nothing,
}

/// Wanted files that were fetched.
pub(crate) trait Assets {
    /// The content for `want`.
    fn get(&self, want: &Want) -> Result<FileContent, NotFetched>;
}

/// A file that a plan needs and that was not fetched.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` was not fetched")]
pub(crate) struct NotFetched(pub(crate) String);

impl Explain for NotFetched {}

/// Stands for files that are not fetched yet, when a plan is only checked.
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

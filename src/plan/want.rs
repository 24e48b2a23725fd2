//! What a plan needs from the network, before it is there.

use crate::plan::{Asset, Attributes, Content};

/// A file that an overlay wants fetched for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The overlay.
    pub overlay: String,
    /// Where it goes.
    pub path: String,
    /// Its bits and owner there.
    pub attributes: Attributes,
    /// From where.
    pub url: String,
    /// A local file instead.
    pub local: Option<String>,
    /// How it is known to be right.
    pub proof: Proof,
}

/// How a fetched file is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By its hash.
    Sha256(String),
    /// By the line of `name` in the checksum file at `url`; kept in the lock from then on.
    Sums {
        /// Where the sums are.
        url: String,
        /// The line's file name.
        name: String,
    },
    /// It is an OpenPGP key with this fingerprint.
    Fingerprint(String),
    /// The user's own file: taken as it is.
    Local,
    /// Nothing is known: refused when it comes to fetching.
    Nothing,
}

/// Wanted files that are there, by overlay and path.
pub trait Assets {
    /// The content for `want`.
    fn get(&self, want: &Want) -> Content;
}

/// For showing a plan without fetching: what is known of each file.
pub struct Unfetched;

impl Assets for Unfetched {
    fn get(&self, want: &Want) -> Content {
        let sha256 = match &want.proof {
            Proof::Sha256(hash) => Some(hash.clone()),
            _ => None,
        };
        let origin = want.local.clone().unwrap_or_else(|| want.url.clone());
        Content::Fetched(Asset { file: None, origin, size: None, sha256 })
    }
}

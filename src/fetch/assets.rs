//! Files that overlays want: fetched, verified and kept, or placeholders on the sample.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{Cache, Entry, Key};
use super::checksum;
use super::digest::{Digest, Sha256};
use super::http::Client;
use super::lock::Lock;
use super::openpgp;
use crate::error::{Context as _, Exit, Explain, FileError, Result};
use crate::plan::want::{Assets, Proof, Want};
use crate::plan::{Asset, Content};
use crate::progress::Progress;

/// Keys and checksum files are small: 1 MiB.
const SMALL: u64 = 1 << 20;

/// What can be wrong with a wanted file.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// Nobody says what it must be.
    #[error("nothing is known to check `{url}` against")]
    NoProof {
        /// From where.
        url: String,
        /// The overlay.
        overlay: String,
    },
    /// A local file that isn't a file.
    #[error("`{}` isn't a file", .0.display())]
    NotAFile(PathBuf),
}

impl Explain for AssetError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProof { overlay, .. } => {
                Some(format!("set its SHA-256 in `[overlays.{overlay}]`, or pin it in the overlay's `[[fetch]]`"))
            }
            Self::NotAFile(_) => None,
        }
    }
}

/// Fetches one wanted file after the other.
pub struct Fetcher<'a> {
    /// Where they are kept.
    pub cache: &'a Cache,
    /// The way to them.
    pub client: &'a Client,
    /// What they were the last time.
    pub lock: &'a mut Lock,
    /// Where progress is told.
    pub progress: &'a dyn Progress,
}

/// Wanted files that are there.
pub struct Fetched(Vec<(Want, Content)>);

impl Assets for Fetched {
    fn get(&self, want: &Want) -> Content {
        let found = self.0.iter().find(|(w, _)| w == want).map(|(_, content)| content.clone());
        found.unwrap_or_else(|| Content::Fetched(Asset { file: None, origin: want.url.clone(), size: None, sha256: None }))
    }
}

impl Fetcher<'_> {
    /// All of `wants`; with `sample`, placeholders for what isn't local.
    pub fn all(&mut self, wants: Vec<Want>, sample: bool) -> Result<Fetched> {
        let mut found = Vec::new();
        for want in wants {
            let content = match &want.local {
                Some(path) => self.local(&want, Path::new(path))?,
                None if sample => placeholder(&want),
                None => self.fetched(&want).while_doing(|| format!("fetching `{}`", want.url))?,
            };
            found.push((want, content));
        }
        self.lock.save()?;
        Ok(Fetched(found))
    }

    fn local(&self, want: &Want, path: &Path) -> Result<Content> {
        if !path.is_file() {
            return Err(AssetError::NotAFile(path.to_path_buf()).into());
        }
        let asset = Asset::local(path)?;
        if let (Proof::Sha256(expected), Some(found)) = (&want.proof, &asset.sha256) {
            let (expected, found): (Sha256, Sha256) = (expected.parse()?, found.parse()?);
            checksum::compare(&asset.origin, expected.into(), found.into(), "the overlay's `sha256`")?;
        }
        Ok(Content::Fetched(asset))
    }

    fn fetched(&mut self, want: &Want) -> Result<Content> {
        let entry = match &want.proof {
            Proof::Sha256(hash) => self.download(&want.url, hash.parse()?)?,
            Proof::Sums { url, name } => {
                let sha256 = match self.lock.sha256_of(&want.url) {
                    Some(known) => known,
                    None => self.published_sum(url, name)?,
                };
                self.download(&want.url, sha256)?
            }
            Proof::Fingerprint(fingerprint) => self.key(&want.url, fingerprint)?,
            Proof::Local | Proof::Nothing => match self.lock.sha256_of(&want.url) {
                Some(known) => self.download(&want.url, known)?,
                None => {
                    let (url, overlay) = (want.url.clone(), want.overlay.clone());
                    return Err(AssetError::NoProof { url, overlay }.into());
                }
            },
        };
        Ok(Content::Fetched(Asset {
            file: Some(entry.path),
            origin: want.url.clone(),
            size: Some(entry.size),
            sha256: Some(entry.sha256.to_string()),
        }))
    }
}

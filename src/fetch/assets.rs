//! Files that overlays need: downloaded, verified and cached; on the sample, placeholders.

use std::path::{Path, PathBuf};

use super::cache::{Cache, CacheEntry, CacheKey};
use super::checksum;
use super::http::{Client, ExpectedFile};
use super::lock::{self, LockFile, LockedInput};
use super::openpgp_key;
use crate::digest::{Digest, Sha256};
use crate::error::{Context as _, Exit, Explain, Result};
use crate::files::hash;
use crate::plan::{Asset, Assets, FileContent, NotFetched, Proof, Want};
use crate::progress::Progress;

/// Limit for checksum files, in bytes.
const SMALL: usize = 1 << 20;

/// Why a file for an overlay is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssetError {
    /// No hash is known for the file.
    #[error("nothing is known to check `{url}` against")]
    NoProof { url: String, overlay: String },
    /// A checksum file with SHA-512 only.
    #[error("`{0}` has no SHA-256")]
    NotSha256(String),
    /// A local path to something other than a file.
    #[error("`{}` isn't a file", crate::text::printable(.0))]
    NotAFile(PathBuf),
}

impl Explain for AssetError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoProof { overlay, .. } => Some(format!(
                "set its SHA-256 in `[overlays.{overlay}]`, or pin it in the overlay's `[[fetch]]`"
            )),
            Self::NotSha256(_) | Self::NotAFile(_) => None,
        }
    }
}

/// Fetches the files for overlays one after the other.
pub(crate) struct Fetcher<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) client: &'a Client,
    /// Hashes of the files in earlier builds.
    pub(crate) lock: &'a mut LockFile,
    pub(crate) progress: &'a dyn Progress,
}

/// The fetched content of each wanted file.
pub(crate) struct Fetched(Vec<(Want, FileContent)>);

impl Assets for Fetched {
    fn get(&self, want: &Want) -> Result<FileContent, NotFetched> {
        let found = self.0.iter().find(|(w, _)| w == want).map(|(_, content)| content.clone());
        found.ok_or_else(|| NotFetched(want.url.clone()))
    }
}

impl Fetcher<'_> {
    /// Fetches all `wants`; with `sample`, files that aren't local become placeholders.
    pub(crate) fn all(&mut self, wants: Vec<Want>, sample: bool) -> Result<Fetched> {
        let mut found = Vec::new();
        for want in wants {
            let content = match &want.local {
                Some(path) => Self::local(&want, Path::new(path))?,
                None if sample => placeholder(&want),
                None => self.fetched(&want).while_doing(|| format!("fetching `{}`", want.url))?,
            };
            found.push((want, content));
        }
        self.lock.save()?;
        Ok(Fetched(found))
    }

    fn local(want: &Want, path: &Path) -> Result<FileContent> {
        if !path.is_file() {
            return Err(AssetError::NotAFile(path.to_path_buf()).into());
        }
        let asset = Asset::local(path, hash::of_path(path)?);
        if let Proof::Sha256(expected) = want.proof {
            let by = "the overlay's `sha256`";
            checksum::compare(&asset.origin, expected.into(), asset.sha256.into(), by)?;
        }
        Ok(FileContent::Fetched(asset))
    }

    fn fetched(&mut self, want: &Want) -> Result<FileContent> {
        let locked = self.lock.get(&want.url).map(|l| l.sha256);
        let entry = match (&want.proof, locked) {
            (Proof::Sha256(hash), _) => self.download(&want.url, *hash)?,
            (Proof::Fingerprint(fingerprint), _) => {
                let Self { cache, client, lock, progress } = self;
                openpgp_key::fetch(&want.url, fingerprint, cache, client, lock, *progress)?
            }
            (_, Some(known)) => self.download(&want.url, known).map_err(lock::explain_mismatch)?,
            (Proof::Sums { url, name }, None) => {
                let sha256 = self.published_sum(url, name)?;
                self.download(&want.url, sha256)?
            }
            (Proof::Local | Proof::Nothing, None) => {
                let (url, overlay) = (want.url.clone(), want.overlay.clone());
                return Err(AssetError::NoProof { url, overlay }.into());
            }
        };
        self.lock.insert(
            &want.url,
            LockedInput { size: entry.size, sha256: entry.sha256, raw: None, signed_by: None },
        )?;
        Ok(FileContent::Fetched(Asset {
            file: entry.path,
            origin: want.url.clone(),
            size: entry.size,
            sha256: entry.sha256,
        }))
    }

    /// The file with this hash, from the cache or from `url`.
    fn download(&self, url: &str, sha256: Sha256) -> Result<CacheEntry> {
        let lock = self.cache.lock(CacheKey::Download(sha256), url, self.progress)?;
        if let Some(entry) = self.cache.download(sha256)? {
            return Ok(entry);
        }
        let locked = self.lock.get(url).filter(|locked| locked.sha256 == sha256);
        let expected = ExpectedFile { sha256: Some(sha256), size: locked.map(|locked| locked.size) };
        self.client.download(&[url], &lock.partial, expected, self.progress)?;
        self.cache.keep_download(&lock, sha256)
    }

    /// The hash of `name` in the checksum file at `url`. Later builds take it from the lock.
    fn published_sum(&self, url: &str, name: &str) -> Result<Sha256> {
        let text = self.client.fetch_small(url, SMALL, self.progress)?;
        let text = String::from_utf8_lossy(&text);
        match checksum::find(&text, &[name], url)?.1 {
            Digest::Sha256(sha256) => Ok(sha256),
            Digest::Sha512(_) => Err(AssetError::NotSha256(url.to_owned()).into()),
        }
    }
}

/// Placeholder for a download on the sample. An executable placeholder prints that it is one.
fn placeholder(want: &Want) -> FileContent {
    let text = format!("placeholder of magi-image's sample: nothing was downloaded from {}", want.url);
    let text = if want.attributes.mode & 0o111 == 0 {
        format!("{text}\n")
    } else {
        format!("#!/bin/sh\n# {text}\necho \"$0: a placeholder of magi-image's sample\" >&2\nexit 1\n")
    };
    FileContent::Inline(text.into_bytes().into())
}

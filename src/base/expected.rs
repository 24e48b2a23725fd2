//! Requirements on a base: the hash from the profile, the lock, the catalog or a checksum file, and the
//! signature by the publisher's key.

use std::path::Path;

use super::beside::{Beside, LARGEST_LIST, read_small};
use super::catalog::Known;
use super::signature::{ImageSignature, PublisherKey};
use super::{BaseError, Preparing};
use crate::digest::{Digest, Sha256};
use crate::error::Result;
use crate::fetch::cache::Cache;
use crate::fetch::checksum;
use crate::fetch::http::HttpError;
use crate::fetch::lock::{LockDifference, LockError, LockFile, LockedInput};
use crate::fetch::url::shown;
use crate::text::listed as listed_names;

/// Which file a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashOf {
    /// The file as published.
    Packed,
    /// The raw image in it.
    Raw,
    /// One of the two: a pin doesn't say which.
    Either,
}

/// A hash that the base must have.
#[derive(Debug, Clone)]
pub(super) struct ExpectedDigest {
    pub(super) digest: Digest,
    pub(super) of: HashOf,
    /// The source of the expectation, for messages.
    pub(super) by: String,
}

impl ExpectedDigest {
    pub(super) fn pinned(pin: Sha256) -> Self {
        Self { digest: pin.into(), of: HashOf::Either, by: "the profile".into() }
    }

    /// The SHA-256 of the packed file, if it follows from this hash.
    pub(super) fn packed_sha256(&self, cache: &Cache) -> Option<Sha256> {
        // The cache knows whether a pin is the hash of the raw image, so it comes first.
        cache.known(&self.digest).or(match (self.digest, self.of) {
            (Digest::Sha256(hash), HashOf::Packed | HashOf::Either) => Some(hash),
            _ => None,
        })
    }
}

/// Hashes and signatures that are checked before a base is used.
#[derive(Default)]
pub(super) struct Requirements {
    /// The expected hash; `None` only with `--insecure-no-checksum`, or where a signature suffices.
    pub(super) expected: Option<ExpectedDigest>,
    /// The hash in a signed checksum file, where `expected` comes from elsewhere.
    pub(super) signed: Option<ExpectedDigest>,
    /// A signature over the image file itself.
    pub(super) image_signature: Option<ImageSignature>,
    /// Fingerprint of the key that must have signed the checksum file or the image.
    pub(super) signed_by: Option<String>,
    /// Whether the hash comes from a checksum file whose signature isn't checked.
    pub(super) unsigned_list: bool,
    /// The entry in `magi.lock`.
    pub(super) locked: Option<LockedInput>,
}

impl Requirements {
    /// All hashes that the base must have.
    pub(super) fn digests(&self) -> impl Iterator<Item = &ExpectedDigest> {
        self.expected.iter().chain(&self.signed)
    }

    /// The SHA-256 of the packed file, if it is known beforehand.
    pub(super) fn packed_sha256(&self, cache: &Cache) -> Option<Sha256> {
        self.digests().find_map(|expected| expected.packed_sha256(cache))
    }

    /// Like `packed_sha256`, but without pins, which may be the hash of the raw image.
    pub(super) fn download_sha256(&self, cache: &Cache) -> Option<Sha256> {
        let mut packed = self.digests().filter(|expected| expected.of == HashOf::Packed);
        packed.find_map(|expected| expected.packed_sha256(cache))
    }
}

impl Preparing<'_> {
    /// The requirements by the first of `urls` that can be asked, and the index of that URL.
    pub(super) fn requirements_of_urls(
        &self,
        urls: &[&str],
        known: Option<&Known>,
        lock: &LockFile,
    ) -> Result<(Requirements, usize)> {
        let mut failures = Vec::new();
        for (at, url) in urls.iter().enumerate() {
            let error = match self.requirements_of_url(url, urls[0], known, lock) {
                Ok(requirements) => return Ok((requirements, at)),
                Err(error) => error,
            };
            match error.into_cause()? {
                HttpError::Failed(mut failed) => failures.append(&mut failed),
                other => return Err(other.into()),
            }
            if let (Some(failure), Some(next)) = (failures.last(), urls.get(at + 1)) {
                self.progress.note(&format!("{failure}; trying `{}`", shown(next)));
            }
        }
        Err(HttpError::Failed(failures).into())
    }

    /// The hash that a checksum file beside `url` lists now. Signatures aren't checked.
    pub(super) fn published(&self, url: &str) -> Result<Option<ExpectedDigest>> {
        let mut read = |beside: &str| self.client.find_small(beside, LARGEST_LIST, self.progress);
        Beside::url(url, &mut read)?.listed_unsigned(&mut None)
    }

    /// Requirements from the lock, the profile, the catalog or a checksum file beside the URL, and from the
    /// publisher's key. The lock has the base as `lock_url`, which differs from a mirror's `url`.
    fn requirements_of_url(
        &self,
        url: &str,
        lock_url: &str,
        known: Option<&Known>,
        lock: &LockFile,
    ) -> Result<Requirements> {
        let fixed = self.fixed(lock_url, known, lock)?;
        let mut read = |beside: &str| self.client.find_small(beside, LARGEST_LIST, self.progress);
        let beside = Beside::url(url, &mut read)?;
        let requirements = match &self.key {
            Some(key) if !lock.is_signed_by(lock_url, &key.fingerprint) => self.signed(key, fixed, beside),
            _ => self.unsigned(fixed, beside),
        };
        let mut requirements = requirements.map_err(|error| self.gone_or(url, error))?;
        requirements.locked = lock.get(lock_url).cloned();
        if requirements.unsigned_list && url.starts_with("http://") {
            let note = "a checksum that came over http proves nothing; pin it in the profile";
            self.progress.note(&format!("`{}`: {note}", shown(url)));
        }
        Ok(requirements)
    }

    /// Requirements from the profile or a checksum file beside the file, and from the publisher's key.
    pub(super) fn requirements_of_file(&self, path: &Path) -> Result<Requirements> {
        let mut read = read_small;
        let beside = Beside::file(path, &mut read);
        let fixed = self.pin.map(ExpectedDigest::pinned);
        match &self.key {
            Some(key) => self.signed(key, fixed, beside),
            None => self.unsigned(fixed, beside),
        }
    }

    /// The hash from the lock, the profile or the catalog, in this order.
    fn fixed(&self, url: &str, known: Option<&Known>, lock: &LockFile) -> Result<Option<ExpectedDigest>> {
        let locked = lock.get(url);
        if let (Some(pin), Some(locked)) = (self.pin, locked)
            && pin != locked.sha256
            && locked.raw.is_none_or(|(_, raw)| pin != raw)
        {
            let difference = LockDifference::Pin { locked: locked.sha256, pinned: pin };
            return Err(LockError::Differs { url: shown(url), difference }.into());
        }
        let packed = |hash: Sha256, by: &str| ExpectedDigest {
            digest: hash.into(),
            of: HashOf::Packed,
            by: by.to_owned(),
        };
        // The lock comes before the pin: its hash is always that of the packed file.
        Ok(locked
            .map(|locked| packed(locked.sha256, "`magi.lock`"))
            .or_else(|| self.pin.map(ExpectedDigest::pinned))
            .or_else(|| Some(packed(known?.sha256()?, "the catalog"))))
    }

    /// Without a key, a checksum file is trusted if no other hash is known.
    fn unsigned(&self, fixed: Option<ExpectedDigest>, mut beside: Beside<'_>) -> Result<Requirements> {
        if fixed.is_some() {
            return Ok(Requirements { expected: fixed, ..Requirements::default() });
        }
        let mut problem = None;
        let listed = beside.listed_unsigned(&mut problem)?;
        if listed.is_none() && !self.request.insecure_no_checksum {
            let names = || listed_names(checksum::lists_for(&beside.name).iter());
            let problem = problem.unwrap_or_else(|| format!("none of {} is beside it", names()));
            let source_text = shown(self.request.source);
            return Err(BaseError::NoChecksum { source_text, problem }.into());
        }
        let unsigned_list = listed.is_some();
        Ok(Requirements { expected: listed, unsigned_list, ..Requirements::default() })
    }

    /// With a key, a checksum file counts only with a valid signature; otherwise the image itself must be signed.
    fn signed(
        &self,
        key: &PublisherKey,
        fixed: Option<ExpectedDigest>,
        mut beside: Beside<'_>,
    ) -> Result<Requirements> {
        let signed_by = Some(key.fingerprint.clone());
        let listed = beside.listed(&mut None, |list, text, read| key.signed_text(list, text, &mut *read))?;
        let requirements = match (fixed, listed) {
            (Some(fixed), Some(listed)) => {
                Requirements { expected: Some(fixed), signed: Some(listed), ..Requirements::default() }
            }
            (None, Some(listed)) => Requirements { expected: Some(listed), ..Requirements::default() },
            (expected, None) => {
                let signature = PublisherKey::beside_image(&beside.image, beside.read)?;
                let image_signature = Some(signature.ok_or_else(|| self.no_signature())?);
                Requirements { expected, image_signature, ..Requirements::default() }
            }
        };
        Ok(Requirements { signed_by, ..requirements })
    }
}

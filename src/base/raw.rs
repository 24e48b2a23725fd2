//! From the packed file to the raw image in the cache, with the comparisons on the way.

use std::fs::File;
use std::path::Path;

use super::expected::{ExpectedDigest, Of};
use super::unpack::Unpacked;
use super::{BaseError, Prepared};
use crate::digest::{Digest, Sha256};
use crate::error::{Exit, FileError, Result};
use crate::fetch::cache::{Cache, CacheEntry, CacheKey};
use crate::fetch::checksum::{self, ChecksumError};
use crate::progress::Progress;

/// The file that a base comes as.
pub(super) struct Packed {
    pub(super) name: String,
    /// For messages.
    pub(super) source: String,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

impl Packed {
    /// Fails if the file itself can be told not to be what's expected.
    pub(super) fn check(&self, expected: &ExpectedDigest, file: &Path, cache: &Cache) -> Result<()> {
        if expected.of == Of::Raw || self.is_known_as(&expected.digest, cache) {
            return Ok(());
        }
        let found = match expected.digest {
            Digest::Sha256(_) => self.sha256.into(),
            Digest::Sha512(_) => digest_of(file, &expected.digest)?,
        };
        if expected.of == Of::Either && found != expected.digest {
            // It's for the raw image to match.
            return Ok(());
        }
        self.compare(expected, found)?;
        cache.remember(&expected.digest, self.sha256)
    }

    /// Fails if the raw image isn't what's expected, as far as the packed file wasn't already.
    pub(super) fn check_raw(&self, expected: &ExpectedDigest, raw: &CacheEntry, cache: &Cache) -> Result<()> {
        if expected.of == Of::Packed || self.is_known_as(&expected.digest, cache) {
            return Ok(());
        }
        let found = match expected.digest {
            Digest::Sha256(_) => raw.sha256.into(),
            Digest::Sha512(_) => digest_of(&raw.path, &expected.digest)?,
        };
        if expected.of == Of::Either && found != expected.digest {
            return Err(self.neither_matches(expected, Some(raw.sha256)).into());
        }
        self.compare(expected, found)?;
        cache.remember(&expected.digest, self.sha256)
    }

    fn neither_matches(&self, expected: &ExpectedDigest, raw: Option<Sha256>) -> BaseError {
        BaseError::NeitherMatches {
            source_text: self.source.clone(),
            expected: expected.digest.to_string(),
            by: expected.by.clone(),
            packed: self.sha256,
            raw,
        }
    }

    fn compare(&self, expected: &ExpectedDigest, found: Digest) -> Result<(), ChecksumError> {
        checksum::compare(&self.source, expected.digest, found, &expected.by)
    }

    fn is_known_as(&self, digest: &Digest, cache: &Cache) -> bool {
        *digest == self.sha256.into() || cache.known(digest) == Some(self.sha256)
    }

    /// Whether the file still has the hash it had.
    pub(super) fn is_still(&self, file: &Path) -> Result<bool> {
        Ok(digest_of(file, &self.sha256.into())? == self.sha256.into())
    }

    /// The raw image from the cache, or made there by `unpack`.
    pub(super) fn unpacked(
        &self,
        expected: Option<&ExpectedDigest>,
        cache: &Cache,
        progress: &dyn Progress,
        unpack: impl FnOnce(&Path) -> Result<Unpacked>,
    ) -> Result<CacheEntry> {
        let lock = cache.lock(CacheKey::Raw(self.sha256), &self.name, progress)?;
        let check =
            |raw: &CacheEntry| expected.map_or(Ok(()), |expected| self.check_raw(expected, raw, cache));
        if let Some(raw) = cache.raw(self.sha256)? {
            check(&raw)?;
            return Ok(raw);
        }
        let remove = || drop(std::fs::remove_file(&lock.partial));
        let hint = "make room there, or choose another cache with `--cache-dir`";
        let unpacked = unpack(&lock.partial)
            .inspect_err(|_| remove())
            .map_err(|e| e.instead(&lock.partial, Exit::Network, hint))
            .map_err(|e| match expected {
                // That it's another file says more than how it is damaged.
                Some(expected)
                    if expected.of == Of::Either
                        && matches!(e.exit(), Exit::Verification | Exit::Usage)
                        && !self.is_known_as(&expected.digest, cache) =>
                {
                    self.neither_matches(expected, None).into()
                }
                _ => e,
            })?;
        // The file is hashed again as it's unpacked: only these bytes count.
        let by = "the first reading";
        let raw = CacheEntry {
            path: lock.partial.clone(),
            sha256: unpacked.sha256,
            size: unpacked.size,
            source_size: unpacked.source_size,
        };
        checksum::compare(&self.source, self.sha256.into(), unpacked.source_sha256.into(), by)
            .map_err(Into::into)
            .and_then(|()| check(&raw))
            .inspect_err(|_| remove())?;
        cache.keep_raw(&lock, (self.sha256, self.size), unpacked.sha256, &unpacked.container.to_string())
    }

    pub(super) fn prepared(self, raw: CacheEntry, sample: bool) -> Prepared {
        Prepared {
            name: self.name,
            source: self.source,
            source_sha256: self.sha256,
            source_size: self.size,
            raw_path: raw.path,
            raw_sha256: raw.sha256,
            raw_size: raw.size,
            sample,
        }
    }
}

fn digest_of(path: &Path, like: &Digest) -> Result<Digest> {
    let file = File::open(path).map_err(FileError::new("read", path))?;
    let digest = like.same_of_reader(file);
    crate::interrupt::check()?;
    Ok(digest.map_err(FileError::new("read", path))?)
}

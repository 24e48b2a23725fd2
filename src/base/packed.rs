//! The packed file of a base: its hashes are checked, then it is unpacked into the cache.

use std::fs::File;
use std::path::Path;

use super::expected::{ExpectedDigest, HashOf, Requirements};
use super::unpack::Unpacked;
use super::{BaseError, Prepared};
use crate::digest::{Digest, Sha256};
use crate::error::{Exit, FileError, Result};
use crate::fetch::cache::{Cache, CacheEntry, CacheKey};
use crate::fetch::checksum::{self, ChecksumError};
use crate::progress::Progress;

/// The file of a base as published, before unpacking.
pub(super) struct Packed {
    pub(super) name: String,
    /// URL without credentials, or path.
    pub(super) source: String,
    pub(super) sha256: Sha256,
    /// Size in bytes.
    pub(super) size: u64,
}

impl Packed {
    /// Checks the hashes of the packed file. A hash that may be the raw image's is left to `check_raw`.
    pub(super) fn check(&self, required: &Requirements, file: &Path, cache: &Cache) -> Result<()> {
        required.digests().try_for_each(|expected| self.check_digest(expected, file, cache))
    }

    fn check_digest(&self, expected: &ExpectedDigest, file: &Path, cache: &Cache) -> Result<()> {
        if expected.of == HashOf::Raw || self.is_known_as(&expected.digest, cache) {
            return Ok(());
        }
        let found = match expected.digest {
            Digest::Sha256(_) => self.sha256.into(),
            Digest::Sha512(_) => digest_of(file, &expected.digest)?,
        };
        if expected.of == HashOf::Either && found != expected.digest {
            // The raw image may still match.
            return Ok(());
        }
        self.compare(expected, found)?;
        cache.remember(&expected.digest, self.sha256)
    }

    /// Checks the raw image against the hashes that `check` couldn't decide.
    pub(super) fn check_raw(&self, required: &Requirements, raw: &CacheEntry, cache: &Cache) -> Result<()> {
        required.digests().try_for_each(|expected| self.check_raw_digest(expected, raw, cache))
    }

    fn check_raw_digest(&self, expected: &ExpectedDigest, raw: &CacheEntry, cache: &Cache) -> Result<()> {
        if expected.of == HashOf::Packed || self.is_known_as(&expected.digest, cache) {
            return Ok(());
        }
        let found = match expected.digest {
            Digest::Sha256(_) => raw.sha256.into(),
            Digest::Sha512(_) => digest_of(&raw.path, &expected.digest)?,
        };
        if expected.of == HashOf::Either && found != expected.digest {
            return Err(self.neither_matches(expected, Some(raw.sha256)).into());
        }
        self.compare(expected, found)?;
        cache.remember(&expected.digest, self.sha256)
    }

    fn neither_matches(&self, expected: &ExpectedDigest, raw: Option<Sha256>) -> BaseError {
        BaseError::NeitherMatches {
            source_text: self.source.clone(),
            expected: expected.digest,
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

    /// Whether the file still has the hash that it had when it was cached.
    pub(super) fn is_unchanged(&self, file: &Path) -> Result<bool> {
        Ok(digest_of(file, &self.sha256.into())? == self.sha256.into())
    }

    /// Returns the raw image from the cache; `unpack` makes it if it is missing.
    pub(super) fn unpacked(
        &self,
        required: &Requirements,
        cache: &Cache,
        progress: &dyn Progress,
        unpack: impl FnOnce(&Path) -> Result<Unpacked>,
    ) -> Result<CacheEntry> {
        let lock = cache.lock(CacheKey::Raw(self.sha256), &self.name, progress)?;
        if let Some(raw) = cache.raw(self.sha256)? {
            self.check_raw(required, &raw, cache)?;
            return Ok(raw);
        }
        let remove = || drop(std::fs::remove_file(&lock.partial));
        let hint = "make room there, or choose another cache with `--cache-dir`";
        let unpacked = unpack(&lock.partial)
            .inspect_err(|_| remove())
            .map_err(|e| e.instead(&lock.partial, Exit::Network, hint))
            .map_err(|e| self.prefer_mismatch(required, cache, e))?;
        let raw = CacheEntry {
            path: lock.partial.clone(),
            sha256: unpacked.sha256,
            size: unpacked.size,
            source_size: unpacked.source_size,
        };
        // Unpacking hashes the file again: it may have changed since the first reading.
        let first_sha256 = self.sha256.into();
        checksum::compare(&self.source, first_sha256, unpacked.source_sha256.into(), "the first reading")
            .map_err(Into::into)
            .and_then(|()| self.check_raw(required, &raw, cache))
            .inspect_err(|_| remove())?;
        cache.keep_raw(&lock, (self.sha256, self.size), unpacked.sha256, &unpacked.container.to_string())
    }

    /// Replaces an unpack error by a hash mismatch if the file isn't the pinned one: the mismatch is the cause.
    fn prefer_mismatch(&self, required: &Requirements, cache: &Cache, error: crate::Error) -> crate::Error {
        let pinned = required.digests().find(|expected| expected.of == HashOf::Either);
        match pinned {
            Some(pinned)
                if matches!(error.exit(), Exit::Verification | Exit::Usage)
                    && !self.is_known_as(&pinned.digest, cache) =>
            {
                self.neither_matches(pinned, None).into()
            }
            _ => error,
        }
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

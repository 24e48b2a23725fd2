//! A base that is downloaded: from the cache, or from the first URL that has it.

use std::path::Path;

use super::catalog::Known;
use super::expected::Requirements;
use super::packed::Packed;
use super::{Prepared, Preparing, unpack};
use crate::error::{Exit, Result};
use crate::fetch::cache::{CacheEntry, CacheKey};
use crate::fetch::http::ExpectedFile;
use crate::fetch::lock::{LockFile, LockedInput};
use crate::fetch::url::{file_name, without_credentials};

/// The URLs of a base, and the hashes and signatures that it must have.
struct Download<'a> {
    name: String,
    /// The URL in the lock and in manifests, whichever mirror has the file.
    lock_url: &'a str,
    /// All URLs in the order of their use.
    urls: Vec<&'a str>,
    required: Requirements,
    /// Whether the publisher may replace the file: only the lock has a hash for it.
    is_moving: bool,
}

impl Preparing<'_> {
    pub(super) fn url(&self, known: Option<&Known>, lock: &mut LockFile) -> Result<Prepared> {
        let urls = known.map_or_else(|| vec![self.request.source], |known| known.urls().to_vec());
        self.first_of(urls, known, lock).map_err(|error| self.naming_other_bases(known, error))
    }

    /// Prepares the base from the first of `urls` that has it.
    fn first_of(&self, mut urls: Vec<&str>, known: Option<&Known>, lock: &mut LockFile) -> Result<Prepared> {
        let lock_url = urls[0];
        let name = known.map_or_else(|| file_name(lock_url), |known| known.name.into());
        let (required, answered) = self.requirements_of_urls(&urls, known, lock)?;
        urls.rotate_left(answered);
        let is_moving = self.pin.is_none() && known.and_then(Known::sha256).is_none();
        let download = Download { name, lock_url, urls, required, is_moving };
        if let Some(prepared) = self.unpacked_before(&download, lock)? {
            return Ok(prepared);
        }
        let mut is_second_try = false;
        loop {
            let (entry, was_cached) = self.download(&download)?;
            match self.checked(&download, &entry, lock) {
                Ok(prepared) => return Ok(prepared),
                // The cached copy may have been damaged after it was made.
                Err(_)
                    if was_cached
                        && !is_second_try
                        && !download.packed(&entry).is_unchanged(&entry.path)? =>
                {
                    let name = &download.name;
                    self.progress.note(&format!("the cached `{name}` is damaged; downloading it again"));
                    self.cache.discard_download(entry.sha256)?;
                    is_second_try = true;
                }
                Err(error) => {
                    // Retrying cannot help: the content is wrong, not the transfer.
                    if matches!(error.exit(), Exit::Verification | Exit::Usage) {
                        self.cache.discard_download(entry.sha256)?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// A base that was unpacked before isn't downloaded again, unless its signature is over the packed file.
    fn unpacked_before(&self, download: &Download<'_>, lock: &mut LockFile) -> Result<Option<Prepared>> {
        let Download { required, lock_url, .. } = download;
        let Some(sha256) = required.packed_sha256(self.cache) else { return Ok(None) };
        if required.image_signature.is_some() {
            return Ok(None);
        }
        let Some(raw) = self.cache.raw(sha256)? else { return Ok(None) };
        let packed = download.packed(&CacheEntry { sha256, size: raw.source_size, ..raw.clone() });
        packed.check_raw(required, &raw, self.cache)?;
        if required.unsigned_list {
            self.note_unsigned(&packed);
        }
        lock.insert(lock_url, locked(&packed, &raw, required))?;
        Ok(Some(packed.prepared(raw, false)))
    }

    /// Verifies a downloaded file, unpacks it and adds it to the lock.
    fn checked(&self, download: &Download<'_>, entry: &CacheEntry, lock: &mut LockFile) -> Result<Prepared> {
        let (required, packed) = (&download.required, download.packed(entry));
        packed.check(required, &entry.path, self.cache)?;
        self.check_signature(required, &entry.path)?;
        let name = file_name(download.lock_url);
        let raw = packed.unpacked(required, self.cache, self.progress, |dest| {
            unpack::unpack_file(&entry.path, &name, dest, self.progress)
        })?;
        if required.unsigned_list {
            self.note_unsigned(&packed);
        }
        if required.expected.is_some() || required.signed_by.is_some() {
            lock.insert(download.lock_url, locked(&packed, &raw, required))?;
        } else {
            self.note_unverified(&packed);
        }
        Ok(packed.prepared(raw, false))
    }

    /// Fails if the image needs a signature of its own and that signature isn't valid.
    pub(super) fn check_signature(&self, required: &Requirements, path: &Path) -> Result<()> {
        match (&self.key, &required.image_signature) {
            (Some(key), Some(signature)) => key.check_image(signature, path),
            _ => Ok(()),
        }
    }

    /// The packed file from the cache or the first URL that has it, and whether it was cached.
    fn download(&self, download: &Download<'_>) -> Result<(CacheEntry, bool)> {
        let Download { lock_url, urls, required, .. } = download;
        let likely = required.packed_sha256(self.cache);
        let key = likely.map_or_else(|| CacheKey::url(lock_url), CacheKey::Download);
        let lock = self.cache.lock(key, &file_name(lock_url), self.progress)?;
        if let Some(sha256) = likely
            && let Some(entry) = self.cache.download(sha256)?
        {
            return Ok((entry, true));
        }
        // A pin may be the hash of the raw image, so the download can't be compared with it.
        let size = required.locked.as_ref().map(|locked| locked.size);
        let expected = ExpectedFile { sha256: required.download_sha256(self.cache), size };
        let downloaded = self.client.download(urls, &lock.partial, expected, self.progress);
        let downloaded = downloaded.map_err(|error| match &required.locked {
            Some(locked) if download.is_moving => self.replaced(urls, locked, error),
            _ => error,
        })?;
        Ok((self.cache.keep_download(&lock, downloaded.sha256)?, false))
    }
}

impl Download<'_> {
    fn packed(&self, entry: &CacheEntry) -> Packed {
        let source = without_credentials(self.lock_url);
        Packed { name: self.name.clone(), source, sha256: entry.sha256, size: entry.size }
    }
}

fn locked(packed: &Packed, raw: &CacheEntry, required: &Requirements) -> LockedInput {
    LockedInput {
        size: packed.size,
        sha256: packed.sha256,
        raw: Some((raw.size, raw.sha256)),
        signed_by: required.signed_by.clone(),
    }
}

//! Downloads OpenPGP keys and checks their fingerprints.

use super::cache::{Cache, CacheEntry, CacheKey};
use super::http::Client;
use super::lock::{LockFile, LockedInput};
use super::openpgp;
use crate::digest::Sha256;
use crate::error::{FileError, Result};
use crate::progress::Progress;

/// Limit for key files, in bytes.
const LARGEST_KEY: usize = 1 << 20;

/// Returns the key at `url`, from the cache if possible. The fingerprint is checked each time: the expected
/// fingerprint may have changed.
pub(crate) fn fetch(
    url: &str,
    fingerprint: &str,
    cache: &Cache,
    client: &Client,
    lock: &mut LockFile,
    progress: &dyn Progress,
) -> Result<CacheEntry> {
    let cached = match lock.get(url).map(|locked| locked.sha256) {
        Some(known) => cache.download(known)?,
        None => None,
    };
    let entry = match cached {
        Some(entry) => {
            let bytes = std::fs::read(&entry.path).map_err(FileError::new("read", &entry.path))?;
            openpgp::require_fingerprint(&bytes, fingerprint)?;
            entry
        }
        None => download(url, fingerprint, cache, client, progress)?,
    };
    lock.insert(url, LockedInput { size: entry.size, sha256: entry.sha256, raw: None, signed_by: None })?;
    Ok(entry)
}

fn download(
    url: &str,
    fingerprint: &str,
    cache: &Cache,
    client: &Client,
    progress: &dyn Progress,
) -> Result<CacheEntry> {
    let bytes = client.fetch_small(url, LARGEST_KEY, progress)?;
    openpgp::require_fingerprint(&bytes, fingerprint)?;
    let sha256 = Sha256::of(&bytes);
    let lock = cache.lock(CacheKey::Download(sha256), url, progress)?;
    std::fs::write(&lock.partial, &bytes).map_err(FileError::new("write", &lock.partial))?;
    cache.keep_download(&lock, sha256)
}

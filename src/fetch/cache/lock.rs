//! Locks of cache entries, and the partial files that only a lock's holder touches.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{discard, failed};
use crate::digest::Sha256;
use crate::error::Result;
use crate::files::atomic;
use crate::interrupt;
use crate::progress::Progress;

/// A partial download that isn't resumed for this long is removed.
const KEEP_PARTIAL: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often a lock that another build holds is tried again.
pub(super) const LOCK_POLL: Duration = Duration::from_millis(100);

/// What an entry is locked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheKey {
    /// A download whose hash is expected.
    Download(Sha256),
    /// A download without an expected hash: the hash of its URL.
    Url(Sha256),
    /// An unpacked base: the hash of its packed file.
    Raw(Sha256),
}

impl CacheKey {
    pub(crate) fn url(url: &str) -> Self {
        Self::Url(Sha256::of(url.as_bytes()))
    }

    fn name(&self) -> String {
        match self {
            Self::Download(hash) => format!("sha256-{hash}"),
            Self::Url(hash) => format!("url-{hash}"),
            Self::Raw(hash) => format!("raw-{hash}"),
        }
    }
}

/// Held while an entry is made.
#[derive(Debug)]
pub(crate) struct CacheLock {
    /// The file that will become the entry.
    pub(crate) partial: PathBuf,
    // Closing the file unlocks it.
    _file: File,
}

impl CacheLock {
    /// Locks `key` in the folder `locks`; its partial file is in `folder`.
    pub(super) fn wait(
        key: CacheKey,
        locks: &Path,
        folder: &Path,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let path = locks.join(key.name());
        let file = open_lock(&path).map_err(failed("create", &path))?;
        for tries in 0_u64.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    // At the first try, the holder may only be another build's sweep.
                    if tries == 1 {
                        progress.note(&format!("another build is preparing `{what}`; waiting for it"));
                    }
                    interrupt::check()?;
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::Error(e)) => return Err(failed("lock", &path)(e).into()),
            }
        }
        Ok(Self { partial: folder.join(format!("{}.partial", key.name())), _file: file })
    }
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

/// Removes unlocked partial files in `folder` that cannot be resumed or are old. Failures are ignored: a
/// leftover must not fail a build.
pub(super) fn sweep(folder: &Path, locks: &Path) {
    atomic::sweep_folder(folder);
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if let Some(key) = name.strip_suffix(".partial").filter(|key| !key.starts_with('.')) {
            // A partial download can be resumed, a partial unpacked base cannot.
            let is_useless = key.starts_with("raw-") || is_older(&path, KEEP_PARTIAL);
            let lock = open_lock(&locks.join(key)).ok().filter(|f| f.try_lock().is_ok());
            if is_useless && lock.is_some() {
                let _ = discard(&path);
            }
        }
    }
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|m| m.modified()).ok();
    modified.and_then(|m| SystemTime::now().duration_since(m).ok()).is_some_and(|d| d > age)
}

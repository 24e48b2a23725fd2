//! The cache: downloads under their SHA-256, unpacked bases under the SHA-256 of their packed file.
//!
//! ```text
//! sha256/<hex>           a download              sha256/<key>.partial   one in progress, resumable
//! raw/<hex>.img          an unpacked base        raw/<key>.partial      one in progress
//! known/<hex>            the SHA-256 of what has this other hash (SHA-512, or of the raw content)
//! known/file-<hex>       the SHA-256 of a file outside the cache, by its identity in the file system
//! locks/<key>            locked while an entry is made; never removed, or two builds could hold the lock
//! ```
//! Beside each entry, a side file `<entry>.json` has its size, hash and time of change. Entries appear by
//! rename, so several builds may share a cache; the second build waits and then finds the entry.

mod lock;
mod side;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub(crate) use lock::{CacheKey, CacheLock};

use side::{FileStamp, SideFile};

use crate::digest::{Digest, Sha256};
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::atomic::{self, Access, Existing, StagedError};
use crate::progress::Progress;

#[derive(Debug, thiserror::Error)]
#[error("the cache cannot be used")]
pub(crate) struct CacheError(#[from] FileError);

impl Explain for CacheError {
    fn exit(&self) -> Exit {
        Exit::Network
    }
    fn hint(&self) -> Option<String> {
        let also = "choose another cache with `--cache-dir`";
        Some(self.0.hint().map_or_else(|| also.into(), |hint| format!("{hint}, or {also}")))
    }
}

/// Adds the path, for `map_err`.
fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CacheError {
    let named = FileError::new(verb, path);
    move |source| CacheError(named(source))
}

/// A complete file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheEntry {
    pub(crate) path: PathBuf,
    /// Of the content; for an unpacked base, of the raw content.
    pub(crate) sha256: Sha256,
    /// In bytes.
    pub(crate) size: u64,
    /// The size in bytes of the packed file; for a download, its own.
    pub(crate) source_size: u64,
}

/// A folder of downloads and unpacked bases.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens or makes the cache in `dir`, and removes useless leftovers of killed builds.
    pub(crate) fn open(dir: &Path) -> Result<Self, CacheError> {
        for folder in ["sha256", "raw", "known", "locks"] {
            let path = dir.join(folder);
            fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        for folder in ["sha256", "raw", "known"] {
            lock::sweep(&dir.join(folder), &dir.join("locks"));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    #[cfg(test)]
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder for the compressed blocks of bases.
    pub(crate) fn blocks_dir(&self) -> PathBuf {
        self.dir.join("blocks")
    }

    /// The lock of `key`. Waits while another build holds it, with a note to `progress`; `what` is for the
    /// note.
    pub(crate) fn lock(&self, key: CacheKey, what: &str, progress: &dyn Progress) -> Result<CacheLock> {
        let folder = self.dir.join(if matches!(key, CacheKey::Raw(_)) { "raw" } else { "sha256" });
        CacheLock::wait(key, &self.dir.join("locks"), &folder, what, progress)
    }

    /// The download with this hash, if it is complete.
    pub(crate) fn download(&self, sha256: Sha256) -> Result<Option<CacheEntry>> {
        let path = self.download_path(sha256);
        let Some(stamp) = FileStamp::of(&path)? else { return Ok(None) };
        // A download's name is its hash: without a side file, the content can still be checked.
        let side = SideFile::read(&path).filter(|side| side.sha256 == sha256).unwrap_or(SideFile {
            sha256,
            stamp: FileStamp { modified: (0, 0), ..stamp },
            source_size: stamp.size,
            made_by: "download".into(),
        });
        checked(path, stamp, &side)
    }

    /// The base that was unpacked from the file with this hash, if it is complete.
    pub(crate) fn raw(&self, source: Sha256) -> Result<Option<CacheEntry>> {
        let path = self.raw_path(source);
        let Some(stamp) = FileStamp::of(&path)? else { return Ok(None) };
        match SideFile::read(&path) {
            Some(side) => checked(path, stamp, &side),
            None => discard(&path).map(|()| None),
        }
    }

    /// Makes the lock's partial file the download with this hash, which the caller has checked.
    pub(crate) fn keep_download(&self, lock: &CacheLock, sha256: Sha256) -> Result<CacheEntry> {
        keep(lock, self.download_path(sha256), sha256, None, "download")
    }

    /// Makes the lock's partial file the base unpacked from `source` (hash and size in bytes). `sha256` is that
    /// of the raw content, `made_by` the container.
    pub(crate) fn keep_raw(
        &self,
        lock: &CacheLock,
        source: (Sha256, u64),
        sha256: Sha256,
        made_by: &str,
    ) -> Result<CacheEntry> {
        keep(lock, self.raw_path(source.0), sha256, Some(source.1), made_by)
    }

    pub(crate) fn discard_download(&self, sha256: Sha256) -> Result<()> {
        discard(&self.download_path(sha256))
    }

    /// The SHA-256 that [`Cache::remember`] recorded for another hash of the same content.
    pub(crate) fn known(&self, other: &Digest) -> Option<Sha256> {
        read_hash(&self.known_path(other))
    }

    /// Records that the content with the hash `other` is cached under `sha256`.
    pub(crate) fn remember(&self, other: &Digest, sha256: Sha256) -> Result<()> {
        Ok(write_hash(&self.known_path(other), sha256)?)
    }

    /// The hash that [`Cache::remember_file`] recorded for the file with this identity in the file system.
    pub(crate) fn remembered(&self, identity: &str) -> Option<Sha256> {
        read_hash(&self.identity_path(identity))
    }

    /// Records the hash of a file outside the cache.
    pub(crate) fn remember_file(&self, identity: &str, sha256: Sha256) -> Result<(), CacheError> {
        write_hash(&self.identity_path(identity), sha256)
    }

    fn identity_path(&self, identity: &str) -> PathBuf {
        self.dir.join("known").join(format!("file-{}", Sha256::of(identity.as_bytes())))
    }

    fn known_path(&self, other: &Digest) -> PathBuf {
        self.dir.join("known").join(other.to_string())
    }

    fn download_path(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("sha256").join(sha256.to_string())
    }

    fn raw_path(&self, source: Sha256) -> PathBuf {
        self.dir.join("raw").join(format!("{source}.img"))
    }
}

/// The entry, if its size is right and its content unchanged; otherwise it is discarded.
fn checked(path: PathBuf, now: FileStamp, side: &SideFile) -> Result<Option<CacheEntry>> {
    let size = now.size;
    if size != side.stamp.size {
        return discard(&path).map(|()| None);
    }
    if now != side.stamp {
        let file = File::open(&path).map_err(failed("read", &path))?;
        if Sha256::of_reader(file).map_err(failed("read", &path))? != (side.sha256, size) {
            return discard(&path).map(|()| None);
        }
        // Only saves the next hashing. Reading from a read-only cache must work.
        let _ = SideFile { stamp: now, ..side.clone() }.write(&path);
    }
    Ok(Some(CacheEntry { path, sha256: side.sha256, size, source_size: side.source_size }))
}

fn discard(path: &Path) -> Result<()> {
    for path in [path, &side::path_of(path)] {
        remove_if_there(path).map_err(failed("remove", path))?;
    }
    Ok(())
}

fn keep(
    lock: &CacheLock,
    path: PathBuf,
    sha256: Sha256,
    source_size: Option<u64>,
    made_by: &str,
) -> Result<CacheEntry> {
    let partial = &lock.partial;
    let file = File::options().write(true).open(partial).map_err(failed("read", partial))?;
    // A crash must not leave an entry of the right size with holes instead of content.
    file.sync_data().map_err(failed("write", partial))?;
    drop(file);
    let stamp = FileStamp::of(partial)?.unwrap_or_default();
    // The side file of an earlier entry would describe another file until the new one is written.
    remove_if_there(&side::path_of(&path)).map_err(failed("remove", &path))?;
    fs::rename(partial, &path).map_err(failed("create", &path))?;
    let source_size = source_size.unwrap_or(stamp.size);
    SideFile { sha256, stamp, source_size, made_by: made_by.into() }.write(&path)?;
    let _ = fs::remove_file(side::path_of(partial));
    Ok(CacheEntry { path, sha256, size: stamp.size, source_size })
}

fn read_hash(path: &Path) -> Option<Sha256> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn write_hash(path: &Path, sha256: Sha256) -> Result<(), CacheError> {
    write_shared(path, format!("{sha256}\n").as_bytes())
}

/// Writes a small file that other users of the cache may read.
fn write_shared(path: &Path, content: &[u8]) -> Result<(), CacheError> {
    atomic::write(path, content, Access::Shared, Existing::Replace).map_err(|error| match error {
        StagedError::File(error) => CacheError(error),
        other => failed("write", path)(std::io::Error::other(other)),
    })
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

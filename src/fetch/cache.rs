//! The cache: downloads under their SHA-256, unpacked bases under the SHA-256 of what they came from.
//!
//! ```text
//! sha256/<hex>           a download              sha256/<key>.partial   one under way, resumable
//! raw/<hex>.img          an unpacked base        raw/<key>.partial      one being unpacked
//! known/<hex>            another hash (SHA-512, or that of the raw content) of the same thing
//! known/file-<hex>       the hash of a file elsewhere, by what its file system tells
//! locks/<key>            held by who makes an entry; never removed, or two could hold "the" lock
//! ```
//! Beside each entry `<entry>.json` says its size, hash and time of change. Entries appear by rename, so
//! several builds may share a cache; the one that comes second waits and finds the entry made.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Sha256};
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::atomic::{self, Access, Existing, StagedError};
use crate::interrupt;
use crate::progress::Progress;

/// A download that nobody resumed for this long is removed.
const KEEP_PARTIAL: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often a lock that another build holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// The cache can't be used.
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

/// What an entry is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A download whose hash is known beforehand.
    Download(Sha256),
    /// A download of which only the URL is known; this is the URL's hash.
    Url(Sha256),
    /// An unpacked base; this is the hash of what it is unpacked from.
    Raw(Sha256),
}

impl Key {
    /// The key of a URL.
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

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// The hash of its content; for an unpacked base that is the raw content.
    pub(crate) sha256: Sha256,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// The size in bytes of what it was made from; of a download, its own.
    pub(crate) source_size: u64,
}

/// What tells cheaply whether a file is still the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    /// Seconds and nanoseconds since 1970. A file that was changed since is hashed again before it's used.
    modified: (u64, u32),
}

/// What lies beside an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Side {
    sha256: Sha256,
    #[serde(flatten)]
    stamp: Stamp,
    source_size: u64,
    /// How it was made: `download`, or the container it was unpacked from.
    made_by: String,
}

/// Held while an entry is made; only its holder touches the entry's partial file.
#[derive(Debug)]
pub(crate) struct KeyLock {
    /// Where to write what will become the entry.
    pub(crate) partial: PathBuf,
    // Closing it unlocks it.
    _file: File,
}

/// A folder of downloads and unpacked bases; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens or makes the cache in `dir`, and removes what killed runs left and nobody can use.
    pub(crate) fn open(dir: &Path) -> Result<Self, CacheError> {
        for part in ["sha256", "raw", "known", "locks"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(failed("create", &path))?;
        }
        for part in ["sha256", "raw", "known"] {
            sweep(&dir.join(part), &dir.join("locks"));
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

    /// The lock of `key`. Waits, and says so once, while another build holds it.
    pub(crate) fn lock(&self, key: Key, what: &str, progress: &dyn Progress) -> Result<KeyLock> {
        let path = self.dir.join("locks").join(key.name());
        let file = open_lock(&path).map_err(failed("create", &path))?;
        for tries in 0_u64.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    // The first time it may only be someone's sweep.
                    if tries == 1 {
                        progress.note(&format!("another build is preparing `{what}`; waiting for it"));
                    }
                    interrupt::check()?;
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::Error(e)) => return Err(failed("lock", &path)(e).into()),
            }
        }
        Ok(KeyLock { partial: self.part(key).join(format!("{}.partial", key.name())), _file: file })
    }

    /// The download with this hash, if it is there and whole.
    pub(crate) fn download(&self, sha256: Sha256) -> Result<Option<Entry>> {
        let path = self.dir.join("sha256").join(sha256.to_string());
        let Some(stamp) = stat(&path)? else { return Ok(None) };
        // Its name is its hash: without a side file it's still known what it should be.
        let side = read_side(&path).filter(|side| side.sha256 == sha256).unwrap_or(Side {
            sha256,
            stamp: Stamp { size: stamp.size, modified: (0, 0) },
            source_size: stamp.size,
            made_by: "download".into(),
        });
        checked(path, stamp, side)
    }

    /// The base that was unpacked from what has this hash, if it is there and whole.
    pub(crate) fn raw(&self, source: Sha256) -> Result<Option<Entry>> {
        let path = self.raw_path(source);
        let Some(stamp) = stat(&path)? else { return Ok(None) };
        match read_side(&path) {
            Some(side) => checked(path, stamp, side),
            None => discard(&path).map(|()| None),
        }
    }

    /// Makes the lock's partial file the download with this hash. The caller has checked the hash.
    pub(crate) fn keep_download(&self, lock: &KeyLock, sha256: Sha256) -> Result<Entry> {
        let path = self.dir.join("sha256").join(sha256.to_string());
        keep(lock, path, sha256, None, "download")
    }

    /// Makes the lock's partial file the base unpacked from `source` (hash and size in bytes); `sha256` is
    /// that of the raw content, `made_by` how it was packed.
    pub(crate) fn keep_raw(
        &self,
        lock: &KeyLock,
        source: (Sha256, u64),
        sha256: Sha256,
        made_by: &str,
    ) -> Result<Entry> {
        keep(lock, self.raw_path(source.0), sha256, Some(source.1), made_by)
    }

    /// Throws the download with this hash away.
    pub(crate) fn discard_download(&self, sha256: Sha256) -> Result<()> {
        discard(&self.dir.join("sha256").join(sha256.to_string()))
    }

    /// The SHA-256 under which something is cached, by another hash that [`Cache::remember`] was told.
    pub(crate) fn known(&self, other: &Digest) -> Option<Sha256> {
        fs::read_to_string(self.known_path(other)).ok()?.trim().parse().ok()
    }

    /// Remembers that what has the hash `other` is cached under `sha256`.
    pub(crate) fn remember(&self, other: &Digest, sha256: Sha256) -> Result<()> {
        let path = self.known_path(other);
        Ok(write_shared(&path, format!("{sha256}\n").as_bytes())?)
    }

    /// The hash of the file of which the file system tells `identity`, if [`Cache::remember_file`] was told.
    pub(crate) fn remembered(&self, identity: &str) -> Option<Sha256> {
        fs::read_to_string(self.identity_path(identity)).ok()?.trim().parse().ok()
    }

    /// Remembers the hash of a file outside the cache.
    pub(crate) fn remember_file(&self, identity: &str, sha256: Sha256) -> Result<(), CacheError> {
        write_shared(&self.identity_path(identity), format!("{sha256}\n").as_bytes())
    }

    fn identity_path(&self, identity: &str) -> PathBuf {
        self.dir.join("known").join(format!("file-{}", Sha256::of(identity.as_bytes())))
    }

    fn known_path(&self, other: &Digest) -> PathBuf {
        self.dir.join("known").join(other.to_string())
    }

    fn raw_path(&self, source: Sha256) -> PathBuf {
        self.dir.join("raw").join(format!("{source}.img"))
    }

    fn part(&self, key: Key) -> PathBuf {
        self.dir.join(if matches!(key, Key::Raw(_)) { "raw" } else { "sha256" })
    }
}

/// The entry, if its size is right and its content unchanged; else it is thrown away.
fn checked(path: PathBuf, now: Stamp, kept: Side) -> Result<Option<Entry>> {
    let size = now.size;
    if size != kept.stamp.size {
        return discard(&path).map(|()| None);
    }
    if now != kept.stamp {
        let file = File::open(&path).map_err(failed("read", &path))?;
        let hashed = Sha256::of_reader(file);
        interrupt::check()?;
        if hashed.map_err(failed("read", &path))? != (kept.sha256, size) {
            return discard(&path).map(|()| None);
        }
        // Only saves the next hashing; a cache that can't be written is good enough to read.
        let _ = write_side(&path, &Side { stamp: now, ..kept });
    }
    Ok(Some(Entry { path, sha256: kept.sha256, size, source_size: kept.source_size }))
}

fn discard(path: &Path) -> Result<()> {
    for path in [path, &side_path(path)] {
        remove_if_there(path).map_err(failed("remove", path))?;
    }
    Ok(())
}

/// Removes leftovers below `part`, as far as nobody works on them. Never an error: it's only housekeeping.
fn sweep(part: &Path, locks: &Path) {
    let is_older = |path: &Path, age| {
        let modified = fs::metadata(path).and_then(|m| m.modified()).ok();
        modified.and_then(|m| SystemTime::now().duration_since(m).ok()).is_some_and(|d| d > age)
    };
    atomic::sweep_folder(part);
    for path in fs::read_dir(part).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if let Some(key) = name.strip_suffix(".partial").filter(|key| !key.starts_with('.')) {
            // What was half unpacked can't be continued, what was half downloaded can.
            let useless = key.starts_with("raw-") || is_older(&path, KEEP_PARTIAL);
            let lock = open_lock(&locks.join(key)).ok().filter(|f| f.try_lock().is_ok());
            if useless && lock.is_some() {
                let _ = discard(&path);
            }
        }
    }
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

fn keep(
    lock: &KeyLock,
    path: PathBuf,
    sha256: Sha256,
    source_size: Option<u64>,
    made_by: &str,
) -> Result<Entry> {
    let partial = &lock.partial;
    let file = File::options().write(true).open(partial).map_err(failed("read", partial))?;
    // A crash must not leave an entry of the right size with holes where content should be.
    file.sync_data().map_err(failed("write", partial))?;
    drop(file);
    let stamp = stat(partial)?.unwrap_or_default();
    // Until the new side file is there, one of an earlier entry would speak of a wrong file.
    remove_if_there(&side_path(&path)).map_err(failed("remove", &path))?;
    fs::rename(partial, &path).map_err(failed("create", &path))?;
    let source_size = source_size.unwrap_or(stamp.size);
    let side = Side { sha256, stamp, source_size, made_by: made_by.into() };
    write_side(&path, &side)?;
    let _ = fs::remove_file(side_path(partial));
    Ok(Entry { path, sha256, size: stamp.size, source_size })
}

/// Size and time of change; `None` if it isn't there.
fn stat(path: &Path) -> Result<Option<Stamp>, CacheError> {
    match fs::metadata(path) {
        Ok(meta) => {
            let since = meta.modified().ok().and_then(|m| m.duration_since(SystemTime::UNIX_EPOCH).ok());
            let modified = since.map_or((0, 0), |d| (d.as_secs(), d.subsec_nanos()));
            Ok(Some(Stamp { size: meta.len(), modified }))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path)(e)),
    }
}

fn side_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

fn read_side(path: &Path) -> Option<Side> {
    serde_json::from_slice(&fs::read(side_path(path)).ok()?).ok()
}

fn write_side(path: &Path, side: &Side) -> Result<(), CacheError> {
    let json = serde_json::to_vec_pretty(side).map_err(|e| failed("write", path)(e.into()))?;
    write_shared(&side_path(path), &json)
}

/// Writes a small file that other users of the cache may read.
fn write_shared(path: &Path, content: &[u8]) -> Result<(), CacheError> {
    atomic::write(path, content, Access::Shared, Existing::Replace).map_err(|error| match error {
        StagedError::File(error) => CacheError(error),
        other => CacheError(FileError::new("write", path)(std::io::Error::other(other))),
    })
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::progress::{Silent, Task};

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        (dir, cache)
    }

    fn put(cache: &Cache, content: &[u8]) -> Entry {
        let hash = Sha256::of(content);
        let lock = cache.lock(Key::Download(hash), "it", &Silent).unwrap();
        fs::write(&lock.partial, content).unwrap();
        cache.keep_download(&lock, hash).unwrap()
    }

    #[test]
    fn a_download_is_found_again_by_its_hash() {
        let (_dir, cache) = cache();
        assert_eq!(cache.download(Sha256::of(b"x")).unwrap(), None);
        let entry = put(&cache, b"x");
        assert_eq!(cache.download(Sha256::of(b"x")).unwrap(), Some(entry.clone()));
        assert_eq!(fs::read(&entry.path).unwrap(), b"x");
        let left: Vec<_> = fs::read_dir(cache.dir().join("sha256")).unwrap().collect();
        assert_eq!(left.len(), 2, "the entry and its side file: {left:?}");
    }

    #[test]
    fn what_was_damaged_is_thrown_away_and_what_was_only_touched_is_not() {
        let (_dir, cache) = cache();
        let hash = Sha256::of(b"content");
        let entry = put(&cache, b"content");
        fs::write(&entry.path, b"short").unwrap();
        assert_eq!(cache.download(hash).unwrap(), None, "another size");
        assert!(!entry.path.exists());

        put(&cache, b"content");
        let tick = |path: &Path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
        };
        fs::write(&entry.path, b"CONTENT").unwrap();
        tick(&entry.path);
        assert_eq!(cache.download(hash).unwrap(), None, "the same size, another content");

        put(&cache, b"content");
        tick(&entry.path);
        assert_eq!(cache.download(hash).unwrap(), Some(entry.clone()));
        assert_eq!(read_side(&entry.path).unwrap().stamp.modified, (7, 0), "hashed once, not each time");

        fs::remove_file(side_path(&entry.path)).unwrap();
        assert_eq!(cache.download(hash).unwrap(), Some(entry), "a lost side file is made anew");
    }

    #[test]
    fn a_raw_base_without_its_side_file_is_not_trusted() {
        let (_dir, cache) = cache();
        let source = Sha256::of(b"compressed");
        let lock = cache.lock(Key::Raw(source), "base", &Silent).unwrap();
        fs::write(&lock.partial, b"raw").unwrap();
        let entry = cache.keep_raw(&lock, (source, 10), Sha256::of(b"raw"), "xz").unwrap();
        assert_eq!(cache.raw(source).unwrap(), Some(entry.clone()));
        fs::remove_file(side_path(&entry.path)).unwrap();
        assert_eq!(cache.raw(source).unwrap(), None);
        assert!(!entry.path.exists());
    }

    #[test]
    fn leftovers_of_killed_runs_go_unless_someone_works_on_them() {
        let (_dir, cache) = cache();
        let partial = |key| cache.lock(key, "it", &Silent).unwrap().partial;
        let raw = partial(Key::Raw(Sha256::of(b"1")));
        let resumable = partial(Key::url("http://a/"));
        let forgotten = partial(Key::url("http://b/"));
        let busy = cache.lock(Key::Raw(Sha256::of(b"2")), "it", &Silent).unwrap();
        for path in [&raw, &resumable, &forgotten, &busy.partial] {
            fs::write(path, b"half").unwrap();
        }
        File::options().write(true).open(&forgotten).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        Cache::open(cache.dir()).unwrap();
        let there = [&raw, &resumable, &forgotten, &busy.partial].map(|p| p.exists());
        assert_eq!(there, [false, true, false, true]);
    }

    #[test]
    fn two_builds_make_an_entry_once_and_the_second_says_that_it_waits() {
        struct Notes(Mutex<Vec<String>>);
        impl Progress for Notes {
            fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
                Box::new(Silent)
            }
            fn note(&self, text: &str) {
                self.0.lock().unwrap().push(text.into());
            }
        }
        let (_dir, cache) = cache();
        let notes = Notes(Mutex::new(Vec::new()));
        let made = AtomicU32::new(0);
        let hash = Sha256::of(b"it");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let lock = cache.lock(Key::Download(hash), "it", &notes).unwrap();
                    if cache.download(hash).unwrap().is_none() {
                        made.fetch_add(1, Ordering::Relaxed);
                        // Long enough that the other one comes meanwhile; nothing is measured by it.
                        std::thread::sleep(LOCK_POLL * 5);
                        fs::write(&lock.partial, b"it").unwrap();
                        cache.keep_download(&lock, hash).unwrap();
                    }
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        assert_eq!(notes.0.into_inner().unwrap(), ["another build is preparing `it`; waiting for it"]);
    }

    #[test]
    fn other_hashes_lead_to_the_entry() {
        let (_dir, cache) = cache();
        let other: Digest = "ab".repeat(64).parse().unwrap();
        assert_eq!(cache.known(&other), None);
        cache.remember(&other, Sha256::of(b"x")).unwrap();
        assert_eq!(cache.known(&other), Some(Sha256::of(b"x")));
    }

    #[test]
    fn a_cache_that_cannot_be_made_says_where_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = crate::Error::from(Cache::open(&file).unwrap_err());
        assert_eq!(error.exit(), Exit::Network);
        assert!(error.to_string().starts_with("the cache cannot be used: cannot create `"), "{error}");
        assert!(error.hint().unwrap().contains("--cache-dir"));
    }
}

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::lock::LOCK_POLL;
use super::*;
use crate::progress::Silent;
use crate::progress::testing::Recorder;

fn cache() -> (tempfile::TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(&dir.path().join("cache")).unwrap();
    (dir, cache)
}

fn put(cache: &Cache, content: &[u8]) -> CacheEntry {
    let hash = Sha256::of(content);
    let lock = cache.lock(CacheKey::Download(hash), "it", &Silent).unwrap();
    fs::write(&lock.partial, content).unwrap();
    cache.keep_download(&lock, hash).unwrap()
}

#[test]
fn download_is_found_by_its_hash() {
    let (_dir, cache) = cache();
    assert_eq!(cache.download(Sha256::of(b"x")).unwrap(), None);
    let entry = put(&cache, b"x");
    assert_eq!(cache.download(Sha256::of(b"x")).unwrap(), Some(entry.clone()));
    assert_eq!(fs::read(&entry.path).unwrap(), b"x");
    let left: Vec<_> = fs::read_dir(cache.dir().join("sha256")).unwrap().collect();
    assert_eq!(left.len(), 2, "the entry and its side file: {left:?}");
}

#[test]
fn damaged_download_is_discarded_and_touched_one_is_kept() {
    let (_dir, cache) = cache();
    let hash = Sha256::of(b"content");
    let entry = put(&cache, b"content");
    fs::write(&entry.path, b"short").unwrap();
    assert_eq!(cache.download(hash).unwrap(), None, "another size");
    assert!(!entry.path.exists());

    put(&cache, b"content");
    let touch = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7)).unwrap();
    };
    fs::write(&entry.path, b"CONTENT").unwrap();
    touch(&entry.path);
    assert_eq!(cache.download(hash).unwrap(), None, "the same size, another content");

    put(&cache, b"content");
    touch(&entry.path);
    assert_eq!(cache.download(hash).unwrap(), Some(entry.clone()));
    assert_eq!(SideFile::read(&entry.path).unwrap().stamp.modified, (7, 0), "hashed once, not each time");

    fs::remove_file(side::path_of(&entry.path)).unwrap();
    assert_eq!(cache.download(hash).unwrap(), Some(entry), "a lost side file is written again");
}

#[test]
fn raw_base_without_side_file_is_discarded() {
    let (_dir, cache) = cache();
    let source = Sha256::of(b"compressed");
    let lock = cache.lock(CacheKey::Raw(source), "base", &Silent).unwrap();
    fs::write(&lock.partial, b"raw").unwrap();
    let entry = cache.keep_raw(&lock, (source, 10), Sha256::of(b"raw"), "xz").unwrap();
    assert_eq!(cache.raw(source).unwrap(), Some(entry.clone()));
    fs::remove_file(side::path_of(&entry.path)).unwrap();
    assert_eq!(cache.raw(source).unwrap(), None);
    assert!(!entry.path.exists());
}

#[test]
fn sweep_removes_stale_partials_and_keeps_locked_ones() {
    let (_dir, cache) = cache();
    let partial = |key| cache.lock(key, "it", &Silent).unwrap().partial;
    let raw = partial(CacheKey::Raw(Sha256::of(b"1")));
    let resumable = partial(CacheKey::url("http://a/"));
    let forgotten = partial(CacheKey::url("http://b/"));
    let busy = cache.lock(CacheKey::Raw(Sha256::of(b"2")), "it", &Silent).unwrap();
    for path in [&raw, &resumable, &forgotten, &busy.partial] {
        fs::write(path, b"half").unwrap();
    }
    File::options().write(true).open(&forgotten).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    Cache::open(cache.dir()).unwrap();
    let there = [&raw, &resumable, &forgotten, &busy.partial].map(|p| p.exists());
    assert_eq!(there, [false, true, false, true]);
}

#[test]
fn second_build_waits_for_the_lock_with_a_note() {
    let (_dir, cache) = cache();
    let recorder = Recorder::default();
    let made = AtomicU32::new(0);
    let hash = Sha256::of(b"it");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let lock = cache.lock(CacheKey::Download(hash), "it", &recorder).unwrap();
                if cache.download(hash).unwrap().is_none() {
                    made.fetch_add(1, Ordering::Relaxed);
                    // Long enough for the other thread to reach the lock; no time is measured.
                    std::thread::sleep(LOCK_POLL * 5);
                    fs::write(&lock.partial, b"it").unwrap();
                    cache.keep_download(&lock, hash).unwrap();
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    assert_eq!(recorder.notes(), ["another build is preparing `it`; waiting for it"]);
}

#[test]
fn other_digest_leads_to_the_entry() {
    let (_dir, cache) = cache();
    let other: Digest = "ab".repeat(64).parse().unwrap();
    assert_eq!(cache.known(&other), None);
    cache.remember(&other, Sha256::of(b"x")).unwrap();
    assert_eq!(cache.known(&other), Some(Sha256::of(b"x")));
}

#[test]
fn unusable_cache_folder_is_named_with_hint() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = crate::Error::from(Cache::open(&file).unwrap_err());
    assert_eq!(error.exit(), Exit::Network);
    assert!(error.to_string().starts_with("the cache cannot be used: cannot create `"), "{error}");
    assert!(error.hint().unwrap().contains("--cache-dir"));
}

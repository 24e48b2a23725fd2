//! Prepares bases from a server on the loopback interface and from local files.

mod unavailable;

use std::fs;
use std::io::Write;
use std::time::Duration;

use httptest::matchers::request::method_path;
use httptest::responders::status_code;
use httptest::{Expectation as Expect, Server};

use super::*;
use crate::fetch::http::ClientSettings;
use crate::fetch::lock::LockedInput;
use crate::fetch::openpgp;
use crate::progress::Silent;
use crate::progress::testing::Recorder;

/// A small disk image: only the MBR signature and some bytes that depend on `seed`.
fn disk(seed: u8) -> Vec<u8> {
    let mut disk = vec![0; 256 << 10];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[100_000..100_064].fill(seed);
    disk
}

fn xz(data: &[u8]) -> Vec<u8> {
    xz2::encode_all(data, 0).unwrap()
}

fn sum(data: &[u8]) -> String {
    Sha256::of(data).to_string()
}

/// A folder with a cache and a lock, and a client for the loopback.
struct Setup {
    dir: tempfile::TempDir,
    cache: Cache,
    client: Client,
    lock: LockFile,
    notes: Recorder,
    insecure: bool,
    /// Fingerprint and location of the key that must have signed the base.
    publisher: Option<(String, String)>,
}

impl Setup {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let first_pause = Duration::from_millis(1);
        let client =
            Client::new(ClientSettings { tries: 2, first_pause, proxy: false, ..ClientSettings::default() });
        Self {
            dir,
            cache,
            client,
            lock: LockFile::in_memory(),
            notes: Recorder::default(),
            insecure: false,
            publisher: None,
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.dir.path().join(name), content).unwrap();
    }

    fn prepare(&mut self, source: &str, pin: Option<&str>) -> Result<Prepared> {
        let request = Request {
            source,
            sha256: pin.map(|pin| pin.parse().unwrap()),
            publisher: self.publisher.as_ref().map(|(fingerprint, key)| Publisher { fingerprint, key }),
            insecure_no_checksum: self.insecure,
            relative_to: self.dir.path(),
        };
        prepare(&request, &self.cache, &self.client, &mut self.lock, &self.notes)
    }

    /// Prepares a catalog's base with these URLs.
    fn prepare_known(&mut self, urls: &[String], sha256: Option<Sha256>) -> Result<Prepared> {
        let urls: Vec<&'static str> = urls.iter().map(|url| &*url.clone().leak()).collect();
        let source = Source::Published { urls: urls.leak(), sha256 };
        let known = Known { source, ..*catalog::find("debian-13").unwrap() };
        let request = Request {
            source: known.name,
            sha256: None,
            publisher: None,
            insecure_no_checksum: self.insecure,
            relative_to: self.dir.path(),
        };
        let Self { cache, client, notes, .. } = self;
        let preparing = Preparing { request: &request, pin: None, key: None, cache, client, progress: notes };
        preparing.url(Some(&known), &mut self.lock)
    }

    fn refused(&mut self, source: &str, pin: Option<&str>) -> crate::Error {
        self.prepare(source, pin).unwrap_err()
    }
}

fn serve(server: &Server, path: &str, times: usize, body: &[u8]) -> String {
    let path: &'static str = path.to_owned().leak();
    let answer = status_code(200).body(body.to_vec());
    server.expect(Expect::matching(method_path("GET", path)).times(times).respond_with(answer));
    server.url_str(path)
}

fn missing(server: &Server, paths: &[&'static str]) {
    for path in paths {
        server.expect(Expect::matching(method_path("GET", *path)).times(..).respond_with(status_code(404)));
    }
}

#[test]
fn sample_works_offline_and_is_unpacked_once() {
    let mut setup = Setup::new();
    setup.client = Client::offline();
    let prepared = setup.prepare("sample", None).unwrap();
    assert!(prepared.sample);
    assert_eq!(prepared.raw_path.metadata().unwrap().len(), prepared.raw_size);
    assert!(unpack::is_raw(&prepared.raw_path).unwrap());
    let made = prepared.raw_path.metadata().unwrap().modified().unwrap();
    assert_eq!(setup.prepare("sample", None).unwrap(), prepared);
    assert_eq!(prepared.raw_path.metadata().unwrap().modified().unwrap(), made);
    assert_eq!(setup.prepare("sample", Some(&prepared.raw_sha256.to_string())).unwrap(), prepared);
    assert_eq!(setup.refused("sample", Some(&"0".repeat(64))).exit(), Exit::Verification);
}

#[test]
fn url_is_verified_downloaded_once_and_locked() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let (disk, packed) = (disk(1), xz(&disk(1)));
    let url = serve(&server, "/base.img.xz", 1, &packed);
    let line = format!("{}  base.img.xz\n", sum(&packed));
    serve(&server, "/base.img.xz.sha256", 1, line.as_bytes());
    let prepared = setup.prepare(&url, None).unwrap();
    assert!(fs::read(&prepared.raw_path).unwrap() == disk);
    assert_eq!((prepared.name.as_str(), prepared.sample), ("base.img.xz", false));
    assert_eq!((prepared.source_sha256, prepared.raw_sha256), (Sha256::of(&packed), Sha256::of(&disk)));
    let raw = Some((disk.len() as u64, prepared.raw_sha256));
    let locked =
        LockedInput { size: packed.len() as u64, sha256: prepared.source_sha256, raw, signed_by: None };
    assert_eq!(setup.lock.get(&url), Some(&locked));

    // With the lock, no request is made, even without the packed file.
    setup.cache.discard_download(prepared.source_sha256).unwrap();
    setup.client = Client::offline();
    assert_eq!(setup.prepare(&url, None).unwrap(), prepared);
    assert_eq!(setup.prepare(&url, Some(&sum(&disk))).unwrap(), prepared);
    let error = setup.refused(&url, Some(&sum(b"other")));
    assert!(error.to_string().contains("differs from `magi.lock`"), "{error}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn pin_matches_packed_file_or_raw_image() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let (raw, packed) = (disk(2), xz(&disk(2)));
    let url = serve(&server, "/base", 1, &packed);
    let prepared = setup.prepare(&url, Some(&sum(&raw))).unwrap();
    assert_eq!(prepared.raw_sha256, Sha256::of(&raw));
    // The cache remembers which file the pin belongs to, also without the lock.
    setup.lock = LockFile::in_memory();
    setup.client = Client::offline();
    assert_eq!(setup.prepare(&url, Some(&sum(&raw))).unwrap(), prepared);
    setup.lock = LockFile::in_memory();
    assert_eq!(setup.prepare(&url, Some(&sum(&packed).to_uppercase())).unwrap(), prepared);

    let mut setup = Setup::new();
    let url = serve(&server, "/base", 1, &packed);
    let error = setup.refused(&url, Some(&sum(b"other")));
    let (is, was) = (sum(&packed), sum(b"other"));
    let expected =
        format!("`{url}` has SHA-256 {is}, and its raw image {}, but the profile expects {was}", sum(&raw));
    assert_eq!(error.to_string(), expected);
    assert_eq!(setup.lock.get(&url), None);
}

#[test]
fn checksum_files_beside_a_url_are_used() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let packed = xz(&disk(3));
    missing(&server, &["/a/b.img.xz.sha256", "/c/b.img.xz.sha256", "/c/SHA256SUMS", "/d/b.img.xz.sha256"]);
    let url = serve(&server, "/a/b.img.xz", 1, &packed);
    // A list of several files with the hash of the raw image.
    let list = format!("{}  other\n{}  b.img\n", sum(b""), sum(&disk(3)));
    serve(&server, "/a/SHA256SUMS", 1, list.as_bytes());
    setup.prepare(&url, None).unwrap();

    let mut setup = Setup::new();
    let url = serve(&server, "/c/b.img.xz", 1, &packed);
    let like: crate::digest::Digest = "0".repeat(128).parse().unwrap();
    let sha512 = like.same_of_reader(&packed[..]).unwrap();
    serve(&server, "/c/SHA512SUMS", 2, format!("{sha512} *b.img.xz\n").as_bytes());
    setup.prepare(&url, None).unwrap();
    setup.lock = LockFile::in_memory();
    setup.prepare(&url, None).unwrap();

    // A checksum file that has the name from before a rename.
    let mut setup = Setup::new();
    let url = serve(&server, "/e/b.img.xz", 1, &packed);
    serve(&server, "/e/b.img.xz.sha256", 1, format!("{}  20231109_b.img.xz\n", sum(&packed)).as_bytes());
    setup.prepare(&url, None).unwrap();

    let mut setup = Setup::new();
    let url = serve(&server, "/d/b.img.xz", 1, &packed);
    serve(&server, "/d/SHA256SUMS", 1, format!("{}  b.img.xz", sum(b"other")).as_bytes());
    let error = setup.refused(&url, None);
    let text = error.to_string();
    assert!(text.contains(&sum(&packed)) && text.contains(&sum(b"other")), "{text}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn missing_checksum_is_refused_unless_insecure_is_requested() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let packed = xz(&disk(4));
    missing(&server, &["/b.xz.sha256", "/SHA512SUMS"]);
    serve(&server, "/SHA256SUMS", 2, b"<html>");
    // Asked for twice: without a checksum, to tell a missing image from a missing checksum.
    let url = serve(&server, "/b.xz", 2, &packed);
    let error = setup.refused(&url, None);
    let list = server.url_str("/SHA256SUMS");
    assert_eq!(
        error.to_string(),
        format!("nothing says what SHA-256 `{url}` must have: `{list}` holds no SHA-256 or SHA-512 sums")
    );
    assert_eq!(error.exit(), Exit::Verification);
    assert!(error.hint().unwrap().contains("--insecure-no-checksum"));
    setup.insecure = true;
    setup.prepare(&url, None).unwrap();
    assert_eq!(setup.lock.get(&url), None, "an unverified base isn't locked");
    let notes = setup.notes.notes();
    assert!(notes.iter().any(|note| note.contains(&sum(&packed))), "{notes:?}");
}

#[test]
fn damaged_cache_entries_are_replaced() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let packed = xz(&disk(5));
    let url = serve(&server, "/b.xz", 2, &packed);
    let pin = sum(&packed);
    let prepared = setup.prepare(&url, Some(&pin)).unwrap();
    // The raw image is missing, and the download is damaged, with the same size and mtime.
    fs::remove_file(&prepared.raw_path).unwrap();
    let download = setup.cache.dir().join("sha256").join(&pin);
    let modified = download.metadata().unwrap().modified().unwrap();
    let mut damaged = packed.clone();
    damaged[packed.len() / 2] ^= 1;
    fs::write(&download, damaged).unwrap();
    fs::File::options().write(true).open(&download).unwrap().set_modified(modified).unwrap();
    assert_eq!(setup.prepare(&url, Some(&pin)).unwrap(), prepared);
    assert_eq!(setup.notes.notes(), ["the cached `b.xz` is damaged; downloading it again"]);
    // A modified raw image isn't used.
    let file = fs::File::options().write(true).open(&prepared.raw_path).unwrap();
    (&file).write_all(b"boo").unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(setup.prepare(&url, Some(&pin)).unwrap(), prepared);
    assert!(fs::read(&prepared.raw_path).unwrap() == disk(5));
}

#[test]
fn concurrent_builds_share_one_download() {
    let (server, setup) = (Server::run(), Setup::new());
    let packed = xz(&disk(6));
    let url = serve(&server, "/b.xz", 1, &packed);
    let pin = sum(&packed);
    let build = || {
        let relative_to = Path::new("");
        let request = Request {
            source: &url,
            sha256: Some(pin.parse().unwrap()),
            publisher: None,
            insecure_no_checksum: false,
            relative_to,
        };
        let cache = Cache::open(setup.cache.dir()).unwrap();
        prepare(&request, &cache, &setup.client, &mut LockFile::in_memory(), &Silent).unwrap()
    };
    let (a, b) = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(build), scope.spawn(build));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_eq!(a, b);
    assert!(fs::read(&a.raw_path).unwrap() == disk(6));
}

#[test]
fn local_files_are_verified_and_raw_files_are_used_in_place() {
    let mut setup = Setup::new();
    let (raw, packed) = (disk(7), xz(&disk(7)));
    setup.write("b.img", &raw);
    setup.write("b.img.xz", &packed);
    assert_eq!(setup.refused("b.img", None).exit(), Exit::Verification);
    setup.write("b.img.xz.sha256", format!("{}\n", sum(&packed)).as_bytes());
    setup.write("SHA256SUMS", format!("{}  b.img\n", sum(&raw)).as_bytes());
    let direct = setup.prepare("b.img", None).unwrap();
    assert_eq!(direct.raw_path, setup.dir.path().join("b.img"));
    let unpacked = setup.prepare("b.img.xz", None).unwrap();
    assert_eq!(unpacked.raw_sha256, direct.raw_sha256);
    assert!(fs::read(&unpacked.raw_path).unwrap() == raw);
    setup.prepare("./b.img.xz", Some(&sum(&raw))).unwrap();

    setup.write("b.img", &disk(8));
    let text = setup.refused("b.img", None).to_string();
    assert!(text.contains(&sum(&disk(8))) && text.contains(&sum(&raw)), "{text}");
    setup.write("b.zip", b"PK\x03\x04");
    assert!(setup.refused("b.zip", None).to_string().contains("zip"));
}

#[test]
fn unknown_or_unavailable_base_gets_a_hint() {
    let mut setup = Setup::new();
    let error = setup.refused("debian-12-raspi", None);
    assert_eq!(error.to_string(), "`debian-12-raspi` is no built-in base, no URL and no file");
    assert_eq!(error.hint().as_deref(), Some("did you mean `debian-12-raspi4`?"));
    assert_eq!(error.exit(), Exit::Usage);
    assert!(setup.refused("./none.img", None).hint().unwrap().contains("`debian-13`, `debian-12-raspi4`"));
    assert!(setup.refused(".", None).to_string().ends_with("is not a file"));
    assert_eq!(setup.refused("ftp://h/x.img", Some(&sum(b""))).exit(), Exit::Usage);
    setup.client = Client::offline();
    let error = setup.refused("debian-12-raspi4", None);
    assert!(error.hint().unwrap().contains("magi-image fetch"), "{error}");
    assert_eq!(error.exit(), Exit::Network);
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fetch/openpgp/fixtures/", $name))
    };
}

/// A setup with the disk that the fixtures sign, and `key` as the publisher's key.
fn signed_setup(key: &[u8]) -> Setup {
    let mut setup = Setup::new();
    setup.write("base.img", &disk(9));
    setup.write("key.asc", key);
    setup.publisher = Some((openpgp::fingerprints(key).unwrap().remove(0), "key.asc".into()));
    setup
}

/// The reason why the signature of `base.img` is refused.
fn bad_signature(setup: &mut Setup) -> String {
    let error = setup.refused("base.img", None);
    assert_eq!(error.exit(), Exit::Verification, "{error}");
    error.to_string().rsplit(": ").next().unwrap_or_default().to_owned()
}

#[test]
fn valid_signature_is_accepted_in_every_published_form() {
    let plain = fixture!("plain.key.asc");
    let text = fixture!("text").to_vec();
    for (files, what) in [
        (vec![("SHA256SUMS", fixture!("plain.clear").to_vec())], "clear-signed list"),
        (vec![("base.img.sha256.asc", fixture!("plain.clear").to_vec())], "clear-signed, without the list"),
        (vec![("SHA256SUMS", text.clone()), ("SHA256SUMS.sign", fixture!("plain.asc").to_vec())], "armoured"),
        (vec![("base.img.sha256", text), ("base.img.sha256.sig", fixture!("plain.sig").to_vec())], "binary"),
        (vec![("base.img.sig", fixture!("disk.sig").to_vec())], "over the image, without any list"),
    ] {
        let mut setup = signed_setup(plain);
        for (name, content) in files {
            setup.write(name, &content);
        }
        setup.prepare("base.img", None).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(setup.notes.notes(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn unchecked_signature_is_noted() {
    for (signature, is_noted) in [("SHA256SUMS.asc", true), ("base.img.sig", true), ("other.sig", false)] {
        let mut setup = Setup::new();
        setup.write("base.img", &disk(9));
        setup.write("SHA256SUMS", fixture!("text"));
        setup.write(signature, fixture!("plain.sig"));
        setup.prepare("base.img", None).unwrap();
        assert_eq!(setup.notes.notes().len(), usize::from(is_noted), "{signature}");
    }
}

#[test]
fn invalid_signatures_are_refused() {
    let list = |name: &str, key: &[u8], clear: &[u8]| {
        let mut setup = signed_setup(key);
        setup.write(name, clear);
        bad_signature(&mut setup)
    };
    let plain = fixture!("plain.key.asc");
    let expired = list("SHA256SUMS", fixture!("expiring.key.asc"), fixture!("expiring.clear"));
    assert_eq!(expired, "the primary key had expired when the signature was made");
    let revoked = list("SHA256SUMS", fixture!("compromised.key.asc"), fixture!("compromised.clear"));
    assert_eq!(revoked, "the primary key was revoked");
    let other = "no signature by the expected key matches the content";
    assert_eq!(list("SHA256SUMS", plain, fixture!("subkey.clear")), other);
    let changed = String::from_utf8_lossy(fixture!("plain.clear")).replace("base.img", "best.img");
    assert_eq!(list("SHA256SUMS", plain, changed.as_bytes()), other);
    // A valid list doesn't outweigh an invalid signature of another list.
    let mut setup = signed_setup(plain);
    setup.write("base.img.sha256", fixture!("text"));
    setup.write("base.img.sha256.sig", fixture!("weak.sig"));
    setup.write("SHA256SUMS", fixture!("plain.clear"));
    assert_eq!(bad_signature(&mut setup), other);
    // A changed image with the signature of the original image.
    let mut setup = signed_setup(plain);
    setup.write("base.img.sig", fixture!("disk.sig"));
    setup.write("base.img", &disk(8));
    assert_eq!(bad_signature(&mut setup), other);
}

#[test]
fn publisher_key_requires_signature_and_matching_key_file() {
    let plain = fixture!("plain.key.asc");
    let mut setup = signed_setup(plain);
    setup.write("base.img.sha256", fixture!("text"));
    for pin in [None, Some(sum(&disk(9)))] {
        let error = setup.refused("base.img", pin.as_deref());
        assert!(error.to_string().starts_with("no OpenPGP signature was found for `base.img`"), "{error}");
        assert_eq!(error.exit(), Exit::Verification);
    }
    setup.write("key.asc", fixture!("weak.key.asc"));
    let error = setup.refused("base.img", None);
    assert!(error.to_string().contains("expected the OpenPGP key"), "{error}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn signature_of_a_url_is_checked_once_and_then_locked() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let key = fixture!("plain.key.asc");
    let fingerprint = openpgp::fingerprints(key).unwrap().remove(0);
    let url = serve(&server, "/base.img", 1, &disk(9));
    missing(&server, &["/base.img.sha256", "/base.img.sha256.asc", "/base.img.sha256.sig"]);
    missing(&server, &["/base.img.sha256.sign", "/base.img.sha256.gpg"]);
    serve(&server, "/SHA256SUMS", 2, fixture!("plain.clear"));
    // Without a key the unsigned list is trusted, with a note.
    setup.prepare(&url, None).unwrap();
    assert_eq!(setup.lock.get(&url).unwrap().signed_by, None);
    let is_noted = |note: &String| note.contains("only the checksum was checked, not a signature");
    assert!(setup.notes.notes().iter().any(is_noted));
    // With a key, the lock counts only after the signature was checked.
    setup.publisher = Some((fingerprint.clone(), serve(&server, "/key.asc", 1, key)));
    setup.prepare(&url, None).unwrap();
    assert_eq!(setup.lock.get(&url).unwrap().signed_by, Some(fingerprint));
    setup.client = Client::offline();
    setup.prepare(&url, None).unwrap();
}

//! From a request to a raw image: with a server on the loopback, and with files.

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

/// A small disk, as far as anybody here looks.
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
struct Desk {
    dir: tempfile::TempDir,
    cache: Cache,
    client: Client,
    lock: LockFile,
    notes: Recorder,
    insecure: bool,
    /// Fingerprint and location of the key that must have signed the base.
    publisher: Option<(String, String)>,
}

impl Desk {
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
fn the_sample_needs_nothing_and_is_unpacked_once() {
    let mut desk = Desk::new();
    desk.client = Client::offline();
    let prepared = desk.prepare("sample", None).unwrap();
    assert!(prepared.sample);
    assert_eq!(prepared.raw_path.metadata().unwrap().len(), prepared.raw_size);
    assert!(unpack::is_raw(&prepared.raw_path).unwrap());
    let made = prepared.raw_path.metadata().unwrap().modified().unwrap();
    assert_eq!(desk.prepare("sample", None).unwrap(), prepared);
    assert_eq!(prepared.raw_path.metadata().unwrap().modified().unwrap(), made);
    assert_eq!(desk.prepare("sample", Some(&prepared.raw_sha256.to_string())).unwrap(), prepared);
    assert_eq!(desk.refused("sample", Some(&"0".repeat(64))).exit(), Exit::Verification);
}

#[test]
fn a_url_is_checked_downloaded_once_and_locked() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let (disk, packed) = (disk(1), xz(&disk(1)));
    let url = serve(&server, "/base.img.xz", 1, &packed);
    let line = format!("{}  base.img.xz\n", sum(&packed));
    serve(&server, "/base.img.xz.sha256", 1, line.as_bytes());
    let prepared = desk.prepare(&url, None).unwrap();
    assert!(fs::read(&prepared.raw_path).unwrap() == disk);
    assert_eq!((prepared.name.as_str(), prepared.sample), ("base.img.xz", false));
    assert_eq!((prepared.source_sha256, prepared.raw_sha256), (Sha256::of(&packed), Sha256::of(&disk)));
    let raw = Some((disk.len() as u64, prepared.raw_sha256));
    let locked =
        LockedInput { size: packed.len() as u64, sha256: prepared.source_sha256, raw, signed_by: None };
    assert_eq!(desk.lock.get(&url), Some(&locked));

    // With the lock, nobody is asked any more; not even without the packed file.
    desk.cache.discard_download(prepared.source_sha256).unwrap();
    desk.client = Client::offline();
    assert_eq!(desk.prepare(&url, None).unwrap(), prepared);
    assert_eq!(desk.prepare(&url, Some(&sum(&disk))).unwrap(), prepared);
    let error = desk.refused(&url, Some(&sum(b"other")));
    assert!(error.to_string().contains("differs from `magi.lock`"), "{error}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn a_pin_may_be_that_of_the_file_or_of_the_raw_image() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let (raw, packed) = (disk(2), xz(&disk(2)));
    let url = serve(&server, "/base", 1, &packed);
    let prepared = desk.prepare(&url, Some(&sum(&raw))).unwrap();
    assert_eq!(prepared.raw_sha256, Sha256::of(&raw));
    // What was found out is remembered, also without the lock.
    desk.lock = LockFile::in_memory();
    desk.client = Client::offline();
    assert_eq!(desk.prepare(&url, Some(&sum(&raw))).unwrap(), prepared);
    desk.lock = LockFile::in_memory();
    assert_eq!(desk.prepare(&url, Some(&sum(&packed).to_uppercase())).unwrap(), prepared);

    let mut desk = Desk::new();
    let url = serve(&server, "/base", 1, &packed);
    let error = desk.refused(&url, Some(&sum(b"other")));
    let (is, was) = (sum(&packed), sum(b"other"));
    let expected =
        format!("`{url}` has SHA-256 {is}, and its raw image {}, but the profile expects {was}", sum(&raw));
    assert_eq!(error.to_string(), expected);
    assert_eq!(desk.lock.get(&url), None);
}

#[test]
fn checksums_of_every_kind_are_found_beside_a_url() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let packed = xz(&disk(3));
    missing(&server, &["/a/b.img.xz.sha256", "/c/b.img.xz.sha256", "/c/SHA256SUMS", "/d/b.img.xz.sha256"]);
    let url = serve(&server, "/a/b.img.xz", 1, &packed);
    // Of the raw image, in a list of many.
    let list = format!("{}  other\n{}  b.img\n", sum(b""), sum(&disk(3)));
    serve(&server, "/a/SHA256SUMS", 1, list.as_bytes());
    desk.prepare(&url, None).unwrap();

    let mut desk = Desk::new();
    let url = serve(&server, "/c/b.img.xz", 1, &packed);
    let like: crate::digest::Digest = "0".repeat(128).parse().unwrap();
    let sha512 = like.same_of_reader(&packed[..]).unwrap();
    serve(&server, "/c/SHA512SUMS", 2, format!("{sha512} *b.img.xz\n").as_bytes());
    desk.prepare(&url, None).unwrap();
    desk.lock = LockFile::in_memory();
    desk.prepare(&url, None).unwrap();

    // Of a file that was renamed afterwards.
    let mut desk = Desk::new();
    let url = serve(&server, "/e/b.img.xz", 1, &packed);
    serve(&server, "/e/b.img.xz.sha256", 1, format!("{}  20231109_b.img.xz\n", sum(&packed)).as_bytes());
    desk.prepare(&url, None).unwrap();

    let mut desk = Desk::new();
    let url = serve(&server, "/d/b.img.xz", 1, &packed);
    serve(&server, "/d/SHA256SUMS", 1, format!("{}  b.img.xz", sum(b"other")).as_bytes());
    let error = desk.refused(&url, None);
    let text = error.to_string();
    assert!(text.contains(&sum(&packed)) && text.contains(&sum(b"other")), "{text}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn without_any_checksum_nothing_is_taken_unless_that_is_wished() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let packed = xz(&disk(4));
    missing(&server, &["/b.xz.sha256", "/SHA512SUMS"]);
    serve(&server, "/SHA256SUMS", 2, b"<html>");
    let url = serve(&server, "/b.xz", 1, &packed);
    let error = desk.refused(&url, None);
    let list = server.url_str("/SHA256SUMS");
    assert_eq!(
        error.to_string(),
        format!("nothing says what SHA-256 `{url}` must have: `{list}` holds no SHA-256 or SHA-512 sums")
    );
    assert_eq!(error.exit(), Exit::Verification);
    assert!(error.hint().unwrap().contains("--insecure-no-checksum"));
    desk.insecure = true;
    desk.prepare(&url, None).unwrap();
    assert_eq!(desk.lock.get(&url), None, "what nobody vouched for isn't locked");
    let notes = desk.notes.notes();
    assert!(notes.iter().any(|note| note.contains(&sum(&packed))), "{notes:?}");
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let packed = xz(&disk(5));
    let url = serve(&server, "/b.xz", 2, &packed);
    let pin = sum(&packed);
    let prepared = desk.prepare(&url, Some(&pin)).unwrap();
    // The raw image is gone, and the download rotten in a way that neither size nor time shows.
    fs::remove_file(&prepared.raw_path).unwrap();
    let download = desk.cache.dir().join("sha256").join(&pin);
    let modified = download.metadata().unwrap().modified().unwrap();
    let mut rotten = packed.clone();
    rotten[packed.len() / 2] ^= 1;
    fs::write(&download, rotten).unwrap();
    fs::File::options().write(true).open(&download).unwrap().set_modified(modified).unwrap();
    assert_eq!(desk.prepare(&url, Some(&pin)).unwrap(), prepared);
    assert_eq!(desk.notes.notes(), ["the cached `b.xz` is damaged; downloading it again"]);
    // A raw image that was written to isn't used.
    let file = fs::File::options().write(true).open(&prepared.raw_path).unwrap();
    (&file).write_all(b"boo").unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(desk.prepare(&url, Some(&pin)).unwrap(), prepared);
    assert!(fs::read(&prepared.raw_path).unwrap() == disk(5));
}

#[test]
fn two_builds_at_once_share_one_download() {
    let (server, desk) = (Server::run(), Desk::new());
    let packed = xz(&disk(6));
    let url = serve(&server, "/b.xz", 1, &packed);
    let pin = sum(&packed);
    let one = || {
        let relative_to = Path::new("");
        let request = Request {
            source: &url,
            sha256: Some(pin.parse().unwrap()),
            publisher: None,
            insecure_no_checksum: false,
            relative_to,
        };
        let cache = Cache::open(desk.cache.dir()).unwrap();
        prepare(&request, &cache, &desk.client, &mut LockFile::in_memory(), &Silent).unwrap()
    };
    let (a, b) = std::thread::scope(|scope| {
        let (a, b) = (scope.spawn(one), scope.spawn(one));
        (a.join().unwrap(), b.join().unwrap())
    });
    assert_eq!(a, b);
    assert!(fs::read(&a.raw_path).unwrap() == disk(6));
}

#[test]
fn local_files_are_checked_too_and_raw_ones_used_where_they_lie() {
    let mut desk = Desk::new();
    let (raw, packed) = (disk(7), xz(&disk(7)));
    desk.write("b.img", &raw);
    desk.write("b.img.xz", &packed);
    assert_eq!(desk.refused("b.img", None).exit(), Exit::Verification);
    desk.write("b.img.xz.sha256", format!("{}\n", sum(&packed)).as_bytes());
    desk.write("SHA256SUMS", format!("{}  b.img\n", sum(&raw)).as_bytes());
    let direct = desk.prepare("b.img", None).unwrap();
    assert_eq!(direct.raw_path, desk.dir.path().join("b.img"));
    let unpacked = desk.prepare("b.img.xz", None).unwrap();
    assert_eq!(unpacked.raw_sha256, direct.raw_sha256);
    assert!(fs::read(&unpacked.raw_path).unwrap() == raw);
    desk.prepare("./b.img.xz", Some(&sum(&raw))).unwrap();

    desk.write("b.img", &disk(8));
    let text = desk.refused("b.img", None).to_string();
    assert!(text.contains(&sum(&disk(8))) && text.contains(&sum(&raw)), "{text}");
    desk.write("b.zip", b"PK\x03\x04");
    assert!(desk.refused("b.zip", None).to_string().contains("zip"));
}

#[test]
fn what_does_not_exist_is_named() {
    let mut desk = Desk::new();
    let error = desk.refused("debian-12-raspi", None);
    assert_eq!(error.to_string(), "`debian-12-raspi` is no built-in base, no URL and no file");
    assert_eq!(error.hint().as_deref(), Some("did you mean `debian-12-raspi4`?"));
    assert_eq!(error.exit(), Exit::Usage);
    assert!(desk.refused("./none.img", None).hint().unwrap().contains("`debian-13`, `debian-12-raspi4`"));
    assert!(desk.refused(".", None).to_string().ends_with("is not a file"));
    assert_eq!(desk.refused("ftp://h/x.img", Some(&sum(b""))).exit(), Exit::Usage);
    desk.client = Client::offline();
    let error = desk.refused("debian-12-raspi4", None);
    assert!(error.hint().unwrap().contains("magi-image fetch"), "{error}");
    assert_eq!(error.exit(), Exit::Network);
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fetch/openpgp/fixtures/", $name))
    };
}

/// A desk with the base of the signed fixtures, and the key of this fixture named.
fn signed_desk(key: &[u8]) -> Desk {
    let mut desk = Desk::new();
    desk.write("base.img", &disk(9));
    desk.write("key.asc", key);
    desk.publisher = Some((openpgp::fingerprints(key).unwrap().remove(0), "key.asc".into()));
    desk
}

/// The message of a refusal for its signature.
fn bad_signature(desk: &mut Desk) -> String {
    let error = desk.refused("base.img", None);
    assert_eq!(error.exit(), Exit::Verification, "{error}");
    error.to_string().rsplit(": ").next().unwrap_or_default().to_owned()
}

#[test]
fn good_signature_is_accepted_wherever_publishers_put_it() {
    let plain = fixture!("plain.key.asc");
    let text = fixture!("text").to_vec();
    for (files, what) in [
        (vec![("SHA256SUMS", fixture!("plain.clear").to_vec())], "clear-signed list"),
        (vec![("base.img.sha256.asc", fixture!("plain.clear").to_vec())], "clear-signed, without the list"),
        (vec![("SHA256SUMS", text.clone()), ("SHA256SUMS.sign", fixture!("plain.asc").to_vec())], "armoured"),
        (vec![("base.img.sha256", text), ("base.img.sha256.sig", fixture!("plain.sig").to_vec())], "binary"),
        (vec![("base.img.sig", fixture!("disk.sig").to_vec())], "over the image, without any list"),
    ] {
        let mut desk = signed_desk(plain);
        for (name, content) in files {
            desk.write(name, &content);
        }
        desk.prepare("base.img", None).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(desk.notes.notes(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn signature_without_a_named_key_is_noted() {
    for (signature, is_noted) in [("SHA256SUMS.asc", true), ("base.img.sig", true), ("other.sig", false)] {
        let mut desk = Desk::new();
        desk.write("base.img", &disk(9));
        desk.write("SHA256SUMS", fixture!("text"));
        desk.write(signature, fixture!("plain.sig"));
        desk.prepare("base.img", None).unwrap();
        assert_eq!(desk.notes.notes().len(), usize::from(is_noted), "{signature}");
    }
}

#[test]
fn bad_signatures_are_refused() {
    let list = |name: &str, key: &[u8], clear: &[u8]| {
        let mut desk = signed_desk(key);
        desk.write(name, clear);
        bad_signature(&mut desk)
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
    // A good list doesn't make up for a bad signature of another.
    let mut desk = signed_desk(plain);
    desk.write("base.img.sha256", fixture!("text"));
    desk.write("base.img.sha256.sig", fixture!("weak.sig"));
    desk.write("SHA256SUMS", fixture!("plain.clear"));
    assert_eq!(bad_signature(&mut desk), other);
    // A changed image, with its signature.
    let mut desk = signed_desk(plain);
    desk.write("base.img.sig", fixture!("disk.sig"));
    desk.write("base.img", &disk(8));
    assert_eq!(bad_signature(&mut desk), other);
}

#[test]
fn named_key_needs_a_signature_and_the_right_key_file() {
    let plain = fixture!("plain.key.asc");
    let mut desk = signed_desk(plain);
    desk.write("base.img.sha256", fixture!("text"));
    for pin in [None, Some(sum(&disk(9)))] {
        let error = desk.refused("base.img", pin.as_deref());
        assert!(error.to_string().starts_with("no OpenPGP signature was found for `base.img`"), "{error}");
        assert_eq!(error.exit(), Exit::Verification);
    }
    desk.write("key.asc", fixture!("weak.key.asc"));
    let error = desk.refused("base.img", None);
    assert!(error.to_string().contains("expected the OpenPGP key"), "{error}");
    assert_eq!(error.exit(), Exit::Verification);
}

#[test]
fn signature_of_a_url_is_checked_once_and_then_locked() {
    let (server, mut desk) = (Server::run(), Desk::new());
    let key = fixture!("plain.key.asc");
    let fingerprint = openpgp::fingerprints(key).unwrap().remove(0);
    let url = serve(&server, "/base.img", 1, &disk(9));
    missing(&server, &["/base.img.sha256", "/base.img.sha256.asc", "/base.img.sha256.sig"]);
    missing(&server, &["/base.img.sha256.sign", "/base.img.sha256.gpg"]);
    serve(&server, "/SHA256SUMS", 2, fixture!("plain.clear"));
    // Without a key the list is believed, and that is said.
    desk.prepare(&url, None).unwrap();
    assert_eq!(desk.lock.get(&url).unwrap().signed_by, None);
    let is_noted = |note: &String| note.contains("only the checksum was checked, not a signature");
    assert!(desk.notes.notes().iter().any(is_noted));
    // With one, the lock alone doesn't count until the signature was seen.
    desk.publisher = Some((fingerprint.clone(), serve(&server, "/key.asc", 1, key)));
    desk.prepare(&url, None).unwrap();
    assert_eq!(desk.lock.get(&url).unwrap().signed_by, Some(fingerprint));
    desk.client = Client::offline();
    desk.prepare(&url, None).unwrap();
}

//! Damaged, unsuitable or unavailable bases: a clear error, and no partial file.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::bases::{Base, MAKERS, pack, sha256, write_checksum};
use common::sandbox::names;
use common::server::{Reply, Server};
use common::tools::{arg, have, run};
use common::{Profile, Sandbox};

/// A build in its own sandbox, which must fail because of the base.
struct BadBase {
    sandbox: Sandbox,
    profile: Profile,
}

impl BadBase {
    /// The base is the file `name` with this content; its checksum is beside it.
    fn content(name: &str, content: &[u8]) -> Self {
        let sandbox = Sandbox::alone();
        write_checksum(&sandbox.write(&format!("work/{name}"), content));
        Self { sandbox, profile: profile(name) }
    }

    /// The base is made by mkfs and sfdisk; `None` if they are not installed.
    fn made(base: &Base) -> Option<Self> {
        if !have(&MAKERS) {
            return None;
        }
        let sandbox = Sandbox::alone();
        write_checksum(&base.make(&sandbox.path("work"), "base.img"));
        Some(Self { sandbox, profile: profile("base.img") })
    }

    /// The base is a copy of the valid base, changed by `alter`; `None` if tools are missing.
    fn altered(alter: impl FnOnce(&Path)) -> Option<Self> {
        let valid = valid_bases()?.join("base.img");
        let sandbox = Sandbox::alone();
        let raw = sandbox.work("base.img");
        common::image::copy(&valid, &raw);
        alter(&raw);
        write_checksum(&raw);
        Some(Self { sandbox, profile: profile("base.img") })
    }

    /// Replaces the overlays of the profile by one overlay with these files.
    fn overlay(mut self, files: &[(&str, Vec<u8>)]) -> Self {
        self.sandbox.write("work/overlays/mine/overlay.toml", "summary = \"a test\"\n");
        for (path, content) in files {
            self.sandbox.write(&format!("work/overlays/mine/{path}"), content);
        }
        self.profile = self.profile.uses(&["mine"]);
        self
    }

    /// Asserts that the build fails and that the cache has no raw image. Returns the message without offsets.
    #[track_caller]
    fn refused(&self, code: i32) -> String {
        let message = self.build_fails(code);
        assert_eq!(names(&self.sandbox.cache().join("raw")), [] as [&str; 0], "{message}");
        without_offsets(&message)
    }

    /// Asserts that the build fails after the base was accepted. Returns the message.
    #[track_caller]
    fn build_fails(&self, code: i32) -> String {
        build_fails(&self.sandbox, &self.profile, code)
    }
}

/// Builds `profile`; asserts exit code `code` and an empty `out/`. Returns the message.
#[track_caller]
fn build_fails(sandbox: &Sandbox, profile: &Profile, code: i32) -> String {
    profile.write(sandbox);
    let message = sandbox.run(&BUILD).failed(code);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    message
}

const BUILD: [&str; 4] = ["build", "--all", "-p", "magi.toml"];

/// A profile with this base: a path, a URL or the name of a built-in base.
fn profile(base: &str) -> Profile {
    Profile::small(&["common"]).base(base)
}

/// A folder with a valid base, raw and in every compression; `None` if tools are missing.
fn valid_bases() -> Option<&'static Path> {
    static FOLDER: OnceLock<Sandbox> = OnceLock::new();
    if !have(&MAKERS) || !have(&["xz", "gzip", "zstd"]) {
        return None;
    }
    let folder = FOLDER.get_or_init(|| {
        let sandbox = Sandbox::shared("valid");
        let raw = Base::default().make(&sandbox.path("work"), "base.img");
        ["xz", "gz", "zst"].iter().for_each(|how| drop(pack(&raw, how)));
        sandbox
    });
    Some(Box::leak(folder.path("work").into_boxed_path()))
}

/// The valid base, raw; `None` if tools are missing.
fn valid_raw() -> Option<Vec<u8>> {
    Some(fs::read(valid_bases()?.join("base.img")).expect("read the raw base"))
}

/// The valid base, compressed as `xz`, `gz` or `zst`; `None` if tools are missing.
fn valid_packed(ending: &str) -> Option<Vec<u8>> {
    Some(fs::read(valid_bases()?.join(format!("{ending}.img.{ending}"))).expect("read the packed base"))
}

/// Removes byte offsets: the length of a packed base differs between versions of the packer.
fn without_offsets(message: &str) -> String {
    let offset = regex::Regex::new(r"at byte \d+").expect("compile the pattern");
    offset.replace_all(message, "at byte [n]").into_owned()
}

/// The complete entries of the cache.
fn cached(sandbox: &Sandbox) -> Vec<String> {
    let entries = ["sha256", "raw"].iter().flat_map(|part| names(&sandbox.cache().join(part)));
    entries.filter(|name| !name.contains(".partial")).collect()
}

#[test]
fn truncated_archives_are_refused() {
    let truncated_to_half = |ending: &str| {
        let bytes = valid_packed(ending)?;
        Some(BadBase::content(&format!("base.img.{ending}"), &bytes[..bytes.len() / 2]).refused(3))
    };
    let (Some(xz), Some(gz), Some(zst)) =
        (truncated_to_half("xz"), truncated_to_half("gz"), truncated_to_half("zst"))
    else {
        return;
    };
    insta::assert_snapshot!(xz, @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` is damaged: truncated xz data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(gz, @"
    error: preparing the base `base.img.gz`
      caused by: `base.img.gz` is damaged: truncated gzip data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(zst, @"
    error: preparing the base `base.img.zst`
      caused by: `base.img.zst` is damaged: truncated zstd data at byte [n]
    hint: get the file again from its source
    ");
    let without_last_byte = |ending: &str| {
        let bytes = valid_packed(ending)?;
        Some(BadBase::content(&format!("base.img.{ending}"), &bytes[..bytes.len() - 1]).refused(3))
    };
    let (Some(xz), Some(gz)) = (without_last_byte("xz"), without_last_byte("gz")) else { return };
    insta::assert_snapshot!(xz, @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` is damaged: truncated xz data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(gz, @"
    error: preparing the base `base.img.gz`
      caused by: `base.img.gz` is damaged: truncated gzip data at byte [n]
    hint: get the file again from its source
    ");
}

#[test]
fn corrupt_archives_are_refused() {
    let corrupted = |ending: &str| {
        let mut bytes = valid_packed(ending)?;
        let middle = bytes.len() / 2;
        // A flip of one bit may have no effect.
        bytes[middle..middle + 16].iter_mut().for_each(|byte| *byte ^= 0x55);
        Some(BadBase::content(&format!("base.img.{ending}"), &bytes).refused(3))
    };
    let (Some(xz), Some(gz), Some(zst)) = (corrupted("xz"), corrupted("gz"), corrupted("zst")) else {
        return;
    };
    insta::assert_snapshot!(xz, @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` is damaged: corrupt xz data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(gz, @"
    error: preparing the base `base.img.gz`
      caused by: `base.img.gz` is damaged: corrupt gzip data (corrupt gzip stream does not have a matching checksum) at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(zst, @"
    error: preparing the base `base.img.zst`
      caused by: `base.img.zst` is damaged: corrupt zstd data (Data corruption detected) at byte [n]
    hint: get the file again from its source
    ");
}

#[test]
fn archives_with_trailing_data_are_refused() {
    let with_trailing_data = |ending: &str| {
        let mut bytes = valid_packed(ending)?;
        bytes.extend_from_slice(b"something else");
        Some(BadBase::content(&format!("base.img.{ending}"), &bytes).refused(3))
    };
    let (Some(xz), Some(gz), Some(zst)) =
        (with_trailing_data("xz"), with_trailing_data("gz"), with_trailing_data("zst"))
    else {
        return;
    };
    insta::assert_snapshot!(xz, @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` is damaged: unexpected data behind the end of the xz data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(gz, @"
    error: preparing the base `base.img.gz`
      caused by: `base.img.gz` is damaged: unexpected data behind the end of the gzip data at byte [n]
    hint: get the file again from its source
    ");
    insta::assert_snapshot!(zst, @"
    error: preparing the base `base.img.zst`
      caused by: `base.img.zst` is damaged: unexpected data behind the end of the zstd data at byte [n]
    hint: get the file again from its source
    ");
}

#[test]
fn files_that_are_not_disk_images_are_refused() {
    insta::assert_snapshot!(BadBase::content("base.img", b"").refused(2), @"
    error: preparing the base `base.img`
      caused by: `base.img` is no base image: the file is empty
    hint: give a disk image with a partition table: .img, .img.xz, .img.gz, .img.zst or .tar.xz
    ");
    insta::assert_snapshot!(BadBase::content("base.img", b"<!DOCTYPE html>\n<title>Not found</title>\n").refused(2), @"
    error: preparing the base `base.img`
      caused by: `base.img` is no base image: it is a web page
    hint: open the URL in a browser: it may lead to a page in front of the download
    ");
    insta::assert_snapshot!(BadBase::content("base.zip", b"PK\x03\x04\x14\0\0\0").refused(2), @"
    error: preparing the base `base.zip`
      caused by: `base.zip` is no base image: it is a zip archive, which is not supported
    hint: unpack it and give the .img inside
    ");
    insta::assert_snapshot!(BadBase::content("base.img", &[0; 1 << 20]).refused(2), @"
    error: preparing the base `base.img`
      caused by: `base.img` is no base image: the first sector has no partition table (0x55 0xAA at byte [n])
    hint: give a disk image with a partition table: .img, .img.xz, .img.gz, .img.zst or .tar.xz
    ");
    let sandbox = Sandbox::alone();
    fs::create_dir(sandbox.work("folder")).expect("create the folder");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("folder"), 2), @"
    error: preparing the base `folder`
      caused by: the base `folder` is not a file
    hint: give a disk image, packed or raw
    ");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("nowhere.img"), 2), @"
    error: preparing the base `nowhere.img`
      caused by: `nowhere.img` is no built-in base, no URL and no file
    hint: check the path; built-in bases are `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`, `sample`, `sample-b`, `sample-c`
    ");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("debian-12-raspi"), 2), @"
    error: preparing the base `debian-12-raspi`
      caused by: `debian-12-raspi` is no built-in base, no URL and no file
    hint: did you mean `debian-12-raspi4`?
    ");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("ftp://127.0.0.1/base.img"), 2), @"
    error: preparing the base `ftp://127.0.0.1/base.img`
      caused by: the base `ftp://127.0.0.1/base.img` is no http or https URL
    hint: download it, and give the file's path
    ");
}

#[test]
fn truncated_raw_images_are_refused() {
    let Some(raw) = valid_raw() else { return };
    insta::assert_snapshot!(BadBase::content("base.img", &raw[..40 << 20]).refused(1), @"
    error: looking into the base `base.img`
      caused by: partition 2 ends at byte [n], but the image has only 41943040: 26214400 bytes are missing
    hint: the image is truncated; download or unpack it again
    ");
    insta::assert_snapshot!(BadBase::content("base.img", &raw[..(40 << 20) + 100]).refused(1), @"
    error: looking into the base `base.img`
      caused by: partition 2 ends at byte [n], but the image has only 41943140: 26214300 bytes are missing
    hint: the image is truncated; download or unpack it again
    ");
}

#[test]
fn checksum_mismatch_is_refused() {
    let Some(bytes) = valid_packed("xz") else { return };
    let sandbox = Sandbox::alone();
    sandbox.write("work/base.img.xz", &bytes);
    let zeros = "0".repeat(64);
    sandbox.write("work/base.img.xz.sha256", format!("{zeros}  base.img.xz\n"));
    insta::assert_snapshot!(build_fails(&sandbox, &profile("base.img.xz"), 3), @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` has SHA-256 [hash], but [zeros] was expected by `base.img.xz.sha256`
    hint: the file is damaged, was replaced, or the expected hash belongs to another version
    ");
    // The hash in the profile takes precedence over the checksum file.
    write_checksum(&sandbox.work("base.img.xz"));
    insta::assert_snapshot!(build_fails(&sandbox, &profile("base.img.xz").pin(&zeros), 3), @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` has SHA-256 [hash], and its raw image [hash], but the profile expects [zeros]
    hint: the file is damaged, was replaced, or the pin is that of another version
    ");
    let server = Server::start();
    server.on("/base.img.xz", Reply::Content(bytes));
    server.on("/base.img.xz.sha256", Reply::Content(format!("{zeros}  base.img.xz\n").into_bytes()));
    insta::assert_snapshot!(build_fails(&sandbox, &profile(&server.url("/base.img.xz")), 3), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: cannot download `http://[server]/base.img.xz`: it has SHA-256 [hash], but [zeros] was expected
    hint: the file was replaced, or damaged in transit; if there is a new version, update the pinned hash
    ");
    assert_eq!(cached(&sandbox), [] as [&str; 0], "a file with a wrong checksum is in the cache");
}

#[test]
fn download_with_wrong_checksum_is_not_cached() {
    let Some(bytes) = valid_packed("xz") else { return };
    let sandbox = Sandbox::alone();
    let server = Server::start();
    let pin = sha256(&sandbox.write("served", &bytes));
    let url = server.url("/base.img.xz");
    let middle = bytes.len() / 2;
    let mut flipped_bit = bytes.clone();
    flipped_bit[middle] ^= 1;
    let too_long = [&bytes[..], b"more"].concat();
    let too_short = bytes[..middle].to_vec();
    for wrong in [flipped_bit, too_long, too_short, b"a page".to_vec()] {
        server.on("/base.img.xz", Reply::Content(wrong));
        // The message names the checksum, not the failure to unpack.
        insta::allow_duplicates! {
            insta::assert_snapshot!(build_fails(&sandbox, &profile(&url).pin(&pin), 3), @"
            error: preparing the base `http://[server]/base.img.xz`
              caused by: `http://[server]/base.img.xz` has SHA-256 [hash] and can't be unpacked, but the profile expects [hash]
            hint: the file is damaged, was replaced, or the pin is that of another version
            ");
        }
        assert_eq!(cached(&sandbox), [] as [&str; 0], "a file with a wrong checksum is in the cache");
    }
    // A valid image with another checksum.
    let Some(other) = valid_packed("gz") else { return };
    server.on("/base.img.xz", Reply::Content(other));
    let Some(raw) = valid_bases().map(|folder| sha256(&folder.join("base.img"))) else { return };
    let message = build_fails(&sandbox, &profile(&url).pin(&"1".repeat(64)), 3);
    assert!(message.contains("and its raw image [hash], but the profile expects"), "{message}");
    assert_eq!(
        names(&sandbox.cache().join("sha256")),
        [] as [&str; 0],
        "an image with a wrong checksum is in the cache"
    );
    assert_ne!(raw, pin);
    profile(&url).pin(&pin).write(&sandbox);
    server.on("/base.img.xz", Reply::Content(bytes));
    sandbox.run(&BUILD).ok();
}

#[test]
fn missing_checksums_are_refused() {
    let Some(bytes) = valid_packed("xz") else { return };
    let sandbox = Sandbox::alone();
    sandbox.write("work/base.img.xz", &bytes);
    insta::assert_snapshot!(build_fails(&sandbox, &profile("base.img.xz"), 3), @r#"
    error: preparing the base `base.img.xz`
      caused by: nothing says what SHA-256 `base.img.xz` must have: none of `base.img.xz.sha256`, `SHA256SUMS`, `SHA512SUMS` is beside it
    hint: pin it in the profile with `sha256 = "…"` under `[base]`, put a `.sha256` file beside it, or take it as it is with `--insecure-no-checksum`
    "#);
    sandbox.write("work/base.img.xz.sha256", "see the web page\n");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("base.img.xz"), 3), @r#"
    error: preparing the base `base.img.xz`
      caused by: nothing says what SHA-256 `base.img.xz` must have: `base.img.xz.sha256` holds no SHA-256 or SHA-512 sums
    hint: pin it in the profile with `sha256 = "…"` under `[base]`, put a `.sha256` file beside it, or take it as it is with `--insecure-no-checksum`
    "#);
    sandbox.write("work/base.img.xz.sha256", format!("{}  other.img.xz\n", "0".repeat(64)));
    insta::assert_snapshot!(build_fails(&sandbox, &profile("base.img.xz"), 3), @"
    error: preparing the base `base.img.xz`
      caused by: `base.img.xz` has SHA-256 [hash], and its raw image [hash], but `base.img.xz.sha256` expects [zeros]
    hint: the file is damaged, was replaced, or the pin is that of another version
    ");
    let server = Server::start();
    server.on("/base.img.xz", Reply::Content(bytes));
    insta::assert_snapshot!(build_fails(&sandbox, &profile(&server.url("/base.img.xz")), 3), @r#"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: nothing says what SHA-256 `http://[server]/base.img.xz` must have: none of `base.img.xz.sha256`, `SHA256SUMS`, `SHA512SUMS` is beside it
    hint: pin it in the profile with `sha256 = "…"` under `[base]`, put a `.sha256` file beside it, or take it as it is with `--insecure-no-checksum`
    "#);
    assert_eq!(names(&sandbox.cache().join("raw")), [] as [&str; 0]);
}

#[test]
fn base_that_does_not_match_the_lock_is_refused() {
    let Some(bytes) = valid_packed("xz") else { return };
    let Some(other) = valid_packed("gz") else { return };
    let sandbox = Sandbox::alone();
    let server = Server::start();
    let serve = |bytes: Vec<u8>| {
        let file = sandbox.write("served", &bytes);
        let sums = format!("{}  base.img.xz\n", sha256(&file));
        server.on("/base.img.xz", Reply::Content(bytes));
        server.on("/base.img.xz.sha256", Reply::Content(sums.into_bytes()));
    };
    serve(bytes.clone());
    let profile = profile(&server.url("/base.img.xz"));
    profile.write(&sandbox);
    sandbox.run(&["fetch", "-p", "magi.toml", "-q"]).ok();
    fs::remove_dir_all(sandbox.cache()).expect("remove the cache");
    // The lock has the size: another size is refused before the content arrives, here never.
    server.on("/base.img.xz", Reply::Stall(other.clone(), 0));
    let message = build_fails(&sandbox, &profile, 3);
    let sizes = regex::Regex::new(r"\d+ bytes, but \d+").expect("compile the pattern");
    insta::assert_snapshot!(sizes.replace(&message, "[n] bytes, but [n]"), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: cannot download `http://[server]/base.img.xz`: it has [n] bytes, but [n] were expected
    hint: the server has another version than `magi.lock` names: `magi-image fetch --update` takes it; for the locked version, use a mirror or a local file that has it
    ");
    // Another content of the same size.
    let mut same_size = bytes;
    *same_size.last_mut().expect("the base has bytes") ^= 1;
    serve(same_size);
    insta::assert_snapshot!(build_fails(&sandbox, &profile, 3), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: `http://[server]/base.img.xz` was replaced by its publisher: `magi.lock` has SHA-256 [hash], but `http://[server]/base.img.xz.sha256` now lists SHA-256 [hash]
    hint: `magi-image fetch --update` takes what is published now; for the locked version, give a URL or a file that has it
    ");
    serve(other);
    sandbox.run(&["fetch", "--update", "-p", "magi.toml", "-q"]).ok();
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
}

#[test]
fn http_errors_are_explained() {
    let sandbox = Sandbox::alone();
    let server = Server::start();
    let download_fails =
        |path: &str| build_fails(&sandbox, &profile(&server.url(path)).pin(&"0".repeat(64)), 4);
    insta::assert_snapshot!(download_fails("/gone.img.xz"), @"
    error: preparing the base `http://[server]/gone.img.xz`
      caused by: cannot download `http://[server]/gone.img.xz`: the server answers 404 Not Found
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    server.on("/removed.img.xz", Reply::Status(410));
    insta::assert_snapshot!(download_fails("/removed.img.xz"), @"
    error: preparing the base `http://[server]/removed.img.xz`
      caused by: cannot download `http://[server]/removed.img.xz`: the server answers 410 Gone
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    server.on("/private.img.xz", Reply::Status(403));
    insta::assert_snapshot!(download_fails("/private.img.xz"), @"
    error: preparing the base `http://[server]/private.img.xz`
      caused by: cannot download `http://[server]/private.img.xz`: the server answers 403 Forbidden
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    server.on("/one", Reply::Redirect(server.url("/two"))).on("/two", Reply::Redirect(server.url("/one")));
    insta::assert_snapshot!(download_fails("/one"), @"
    error: preparing the base `http://[server]/one`
      caused by: cannot download `http://[server]/one`: redirect loop
    hint: check the URL, or use a mirror or a local file
    ");
    for i in 0..30 {
        server.on(&format!("/{i}"), Reply::Redirect(server.url(&format!("/{}", i + 1))));
    }
    insta::assert_snapshot!(download_fails("/0"), @"
    error: preparing the base `http://[server]/0`
      caused by: cannot download `http://[server]/0`: more than 10 redirects
    hint: check the URL, or use a mirror or a local file
    ");
    assert_eq!(cached(&sandbox), [] as [&str; 0]);
}

/// Some servers answer with a page, status 200, for a file that they no longer have.
#[test]
fn web_page_instead_of_the_base_is_explained() {
    let sandbox = Sandbox::alone();
    let server = Server::start();
    let build = |path: &str, pin: Option<&str>| {
        let profile = profile(&server.url(path));
        build_fails(&sandbox, &pin.map_or(profile.clone(), |pin| profile.clone().pin(pin)), 4)
    };
    let pin = Some("0000000000000000000000000000000000000000000000000000000000000000");
    server.on("/base.img.xz", Reply::Page).on("/latest", Reply::Redirect(server.url("/base.img.xz")));
    insta::assert_snapshot!(build("/base.img.xz", pin), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: cannot download `http://[server]/base.img.xz`: the server answers 200 OK with a web page instead of the file
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    insta::assert_snapshot!(build("/latest", pin), @"
    error: preparing the base `http://[server]/latest`
      caused by: cannot download `http://[server]/latest`: the server answers 200 OK with a web page instead of the file, redirected to `http://[server]/base.img.xz`
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    // The content is a page, whatever its declared type.
    server.on("/untyped.img.xz", Reply::Content(b"\n<html><p>gone".to_vec()));
    insta::assert_snapshot!(build("/untyped.img.xz", pin), @"
    error: preparing the base `http://[server]/untyped.img.xz`
      caused by: cannot download `http://[server]/untyped.img.xz`: the server answers 200 OK with a web page instead of the file
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    // The server sends its page for the checksum files too.
    for list in ["base.img.xz.sha256", "SHA256SUMS", "SHA512SUMS"] {
        server.on(&format!("/{list}"), Reply::Page);
    }
    insta::assert_snapshot!(build("/base.img.xz", None), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: cannot download `http://[server]/base.img.xz`: the server answers 200 OK with a web page instead of the file
    hint: check the URL, or use a local file or another base: `debian-13`, `debian-12-raspi4`, `debian-12-raspi4-daily`, `raspios-13`, `raspios-12`; `magi-image base list` describes them
    ");
    assert_eq!(cached(&sandbox), [] as [&str; 0]);
}

/// Each download is retried for seven seconds, so both builds run at the same time.
#[test]
fn broken_connections_are_explained() {
    let Some(bytes) = valid_packed("xz") else { return };
    let server = Server::start();
    server.on("/base.img.xz", Reply::Cut(bytes, 0));
    let start = |url: &str| {
        let sandbox = Sandbox::alone();
        profile(url).pin(&"0".repeat(64)).write(&sandbox);
        let child = sandbox.spawnable(&BUILD).spawn().expect("start the build");
        (sandbox, child)
    };
    let failed = |(sandbox, child): (Sandbox, std::process::Child)| {
        let message = sandbox.ran(&child.wait_with_output().expect("wait for the build")).failed(4);
        assert_eq!(sandbox.out(), [] as [&str; 0]);
        message
    };
    let (cut_off, refused) = (start(&server.url("/base.img.xz")), start(&Server::nobody()));
    insta::assert_snapshot!(failed(cut_off), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: cannot download `http://[server]/base.img.xz`: the connection broke: end of file before message length reached, after 5 tries
    hint: check the network and try again: a partial download is kept and resumed
    ");
    insta::assert_snapshot!(failed(refused), @"
    error: preparing the base `http://[server]/base.img`
      caused by: cannot download `http://[server]/base.img`: no connection: Connection refused (os error 111), after 5 tries
    hint: check the network and try again: a partial download is kept and resumed
    ");
}

#[test]
fn offline_build_without_cache_is_refused() {
    let sandbox = Sandbox::alone();
    profile("http://127.0.0.1:9/base.img.xz").write(&sandbox);
    let offline = || sandbox.run(&["build", "--all", "--offline", "-p", "magi.toml"]).failed(4);
    insta::assert_snapshot!(offline(), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: `http://[server]/base.img.xz.sha256` is not in the cache and cannot be downloaded with `--offline`
    hint: run `magi-image fetch` once while there is a network
    ");
    profile("http://127.0.0.1:9/base.img.xz").pin(&"0".repeat(64)).write(&sandbox);
    insta::assert_snapshot!(offline(), @"
    error: preparing the base `http://[server]/base.img.xz`
      caused by: `http://[server]/base.img.xz` is not in the cache and cannot be downloaded with `--offline`
    hint: run `magi-image fetch` once while there is a network
    ");
    profile("debian-12-raspi4").write(&sandbox);
    insta::assert_snapshot!(offline(), @"
    error: preparing the base `debian-12-raspi4`
      caused by: `https://raspi.debian.net/tested/20231109_raspi_4_bookworm.img.xz` is not in the cache and cannot be downloaded with `--offline`
    hint: run `magi-image fetch` once while there is a network
    ");
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn missing_partitions_are_refused() {
    let Some(valid) = valid_raw() else { return };
    let (fat, ext4) = (1 << 20, 33 << 20);
    let overwritten = |partition: usize, bytes: &[u8]| {
        let mut raw = valid.clone();
        raw[partition..partition + (32 << 20)].fill(0);
        raw[partition..partition + bytes.len()].copy_from_slice(bytes);
        BadBase::content("base.img", &raw).refused(1)
    };
    insta::assert_snapshot!(overwritten(fat, &[]), @"
    error: looking into the base `base.img`
      caused by: the image has no FAT16 or FAT32 partition to boot from; it has partition 1: nothing but zeros, partition 2: ext4 `RASPIROOT`
    hint: the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root
    ");
    insta::assert_snapshot!(overwritten(ext4, &[]), @"
    error: looking into the base `base.img`
      caused by: the image has no ext4 partition for the root file system; it has partition 1: FAT16 `RASPIFIRM`, partition 2: nothing but zeros
    hint: the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root
    ");
    let mut swap = vec![0; 4086];
    swap.extend_from_slice(b"SWAPSPACE2");
    insta::assert_snapshot!(overwritten(ext4, &swap), @"
    error: looking into the base `base.img`
      caused by: the image has no ext4 partition for the root file system; it has partition 1: FAT16 `RASPIFIRM`, partition 2: swap space
    hint: the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root
    ");
    let mut raw = valid.clone();
    raw[446..510].fill(0);
    insta::assert_snapshot!(BadBase::content("base.img", &raw).refused(1), @"
    error: looking into the base `base.img`
      caused by: the image's partition table is empty
    hint: the base must be a complete disk image for the Raspberry Pi, with a boot and a root partition
    ");
    raw[510..512].fill(0);
    insta::assert_snapshot!(BadBase::content("base.img", &raw).refused(2), @"
    error: preparing the base `base.img`
      caused by: `base.img` is no base image: the first sector has no partition table (0x55 0xAA at byte [n])
    hint: give a disk image with a partition table: .img, .img.xz, .img.gz, .img.zst or .tar.xz
    ");
}

#[test]
fn unsupported_distributions_are_named() {
    let Some(no_firmware) = BadBase::altered(|raw| {
        let fat = format!("{}@@1M", arg(raw));
        run("mdel", &["-i", &fat, "::sysconf.txt", "::config.txt"]);
    }) else {
        return;
    };
    insta::assert_snapshot!(no_firmware.refused(1), @"
    error: looking into the base `base.img`
      caused by: no FAT in the image has `cmdline.txt`, `config.txt` or `sysconf.txt`; it has partition 1: FAT16 `RASPIFIRM`, partition 2: ext4 `RASPIROOT`
    hint: the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root
    ");
    let refused_with_files = |on_ext4: Vec<(&'static str, Vec<u8>)>| {
        BadBase::made(&Base { sysconf: None, on_ext4, ..Base::default() })
            .expect("tools are installed")
            .refused(1)
    };
    insta::assert_snapshot!(refused_with_files(vec![]), @"
    error: looking into the base `base.img`
      caused by: the base is Debian GNU/Linux 13 (trixie), which belongs to no supported family of images; Raspberry Pi OS has an `/etc/rpi-issue`; Debian's cloud image `raspi` has `ID=raspi` in `/etc/cloud-release`; Debian of raspi.debian.net has a `sysconf.txt` on its boot partition
    hint: `magi-image base list` shows the bases that work
    ");
    let ubuntu = b"PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nID_LIKE=debian\n".to_vec();
    insta::assert_snapshot!(refused_with_files(vec![("/usr/lib/os-release", ubuntu)]), @"
    error: looking into the base `base.img`
      caused by: the base is Ubuntu 24.04.3 LTS, which belongs to no supported family of images; Raspberry Pi OS has an `/etc/rpi-issue`; Debian's cloud image `raspi` has `ID=raspi` in `/etc/cloud-release`; Debian of raspi.debian.net has a `sysconf.txt` on its boot partition
    hint: `magi-image base list` shows the bases that work
    ");
    insta::assert_snapshot!(refused_with_files(vec![("/etc/armbian-release", b"BOARD=rpi4b\n".to_vec())]), @"
    error: looking into the base `base.img`
      caused by: the base is Armbian, which belongs to no supported family of images; Raspberry Pi OS has an `/etc/rpi-issue`; Debian's cloud image `raspi` has `ID=raspi` in `/etc/cloud-release`; Debian of raspi.debian.net has a `sysconf.txt` on its boot partition
    hint: `magi-image base list` shows the bases that work
    ");
    insta::assert_snapshot!(refused_with_files(vec![("/boot/dietpi/.version", b"G_DIETPI_VERSION_CORE=9\n".to_vec())]), @"
    error: looking into the base `base.img`
      caused by: the base is DietPi, which belongs to no supported family of images; Raspberry Pi OS has an `/etc/rpi-issue`; Debian's cloud image `raspi` has `ID=raspi` in `/etc/cloud-release`; Debian of raspi.debian.net has a `sysconf.txt` on its boot partition
    hint: `magi-image base list` shows the bases that work
    ");
    let desktop = "Package: lightdm\nStatus: install ok installed\nArchitecture: arm64\n\n";
    let raspberry_pi_os = vec![
        ("/etc/rpi-issue", b"Raspberry Pi reference 2025-10-01\n".to_vec()),
        ("/var/lib/dpkg/status", desktop.into()),
    ];
    insta::assert_snapshot!(refused_with_files(raspberry_pi_os), @"
    error: looking into the base `base.img`
      caused by: the base is Raspberry Pi OS with a desktop, which is not supported
    hint: use the Lite image for 64 bit, `raspios-13`
    ");
}

#[test]
fn unsupported_file_systems_are_refused() {
    let fat12 = Base { fat: vec!["-F", "12"], fat_size: 4, ..Base::default() };
    let Some(fat12) = BadBase::made(&fat12) else { return };
    insta::assert_snapshot!(fat12.refused(1), @"
    error: looking into the base `base.img`
      caused by: the image has no FAT16 or FAT32 partition to boot from; it has partition 1: an unusable FAT (this is a FAT12 file system (2036 clusters); FAT16 or FAT32 is needed), partition 2: ext4 `RASPIROOT`
    hint: the base must be a disk image for the Raspberry Pi with a FAT to boot from and an ext4 root
    ");
    let ext4_with =
        |features| BadBase::made(&Base { ext4: vec!["-b", "4096", "-O", features], ..Base::default() });
    let Some(ext2) = ext4_with("^has_journal,^extent,^64bit,^metadata_csum,^flex_bg") else { return };
    insta::assert_snapshot!(ext2.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system cannot be written: missing feature `extent`
    hint: use an image as published, or one made with the default options of `mkfs.ext4`
    ");
    let Some(bigalloc) = ext4_with("bigalloc") else { return };
    insta::assert_snapshot!(bigalloc.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system cannot be written: unsupported feature `bigalloc`
    hint: use an image as published, or one made with the default options of `mkfs.ext4`
    ");
    let Some(mmp) = ext4_with("mmp") else { return };
    insta::assert_snapshot!(mmp.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system cannot be written: unsupported feature `mmp`
    hint: use an image as published, or one made with the default options of `mkfs.ext4`
    ");
    let Some(inline) = ext4_with("inline_data") else { return };
    insta::assert_snapshot!(inline.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system cannot be written: unsupported feature `inline_data`
    hint: use an image as published, or one made with the default options of `mkfs.ext4`
    ");
}

#[test]
fn unclean_ext4_is_refused() {
    let changed_by_debugfs = |request| {
        BadBase::altered(|raw| {
            let device = format!("{}?offset={}", arg(raw), 33 << 20);
            run("debugfs", &["-w", "-R", request, &device]);
        })
    };
    let Some(recovery) = changed_by_debugfs("feature needs_recovery") else { return };
    insta::assert_snapshot!(recovery.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system is not clean: its journal needs recovery
    hint: use an image as published, one that has never booted
    ");
    let Some(errors) = changed_by_debugfs("ssv state 2") else { return };
    insta::assert_snapshot!(errors.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system is not clean: its superblock records errors
    hint: use an image as published, one that has never booted
    ");
    let Some(mounted) = changed_by_debugfs("ssv state 0") else { return };
    insta::assert_snapshot!(mounted.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system is not clean: it was not cleanly unmounted
    hint: use an image as published, one that has never booted
    ");
    let Some(orphan) = changed_by_debugfs("ssv last_orphan 13") else { return };
    insta::assert_snapshot!(orphan.refused(1), @"
    error: looking into the base `base.img`
      caused by: the ext4 file system is not clean: it has orphaned inodes
    hint: use an image as published, one that has never booted
    ");
}

#[test]
fn full_fat_is_refused() {
    // The root directory has 512 slots; the volume label takes one.
    let on_fat = (0..510).map(|i| (format!("F{i}.TXT"), Vec::new())).collect();
    let Some(full) = BadBase::made(&Base { on_fat, ..Base::default() }) else { return };
    let full = full.overlay(&[("boot/a-note-with-a-long-name.txt", b"x".to_vec())]);
    insta::assert_snapshot!(full.build_fails(1), @"
    error: building the image of `caspar`
      caused by: writing `/a-note-with-a-long-name.txt` to the FAT
      caused by: directory full: the name of `a-note-with-a-long-name.txt` needs 4 consecutive slots on the FAT, the directory has 512 slots with at most 0 consecutive free ones
    hint: a name of up to 13 characters takes two slots, and one more for every 13 further characters: shorten the names, or put the files into a folder
    ");
    // An existing file can still be edited.
    fs::remove_dir_all(full.sandbox.work("overlays/mine/boot")).expect("remove the file");
    full.sandbox.run(&BUILD).ok();
    let large = Base { on_fat: vec![("KERNEL.IMG".into(), vec![1; 31 << 20])], ..Base::default() };
    let Some(large) = BadBase::made(&large) else { return };
    let large = large.overlay(&[("boot/more.bin", vec![1; 2 << 20])]);
    insta::assert_snapshot!(large.build_fails(1), @"
    error: building the image of `caspar`
      caused by: writing `/more.bin` to the FAT
      caused by: no space for `more.bin` on the FAT: 2097152 bytes are needed, 962560 are free, 1134592 are missing
    hint: use a base with a larger boot partition, or put less into `boot/`
    ");
}

#[test]
fn full_ext4_is_refused() {
    let filled = Base { on_ext4: vec![("/var/filled", vec![1; 22 << 20])], ..Base::default() };
    let Some(filled) = BadBase::made(&filled) else { return };
    let filled = filled.overlay(&[("files/srv/more", vec![1; 5 << 20])]);
    insta::assert_snapshot!(filled.build_fails(1), @"
    error: building the image of `caspar`
      caused by: the root file system is too small: 5259264 bytes are needed, 3973120 are free, 1286144 are missing
    hint: use fewer overlays or files, or a base with a larger root partition
    ");
    let no_inodes = Base { ext4: vec!["-b", "4096", "-N", "80"], ..Base::default() };
    let many: Vec<_> = (0..100).map(|i| format!("files/srv/{i}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), Vec::new())).collect();
    let Some(no_inodes) = BadBase::made(&no_inodes) else { return };
    insta::assert_snapshot!(no_inodes.overlay(&many).build_fails(1), @"
    error: building the image of `caspar`
      caused by: the root file system has too few inodes: 101 are needed, 24 are free
    hint: use fewer overlays or files, or a base with a larger root partition
    ");
}

#[test]
fn nearly_full_ext4_stays_clean() {
    if !have(&common::image::JUDGES) {
        return;
    }
    let filled = Base { on_ext4: vec![("/var/filled", vec![1; 22 << 20])], ..Base::default() };
    let Some(filled) = BadBase::made(&filled) else { return };
    let BadBase { sandbox, profile } = filled.overlay(&[]);
    profile.write(&sandbox);
    for size in [2_500_000, 3_000_000, 3_500_000] {
        sandbox.write("work/overlays/mine/files/srv/more", vec![1; size]);
        let _ = fs::remove_dir_all(sandbox.work("out"));
        let ran = sandbox.run(&BUILD);
        if ran.code == Some(0) {
            common::image::Image::open(&sandbox.work("out/magi-caspar.img")).judge();
        } else {
            ran.failed(1);
            assert_eq!(sandbox.out(), [] as [&str; 0]);
        }
    }
}

#[test]
fn ambiguous_root_partition_is_refused() {
    let Some(two_roots) = BadBase::altered(|raw| {
        let mut bytes = fs::read(raw).expect("read the base");
        let ext4 = bytes[33 << 20..65 << 20].to_vec();
        bytes.truncate(65 << 20);
        bytes.extend_from_slice(&ext4);
        bytes.extend_from_slice(&[0; 1 << 20]);
        fs::write(raw, bytes).expect("write the base");
        let script =
            format!("echo 'start=65MiB, size=32MiB, type=83' | sfdisk --quiet --append {}", arg(raw));
        run("sh", &["-c", &script]);
    }) else {
        return;
    };
    insta::assert_snapshot!(two_roots.refused(1), @"
    error: looking into the base `base.img`
      caused by: partitions 2 and 3 each hold a system: any of them could be the root file system
    hint: name the root file system with `root=` in `cmdline.txt` of the base image
    ");
}

#[test]
fn special_files_and_folders_are_refused() {
    let sandbox = Sandbox::alone();
    sandbox.write("work/fifo.manifest.json", "{}");
    if have(&["mkfifo"]) {
        run("mkfifo", &[arg(&sandbox.work("fifo"))]);
        insta::assert_snapshot!(sandbox.run(&["inspect", "fifo"]).failed(2), @"
        error: `fifo` is a fifo, not an image
        hint: give an image file, or the block device of a card
        ");
        insta::assert_snapshot!(build_fails(&sandbox, &profile("./fifo"), 2), @"
        error: preparing the base `./fifo`
          caused by: the base `./fifo` is not a file
        hint: give a disk image, packed or raw
        ");
    }
    insta::assert_snapshot!(sandbox.run(&["inspect", "/dev/zero"]).failed(2), @"
    error: `/dev/zero` is a character device, not an image
    hint: give an image file, or the block device of a card
    ");
    insta::assert_snapshot!(build_fails(&sandbox, &profile("/dev/zero"), 2), @"
    error: preparing the base `/dev/zero`
      caused by: the base `/dev/zero` is not a file
    hint: give a disk image, packed or raw
    ");
    insta::assert_snapshot!(sandbox.run(&["inspect", "."]).failed(2), @"
    error: `.` is a folder, not an image
    hint: give an image file, or the block device of a card
    ");
}

#[test]
fn inspect_and_verify_refuse_files_that_are_not_images() {
    let sandbox = Sandbox::alone();
    let text: PathBuf = sandbox.write("work/text.img", "hello\n".repeat(1000));
    insta::assert_snapshot!(sandbox.run(&["inspect", arg(&text)]).failed(1), @"
    error: reading the partitions of `[sandbox]/work/text.img`
      caused by: the image has no partition table: its first sector doesn't end in 55 AA
    hint: the base must be a complete disk image for the Raspberry Pi, with a boot and a root partition
    ");
    insta::assert_snapshot!(sandbox.run(&["inspect", "gone.img"]).failed(2), @"
    error: opening `gone.img`
      caused by: cannot read `gone.img`
      caused by: No such file or directory (os error 2)
    hint: check the path
    ");
    insta::assert_snapshot!(sandbox.run(&["verify", "text.img"]).failed(1), @"
    error: `text.img` has no manifest beside it: `text.manifest.json` is missing
    hint: name the manifest with `--manifest`; a build writes it beside the image
    ");
    sandbox.write("work/text.manifest.json", "{}");
    insta::assert_snapshot!(sandbox.run(&["verify", "text.img"]).failed(1), @"
    error: `text.manifest.json` isn't a manifest of magi-image: missing field `format` at line 1 column 2
    hint: build the image again
    ");
    if let Some(bytes) = valid_packed("xz") {
        sandbox.write("work/cut.img.xz", &bytes[..bytes.len() / 2]);
        insta::assert_snapshot!(without_offsets(&sandbox.run(&["inspect", "cut.img.xz"]).failed(3)), @"
        error: opening `cut.img.xz`
          caused by: `cut.img.xz` is damaged: truncated xz data at byte [n]
        hint: get the file again from its source
        ");
    }
}

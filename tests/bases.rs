//! Builds on every supported layout of a base, made by the programs that make real ones.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::bases::{Base, MAKERS, Table, pack, sha256};
use common::image::{Image, JUDGES};
use common::server::{Reply, Server};
use common::tools::{arg, command, have, is_root, run, said};
use common::{Profile, Ran, Sandbox};

/// All overlays, without downloads.
fn profile(base: &str) -> Profile {
    Profile::fixed()
        .nodes(&["name = \"caspar\"\naddress = \"10.0.0.13/24\""])
        .settings("docker", "source = \"debian\"")
        .settings("k3s", "binary = \"k3s\"")
        .base(base)
}

/// Stand-in for the k3s binary: too large for one ext4 extent, and not compressible to nothing.
fn binary() -> Vec<u8> {
    (0..1_500_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn build(sandbox: &Sandbox, base: &str, more: &[&str]) -> Ran {
    sandbox.write("work/k3s", binary());
    profile(base).write(sandbox);
    sandbox.run(&[&["build", "--all", "-p", "magi.toml"], more].concat())
}

/// Writes the checksum of `file` beside it, as publishers do.
fn publish(file: &Path) {
    let name = file.file_name().and_then(|n| n.to_str()).expect("a name");
    let sums = file.with_file_name(format!("{name}.sha256"));
    fs::write(sums, format!("{}  {name}\n", sha256(file))).expect("a checksum");
}

/// Builds on `base` and checks the image with other programs.
#[track_caller]
fn builds_on(base: &Base) {
    if !(have(&MAKERS) && have(&JUDGES)) {
        return;
    }
    let sandbox = Sandbox::alone();
    let raw = base.make(&sandbox.path("work"), "base.img");
    publish(&raw);
    build(&sandbox, "base.img", &[]).ok();
    let built = sandbox.work("out/magi-caspar.img");
    let image = Image::open(&built);
    image.judge();
    let sysconf = image.on_fat("sysconf.txt");
    assert!(
        sysconf.contains("\nhostname=caspar\n") && sysconf.contains("# the name in the network"),
        "{sysconf}"
    );
    assert_eq!(image.cat("/etc/hostname"), "caspar\n");
    assert_eq!(image.bytes("/usr/local/bin/k3s"), binary());
    assert_eq!(image.stat("/usr/local/bin/k3s").mode, "0755");
    assert_eq!(image.stat("/etc/rancher/k3s/token").mode, "0600");
    // Files that the firmware and the initramfs read are unchanged.
    let table = |path: &Path| run("sfdisk", &["--dump", arg(path)]).replace(arg(path), "");
    assert_eq!(table(&built), table(&raw));
    sandbox.run(&["verify", "out/magi-caspar.img"]).ok();
}

#[test]
fn mbr_with_fat16() {
    builds_on(&Base::default());
}

#[test]
fn mbr_with_root_first_and_other_numbers() {
    builds_on(&Base { numbers: (4, 2), root_first: true, ..Base::default() });
}

#[test]
fn mbr_with_fat32() {
    builds_on(&Base { fat: vec!["-F", "32", "-s", "1"], fat_size: 40, ..Base::default() });
}

#[test]
fn plain_gpt() {
    builds_on(&Base { table: Table::Gpt, ..Base::default() });
}

#[test]
fn gpt_with_hybrid_mbr() {
    let fat = vec!["-F", "32", "-s", "1"];
    builds_on(&Base { table: Table::HybridGpt, numbers: (15, 1), fat, fat_size: 40, ..Base::default() });
}

#[test]
fn ext4_with_trixie_features() {
    let features = "orphan_file,metadata_csum_seed,64bit,metadata_csum";
    builds_on(&Base { ext4: vec!["-b", "4096", "-I", "256", "-O", features], ..Base::default() });
}

#[test]
fn ext4_with_small_blocks() {
    builds_on(&Base { ext4: vec!["-b", "1024"], ..Base::default() });
}

#[test]
fn ext4_without_a_journal() {
    builds_on(&Base { ext4: vec!["-b", "4096", "-O", "^has_journal"], ..Base::default() });
}

#[test]
fn ext4_without_checksums() {
    builds_on(&Base { ext4: vec!["-b", "4096", "-O", "^metadata_csum,^64bit"], ..Base::default() });
}

#[test]
fn ext4_without_flex_groups() {
    builds_on(&Base { ext4: vec!["-b", "1024", "-O", "^flex_bg,^resize_inode"], ..Base::default() });
}

#[test]
fn linux_mounts_and_writes_the_image() {
    if !is_root() {
        return eprintln!("not tried: only root can mount");
    }
    if !(have(&MAKERS) && have(&JUDGES)) {
        return;
    }
    let features = "orphan_file,metadata_csum_seed,64bit,metadata_csum";
    let sandbox = Sandbox::alone();
    let base = Base { ext4: vec!["-b", "4096", "-O", features], ..Base::default() };
    publish(&base.make(&sandbox.path("work"), "base.img"));
    build(&sandbox, "base.img", &[]).ok();
    let built = sandbox.work("out/magi-caspar.img");
    let point = sandbox.path("mounted");
    fs::create_dir(&point).expect("a folder");
    let offset = Image::open(&built).ext4_start();
    let options = format!("loop,offset={offset},sizelimit={}", base.ext4_size << 20);
    let output = command("mount").args(["-o", &options, arg(&built), arg(&point)]).output().expect("mount");
    if !output.status.success() {
        return eprintln!("not tried: this system doesn't let root mount: {}", said(&output));
    }
    let mounted = Mounted(point);
    assert_eq!(fs::read_to_string(mounted.0.join("etc/hostname")).expect("a name"), "caspar\n");
    assert_eq!(fs::read(mounted.0.join("usr/local/bin/k3s")).expect("a binary"), binary());
    assert_eq!(fs::read_link(mounted.0.join("usr/local/bin/kubectl")).expect("a link"), Path::new("k3s"));
    fs::write(mounted.0.join("var/log/used"), vec![7; 3 << 20]).expect("room");
    fs::remove_file(mounted.0.join("usr/local/bin/k3s")).expect("its removal");
    drop(mounted);
    Image::open(&built).judge();
}

/// Unmounts, also when a test fails.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = command("umount").arg(&self.0).status();
    }
}

#[test]
fn every_container_gives_the_same_image() {
    if !(have(&MAKERS) && have(&["xz", "gzip", "zstd", "tar"])) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let raw = Base::default().make(folder.path(), "base.img");
    let built_from = |base: &Path| {
        let sandbox = Sandbox::alone();
        publish(base);
        build(&sandbox, arg(base), &[]).ok();
        let manifest = fs::read(sandbox.work("out/magi-caspar.manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(manifest["base"]["sha256"], sha256(base), "{}", base.display());
        assert_eq!(manifest["base"]["raw_sha256"], sha256(&raw), "{}", base.display());
        sha256(&sandbox.work("out/magi-caspar.img"))
    };
    let expected = built_from(&raw);
    for how in ["xz", "xz-blocks", "xz-streams", "gz", "gz-members", "zst", "tar.xz"] {
        assert_eq!(built_from(&pack(&raw, how)), expected, "{how}");
    }
}

/// A server with a packed base and its checksum.
fn published() -> Option<(Server, Vec<u8>)> {
    if !(have(&MAKERS) && have(&["xz"])) {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let packed = pack(&Base::default().make(folder.path(), "base.img"), "xz");
    let bytes = fs::read(&packed).expect("the base");
    let server = Server::start();
    server.on("/base.img.xz", Reply::Content(bytes.clone()));
    let sums = format!("{}  base.img.xz\n", sha256(&packed));
    server.on("/base.img.xz.sha256", Reply::Content(sums.into_bytes()));
    Some((server, bytes))
}

#[test]
fn url_with_checksum_file_then_offline() {
    let Some((server, _)) = published() else { return };
    let sandbox = Sandbox::alone();
    let url = server.url("/base.img.xz");
    build(&sandbox, &url, &[]).ok();
    assert_eq!(server.asked(), ["/base.img.xz.sha256", "/base.img.xz"]);
    let first = sha256(&sandbox.work("out/magi-caspar.img"));
    let lock = fs::read_to_string(sandbox.work("magi.lock")).expect("a lock");
    assert!(lock.contains(&url), "{lock}");
    fs::remove_dir_all(sandbox.work("out")).expect("the output");
    build(&sandbox, &url, &["--offline"]).ok();
    assert_eq!(sha256(&sandbox.work("out/magi-caspar.img")), first);
    // Online again: no request for what the cache and the lock have.
    build(&sandbox, &url, &[]).ok();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

#[test]
fn offline_build_works_after_fetch() {
    let Some((server, _)) = published() else { return };
    let sandbox = Sandbox::alone();
    sandbox.write("work/k3s", binary());
    profile(&server.url("/base.img.xz")).write(&sandbox);
    let fetched = sandbox.run(&["fetch", "-p", "magi.toml"]).ok();
    assert_eq!((fetched.stdout.as_str(), sandbox.out().len()), ("", 0));
    assert!(fetched.stderr.contains("`build --offline` works now"), "{}", fetched.stderr);
    sandbox.run(&["build", "--all", "--offline", "-p", "magi.toml"]).ok();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

#[test]
fn interrupted_download_is_resumed() {
    let Some((server, bytes)) = published() else { return };
    let half = bytes.len() / 2;
    server.on("/base.img.xz", Reply::CutOnce(bytes, half));
    let sandbox = Sandbox::alone();
    let ran = build(&sandbox, &server.url("/base.img.xz"), &[]).ok();
    assert_eq!(server.asked(), ["/base.img.xz.sha256", "/base.img.xz", &format!("/base.img.xz from {half}")]);
    assert!(ran.stderr.contains("trying again"), "{}", ran.stderr);
}

#[test]
fn redirect_with_pinned_hash() {
    let Some((server, bytes)) = published() else { return };
    server.on("/latest", Reply::Redirect(server.url("/base.img.xz")));
    let sandbox = Sandbox::alone();
    let file = sandbox.write("base", bytes);
    sandbox.write("work/k3s", binary());
    profile(&server.url("/latest")).pin(&sha256(&file)).write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml"]).ok();
    assert_eq!(server.asked(), ["/latest", "/base.img.xz"]);
}

#[test]
fn missing_checksum_needs_the_insecure_option() {
    let Some((server, _)) = published() else { return };
    server.on("/base.img.xz.sha256", Reply::Status(404));
    let sandbox = Sandbox::alone();
    build(&sandbox, &server.url("/base.img.xz"), &["--insecure-no-checksum"]).ok();
    assert_eq!(sandbox.out().iter().filter(|name| name.ends_with(".img")).count(), 1);
}

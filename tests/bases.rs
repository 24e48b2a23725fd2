//! Builds on every supported layout of a base, made by the programs that make real ones.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::bases::{Base, MAKERS, Table, pack, sha256, write_checksum};
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

/// Stand-in for the k3s binary: several ext4 extents long and hard to compress.
fn k3s_binary() -> Vec<u8> {
    (0..1_500_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Builds on `base` with `options`.
fn build(sandbox: &Sandbox, base: &str, options: &[&str]) -> Ran {
    sandbox.write("work/k3s", k3s_binary());
    profile(base).write(sandbox);
    sandbox.run(&[&["build", "--all", "-p", "magi.toml"], options].concat())
}

/// Builds on `base` and checks the image with other programs.
#[track_caller]
fn assert_builds_on(base: &Base) {
    if !(have(&MAKERS) && have(&JUDGES)) {
        return;
    }
    let sandbox = Sandbox::alone();
    let raw = base.make(&sandbox.path("work"), "base.img");
    write_checksum(&raw);
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
    assert_eq!(image.bytes("/usr/local/bin/k3s"), k3s_binary());
    assert_eq!(image.stat("/usr/local/bin/k3s").mode, "0755");
    assert_eq!(image.stat("/etc/rancher/k3s/token").mode, "0600");
    // Files that the firmware and the initramfs read are unchanged.
    let table = |path: &Path| run("sfdisk", &["--dump", arg(path)]).replace(arg(path), "");
    assert_eq!(table(&built), table(&raw));
    sandbox.run(&["verify", "out/magi-caspar.img"]).ok();
}

#[test]
fn builds_on_mbr_with_fat16() {
    assert_builds_on(&Base::default());
}

#[test]
fn builds_on_mbr_with_root_first_and_other_partition_numbers() {
    assert_builds_on(&Base { numbers: (4, 2), root_first: true, ..Base::default() });
}

#[test]
fn builds_on_mbr_with_fat32() {
    assert_builds_on(&Base { fat: vec!["-F", "32", "-s", "1"], fat_size: 40, ..Base::default() });
}

#[test]
fn builds_on_gpt() {
    assert_builds_on(&Base { table: Table::Gpt, ..Base::default() });
}

#[test]
fn builds_on_gpt_with_hybrid_mbr() {
    let fat = vec!["-F", "32", "-s", "1"];
    assert_builds_on(&Base {
        table: Table::HybridGpt,
        numbers: (15, 1),
        fat,
        fat_size: 40,
        ..Base::default()
    });
}

#[test]
fn builds_on_ext4_with_trixie_features() {
    let features = "orphan_file,metadata_csum_seed,64bit,metadata_csum";
    assert_builds_on(&Base { ext4: vec!["-b", "4096", "-I", "256", "-O", features], ..Base::default() });
}

#[test]
fn builds_on_ext4_with_1k_blocks() {
    assert_builds_on(&Base { ext4: vec!["-b", "1024"], ..Base::default() });
}

#[test]
fn builds_on_ext4_without_journal() {
    assert_builds_on(&Base { ext4: vec!["-b", "4096", "-O", "^has_journal"], ..Base::default() });
}

#[test]
fn builds_on_ext4_without_metadata_checksums() {
    assert_builds_on(&Base { ext4: vec!["-b", "4096", "-O", "^metadata_csum,^64bit"], ..Base::default() });
}

#[test]
fn builds_on_ext4_without_flex_bg() {
    assert_builds_on(&Base { ext4: vec!["-b", "1024", "-O", "^flex_bg,^resize_inode"], ..Base::default() });
}

#[test]
fn linux_mounts_and_writes_the_image() {
    if !is_root() {
        return eprintln!("not tested: only root can mount");
    }
    if !(have(&MAKERS) && have(&JUDGES)) {
        return;
    }
    let features = "orphan_file,metadata_csum_seed,64bit,metadata_csum";
    let sandbox = Sandbox::alone();
    let base = Base { ext4: vec!["-b", "4096", "-O", features], ..Base::default() };
    write_checksum(&base.make(&sandbox.path("work"), "base.img"));
    build(&sandbox, "base.img", &[]).ok();
    let built = sandbox.work("out/magi-caspar.img");
    let point = sandbox.path("mounted");
    fs::create_dir(&point).expect("create the folder");
    let offset = Image::open(&built).ext4_start();
    let options = format!("loop,offset={offset},sizelimit={}", base.ext4_size << 20);
    let output =
        command("mount").args(["-o", &options, arg(&built), arg(&point)]).output().expect("run mount");
    if !output.status.success() {
        return eprintln!("not tested: this system doesn't let root mount: {}", said(&output));
    }
    let mounted = Mounted(point);
    assert_eq!(fs::read_to_string(mounted.0.join("etc/hostname")).expect("read the hostname"), "caspar\n");
    assert_eq!(fs::read(mounted.0.join("usr/local/bin/k3s")).expect("read the binary"), k3s_binary());
    assert_eq!(
        fs::read_link(mounted.0.join("usr/local/bin/kubectl")).expect("read the symlink"),
        Path::new("k3s")
    );
    fs::write(mounted.0.join("var/log/used"), vec![7; 3 << 20]).expect("write a file");
    fs::remove_file(mounted.0.join("usr/local/bin/k3s")).expect("remove the file");
    drop(mounted);
    Image::open(&built).judge();
}

/// A mount point; unmounted on drop, also if the test fails.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = command("umount").arg(&self.0).status();
    }
}

#[test]
fn every_compression_of_the_base_gives_the_same_image() {
    if !(have(&MAKERS) && have(&["xz", "gzip", "zstd", "tar"])) {
        return;
    }
    let folder = tempfile::tempdir().expect("create a temporary folder");
    let raw = Base::default().make(folder.path(), "base.img");
    let built_from = |base: &Path| {
        let sandbox = Sandbox::alone();
        write_checksum(base);
        build(&sandbox, arg(base), &[]).ok();
        let manifest = fs::read(sandbox.work("out/magi-caspar.manifest.json")).expect("read the manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("parse the manifest");
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
fn server_with_base() -> Option<(Server, Vec<u8>)> {
    if !(have(&MAKERS) && have(&["xz"])) {
        return None;
    }
    let folder = tempfile::tempdir().expect("create a temporary folder");
    let packed = pack(&Base::default().make(folder.path(), "base.img"), "xz");
    let bytes = fs::read(&packed).expect("read the base");
    let server = Server::start();
    server.on("/base.img.xz", Reply::Content(bytes.clone()));
    let sums = format!("{}  base.img.xz\n", sha256(&packed));
    server.on("/base.img.xz.sha256", Reply::Content(sums.into_bytes()));
    Some((server, bytes))
}

#[test]
fn downloaded_base_is_reused_offline() {
    let Some((server, _)) = server_with_base() else { return };
    let sandbox = Sandbox::alone();
    let url = server.url("/base.img.xz");
    build(&sandbox, &url, &[]).ok();
    assert_eq!(server.asked(), ["/base.img.xz.sha256", "/base.img.xz"]);
    let first = sha256(&sandbox.work("out/magi-caspar.img"));
    let lock = fs::read_to_string(sandbox.work("magi.lock")).expect("read the lock file");
    assert!(lock.contains(&url), "{lock}");
    fs::remove_dir_all(sandbox.work("out")).expect("remove the output");
    build(&sandbox, &url, &["--offline"]).ok();
    assert_eq!(sha256(&sandbox.work("out/magi-caspar.img")), first);
    // An online build also uses the cache and the lock file, and sends no request.
    build(&sandbox, &url, &[]).ok();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

#[test]
fn offline_build_works_after_fetch() {
    let Some((server, _)) = server_with_base() else { return };
    let sandbox = Sandbox::alone();
    sandbox.write("work/k3s", k3s_binary());
    profile(&server.url("/base.img.xz")).write(&sandbox);
    let fetched = sandbox.run(&["fetch", "-p", "magi.toml"]).ok();
    assert_eq!((fetched.stdout.as_str(), sandbox.out().len()), ("", 0));
    assert!(fetched.stderr.contains("`build --offline` works now"), "{}", fetched.stderr);
    sandbox.run(&["build", "--all", "--offline", "-p", "magi.toml"]).ok();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
}

#[test]
fn base_show_downloads_only_when_asked() {
    let Some((server, bytes)) = server_with_base() else { return };
    let sandbox = Sandbox::alone();
    let url = server.url("/base.img.xz");
    let show = |args: &[&str]| sandbox.run(&[&["base", "show"], args].concat());
    insta::assert_snapshot!(show(&["debian-13"]).ok().stdout, @"
    debian-13 (default)
      Debian 13, cloud image `raspi`, the latest daily build
      family    Debian's cloud image `raspi`
      boards    Pi 3, 4
      verified  by the checksum file beside it
      cached    no

    build     unknown: it isn't downloaded, so its content isn't known
    hint      `magi-image base show --download debian-13` downloads it and shows what is in it
    ");
    insta::assert_snapshot!(sandbox.normalised(&show(&[&url]).ok().stdout), @"
    http://[server]/base.img.xz

    build     unknown: it isn't downloaded, so its content isn't known
    hint      `magi-image base show --download http://[server]/base.img.xz` downloads it and shows what is in it
    ");
    assert_eq!(show(&[&url, "--json"]).ok().json()["image"], serde_json::Value::Null);
    assert_eq!(server.asked(), [] as [&str; 0]);
    let shown = show(&["--download", &url]).ok().stdout;
    assert!(shown.contains("build     possible\n"), "{shown}");
    assert_eq!(server.asked(), ["/base.img.xz.sha256", "/base.img.xz"]);
    // A file needs no checksum to be looked into.
    sandbox.write("work/mine.img.xz", bytes);
    let shown = show(&["mine.img.xz"]).ok();
    assert!(shown.stderr.contains("no checksum is known for `mine.img.xz`"), "{}", shown.stderr);
}

#[test]
fn base_list_fits_a_narrow_terminal() {
    let sandbox = Sandbox::alone();
    let listed = sandbox.run(&["base", "list"]).ok().stdout;
    assert!(listed.lines().all(|line| line.chars().count() <= 60), "{listed}");
    let entry = listed.split("\n\n").find(|entry| entry.contains("(default)"));
    insta::assert_snapshot!(entry.expect("a base is the default"), @"
    debian-13 (default)
      Debian 13, cloud image `raspi`, the latest daily build
      family    Debian's cloud image `raspi`
      boards    Pi 3, 4
      verified  by the checksum file beside it
      cached    no
    ");
    let bases = sandbox.run(&["base", "list", "--json"]).ok().json();
    let names: Vec<_> = bases.as_array().expect("a list").iter().map(|base| base["name"].clone()).collect();
    assert!(names.contains(&"debian-13".into()) && names.contains(&"sample-c".into()), "{names:?}");
    let mut narrow = sandbox.command(&["base", "show", "sample"]);
    let shown = sandbox.ran(&narrow.env("COLUMNS", "60").output().expect("run the program")).ok().stdout;
    assert!(shown.lines().all(|line| line.chars().count() <= 60 || line.ends_with(".img")), "{shown}");
}

#[test]
fn interrupted_download_is_resumed() {
    let Some((server, bytes)) = server_with_base() else { return };
    let half = bytes.len() / 2;
    server.on("/base.img.xz", Reply::CutOnce(bytes, half));
    let sandbox = Sandbox::alone();
    let ran = build(&sandbox, &server.url("/base.img.xz"), &[]).ok();
    assert_eq!(server.asked(), ["/base.img.xz.sha256", "/base.img.xz", &format!("/base.img.xz from {half}")]);
    assert!(ran.stderr.contains("trying again"), "{}", ran.stderr);
}

#[test]
fn redirect_is_followed_with_pinned_hash() {
    let Some((server, bytes)) = server_with_base() else { return };
    server.on("/latest", Reply::Redirect(server.url("/base.img.xz")));
    let sandbox = Sandbox::alone();
    let file = sandbox.write("base", bytes);
    sandbox.write("work/k3s", k3s_binary());
    profile(&server.url("/latest")).pin(&sha256(&file)).write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml"]).ok();
    assert_eq!(server.asked(), ["/latest", "/base.img.xz"]);
}

#[test]
fn missing_checksum_needs_the_insecure_option() {
    let Some((server, _)) = server_with_base() else { return };
    server.on("/base.img.xz.sha256", Reply::Status(404));
    let sandbox = Sandbox::alone();
    build(&sandbox, &server.url("/base.img.xz"), &["--insecure-no-checksum"]).ok();
    assert_eq!(sandbox.out().iter().filter(|name| name.ends_with(".img")).count(), 1);
}

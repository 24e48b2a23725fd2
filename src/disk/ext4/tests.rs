//! The writer against the real `mkfs.ext4` and `e2fsck`, and against ext4-view.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::disk::testing;
use crate::disk::window::Window;
use crate::plan::Attributes;

/// The feature sets that bookworm's and trixie's `mkfs.ext4` give, and small blocks.
const PROFILES: &[(&str, &[&str])] = &[
    ("bookworm", &["-O", "^orphan_file,^metadata_csum_seed"]),
    ("trixie", &["-O", "orphan_file,metadata_csum_seed"]),
    ("small blocks", &["-b", "1024"]),
    ("no journal", &["-O", "^has_journal,^orphan_file"]),
];

const STAMP: i64 = 1_700_000_000;

/// An empty file system; `None` without `mkfs.ext4`.
fn file_system(dir: &Path, options: &[&str]) -> Option<PathBuf> {
    let image = dir.join("root.ext4");
    File::create(&image).unwrap().set_len(48 << 20).unwrap();
    let name = image.to_str().unwrap();
    testing::run("mkfs.ext4", &[&["-q", "-F"], options, &[name]].concat(), "")?;
    Some(image)
}

fn window(image: &Path, writable: bool) -> Window {
    let file = Arc::new(File::options().read(true).write(true).open(image).unwrap());
    let len = file.metadata().unwrap().len();
    if writable { Window::writable(file, 0, len).unwrap() } else { Window::read_only(file, 0, len).unwrap() }
}

fn attributes(mode: u16) -> Attributes {
    Attributes { mode, uid: 0, gid: 42 }
}

/// A secret that must not stay anywhere but in its file.
const SECRET: &[u8] = b"the-token-that-nobody-may-find-in-the-journal";

fn fill(image: &Path) {
    let writer = Writer::open(window(image, true), STAMP).unwrap();
    writer.directory("/etc", attributes(0o755)).unwrap();
    writer.directory("/etc/deep", attributes(0o700)).unwrap();
    writer.file("/etc/deep/token", attributes(0o640), &mut &SECRET[..], SECRET.len() as u64).unwrap();
    let large: Vec<u8> = (0..20_000_000u32).map(|i| (i / 7).to_le_bytes()[0]).collect();
    writer.file("/large", attributes(0o4755), &mut &large[..], large.len() as u64).unwrap();
    writer.file("/etc/empty", attributes(0o644), &mut &b""[..], 0).unwrap();
    writer.symlink("/etc/link", "deep/token").unwrap();
    writer.symlink("/etc/long", &"x/".repeat(60)).unwrap();
    for i in 0..300 {
        writer.file(&format!("/etc/file-{i}"), attributes(0o644), &mut &b"old"[..], 3).unwrap();
    }
    // Once more: replacing is what most edits do.
    writer.file("/etc/file-7", attributes(0o600), &mut &b"newer"[..], 5).unwrap();
    writer.symlink("/etc/link", "file-7").unwrap();
    writer.finish().unwrap();
}

#[test]
fn what_is_written_is_clean_for_e2fsck_and_read_by_others() {
    for (name, options) in PROFILES {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = file_system(dir.path(), options) else { return };
        fill(&image);
        let Some((clean, said)) = testing::outcome("e2fsck", &["-fn", image.to_str().unwrap()], "") else {
            return;
        };
        assert!(clean, "{name}: {said}");
        let reader = Reader::open(&window(&image, false)).unwrap();
        let stat = reader.stat("/large").unwrap().unwrap();
        assert_eq!(
            (stat.kind, stat.size, stat.mode, stat.gid),
            (FileKind::File, 20_000_000, 0o4755, 42),
            "{name}"
        );
        assert_eq!(stat.mtime, STAMP);
        assert_eq!(reader.read("/etc/file-7", 100).unwrap(), b"newer");
        assert_eq!(reader.read_link("/etc/link").unwrap(), "file-7");
        assert_eq!(reader.read("/etc/deep/token", 100).unwrap(), SECRET);
        assert_eq!(reader.stat("/etc/nothing").unwrap(), None);
        assert!(reader.read("/large", 100).unwrap_err().to_string().contains("20000000 bytes"));
        let raw = std::fs::read(&image).unwrap();
        let copies = raw.windows(SECRET.len()).filter(|w| *w == SECRET).count();
        assert_eq!(copies, 1, "{name}: the journal keeps a copy");
        let (log, request) =
            (dir.path().join("log"), format!("dump <8> {}", dir.path().join("log").display()));
        testing::outcome("debugfs", &["-R", &request, image.to_str().unwrap()], "").unwrap();
        let behind = std::fs::read(log).unwrap_or_default().into_iter().skip(4096);
        assert_eq!(behind.filter(|byte| *byte != 0).count(), 0, "{name}: the journal isn't wiped");
    }
}

#[test]
fn the_same_edits_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(first) = file_system(dir.path(), PROFILES[1].1) else { return };
    let second = dir.path().join("second");
    std::fs::copy(&first, &second).unwrap();
    fill(&first);
    fill(&second);
    assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
}

#[test]
fn an_unclean_file_system_is_refused() {
    for (field, why) in
        [("feature needs_recovery", "journal needs recovery"), ("ssv state 0", "not unmounted")]
    {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = file_system(dir.path(), PROFILES[0].1) else { return };
        if testing::run("debugfs", &["-w", "-R", field, image.to_str().unwrap()], "").is_none() {
            return;
        }
        let error =
            Writer::open(window(&image, true), STAMP).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(why), "{field}: {error}");
    }
}

#[test]
fn a_full_file_system_gives_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = file_system(dir.path(), PROFILES[0].1) else { return };
    let writer = Writer::open(window(&image, true), STAMP).unwrap();
    let huge = 100u64 << 20;
    let error = writer.file("/huge", attributes(0o644), &mut std::io::repeat(7), huge).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
}

/// Flipped bits in the superblock, the group descriptors, the inode table and folders: an error or a
/// success, but an end, and no panic.
#[test]
fn lies_end_with_an_error_and_never_with_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = file_system(dir.path(), PROFILES[1].1) else { return };
    fill(&image);
    let good = std::fs::read(&image).unwrap();
    let victim = dir.path().join("victim");
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..60 {
        let mut bad = good.clone();
        for _ in 0..=round % 8 {
            // Mostly the superblock, else the first megabytes, where tables and folders are.
            let end = if round % 3 == 0 { 2048 } else { 4 << 20 };
            let at = 1024 + usize::try_from(random() % (end - 1024)).unwrap();
            bad[at] ^= 1 << (random() % 8);
        }
        std::fs::write(&victim, &bad).unwrap();
        if let Ok(reader) = Reader::open(&window(&victim, false)) {
            let _ = reader.read("/large", 64 << 20);
            let _ = reader.read_link("/etc/link");
        }
        if let Ok(writer) = Writer::open(window(&victim, true), STAMP) {
            let _ = writer.file("/etc/new", attributes(0o644), &mut &b"x"[..], 1);
            let _ = writer.file("/etc/deep/token", attributes(0o600), &mut &b"y"[..], 1);
            let _ = writer.finish();
        }
    }
}

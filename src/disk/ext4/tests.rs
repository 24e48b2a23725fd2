//! The writer on file systems of `mkfs.ext4`, checked by `e2fsck` and ext4-view.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::disk::testing::{self, Corruptor};
use crate::disk::window::Window;
use crate::plan::Attributes;

/// The default features of `mkfs.ext4` in bookworm and trixie, small blocks, and no journal.
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

/// Must be in its file only.
const SECRET: &[u8] = b"a-token-that-must-not-be-in-the-journal";

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
    // Replaces existing ones, as most edits do.
    writer.file("/etc/file-7", attributes(0o600), &mut &b"newer"[..], 5).unwrap();
    writer.symlink("/etc/link", "file-7").unwrap();
    writer.finish().unwrap();
}

#[test]
fn written_files_pass_e2fsck_and_leave_no_copy_in_the_journal() {
    for (name, options) in PROFILES {
        let dir = tempfile::tempdir().unwrap();
        let Some(image) = file_system(dir.path(), options) else { return };
        fill(&image);
        let Some((clean, text)) = testing::outcome("e2fsck", &["-fn", image.to_str().unwrap()], "") else {
            return;
        };
        assert!(clean, "{name}: {text}");
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
        assert_eq!(copies, 1, "{name}: copies of the secret");
        if *name == "no journal" {
            continue;
        }
        let journal = dir.path().join("journal");
        let request = format!("dump <8> {}", journal.display());
        testing::outcome("debugfs", &["-R", &request, image.to_str().unwrap()], "").unwrap();
        let blocks = std::fs::read(journal).unwrap().into_iter().skip(4096);
        assert_eq!(blocks.filter(|byte| *byte != 0).count(), 0, "{name}: the journal is not zeroed");
    }
}

#[test]
fn equal_edits_give_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(first) = file_system(dir.path(), PROFILES[1].1) else { return };
    let second = dir.path().join("second");
    std::fs::copy(&first, &second).unwrap();
    fill(&first);
    fill(&second);
    assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
}

#[test]
fn unclean_file_system_is_refused() {
    for (field, why) in
        [("feature needs_recovery", "journal needs recovery"), ("ssv state 0", "not cleanly unmounted")]
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
fn full_file_system_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = file_system(dir.path(), PROFILES[0].1) else { return };
    let writer = Writer::open(window(&image, true), STAMP).unwrap();
    let huge = 100u64 << 20;
    let error = writer.file("/huge", attributes(0o644), &mut std::io::repeat(7), huge).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
}

/// Flipped bits in the superblock, the group descriptors, the inode table and directories.
#[test]
fn corruption_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let Some(image) = file_system(dir.path(), PROFILES[1].1) else { return };
    fill(&image);
    let intact = std::fs::read(&image).unwrap();
    let corrupt_image = dir.path().join("corrupt");
    let mut random = Corruptor::new(1);
    for round in 0..60 {
        let mut bytes = intact.clone();
        for _ in 0..=round % 8 {
            // In one round of three the superblock, else the first megabytes with tables and directories.
            let end = if round % 3 == 0 { 2048 } else { 4 << 20 };
            bytes[1024 + random.below(end - 1024)] ^= 1 << random.below(8);
        }
        std::fs::write(&corrupt_image, &bytes).unwrap();
        if let Ok(reader) = Reader::open(&window(&corrupt_image, false)) {
            let _ = reader.read("/large", 64 << 20);
            let _ = reader.read_link("/etc/link");
        }
        if let Ok(writer) = Writer::open(window(&corrupt_image, true), STAMP) {
            let _ = writer.file("/etc/new", attributes(0o644), &mut &b"x"[..], 1);
            let _ = writer.file("/etc/deep/token", attributes(0o600), &mut &b"y"[..], 1);
            let _ = writer.finish();
        }
    }
}

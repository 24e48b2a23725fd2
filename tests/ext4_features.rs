//! ext4 with unusual features, inode sizes, block sizes and directory hashes: a build gives a correct image, or is
//! refused by the feature's name before anything is copied.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;

use common::bases::{Base, MAKERS, sha256};
use common::image::{Image, JUDGES};
use common::tools::have;
use common::{Profile, Ran, Sandbox};

/// Folders large enough for an htree: the node writes into all of them.
const LARGE_FOLDERS: [&str; 2] = ["/etc", "/etc/systemd/system"];
/// Files of the base in each of them. Names with bytes above 127 have another hash where it is unsigned.
const FILES: usize = 150;
const NAME: &str = "größere-datei-mit-langem-namen-für-volle-verzeichnisblöcke";
/// Files that the overlay adds to each of them.
const ADDED: usize = 40;
const ADDED_NAME: &str = "hinzugefügte-datei-mit-langem-namen-für-volle-blöcke";

/// Builds indices for large directories, which mkfs.ext4 doesn't.
const INDEX: &[&str] = &["e2fsck", "-fyD"];
const UNSIGNED: &[&str] = &["debugfs", "-w", "-R", "ssv flags 2"];
const LEGACY: &[&str] = &["tune2fs", "-E", "hash_alg=legacy"];
const TEA: &[&str] = &["tune2fs", "-E", "hash_alg=tea"];
const HALF_MD4: &[&str] = &["tune2fs", "-E", "hash_alg=half_md4"];

/// Names of the same length in ASCII, where the hash is unsigned.
const ASCII: [&str; 2] = [
    "groessere-datei-mit-langem-namen-fuer-volle-verzeichnisbloecke",
    "hinzugefuegte-datei-mit-langem-namen-fuer-volle-bloecke",
];

/// Options of mkfs.ext4, and programs that then change the file system.
struct Form(&'static [&'static str], &'static [&'static [&'static str]]);

/// A base of this form with large folders.
fn base(Form(mkfs, tune): &Form, name: &str, files: usize) -> Base {
    let names = (0..files).flat_map(|i| LARGE_FOLDERS.map(|folder| format!("{folder}/{name}-{i:04}")));
    let on_ext4 = names.map(|name| (&*Box::leak(name.into_boxed_str()), b"base\n".to_vec())).collect();
    let blocks: &[&str] = if mkfs.contains(&"-b") { &[] } else { &["-b", "4096"] };
    let ext4 = [blocks, &["-F", "-N", "2048"], mkfs].concat();
    Base { ext4, tune: tune.to_vec(), on_ext4, ext4_size: 24, ..Base::default() }
}

/// Builds with an overlay that adds files to the large folders.
fn build(form: &Form, [name, added]: [&str; 2], files: usize) -> (Sandbox, Ran) {
    let sandbox = Sandbox::alone();
    let raw = base(form, name, files).make(&sandbox.path("work"), "base.img");
    fs::write(sandbox.work("base.img.sha256"), format!("{}  base.img\n", sha256(&raw))).expect("write");
    sandbox.write("work/overlays/mine/overlay.toml", "summary = \"a test\"\n");
    for (folder, i) in LARGE_FOLDERS.iter().flat_map(|folder| (0..ADDED).map(move |i| (folder, i))) {
        let file = format!("work/overlays/mine/files{folder}/{added}-{i:04}");
        sandbox.write(&file, format!("node {i}\n"));
    }
    Profile::small(&["common", "mine"]).base("base.img").write(&sandbox);
    let ran = sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]);
    (sandbox, ran)
}

/// Checks that a build gives a sound image with all files in the large folders.
fn assert_builds(forms: &[Form]) {
    assert_builds_with([NAME, ADDED_NAME], forms);
}

fn assert_builds_with(names: [&str; 2], forms: &[Form]) {
    if !(have(&MAKERS) && have(&JUDGES) && have(&["tune2fs"])) {
        return;
    }
    for form in forms {
        eprintln!("{:?} {:?}", form.0, form.1);
        let (sandbox, ran) = build(form, names, FILES);
        ran.ok();
        let image = Image::open(&sandbox.work("out/magi-caspar.img"));
        image.judge();
        assert_eq!(image.cat("/etc/hostname"), "caspar\n");
        for folder in LARGE_FOLDERS {
            let listed = image.debugfs(&format!("ls -p {folder}"));
            let count = |name: &str| listed.matches(&format!("/{name}-")).count();
            assert_eq!((count(names[0]), count(names[1])), (FILES, ADDED), "{folder}");
            let last = ADDED - 1;
            assert_eq!(image.cat(&format!("{folder}/{}-{last:04}", names[1])), format!("node {last}\n"));
            assert_eq!(image.cat(&format!("{folder}/{}-0123", names[0])), "base\n");
        }
        let indexed = image.debugfs("htree_dump /etc").contains("Root node dump");
        assert_eq!(indexed, form.1.contains(&INDEX) && !form.0.contains(&"^dir_index"));
    }
}

#[test]
fn inode_and_block_sizes_build() {
    assert_builds(&[
        Form(&["-I", "512"], &[INDEX]),
        Form(&["-I", "1024"], &[INDEX]),
        Form(&["-b", "1024"], &[INDEX]),
    ]);
}

#[test]
fn directory_hashes_build() {
    assert_builds(&[
        Form(&[], &[]),
        Form(&[], &[HALF_MD4, INDEX]),
        Form(&[], &[TEA, INDEX]),
        Form(&["-O", "^dir_index"], &[INDEX]),
    ]);
}

#[test]
fn unsigned_directory_hashes_build_with_names_in_ascii() {
    assert_builds_with(ASCII, &[Form(&[], &[UNSIGNED, HALF_MD4, INDEX]), Form(&[], &[UNSIGNED, TEA, INDEX])]);
    // Without an index, names are not hashed.
    assert_builds(&[Form(&["-O", "^dir_index"], &[INDEX])]);
    let Some(cause) = refused(&Form(&[], &[UNSIGNED, HALF_MD4, INDEX])) else { return };
    assert_eq!(
        cause,
        "cannot look up `/etc/hinzugefügte-datei-mit-langem-namen-für-volle-blöcke-0000`: `/etc` has an unsigned \
         directory hash, and the name is not ASCII"
    );
}

#[test]
fn older_and_newer_features_build() {
    assert_builds(&[
        Form(&["-O", "^metadata_csum"], &[INDEX]),
        Form(&["-O", "^metadata_csum,uninit_bg"], &[INDEX]),
        Form(&["-O", "^metadata_csum,^uninit_bg,^64bit"], &[INDEX]),
        Form(&["-O", "^has_journal"], &[INDEX]),
        Form(&["-O", "metadata_csum_seed,orphan_file"], &[INDEX]),
        Form(&["-O", "fast_commit,stable_inodes"], &[INDEX]),
    ]);
}

#[test]
fn block_group_layouts_build() {
    assert_builds(&[
        Form(&["-O", "^flex_bg"], &[INDEX]),
        Form(&["-O", "^sparse_super,^resize_inode", "-b", "1024"], &[INDEX]),
        Form(&["-O", "sparse_super2,^resize_inode", "-b", "1024"], &[INDEX]),
        Form(&["-O", "^dir_nlink,^extra_isize,^huge_file,^large_file,^ext_attr"], &[INDEX]),
    ]);
}

/// Builds on an ext4 that can't be used; returns the cause and checks that there is a hint and no image.
fn refused(form: &Form) -> Option<String> {
    if !(have(&MAKERS) && have(&["tune2fs"])) {
        return None;
    }
    // Only for directory hashes the folders matter.
    let files = if form.1.contains(&INDEX) { FILES } else { 1 };
    let (sandbox, ran) = build(form, [NAME, ADDED_NAME], files);
    let message = ran.failed(1);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    let lines: Vec<&str> = message.lines().collect();
    let [.., cause, hint] = lines[..] else { panic!("{message}") };
    assert!(hint.starts_with("hint: ") && !message.contains("damaged"), "{message}");
    Some(cause.trim_start().trim_start_matches("caused by: ").to_owned())
}

fn assert_refused(forms: &[(Form, &str)]) {
    for (form, expected) in forms {
        let Some(cause) = refused(form) else { return };
        assert!(cause.starts_with("the ext4 file system "), "{cause}");
        assert!(cause.ends_with(&format!(": {expected}")), "{cause}\nexpected: {expected}");
    }
}

#[test]
fn unsupported_features_are_refused_by_name() {
    assert_refused(&[
        (Form(&["-O", "bigalloc", "-C", "8192"], &[]), "unsupported feature `bigalloc`"),
        (Form(&["-O", "inline_data"], &[]), "unsupported feature `inline_data`"),
        (Form(&["-O", "casefold"], &[]), "unsupported feature `casefold`"),
        (Form(&["-O", "encrypt"], &[]), "unsupported feature `encrypt`"),
        (Form(&["-O", "ea_inode"], &[]), "unsupported feature `ea_inode`"),
        (Form(&["-O", "verity"], &[]), "unsupported feature `verity`"),
        (Form(&["-O", "quota"], &[]), "unsupported feature `quota`"),
        (Form(&["-O", "quota,project"], &[]), "unsupported feature `quota`, unsupported feature `project`"),
    ]);
}

#[test]
fn unsupported_layouts_are_refused_by_name() {
    let external: &[&[&str]] =
        &[&["debugfs", "-w", "-R", "feature has_journal"], &["debugfs", "-w", "-R", "ssv journal_dev 0x801"]];
    assert_refused(&[
        (Form(&["-O", "large_dir"], &[]), "unsupported feature `large_dir`"),
        (Form(&["-O", "meta_bg,^resize_inode"], &[]), "unsupported feature `meta_bg`"),
        (Form(&["-b", "2048"], &[]), "blocks of 2048 bytes, 1024 or 4096 are needed"),
        (Form(&["-b", "65536"], &[]), "blocks of 65536 bytes, 1024 or 4096 are needed"),
        (Form(&["-O", "mmp"], &[]), "unsupported feature `mmp`"),
        (Form(&["-O", "^extents,^64bit"], &[]), "missing feature `extent`"),
        (Form(&["-O", "^filetype"], &[]), "missing feature `filetype`"),
        (Form(&["-O", "^has_journal"], external), "external journal"),
        (Form(&[], &[&["debugfs", "-w", "-R", "feature needs_recovery"]]), "its journal needs recovery"),
    ]);
}

#[test]
fn small_inodes_and_legacy_directory_hash_are_refused_by_name() {
    assert_refused(&[
        (Form(&["-I", "128"], &[INDEX]), "inodes of 128 bytes, at least 256 are needed"),
        (Form(&[], &[LEGACY, INDEX]), "directory hash `legacy`"),
        (Form(&[], &[UNSIGNED, LEGACY, INDEX]), "directory hash `legacy`"),
        // The superblock says what new directories get; the existing ones have the old hash.
        (
            Form(&[], &[LEGACY, INDEX, HALF_MD4]),
            "incompatible filesystem: unsupported directory hash algorithm: 0",
        ),
    ]);
}

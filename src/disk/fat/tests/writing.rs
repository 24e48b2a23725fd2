//! Writes through fatfs, checked by this crate's reader, fsck.vfat and mtools.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use super::*;
use crate::disk::fat::{FatError, Writer};
use crate::disk::testing::Corruptor;
use crate::disk::window::Window;
use crate::error::Explain;

/// 2023-11-09 12:34:56 UTC.
const STAMP: u32 = 1_699_533_296;

fn writer(image: &TestImage) -> Writer {
    Writer::open(image.window(), STAMP).expect("an intact volume")
}

fn put(writer: &mut Writer, path: &str, content: &[u8]) -> Result<(), FatError> {
    writer.write(path, &mut &content[..], content.len() as u64)
}

fn assert_intact(image: &TestImage) {
    let reader = open(image);
    let contents = reader.check().expect("an intact volume");
    assert_eq!(contents.lost_clusters, 0);
    assert!(!reader.is_dirty());
    assert!(matches!(fsck(image), None | Some(Ok(()))), "{:?}", fsck(image));
}

#[test]
fn replaced_files_keep_their_names() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let mut writer = writer(&image);
        put(&mut writer, "SYSCONF.txt", b"hostname=caspar\n").expect("replaced");
        put(&mut writer, "fragments.bin", &pattern(300_000)).expect("longer");
        put(&mut writer, "hole-1.bin", b"").expect("emptied");
        put(&mut writer, "empty", &pattern(8192)).expect("filled");
        put(&mut writer, "/overlays/A new one, with a name of many slots.dtbo", &pattern(5)).expect("new");
        put(&mut writer, "caf\u{e9} \u{2615}.txt", b"other").expect("replaced");
        put(&mut writer, ".bashrc", b"dot").expect("new");
        writer.finish().expect("closed");
        assert_intact(&image);
        let reader = open(&image);
        assert_eq!(reader.read("sysconf.txt").expect("a file"), b"hostname=caspar\n");
        assert_eq!(reader.find("sysconf.txt").expect("read").expect("there").name, "sysconf.txt");
        assert_eq!(reader.read("fragments.bin").expect("a file"), pattern(300_000));
        assert_eq!(reader.read("hole-1.bin").expect("a file"), b"");
        assert_eq!(reader.read("empty").expect("a file"), pattern(8192));
        assert_eq!(reader.read("caf\u{e9} \u{2615}.txt").expect("a file"), b"other");
        assert_eq!(reader.list("/").expect("the root").len(), 12);
        let Some(listed) = run("mdir", &["-i", &image.arg(), "::overlays"], "") else { return };
        assert!(listed.contains("A new one, with a name of many slots.dtbo"), "{listed}");
        assert!(listed.contains("2023-11-09  12:34"), "{listed}");
    }
}

#[test]
fn make_dir_creates_parents_that_fsck_accepts() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let mut writer = writer(&image);
        writer.make_dir("/magi").expect("in the root");
        writer.make_dir("overlays/deeper/and deeper/and so on").expect("with its parents");
        writer.make_dir("EFI").expect("there already");
        assert!(matches!(writer.make_dir("empty/x"), Err(FatError::NotFolder(_))));
        // More entries than fit one cluster, so that the folder grows.
        for index in 0..150 {
            let path = format!("magi/a file with a long name, number {index}.txt");
            put(&mut writer, &path, path.as_bytes()).expect("in a folder");
        }
        writer.finish().expect("closed");
        assert_intact(&image);
        assert_eq!(open(&image).list("magi").expect("a folder").len(), 150);
        let Some(listed) = run("mdir", &["-i", &image.arg(), "-/", "-b", "::"], "") else { return };
        assert!(listed.contains("::/overlays/deeper/and deeper/and so on/"), "{listed}");
        assert!(listed.contains("::/magi/a file with a long name, number 149.txt"), "{listed}");
    }
}

#[test]
fn equal_edits_give_equal_bytes() {
    let Some(image) = filled(16) else { return };
    let [one, other] = [0, 1].map(|_| {
        let image = TestImage::of(&image.bytes());
        let mut writer = writer(&image);
        writer.make_dir("magi").expect("a folder");
        put(&mut writer, "magi/status.txt", b"waiting\n").expect("a file");
        writer.finish().expect("closed");
        image.bytes()
    });
    assert!(one == other);
}

#[test]
fn full_root_directory_is_an_error_before_any_write() {
    let Some(image) = volume(16) else { return };
    // The label takes one slot and each of these names one: 509 of 512.
    let names: Vec<_> = (0..508).map(|index| image.beside(&format!("F{index}"), b"")).collect();
    let path = image.arg();
    let args: Vec<_> =
        ["-i", &path].into_iter().chain(names.iter().map(String::as_str)).chain(["::"]).collect();
    if run("mcopy", &args, "").is_none() {
        return;
    }
    let mut writer = writer(&image);
    let before = image.bytes();
    put(&mut writer, "magi-status-of-this.txt", b"x").expect("three slots are free");
    let after = image.bytes();
    assert!(before != after);
    let error = put(&mut writer, "one more.txt", b"x").expect_err("full");
    assert_eq!(
        error.to_string(),
        "directory full: the name of `one more.txt` needs 2 consecutive slots on the FAT, the directory has 512 \
         slots with at most 0 consecutive free ones"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("shorten the names")));
    assert!(matches!(writer.make_dir("more"), Err(FatError::NoSlots { .. })));
    assert!(image.bytes() == after, "nothing was written");
    put(&mut writer, "F7", b"replaced").expect("takes no slot");
    writer.finish().expect("closed");
    assert_intact(&image);
    // Two free slots that are not consecutive are not enough.
    run("mdel", &["-i", &path, "::F100", "::F102"], "");
    let mut writer = self::writer(&image);
    let error = put(&mut writer, "one more.txt", b"x").expect_err("not consecutive");
    assert!(error.to_string().ends_with("at most 1 consecutive free ones"), "{error}");
    run("mdel", &["-i", &path, "::F101"], "");
    put(&mut writer, "one more.txt", b"x").expect("three consecutive slots");
    writer.finish().expect("closed");
    assert_intact(&image);
}

#[test]
fn full_volume_is_an_error_before_any_write() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let info = open(&image).info().expect("facts");
        let free = u64::from(info.free_clusters) * u64::from(info.cluster_bytes);
        let before = image.bytes();
        let mut writer = writer(&image);
        let error = writer.write("big", &mut std::io::repeat(7), free + 1).expect_err("too much");
        let missing = format!("{free} are free, {} are missing", info.cluster_bytes);
        assert!(error.to_string().ends_with(&missing), "{error}");
        let huge = writer.write("big", &mut std::io::repeat(7), 1 << 32).expect_err("more than FAT can hold");
        assert!(matches!(huge, FatError::TooLarge { .. }));
        assert!(image.bytes() == before, "nothing was written");
        let replaced = 200_000_u64.next_multiple_of(info.cluster_bytes.into());
        let full = vec![7; usize::try_from(free + replaced).expect("small")];
        put(&mut writer, "fragments.bin", &full).expect("all free clusters and those of the replaced file");
        assert!(matches!(put(&mut writer, "EFI/one", b"1"), Err(FatError::NoSpace { .. })));
        assert!(matches!(writer.make_dir("one"), Err(FatError::NoSpace { .. })));
        writer.finish().expect("closed");
        assert_intact(&image);
        assert_eq!(open(&image).info().expect("facts").free_clusters, 0);
    }
}

#[test]
fn fat32_root_grows_into_zeroed_clusters() {
    let Some(image) = filled(32) else { return };
    let info = open(&image).info().expect("facts");
    // Every free cluster contains bytes that look like an entry.
    let entry = *b"JUNK    BIN \0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\0\x05\0\0\0";
    let junk = entry.repeat((info.free_clusters * info.cluster_bytes) as usize / entry.len());
    let mut first = writer(&image);
    put(&mut first, "junk", &junk).expect("room");
    first.finish().expect("closed");
    run("mdel", &["-i", &image.arg(), "::junk"], "");
    let mut writer = writer(&image);
    for index in 0..100 {
        let path = format!("{index} {}", "a long name ".repeat(index % 15));
        put(&mut writer, path.trim_end(), b"content").expect("the root grows");
        if index % 9 == 0 {
            writer.make_dir(&format!("folder {index}")).expect("the root grows");
        }
    }
    writer.finish().expect("closed");
    assert_intact(&image);
    assert_eq!(open(&image).list("/").expect("the root").len(), 11 + 100 + 12);
}

#[test]
fn damaged_volume_is_refused_and_not_changed() {
    let Some(image) = filled(16) else { return };
    let geometry = open(&image).geometry;
    image.window().write_all_at(geometry.copies[0] + 2000, &[1, 2]).expect("written");
    let before = image.bytes();
    let Err(error) = Writer::open(image.window(), STAMP) else { panic!("the damaged volume was opened") };
    assert_eq!(
        error.to_string(),
        "the FAT file system is damaged: the copies of the allocation table differ"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("fsck.vfat")));
    assert!(image.bytes() == before);
}

#[test]
fn dirty_volume_is_clean_after_a_write() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let geometry = open(&image).geometry;
        let high = geometry.table + u64::from(geometry.bits / 8) * 2 - 1;
        image.window().write_all_at(geometry.state_at, &[1]).expect("written");
        for table in [0, geometry.table_bytes] {
            image.window().write_all_at(high + table, &[0x07]).expect("written");
        }
        if bits == 32 {
            // A wrong number of free clusters, as an unclean unmount leaves it.
            image
                .window()
                .write_all_at(geometry.fs_info.expect("FAT32") + 488, &[9, 9, 0, 0])
                .expect("written");
        }
        assert!(open(&image).is_dirty());
        let mut writer = writer(&image);
        put(&mut writer, "sysconf.txt", b"hostname=caspar\n").expect("room");
        writer.finish().expect("closed");
        assert_intact(&image);
    }
}

#[test]
fn invalid_names_wrong_paths_and_short_sources_are_refused() {
    let Some(image) = filled(16) else { return };
    let before = image.bytes();
    let mut writer = writer(&image);
    for bad in ["", "/", "..", "a/../b", "a:b", "nul", "x.", "EFI/\u{1f600}"] {
        assert!(matches!(put(&mut writer, bad, b""), Err(FatError::Name { .. })), "{bad}");
        assert!(matches!(writer.make_dir(bad), Err(FatError::Name { .. })), "{bad}");
    }
    assert!(matches!(put(&mut writer, "EFI", b""), Err(FatError::IsFolder(_))));
    assert!(matches!(put(&mut writer, "empty/x", b""), Err(FatError::NotFolder(_))));
    assert!(matches!(put(&mut writer, "nowhere/x", b""), Err(FatError::NotFound(_))));
    assert!(image.bytes() == before, "nothing was written");
    for announced in [2, 4] {
        let error = writer.write("x", &mut &b"123"[..], announced).expect_err("it has three bytes");
        assert!(matches!(error, FatError::Copy { .. }), "{error}");
    }
}

#[test]
fn read_only_window_is_never_written() {
    let Some(image) = filled(16) else { return };
    let window = Window::read_only(image.file(), 0, image.len()).expect("a window");
    let mut writer = Writer::open(window, STAMP).expect("an intact volume");
    let error = put(&mut writer, "x", b"1").expect_err("read-only");
    assert!(
        matches!(&error, FatError::Library { source, .. } if source.kind() == ErrorKind::PermissionDenied)
    );
}

#[test]
fn random_edits_match_a_map_of_files() {
    for bits in [16, 32] {
        let Some(image) = volume(bits) else { return };
        let mut model = BTreeMap::new();
        let mut random = Corruptor::new(bits.into());
        for _ in 0..4 {
            let mut writer = writer(&image);
            for _ in 0..60 {
                let folder = ["", "a/", "a/b b/", "Another Folder/"][random.below(4)];
                writer.make_dir(&format!("x/{folder}")).expect("a folder");
                let name = format!(
                    "x/{folder}{}.bin",
                    ["n", "NAME", "a longer name", "\u{e4}\u{2615}"][random.below(4)]
                );
                let content = pattern(random.below(40_000) * random.below(2));
                put(&mut writer, &name, &content).expect("room");
                model.insert(name, content);
            }
            writer.finish().expect("closed");
        }
        assert_intact(&image);
        let reader = open(&image);
        let files = reader.walk().expect("a tree").into_iter().filter(|(_, entry)| !entry.folder);
        let files: BTreeMap<_, _> =
            files.map(|(path, _)| (path.clone(), reader.read(&path).expect("a file"))).collect();
        assert!(files == model);
    }
}

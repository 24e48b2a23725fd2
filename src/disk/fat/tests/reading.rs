use super::*;
use crate::disk::fat::reader::RootSlots;
use crate::disk::fat::{FatError, FatInfo};
use crate::error::Explain;

#[test]
fn info_matches_the_options_of_mkfs() {
    for bits in [16, 32] {
        let Some(image) = volume(bits) else { return };
        let info = open(&image).info().expect("facts");
        let clusters = if bits == 16 { 5113 } else { 80_628 };
        let wanted = FatInfo {
            bits,
            label: "RASPIFIRM".into(),
            volume_id: "1234-ABCD".into(),
            cluster_bytes: if bits == 16 { 8192 } else { 512 },
            clusters: info.clusters,
            // FAT32's root directory takes one cluster.
            free_clusters: info.clusters - u32::from(bits == 32),
            root_slots: (bits == 16).then_some(RootSlots { used: 1, total: 512 }),
            dirty: false,
        };
        assert_eq!(info, wanted);
        assert!(info.clusters.abs_diff(clusters) < 50, "{}", info.clusters);
    }
}

#[test]
fn files_and_folders_of_mtools_are_read() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let reader = open(&image);
        let paths: Vec<_> = reader.walk().expect("a tree").into_iter().map(|(path, _)| path).collect();
        let wanted = [
            "CONFIG.TXT",
            "EFI",
            "caf\u{e9} \u{2615}.txt",
            "caf\u{fffd}.txt",
            "empty",
            "fragments.bin",
            "hole-1.bin",
            "hole-3.bin",
            "hole-5.bin",
            "overlays",
            "overlays/a rather long name with spaces.dtbo",
            "overlays/deeper",
            "overlays/deeper/vmlinuz-6.1.0-13-arm64",
            "sysconf.txt",
        ];
        assert_eq!(paths, wanted);
        assert_eq!(reader.read("SysConf.TXT").expect("in any case"), b"# hostname=rpi\n");
        assert_eq!(reader.read("/OVERLAYS/ARATHE~1.DTB").expect("the short name"), pattern(100_000));
        assert_eq!(reader.read("overlays/deeper/vmlinuz-6.1.0-13-arm64").expect("a file"), pattern(8192));
        assert_eq!(reader.read("empty").expect("a file"), b"");
        assert_eq!(reader.read("fragments.bin").expect("a file"), pattern(200_000));
        let entry = reader.find("sysconf.txt").expect("read").expect("there");
        assert_eq!((entry.name.as_str(), entry.short_name.as_str()), ("sysconf.txt", "SYSCONF.TXT"));
        assert_eq!(entry.size, 15);
        let contents = reader.check().expect("an intact volume");
        assert_eq!((contents.files, contents.folders, contents.lost_clusters), (11, 3, 0));
        assert_eq!(fsck(&image), Some(Ok(())));
    }
}

#[test]
fn missing_paths_and_wrong_types_have_different_errors() {
    let Some(image) = filled(16) else { return };
    let reader = open(&image);
    assert_eq!(reader.find("nothing").expect("read"), None);
    assert_eq!(reader.find("nothing/at/all").expect("read"), None);
    assert_eq!(reader.find("").expect("read"), None);
    assert!(matches!(reader.read("nothing"), Err(FatError::NotFound(_))));
    assert!(matches!(reader.read("EFI"), Err(FatError::IsFolder(_))));
    assert!(matches!(reader.list("empty"), Err(FatError::NotFolder(_))));
    assert!(matches!(reader.list("nothing"), Err(FatError::NotFound(_))));
    assert!(matches!(reader.find("empty/x"), Err(FatError::NotFolder(_))));
    assert_eq!(reader.list("EFI").expect("a folder"), []);
    assert_eq!(reader.list("/").expect("the root").len(), 11);
}

#[test]
fn fat12_and_other_formats_are_refused() {
    let image = TestImage::empty(4 * MIB);
    if run("mkfs.vfat", &["-F", "12", &image.arg()], "").is_none() {
        return;
    }
    let error = Reader::open(image.window()).expect_err("FAT12");
    assert!(error.to_string().starts_with("this is a FAT12 file system ("), "{error}");
    assert!(error.hint().is_some());
    assert!(matches!(Reader::open(TestImage::empty(MIB).window()), Err(FatError::NotFat)));
    assert!(matches!(Reader::open(TestImage::empty(100).window()), Err(FatError::NotFat)));
}

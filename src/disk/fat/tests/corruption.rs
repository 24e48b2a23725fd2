//! Corrupt volumes: the reader reports the damage, and never panics, hangs or takes much memory.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::*;
use crate::disk::fat::{FatError, Writer};
use crate::disk::testing::Corruptor;

/// Offsets in bytes, and the sizes of a cluster and of a link.
struct VolumeLayout {
    table: u64,
    copy: u64,
    root: u64,
    data: u64,
    cluster: u64,
    width: u64,
}

impl VolumeLayout {
    fn of(reader: &Reader) -> Self {
        let g = &reader.geometry;
        let root = if g.bits == 16 { g.root } else { g.offset_of(g.root_cluster) };
        let (cluster, width) = (g.cluster_bytes.into(), (g.bits / 8).into());
        Self { table: g.table, copy: g.copies[0], root, data: g.data, cluster, width }
    }

    /// Sets the link of `cluster` in both tables.
    fn link(&self, image: &TestImage, cluster: u32, next: u32) {
        let bytes = next.to_le_bytes();
        for table in [self.table, self.copy] {
            let at = table + u64::from(cluster) * self.width;
            image
                .window()
                .write_all_at(at, &bytes[..usize::try_from(self.width).expect("2 or 4")])
                .expect("written");
        }
    }
}

/// Damages an intact volume; both [`Reader::check`] and fsck.vfat must report it.
fn assert_detected(bits: u8, message: &str, damage: impl FnOnce(&TestImage, &VolumeLayout, &Reader)) {
    let Some(image) = filled(bits) else { return };
    let reader = open(&image);
    damage(&image, &VolumeLayout::of(&reader), &reader);
    let error = Reader::open(image.window()).and_then(|reader| reader.check()).expect_err(message);
    assert!(error.to_string().contains(message), "{error}");
    if let Some(verdict) = fsck(&image) {
        assert!(verdict.is_err(), "fsck.vfat doesn't report: {message}");
    }
}

fn cluster_of(reader: &Reader, path: &str) -> u32 {
    reader.find(path).expect("read").expect("there").cluster
}

/// The offset of the entry with that short name.
fn entry_at(image: &TestImage, short: &[u8; 11]) -> u64 {
    let bytes = image.bytes();
    bytes.chunks(32).position(|slot| slot.starts_with(short)).expect("there") as u64 * 32
}

#[test]
fn looping_short_and_crossing_chains_are_detected() {
    for bits in [16, 32] {
        assert_detected(bits, "is too long or loops", |image, layout, reader| {
            let first = cluster_of(reader, "fragments.bin");
            layout.link(image, first, first);
        });
        assert_detected(bits, "is too short for its size", |image, layout, reader| {
            layout.link(image, cluster_of(reader, "fragments.bin"), u32::MAX);
        });
        assert_detected(bits, "which is not a usable cluster", |image, layout, reader| {
            layout.link(image, cluster_of(reader, "fragments.bin"), 0);
        });
        assert_detected(bits, "which is not a usable cluster", |image, layout, reader| {
            layout.link(image, cluster_of(reader, "fragments.bin"), reader.geometry.clusters + 2);
        });
        assert_detected(bits, "is cross-linked", |image, _, reader| {
            let other = cluster_of(reader, "hole-1.bin").to_le_bytes();
            image.window().write_all_at(entry_at(image, b"HOLE-3  BIN") + 26, &other[..2]).expect("written");
        });
    }
}

#[test]
fn entries_with_wrong_size_name_or_parent_are_detected() {
    assert_detected(16, "more than the whole volume", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"SYSCONF TXT") + 28, &[0xFF; 4]).expect("written");
    });
    assert_detected(16, "has size 0, but a cluster chain", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"SYSCONF TXT") + 28, &[0; 4]).expect("written");
    });
    assert_detected(16, "two entries named", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"HOLE-3  BIN"), b"HOLE-1").expect("written");
    });
    assert_detected(16, "has a wrong entry `.` or `..`", |image, layout, reader| {
        let deeper = u64::from(cluster_of(reader, "overlays/deeper"));
        let at = layout.data + (deeper - 2) * layout.cluster;
        image.window().write_all_at(at + 26, &[9, 0]).expect("written");
    });
}

#[test]
fn long_name_with_wrong_checksum_is_detected() {
    let Some(image) = filled(16) else { return };
    image.window().write_all_at(entry_at(&image, b"ARATHE~1DTB"), b"ARATHX").expect("written");
    let reader = open(&image);
    assert!(
        reader.check().expect_err("damage").to_string().contains("an invalid long name for `ARATHX~1.DTB`")
    );
    assert!(reader.find("overlays/ARATHX~1.DTB").expect("read").is_some(), "the short name is still found");
    // fsck.vfat reports this damage, but its exit status is 0.
    assert!(fsck(&image).is_none_or(|verdict| verdict.is_ok()));
}

#[test]
fn differing_allocation_tables_are_detected() {
    assert_detected(16, "copies of the allocation table differ", |image, layout, _| {
        image.window().write_all_at(layout.copy + 2000, &[1, 2]).expect("written");
    });
}

#[test]
fn folder_that_contains_itself_is_detected() {
    let Some(image) = filled(16) else { return };
    let overlays = cluster_of(&open(&image), "overlays").to_le_bytes();
    image.window().write_all_at(entry_at(&image, b"DEEPER     ") + 26, &overlays[..2]).expect("written");
    let reader = open(&image);
    assert!(matches!(reader.walk(), Err(FatError::Damaged(_))));
    assert!(matches!(reader.check(), Err(FatError::Damaged(_))));
    let deep = format!("overlays{}", "/deeper".repeat(10_000));
    assert_eq!(reader.find(&deep).expect("bounded"), None);
}

#[test]
fn lost_clusters_and_dirty_flag_are_not_damage() {
    let Some(image) = filled(16) else { return };
    let layout = VolumeLayout::of(&open(&image));
    layout.link(&image, 4000, 4001);
    layout.link(&image, 4001, u32::MAX);
    image.window().write_all_at(37, &[1]).expect("written");
    let reader = open(&image);
    assert!(reader.info().expect("facts").dirty);
    assert_eq!(reader.check().expect("an undamaged volume").lost_clusters, 2);
}

/// Calls every method of the reader.
fn read_everything(image: &TestImage) -> Result<(), FatError> {
    let reader = Reader::open(image.window())?;
    let checked = reader.check().map(|_| ());
    let _ = reader.info();
    for (path, entry) in reader.walk()? {
        if entry.folder {
            reader.list(&path)?;
        } else {
            let _ = reader.read(&path);
        }
    }
    checked
}

fn region(start: u64, len: usize) -> Range<usize> {
    let start = usize::try_from(start).expect("a small offset");
    start..start + len
}

/// Copies the bytes at `offsets` from `bytes` to the image.
fn copy_bytes(image: &TestImage, bytes: &[u8], offsets: &[usize]) {
    for &at in offsets {
        image.window().write_all_at(at as u64, &bytes[at..=at]).expect("written");
    }
}

/// Corrupts an image and its `bytes`; returns the offsets of the changed bytes.
fn corrupt(image: &TestImage, bytes: &mut [u8], seed: u64, regions: &[Range<usize>]) -> Vec<usize> {
    let changed = Corruptor::new(seed).corrupt(bytes, regions);
    copy_bytes(image, bytes, &changed);
    changed
}

/// Restores the image and its `bytes` at `offsets`.
fn restore(image: &TestImage, bytes: &mut [u8], intact: &[u8], offsets: &[usize]) {
    for &at in offsets {
        bytes[at] = intact[at];
    }
    copy_bytes(image, bytes, offsets);
}

#[test]
fn corruption_never_panics_or_hangs() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let VolumeLayout { table, root, data, .. } = VolumeLayout::of(&open(&image));
        let intact = image.bytes();
        let regions = [0..90, region(table, 200), region(root, 800), region(data, 2000)];
        let (mut outcomes, mut bytes) = ([0; 2], intact.clone());
        for seed in 0..400 {
            let changed = corrupt(&image, &mut bytes, seed, &regions);
            let started = Instant::now();
            outcomes[usize::from(read_everything(&image).is_ok())] += 1;
            assert!(started.elapsed() < Duration::from_secs(10), "seed {seed}");
            restore(&image, &mut bytes, &intact, &changed);
        }
        assert!(outcomes[0] > 100, "most corruption is detected: {outcomes:?}");
    }
}

#[test]
fn corruption_never_reaches_fatfs() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let VolumeLayout { table, root, .. } = VolumeLayout::of(&open(&image));
        let intact = image.bytes();
        let regions = [0..90, region(table, 200), region(root, 800)];
        let (mut written, mut bytes) = (0, intact.clone());
        for seed in 1000..1060 {
            let changed = corrupt(&image, &mut bytes, seed, &regions);
            if let Ok(mut writer) = Writer::open(image.window(), 0) {
                let done = writer.make_dir("magi").and_then(|()| writer.write("magi/x", &mut &b"x"[..], 1));
                done.and_then(|()| writer.finish()).expect("a checked volume can be written");
                written += 1;
                image.restore(&intact);
            }
            restore(&image, &mut bytes, &intact, &changed);
        }
        assert!((5..55).contains(&written), "{written}");
    }
}

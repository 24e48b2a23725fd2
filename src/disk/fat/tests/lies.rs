//! Volumes that lie: the reader says what is wrong, and never panics, hangs or takes much memory.

use std::time::{Duration, Instant};

use super::*;
use crate::disk::fat::{FatError, Writer};
use crate::disk::testing::Lies;

/// Byte offsets of a volume's parts.
struct Parts {
    table: u64,
    copy: u64,
    root: u64,
    data: u64,
    cluster: u64,
    width: u64,
}

impl Parts {
    fn of(reader: &Reader) -> Self {
        let g = &reader.geometry;
        let root = if g.bits == 16 { g.root } else { g.offset_of(g.root_cluster) };
        let (cluster, width) = (g.cluster_bytes.into(), (g.bits / 8).into());
        Self { table: g.table, copy: g.copies[0], root, data: g.data, cluster, width }
    }

    /// Sets a link in both tables.
    fn link(&self, image: &Image, cluster: u32, next: u32) {
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

/// Damages a sound volume; our check must see it where fsck.vfat does.
fn caught(bits: u8, what: &str, damage: impl FnOnce(&Image, &Parts, &Reader)) {
    let Some(image) = filled(bits) else { return };
    let reader = open(&image);
    damage(&image, &Parts::of(&reader), &reader);
    let error = Reader::open(image.window()).and_then(|reader| reader.check()).expect_err(what);
    assert!(error.to_string().contains(what), "{error}");
    if let Some(judged) = fsck(&image) {
        assert!(judged.is_err(), "fsck.vfat sees nothing of: {what}");
    }
}

fn cluster_of(reader: &Reader, path: &str) -> u32 {
    reader.find(path).expect("read").expect("there").cluster
}

/// Where the entry with that short name is, in bytes.
fn entry_at(image: &Image, short: &[u8; 11]) -> u64 {
    let bytes = image.bytes();
    bytes.chunks(32).position(|slot| slot.starts_with(short)).expect("there") as u64 * 32
}

#[test]
fn chains_that_loop_end_early_or_cross_are_caught() {
    for bits in [16, 32] {
        caught(bits, "go round in a circle", |image, parts, reader| {
            let first = cluster_of(reader, "fragments.bin");
            parts.link(image, first, first);
        });
        caught(bits, "clusters end before", |image, parts, reader| {
            parts.link(image, cluster_of(reader, "fragments.bin"), u32::MAX);
        });
        caught(bits, "which is none", |image, parts, reader| {
            parts.link(image, cluster_of(reader, "fragments.bin"), 0);
        });
        caught(bits, "which is none", |image, parts, reader| {
            parts.link(image, cluster_of(reader, "fragments.bin"), reader.geometry.clusters + 2);
        });
        caught(bits, "shares cluster", |image, _, reader| {
            let other = cluster_of(reader, "hole-1.bin").to_le_bytes();
            image.window().write_all_at(entry_at(image, b"HOLE-3  BIN") + 26, &other[..2]).expect("written");
        });
    }
}

#[test]
fn entries_that_lie_are_caught() {
    caught(16, "more than there are", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"SYSCONF TXT") + 28, &[0xFF; 4]).expect("written");
    });
    caught(16, "is empty, but has clusters", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"SYSCONF TXT") + 28, &[0; 4]).expect("written");
    });
    caught(16, "two entries named", |image, _, _| {
        image.window().write_all_at(entry_at(image, b"HOLE-3  BIN"), b"HOLE-1").expect("written");
    });
    caught(16, "wrong entries for itself or its parent", |image, parts, reader| {
        let deeper = u64::from(cluster_of(reader, "overlays/deeper"));
        let at = parts.data + (deeper - 2) * parts.cluster;
        image.window().write_all_at(at + 26, &[9, 0]).expect("written");
    });
}

#[test]
fn a_long_name_of_another_entry_is_caught() {
    let Some(image) = filled(16) else { return };
    image.window().write_all_at(entry_at(&image, b"ARATHE~1DTB"), b"ARATHX").expect("written");
    let reader = open(&image);
    assert!(reader.check().expect_err("damage").to_string().contains("doesn't belong to it"));
    assert!(reader.find("overlays/ARATHX~1.DTB").expect("read").is_some(), "the short name still works");
    // fsck.vfat sees it too, but its exit status doesn't.
    assert!(fsck(&image).is_none_or(|judged| judged.is_ok()));
}

#[test]
fn tables_that_differ_are_caught() {
    caught(16, "two allocation tables differ", |image, parts, _| {
        image.window().write_all_at(parts.copy + 2000, &[1, 2]).expect("written");
    });
}

#[test]
fn a_folder_that_holds_itself_is_caught() {
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
fn leftovers_of_an_unclean_unmount_are_no_damage() {
    let Some(image) = filled(16) else { return };
    let parts = Parts::of(&open(&image));
    parts.link(&image, 4000, 4001);
    parts.link(&image, 4001, u32::MAX);
    image.window().write_all_at(37, &[1]).expect("written");
    let reader = open(&image);
    assert!(reader.info().expect("facts").dirty);
    assert_eq!(reader.check().expect("no damage").lost_clusters, 2);
}

/// All that can be asked of a volume.
fn ask_everything(image: &Image) -> Result<(), FatError> {
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

#[test]
fn no_lie_makes_it_panic_or_hang() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let Parts { table, root, data, .. } = Parts::of(&open(&image));
        let sound = image.bytes();
        let place = |offset: u64| usize::try_from(offset).expect("small");
        let regions = [
            0..90,
            place(table)..place(table) + 200,
            place(root)..place(root) + 800,
            place(data)..place(data) + 2000,
        ];
        let mut outcomes = [0; 2];
        let mut bytes = sound.clone();
        for seed in 0..400 {
            let told = Lies::new(seed).tell(&mut bytes, &regions);
            let window = image.window();
            for &(at, _) in &told {
                window.write_all_at(at as u64, &bytes[at..=at]).expect("written");
            }
            let started = Instant::now();
            outcomes[usize::from(ask_everything(&image).is_ok())] += 1;
            assert!(started.elapsed() < Duration::from_secs(10), "seed {seed}");
            for &(at, _) in &told {
                bytes[at] = sound[at];
                window.write_all_at(at as u64, &sound[at..=at]).expect("written");
            }
        }
        assert!(outcomes[0] > 100, "lies are noticed: {outcomes:?}");
    }
}

#[test]
fn no_lie_reaches_fatfs() {
    for bits in [16, 32] {
        let Some(image) = filled(bits) else { return };
        let Parts { table, root, .. } = Parts::of(&open(&image));
        let sound = image.bytes();
        let place = |offset: u64| usize::try_from(offset).expect("small");
        let regions = [0..90, place(table)..place(table) + 200, place(root)..place(root) + 800];
        let (mut written, mut bytes) = (0, sound.clone());
        for seed in 1000..1060 {
            let told = Lies::new(seed).tell(&mut bytes, &regions);
            for &(at, _) in &told {
                image.window().write_all_at(at as u64, &bytes[at..=at]).expect("written");
            }
            bytes.copy_from_slice(&sound);
            if let Ok(mut writer) = Writer::open(image.window(), 0) {
                let done = writer.make_dir("magi").and_then(|()| writer.write("magi/x", &mut &b"x"[..], 1));
                done.and_then(|()| writer.finish()).expect("what passed the check can be written to");
                written += 1;
                image.restore(&sound);
            }
            for (at, _) in told {
                image.window().write_all_at(at as u64, &sound[at..=at]).expect("written");
            }
        }
        assert!((5..55).contains(&written), "{written}");
    }
}

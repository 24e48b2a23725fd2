use super::*;
use crate::disk::testing::{Image, Lies, run};

const MIB: u64 = 1 << 20;

/// Family A's layout on a small scale.
fn mbr_image() -> Option<Image> {
    let image = Image::empty(64 * MIB);
    let script =
        "label: dos\nlabel-id: 0x1234abcd\nstart=8192, size=32768, type=c, bootable\nstart=40960, type=83\n";
    run("sfdisk", &["--quiet", &image.arg()], script)?;
    Some(image)
}

/// Family B's: GPT 15 first on the disk, GPT 1 behind it, both in a hybrid MBR on request.
fn gpt_image(hybrid: bool) -> Option<Image> {
    let image = Image::empty(64 * MIB);
    let boot = ["-n", "15:2048:34815", "-t", "15:0700", "-c", "15:boot"];
    let root =
        ["-n", "1:34816:0", "-t", "1:8305", "-c", "1:root", "-U", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"];
    let mut args = [boot.as_slice(), &root].concat();
    if hybrid {
        args.extend(["-h", "15:1:EE"]);
    }
    let path = image.arg();
    args.push(&path);
    run("sgdisk", &args, "")?;
    Some(image)
}

fn read_image(image: &Image) -> Result<Table, TableError> {
    read(&image.file(), image.len())
}

#[test]
fn an_mbr_is_read_as_sfdisk_wrote_it() {
    let Some(image) = mbr_image() else { return };
    let table = read_image(&image).expect("a table");
    assert_eq!((table.kind, table.id.as_str()), (TableKind::Mbr, "1234abcd"));
    let [boot, root] = &table.partitions[..] else { panic!("{table:?}") };
    assert_eq!((boot.number, boot.first_lba, boot.sectors), (1, 8192, 32768));
    assert_eq!((boot.type_id.as_str(), boot.type_name, boot.bootable), ("0x0c", "FAT32 (LBA)", true));
    assert_eq!((root.number, root.start(), root.bytes()), (2, 20 * MIB, 44 * MIB));
    assert_eq!(root.uuid, "1234abcd-02");
}

#[test]
fn a_gpt_is_read_as_sgdisk_wrote_it_hybrid_or_not() {
    for hybrid in [false, true] {
        let Some(image) = gpt_image(hybrid) else { return };
        let table = read_image(&image).expect("a table");
        assert_eq!(table.kind, if hybrid { TableKind::HybridGpt } else { TableKind::Gpt });
        assert_eq!(table.id, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
        let [root, boot] = &table.partitions[..] else { panic!("{table:?}") };
        assert_eq!((root.number, root.name.as_str(), root.first_lba), (1, "root", 34816));
        assert_eq!(root.type_name, "Linux root (ARM-64)");
        assert_eq!((boot.number, boot.name.as_str(), boot.start()), (15, "boot", MIB));
        assert_eq!((boot.bytes(), boot.type_name), (16 * MIB, "Microsoft basic data"));
    }
}

#[test]
fn a_damaged_primary_gpt_falls_back_to_its_backup_and_no_further() {
    let Some(image) = gpt_image(true) else { return };
    image.window().write_all_at(512, b"no longer").expect("written");
    assert_eq!(read_image(&image).expect("the backup").partitions.len(), 2);
    image.window().write_all_at(image.len() - 512, b"no longer").expect("written");
    let error = read_image(&image).expect_err("both gone");
    assert!(matches!(error, TableError::Gpt(_)), "the MBR's entries don't stand in: {error}");
}

#[test]
fn extended_partitions_are_reported_and_not_walked() {
    let image = Image::empty(64 * MIB);
    let script = "label: dos\nstart=2048, size=2048, type=c\nstart=4096, type=5\nstart=6144, type=83\n";
    if run("sfdisk", &["--quiet", &image.arg()], script).is_none() {
        return;
    }
    let table = read_image(&image).expect("a table");
    let extended: Vec<_> = table.partitions.iter().map(|part| (part.number, part.extended)).collect();
    assert_eq!(extended, [(1, false), (2, true)]);
}

#[test]
fn what_is_no_disk_image_is_named() {
    let said = |bytes: &[u8]| read_image(&Image::of(bytes)).expect_err("no table").to_string();
    let padded = |magic: &[u8], offset: usize| {
        let mut bytes = vec![7; 70_000];
        bytes[offset..offset + magic.len()].copy_from_slice(magic);
        bytes
    };
    assert_eq!(said(b"short"), "the image has 5 bytes, too few for a partition table");
    assert!(said(&padded(b"\xfd7zXZ\0", 0)).ends_with("looks like an xz-compressed file"));
    assert!(said(&padded(b"CD001", 0x8001)).ends_with("looks like an ISO 9660 CD image"));
    assert!(said(&padded(b"\x53\xef", 0x438)).ends_with("looks like an ext2, ext3 or ext4 file system"));
    assert!(said(&padded(b"<html", 0)).ends_with("looks like a web page"));
    assert!(said(&vec![0; 70_000]).ends_with("looks like nothing but zeros"));
    assert!(said(&vec![7; 70_000]).ends_with("doesn't end in 55 AA"));
    let mut empty = vec![0; 70_000];
    empty[510..512].copy_from_slice(b"\x55\xaa");
    assert_eq!(said(&empty), "the image's partition table is empty");
}

#[test]
fn a_bare_fat_is_not_taken_for_a_table() {
    let image = Image::empty(16 * MIB);
    if run("mkfs.vfat", &[&image.arg()], "").is_none() {
        return;
    }
    let error = read_image(&image).expect_err("no table");
    assert_eq!(error.to_string(), "the image has no partition table: it looks like a FAT file system");
}

#[test]
fn a_truncated_image_says_how_much_is_missing() {
    for image in [mbr_image(), gpt_image(true)] {
        let Some(image) = image else { return };
        image.file().set_len(40 * MIB).expect("cut");
        let error = read_image(&image).expect_err("truncated");
        let TableError::PastEnd { end, len, .. } = error else { panic!("{error}") };
        assert_eq!(len, 40 * MIB);
        assert!(error.to_string().ends_with(&format!("{} bytes are missing", end - len)), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("cut short")));
    }
}

#[test]
fn overlapping_and_impossible_partitions_are_refused() {
    let Some(image) = mbr_image() else { return };
    // Entry 2 begins at byte 462 of the sector; its first LBA is 8 bytes further.
    image.window().write_all_at(470, &9000_u32.to_le_bytes()).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Overlap(1, 2))));
    image.window().write_all_at(470, &0_u32.to_le_bytes()).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Place { number: 2, first: 0, .. })));
}

#[test]
fn a_gpt_that_asks_for_endless_entries_is_refused_quickly() {
    let Some(image) = gpt_image(false) else { return };
    let window = image.window();
    let mut header = [0; 92];
    window.read_exact_at(512, &mut header).expect("read");
    header[80..84].copy_from_slice(&u32::MAX.to_le_bytes());
    header[16..20].fill(0);
    let sum = crc32(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    window.write_all_at(512, &header).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Gpt(_))));
    header[84..88].copy_from_slice(&64_u32.to_le_bytes());
    header[16..20].fill(0);
    let sum = crc32(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    window.write_all_at(512, &header).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Gpt(_))), "an assertion inside of `gpt`");
}

/// CRC-32 as GPT uses it, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn no_lie_in_a_table_makes_it_panic_or_hang() {
    let Some((mbr, gpt)) = mbr_image().zip(gpt_image(true)) else { return };
    for (image, regions) in
        [(mbr, vec![440..510, 510..512]), (gpt, vec![440..512, 512..604, 1024..1280, 2816..2944])]
    {
        let window = image.window();
        let mut head = vec![0; 4096];
        window.read_exact_at(0, &mut head).expect("read");
        let sound = head.clone();
        let mut outcomes = [0; 2];
        for seed in 0..400 {
            Lies::new(seed).tell(&mut head, &regions);
            if head[512..520] == *b"EFI PART" {
                // Without the right sums most lies would never be looked at.
                let entries = crc_of_entries(&window, &head);
                head[600..604].copy_from_slice(&entries.to_le_bytes());
                head[528..532].fill(0);
                let sum = crc32(&head[512..604]);
                head[528..532].copy_from_slice(&sum.to_le_bytes());
            }
            window.write_all_at(0, &head).expect("written");
            outcomes[usize::from(read_image(&image).is_ok())] += 1;
            head.copy_from_slice(&sound);
        }
        assert!(outcomes[0] > 20, "lies are noticed: {outcomes:?}");
    }
}

/// The sum of the 128 entries, of which the first are in `head`.
fn crc_of_entries(window: &Window, head: &[u8]) -> u32 {
    let mut entries = vec![0; 128 * 128];
    window.read_exact_at(1024, &mut entries).expect("read");
    let changed = head.len() - 1024;
    entries[..changed].copy_from_slice(&head[1024..]);
    crc32(&entries)
}

use super::*;
use crate::disk::testing::{Corruptor, TestImage, run};

const MIB: u64 = 1 << 20;

/// An MBR with a FAT and an ext4 partition.
fn mbr_image() -> Option<TestImage> {
    let image = TestImage::empty(64 * MIB);
    let script =
        "label: dos\nlabel-id: 0x1234abcd\nstart=8192, size=32768, type=c, bootable\nstart=40960, type=83\n";
    run("sfdisk", &["--quiet", &image.arg()], script)?;
    Some(image)
}

/// A GPT with partition 15 before partition 1, as on cloud images; with a hybrid MBR on request.
fn gpt_image(hybrid: bool) -> Option<TestImage> {
    let image = TestImage::empty(64 * MIB);
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

fn read_image(image: &TestImage) -> Result<PartitionTable, TableError> {
    read(&image.file(), image.len())
}

#[test]
fn mbr_of_sfdisk_is_read() {
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
fn gpt_of_sgdisk_is_read_hybrid_or_not() {
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
fn damaged_primary_gpt_falls_back_to_its_backup_only() {
    let Some(image) = gpt_image(true) else { return };
    image.window().write_all_at(512, b"no longer").expect("written");
    assert_eq!(read_image(&image).expect("the backup").partitions.len(), 2);
    image.window().write_all_at(image.len() - 512, b"no longer").expect("written");
    let error = read_image(&image).expect_err("both gone");
    assert!(matches!(error, TableError::Gpt(_)), "the MBR's entries must not be used: {error}");
}

#[test]
fn other_formats_are_named() {
    let message = |bytes: &[u8]| read_image(&TestImage::of(bytes)).expect_err("no table").to_string();
    let padded = |magic: &[u8], offset: usize| {
        let mut bytes = vec![7; 70_000];
        bytes[offset..offset + magic.len()].copy_from_slice(magic);
        bytes
    };
    assert_eq!(message(b"short"), "the image has 5 bytes, too few for a partition table");
    assert!(message(&padded(b"\xfd7zXZ\0", 0)).ends_with("looks like an xz-compressed file"));
    assert!(message(&padded(b"CD001", 0x8001)).ends_with("looks like an ISO 9660 CD image"));
    assert!(message(&padded(b"\x53\xef", 0x438)).ends_with("looks like an ext2, ext3 or ext4 file system"));
    assert!(message(&padded(b"<html", 0)).ends_with("looks like a web page"));
    assert!(message(&vec![0; 70_000]).ends_with("looks like nothing but zeros"));
    assert!(message(&vec![7; 70_000]).ends_with("doesn't end in 55 AA"));
    let mut empty = vec![0; 70_000];
    empty[510..512].copy_from_slice(b"\x55\xaa");
    assert_eq!(message(&empty), "the image's partition table is empty");
}

#[test]
fn fat_without_table_is_refused() {
    let image = TestImage::empty(16 * MIB);
    if run("mkfs.vfat", &[&image.arg()], "").is_none() {
        return;
    }
    let error = read_image(&image).expect_err("no table");
    assert_eq!(error.to_string(), "the image has no partition table: it looks like a FAT file system");
}

#[test]
fn truncated_image_reports_missing_bytes() {
    for image in [mbr_image(), gpt_image(true)] {
        let Some(image) = image else { return };
        image.file().set_len(40 * MIB).expect("truncated");
        let error = read_image(&image).expect_err("truncated");
        let TableError::PastEnd { end, len, .. } = error else { panic!("{error}") };
        assert_eq!(len, 40 * MIB);
        assert!(error.to_string().ends_with(&format!("{} bytes are missing", end - len)), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("truncated")));
    }
}

#[test]
fn overlapping_and_invalid_partitions_are_refused() {
    let Some(image) = mbr_image() else { return };
    // Entry 2 begins at byte 462 of the sector, its first LBA 8 bytes later.
    image.window().write_all_at(470, &9000_u32.to_le_bytes()).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Overlap(1, 2))));
    image.window().write_all_at(470, &0_u32.to_le_bytes()).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Range { number: 2, first: 0, .. })));
}

/// Sets a field of the GPT header at the begin of `header`, and its checksum.
fn set_header_field(header: &mut [u8], at: usize, value: u32) {
    header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    header[16..20].fill(0);
    let checksum = crc32(&header[..92]);
    header[16..20].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn gpt_with_excessive_entries_is_refused() {
    let Some(image) = gpt_image(false) else { return };
    let window = image.window();
    let mut header = [0; 92];
    window.read_exact_at(512, &mut header).expect("read");
    set_header_field(&mut header, 80, u32::MAX);
    window.write_all_at(512, &header).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::Gpt(_))));
    set_header_field(&mut header, 84, 64);
    window.write_all_at(512, &header).expect("written");
    assert!(matches!(read_image(&image), Err(TableError::GptPanic(_))), "`gpt` panics at this entry size");
}

/// The CRC-32 of GPT, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn corruption_never_panics() {
    let Some((mbr, gpt)) = mbr_image().zip(gpt_image(true)) else { return };
    for (image, regions) in
        [(mbr, vec![440..510, 510..512]), (gpt, vec![440..512, 512..604, 1024..1280, 2816..2944])]
    {
        let window = image.window();
        let mut head = vec![0; 4096];
        window.read_exact_at(0, &mut head).expect("read");
        let intact = head.clone();
        let mut outcomes = [0; 2];
        for seed in 0..400 {
            Corruptor::new(seed).corrupt(&mut head, &regions);
            if head[512..520] == *b"EFI PART" {
                // With wrong checksums, the corrupt fields would never be read.
                let entries = crc_of_entries(&window, &head);
                set_header_field(&mut head[512..], 88, entries);
            }
            window.write_all_at(0, &head).expect("written");
            outcomes[usize::from(read_image(&image).is_ok())] += 1;
            head.copy_from_slice(&intact);
        }
        assert!(outcomes[0] > 20, "some corruption is detected: {outcomes:?}");
    }
}

/// The checksum of the 128 entries, of which `head` has the first ones.
fn crc_of_entries(window: &Window, head: &[u8]) -> u32 {
    let mut entries = vec![0; 128 * 128];
    window.read_exact_at(1024, &mut entries).expect("read");
    let changed = head.len() - 1024;
    entries[..changed].copy_from_slice(&head[1024..]);
    crc32(&entries)
}

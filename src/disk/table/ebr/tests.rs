use proptest::prelude::*;

use super::super::{PartitionTable, TableError, read as read_table};
use super::EbrProblem;
use crate::disk::testing::{Corruptor, TestImage, run};

const MIB: u64 = 1 << 20;
/// The extended partition of [`chained`], in sectors.
const EXTENDED: (u32, u32) = (2048, 30_000);
/// An entry: type, first LBA relative to what the type says, sectors.
type Entry = (u8, u32, u32);

/// A disk made by `sfdisk`: a FAT, an extended partition of `kind`, and these logical ones.
fn sfdisk(kind: &str, logical: &str) -> Option<TestImage> {
    let image = TestImage::empty(64 * MIB);
    let primary =
        format!("disk1: start=2048, size=2048, type=c\ndisk2: start=4096, size=100000, type={kind}\n");
    let script = format!("label: dos\nlabel-id: 0x1234abcd\n{primary}{logical}");
    run("sfdisk", &["--quiet", &image.arg()], &script)?;
    Some(image)
}

const ORDERED: &str = "disk5: start=8192, size=8192, type=83\ndisk6: start=20480, size=8192, type=c, bootable\n\
                       disk7: start=40960, size=63136, type=83\n";
const UNORDERED: &str = "disk5: start=40960, size=8192, type=83\ndisk6: start=8192, size=8192, type=c\n\
                         disk7: start=60000, size=4096, type=82\ndisk8: start=20480, size=4096, type=83\n";

/// A disk of 32 MiB with an extended partition as number 1, or as 1 and 2, and these EBRs.
fn chained(extended: &[(u32, u32)], records: &[(u32, &[Entry])]) -> TestImage {
    let image = TestImage::empty(32 * MIB);
    let entries: Vec<Entry> = extended.iter().map(|(first, sectors)| (0x0f, *first, *sectors)).collect();
    for (lba, entries) in [(0, entries.as_slice())].iter().chain(records) {
        let mut sector = [0; 512];
        for ((kind, first, sectors), at) in entries.iter().zip((446..510).step_by(16)) {
            sector[at + 4] = *kind;
            sector[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
            sector[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        }
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        image.window().write_all_at(u64::from(*lba) * 512, &sector).expect("written");
    }
    image
}

fn read(image: &TestImage) -> Result<PartitionTable, TableError> {
    read_table(&image.file(), image.len())
}

/// Number, first LBA and sectors of the logical partitions.
fn logical(image: &TestImage) -> Vec<(u32, u64, u64)> {
    let table = read(image).expect("a table");
    let logical = table.partitions.iter().filter(|part| part.number >= 5);
    logical.map(|part| (part.number, part.first_lba, part.sectors)).collect()
}

#[track_caller]
fn assert_damaged(image: &TestImage, at: u64, expected: EbrProblem) {
    let error = read(image).expect_err("a damaged EBR");
    let TableError::Ebr { lba, problem } = error else { panic!("{error}") };
    assert_eq!((lba, problem), (at, expected));
    assert!(error.to_string().starts_with(&format!("the extended boot record at LBA {at} is damaged: ")));
}

#[test]
fn logical_partitions_are_those_that_sfdisk_lists() {
    for (kind, partitions) in [("f", ORDERED), ("5", ORDERED), ("85", UNORDERED), ("f", UNORDERED), ("5", "")]
    {
        let Some(image) = sfdisk(kind, partitions) else { return };
        let Some(json) = run("sfdisk", &["--json", &image.arg()], "") else { return };
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let listed = json["partitiontable"]["partitions"].as_array().expect("a list");
        let found = read(&image).expect("a table").partitions;
        assert_eq!(found.len(), listed.len(), "{kind}: {found:?}");
        for (part, listed) in found.iter().zip(listed) {
            assert_eq!(listed["node"], format!("{}{}", image.arg(), part.number));
            assert_eq!(listed["start"], part.first_lba);
            assert_eq!(listed["size"], part.sectors);
            assert_eq!(part.type_id, format!("0x{:0>2}", listed["type"].as_str().expect("a type")));
            assert_eq!(part.bootable, listed["bootable"].as_bool().unwrap_or(false));
            assert_eq!(part.extended, part.number == 2);
            assert_eq!(part.uuid, format!("1234abcd-{:02x}", part.number));
        }
    }
}

#[test]
fn chains_that_linux_accepts_are_read() {
    let empty_first = chained(&[EXTENDED], &[(2048, &[(5, 1000, 500)]), (3048, &[(0x83, 8, 100)])]);
    assert_eq!(logical(&empty_first), [(5, 3056, 100)]);
    let link_first =
        chained(&[EXTENDED], &[(2048, &[(5, 1000, 500), (0x83, 8, 100)]), (3048, &[(0x0c, 1, 99)])]);
    assert_eq!(logical(&link_first), [(5, 2056, 100), (6, 3049, 99)]);
    let undefined_third = chained(&[EXTENDED], &[(2048, &[(0x83, 8, 100), (0, 0, 0), (0x83, 9, u32::MAX)])]);
    assert_eq!(logical(&undefined_third), [(5, 2056, 100)]);
    let two = chained(&[(2048, 1000), (8192, 1000)], &[(8192, &[(0x83, 1, 9)]), (2048, &[(0x83, 1, 9)])]);
    assert_eq!(logical(&two), [(5, 2049, 9), (6, 8193, 9)]);
    assert_eq!(logical(&chained(&[EXTENDED], &[])), []);
}

#[test]
fn damaged_chains_are_refused_with_the_lba() {
    let data = (0x83, 8, 100);
    let first = |entries: &[Entry]| chained(&[EXTENDED], &[(2048, entries)]);
    assert_damaged(&first(&[data, (5, 1000, 500)]), 3048, EbrProblem::NoSignature);
    assert_damaged(&first(&[data, (5, 30_000, 500)]), 2048, EbrProblem::NextOutside(32_048));
    assert_damaged(&first(&[data, (5, u32::MAX, 500)]), 2048, EbrProblem::NextOutside(2048 + 0xFFFF_FFFF));
    assert_damaged(&first(&[data, (5, 0, 500)]), 2048, EbrProblem::Loop(2048));
    let outside = |first, sectors| EbrProblem::Outside { first, sectors };
    assert_damaged(&first(&[(0x83, 8, 29_993)]), 2048, outside(2056, 29_993));
    assert_damaged(&first(&[(0x83, 0, 10)]), 2048, outside(2048, 10));
    assert_damaged(&first(&[(0x83, u32::MAX, u32::MAX)]), 2048, outside(2048 + 0xFFFF_FFFF, 0xFFFF_FFFF));
    let back = [(2048, &[data, (5, 500, 9)][..]), (2548, &[data, (5, 900, 9)]), (2948, &[data, (5, 500, 9)])];
    assert_damaged(&chained(&[EXTENDED], &back), 2948, EbrProblem::Loop(2548));
    let covered = [(2048, &[data, (5, 50, 9)][..]), (2098, &[(0x83, 100, 9)])];
    assert_damaged(&chained(&[EXTENDED], &covered), 2098, EbrProblem::Covered(5));
}

#[test]
fn overlapping_logical_partitions_are_refused() {
    let records = [(2048, &[(0x83, 1000, 100), (5, 500, 9)][..]), (2548, &[(0x83, 550, 100)])];
    let error = read(&chained(&[EXTENDED], &records)).expect_err("an overlap");
    assert_eq!(error.to_string(), "partitions 5 and 6 overlap");
}

#[test]
fn endless_chain_ends() {
    let records: Vec<(u32, [Entry; 2])> =
        (0..600).map(|i| (2048 + i * 10, [(0, 0, 0), (5, (i + 1) * 10, 9)])).collect();
    let records: Vec<(u32, &[Entry])> = records.iter().map(|(lba, entries)| (*lba, &entries[..])).collect();
    assert_damaged(&chained(&[EXTENDED], &records), 2048 + 512 * 10, EbrProblem::TooMany);
    let records: Vec<(u32, [Entry; 2])> =
        (0..300).map(|i| (2048 + i * 10, [(0x83, 1, 2), (5, (i + 1) * 10, 9)])).collect();
    let records: Vec<(u32, &[Entry])> = records.iter().map(|(lba, entries)| (*lba, &entries[..])).collect();
    assert_damaged(&chained(&[EXTENDED], &records), 2048 + 251 * 10, EbrProblem::TooMany);
}

#[test]
fn corrupt_chains_never_panic() {
    let Some(image) = sfdisk("f", UNORDERED) else { return };
    // The EBRs that `sfdisk` puts 2048 sectors before each partition but the first.
    for lba in [4096_u64, 6144, 57_952, 18_432] {
        let window = image.window();
        let mut intact = [0; 512];
        window.read_exact_at(lba * 512, &mut intact).expect("read");
        assert_eq!(intact[510..], [0x55, 0xAA], "an EBR at LBA {lba}");
        for seed in 0..200 {
            let mut record = intact;
            Corruptor::new(seed).corrupt(&mut record, &[446..478, 446..512]);
            window.write_all_at(lba * 512, &record).expect("written");
            if let Ok(table) = read(&image) {
                assert_sound(&table);
            }
        }
        window.write_all_at(lba * 512, &intact).expect("written");
    }
}

/// Logical partitions have consecutive numbers, lie within the extended partition and don't overlap.
fn assert_sound(table: &PartitionTable) {
    let extended: Vec<_> = table.partitions.iter().filter(|part| part.extended).collect();
    let mut logical: Vec<_> = table.partitions.iter().filter(|part| part.number >= 5).collect();
    assert!(logical.iter().zip(5..).all(|(part, number)| part.number == number));
    logical.sort_by_key(|part| part.first_lba);
    assert!(logical.windows(2).all(|pair| pair[0].first_lba + pair[0].sectors <= pair[1].first_lba));
    for part in logical {
        let end = part.first_lba + part.sectors;
        let holds = |whole: &&&super::Partition| {
            whole.first_lba < part.first_lba && end <= whole.first_lba + whole.sectors
        };
        assert!(extended.iter().any(|whole| holds(&whole)), "{part:?}");
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![Just(0x83_u8), Just(5), Just(0x0f), Just(0)];
    let number = || prop_oneof![0_u32..40, 0_u32..40, any::<u32>()];
    (kind, number(), number())
}

proptest! {
    #[test]
    fn any_chain_is_sound_or_refused(
        records in prop::collection::vec((0_u32..40, prop::collection::vec(entry(), 0..=4)), 0..12)
    ) {
        let records: Vec<_> = records.iter().map(|(at, entries)| (2048 + at, &entries[..])).collect();
        if let Ok(table) = read(&chained(&[(2048, 40)], &records)) {
            assert_sound(&table);
        }
    }
}

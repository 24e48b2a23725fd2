//! Partition tables derived from a base's table, as values: nothing is written here.

use uuid::Uuid;

use super::{GPT_ARRAY_SECTORS, Partition, PartitionTable, TableKind, mbr, types};
use crate::digest::Sha256;

/// Linux file system data.
const GPT_LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
const MBR_LINUX: u8 = 0x83;
const MBR_FAT32_LBA: u8 = 0x0c;

/// Sectors that the backup GPT needs at the end of a disk: its entries and its header.
const GPT_BACKUP: u64 = GPT_ARRAY_SECTORS + 1;

/// Why a table can't be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError {
    #[error("the partition table is an MBR, which has only four entries, and all are used")]
    NoEntry,
    #[error("partition {number} reaches past sector 4294967295, the last one that an MBR can name")]
    PastMbr { number: u32 },
    #[error("the base has {0} partitions, but an MBR has only four entries")]
    TooMany(usize),
}

/// The first sector at the end of a disk of `sectors` that no partition can use.
pub(crate) fn usable_end(kind: TableKind, sectors: u64) -> u64 {
    match kind {
        TableKind::Mbr => sectors,
        TableKind::Gpt | TableKind::HybridGpt => sectors.saturating_sub(GPT_BACKUP),
    }
}

/// `table` with an additional Linux partition in the lowest free entry.
pub(crate) fn added(
    table: &PartitionTable,
    first_lba: u64,
    sectors: u64,
    name: &str,
) -> Result<PartitionTable, ChangeError> {
    let limit = if table.kind == TableKind::Mbr { 4 } else { 128 };
    let is_free = |number: &u32| !table.partitions.iter().any(|part| part.number == *number);
    let number = (1..=limit).find(is_free).ok_or(ChangeError::NoEntry)?;
    let new = match table.kind {
        TableKind::Mbr => mbr::partition(&table.id, number, MBR_LINUX, first_lba, sectors),
        TableKind::Gpt | TableKind::HybridGpt => Partition {
            number,
            first_lba,
            sectors,
            type_id: GPT_LINUX.into(),
            type_name: types::of_gpt(GPT_LINUX),
            name: name.to_owned(),
            uuid: derived_guid(&table.id, number).to_string(),
            bootable: false,
            extended: false,
        },
    };
    let mut table = table.clone();
    table.partitions.push(new);
    table.partitions.sort_by_key(|part| part.number);
    Ok(table)
}

/// The partitions of a GPT as an MBR, at the same places. Entry 1 is `boot` (type 0x0c) and entry 2 `root` (0x83),
/// given by their numbers in the GPT; others follow in the order of their places. The disk id is derived from the
/// GPT's.
pub(crate) fn as_mbr(table: &PartitionTable, boot: u32, root: u32) -> Result<PartitionTable, ChangeError> {
    if table.partitions.len() > 4 {
        return Err(ChangeError::TooMany(table.partitions.len()));
    }
    let id = derived_signature(&table.id);
    let rank = |part: &&Partition| match part.number {
        number if number == boot => (0, 0),
        number if number == root => (1, 0),
        _ => (2, part.first_lba),
    };
    let mut sorted: Vec<&Partition> = table.partitions.iter().collect();
    sorted.sort_by_key(rank);
    let renumbered = (1..).zip(sorted).map(|(number, part)| {
        let is_fat = part.number == boot || matches!(part.type_name, "EFI system" | "Microsoft basic data");
        let kind = if is_fat && part.number != root { MBR_FAT32_LBA } else { MBR_LINUX };
        mbr::partition(&id, number, kind, part.first_lba, part.sectors)
    });
    let partitions = renumbered.collect();
    Ok(PartitionTable { kind: TableKind::Mbr, id, partitions })
}

/// A GUID of version 8 (RFC 9562: custom), the same for each build of a base.
fn derived_guid(disk: &str, number: u32) -> Uuid {
    let hash = first_bytes::<16>(&format!("magi-image partition {disk} {number}"));
    uuid::Builder::from_custom_bytes(hash).into_uuid()
}

/// Eight hex digits, not all zero.
fn derived_signature(disk: &str) -> String {
    let hash = u32::from_be_bytes(first_bytes(&format!("magi-image mbr {disk}")));
    format!("{:08x}", hash.max(1))
}

fn first_bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let hash = Sha256::of(text.as_bytes());
    bytes.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    bytes
}

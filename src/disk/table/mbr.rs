//! The four entries of a master boot record.

use ::gpt::disk::LogicalBlockSize;
use ::gpt::mbr::{PartRecord, ProtectiveMBR};

use super::{Partition, PartitionTable, TableError, TableKind, types};
use crate::guard;

/// The type of the entry that covers the area of a GPT.
const PROTECTIVE: u8 = 0xEE;

pub(super) enum Mbr {
    Partitions(PartitionTable),
    /// The partitions are in a GPT; `hybrid` if the MBR lists some of them too.
    Protective {
        hybrid: bool,
    },
}

/// The partitions that a first sector names besides protective entries.
pub(super) fn listed(sector: &[u8; 512]) -> Result<Vec<Partition>, TableError> {
    Ok(entries(sector)?.0.partitions)
}

/// Parses a first sector that ends in 55 AA.
pub(super) fn parse(sector: &[u8; 512]) -> Result<Mbr, TableError> {
    let (table, protective) = entries(sector)?;
    Ok(if protective {
        Mbr::Protective { hybrid: !table.partitions.is_empty() }
    } else {
        Mbr::Partitions(table)
    })
}

/// The used entries, and whether one is protective.
fn entries(sector: &[u8; 512]) -> Result<(PartitionTable, bool), TableError> {
    let mbr = parse_sector(sector)?;
    let id = format!("{:08x}", u32::from_le_bytes(*mbr.disk_signature()));
    let mut partitions = Vec::new();
    let mut protective = false;
    for (number, index) in (1..=4).zip(0..) {
        let Some(entry) = mbr.partition(index).filter(|e| e.os_type != 0 && e.lb_size != 0) else { continue };
        if entry.os_type == PROTECTIVE {
            protective = true;
            continue;
        }
        partitions.push(partition_of(&entry, &id, number, entry.lb_start.into()));
    }
    Ok((PartitionTable { kind: TableKind::Mbr, id, partitions }, protective))
}

/// Parses a sector that ends in 55 AA: an MBR, or an EBR, which has the same format.
pub(super) fn parse_sector(sector: &[u8; 512]) -> Result<ProtectiveMBR, TableError> {
    let parsed = guard::catch("gpt", || ProtectiveMBR::from_bytes(sector, LogicalBlockSize::Lb512));
    Ok(parsed.map_err(std::io::Error::from)?.map_err(std::io::Error::other)?)
}

/// The partition of an entry; `id` is the disk's.
pub(super) fn partition_of(entry: &PartRecord, id: &str, number: u32, first_lba: u64) -> Partition {
    let bootable = entry.boot_indicator & 0x80 != 0;
    Partition { bootable, ..partition(id, number, entry.os_type, first_lba, entry.lb_size.into()) }
}

/// A partition that isn't marked as bootable; `id` is the disk's.
pub(super) fn partition(id: &str, number: u32, kind: u8, first_lba: u64, sectors: u64) -> Partition {
    Partition {
        number,
        first_lba,
        sectors,
        type_id: format!("{kind:#04x}"),
        type_name: types::of_mbr(kind),
        name: String::new(),
        uuid: format!("{id}-{number:02x}"),
        bootable: false,
        extended: types::is_extended(kind),
    }
}

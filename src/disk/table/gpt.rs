//! The GUID partition table after a protective or hybrid MBR.

use ::gpt::{GptConfig, GptDisk};

use super::{Partition, PartitionTable, TableError, TableKind, types};
use crate::disk::window::Window;
use crate::guard;

/// A table has 128 entries of 128 bytes; a header with far more entries is corrupt.
const LIMIT_BYTES: u64 = 2 << 20;
const LIMIT_OPERATIONS: u64 = 20_000;

/// Bit 2 of the attributes: legacy BIOS bootable.
const BOOTABLE: u64 = 1 << 2;

/// Reads the GPT of a whole image: the primary GPT, or the backup at the image's end if the primary is damaged.
pub(super) fn read(image: Window, hybrid: bool) -> Result<PartitionTable, TableError> {
    let image = image.with_limit(LIMIT_BYTES, LIMIT_OPERATIONS);
    let disk = guard::catch("gpt", || GptConfig::new().writable(false).open_from_device(image))??;
    let used = disk.partitions().iter().filter(|(_, entry)| entry.is_used());
    let partitions =
        used.map(|(&number, entry)| partition(&disk, number, entry)).collect::<Result<_, _>>()?;
    let kind = if hybrid { TableKind::HybridGpt } else { TableKind::Gpt };
    Ok(PartitionTable { kind, id: disk.guid().to_string(), partitions })
}

fn partition(
    disk: &GptDisk<Window>,
    number: u32,
    entry: &::gpt::partition::Partition,
) -> Result<Partition, TableError> {
    let first = entry.first_lba;
    // The last LBA is part of the partition.
    let sectors = entry.last_lba.checked_sub(first).and_then(|n| n.checked_add(1)).unwrap_or(0);
    if sectors == 0 || first < disk.header().first_usable {
        return Err(TableError::Range { number, first, sectors });
    }
    let type_id = entry.part_type_guid.guid.to_string();
    Ok(Partition {
        number,
        first_lba: first,
        sectors,
        type_name: types::of_gpt(&type_id),
        type_id,
        name: entry.name.clone(),
        uuid: entry.part_guid.to_string(),
        bootable: entry.flags & BOOTABLE != 0,
        extended: false,
    })
}

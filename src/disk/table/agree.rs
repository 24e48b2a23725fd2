//! Whether the copies of a partition table agree: the two copies of a GPT, and a hybrid MBR with them. Read by the
//! `gpt` crate, which shares no code with the writer.

use std::fs::File;
use std::sync::Arc;

use ::gpt::GptConfig;

use super::mbr;
use super::{Partition, PartitionTable, SECTOR, TableError, TableKind};
use crate::disk::window::Window;
use crate::guard;

/// Two copies of a table differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Disagreement {
    #[error("a copy of the GPT is damaged: {0}")]
    Damaged(String),
    #[error("the backup GPT is in sector {found}, not in the last one, {last}")]
    Place { found: u64, last: u64 },
    #[error("the two copies of the GPT differ")]
    Copies,
    #[error("the MBR has a partition at sector {first} with {sectors} sectors, which the GPT lacks")]
    Hybrid { first: u64, sectors: u64 },
}

/// Compares the copies of `table` in an image of `len` bytes. An MBR has no copy.
pub(crate) fn copies(
    image: &Arc<File>,
    len: u64,
    table: &PartitionTable,
) -> Result<Option<Disagreement>, TableError> {
    if table.kind == TableKind::Mbr {
        return Ok(None);
    }
    let whole = Window::read_only(Arc::clone(image), 0, len)?;
    let mut sector = [0; 512];
    whole.read_exact_at(0, &mut sector)?;
    let open = || GptConfig::new().writable(false).only_valid_headers(true).open_from_device(whole);
    let disk = match guard::catch("gpt", open)? {
        Ok(disk) => disk,
        Err(error) => return Ok(Some(Disagreement::Damaged(error.to_string()))),
    };
    let (Ok(primary), Ok(backup)) = (disk.primary_header(), disk.backup_header()) else {
        return Ok(Some(Disagreement::Copies));
    };
    let last = len / SECTOR - 1;
    if primary.backup_lba != last {
        return Ok(Some(Disagreement::Place { found: primary.backup_lba, last }));
    }
    let fields = |header: &::gpt::header::Header| {
        (header.disk_guid, header.crc32_parts, header.first_usable, header.last_usable)
    };
    if fields(primary) != fields(backup) || backup.backup_lba != primary.current_lba {
        return Ok(Some(Disagreement::Copies));
    }
    Ok(unknown_entry(&mbr::listed(&sector)?, table))
}

/// A partition of a hybrid MBR that the GPT lacks.
fn unknown_entry(listed: &[Partition], table: &PartitionTable) -> Option<Disagreement> {
    let place = |part: &Partition| (part.first_lba, part.sectors);
    let is_known = |part: &&Partition| table.partitions.iter().any(|known| place(known) == place(part));
    let (first, sectors) = listed.iter().find(|part| !is_known(part)).map(place)?;
    Some(Disagreement::Hybrid { first, sectors })
}

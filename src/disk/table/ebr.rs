//! Logical partitions: a chain of extended boot records (EBR) within an extended partition of an MBR.
//!
//! An EBR has the format of an MBR. Of its four entries, one describes a logical partition, relative to this EBR,
//! and one of an extended type leads to the next EBR, relative to the extended partition. Numbers, order and
//! tolerated irregularities are those of Linux (`block/partitions/msdos.c`, `parse_extended`).

use std::ops::Range;

use ::gpt::mbr::PartRecord;

use super::mbr;
use super::types::is_extended;
use super::{Partition, PartitionTable, TableError};
use crate::disk::window::Window;

/// The first number of a logical partition.
const FIRST_NUMBER: u32 = 5;
/// Linux has at most 255 partitions on a disk (`DISK_MAX_PARTS`).
const LAST_NUMBER: u32 = 255;
/// Limit for EBRs of one disk: a chain may have EBRs without a partition.
const MOST_RECORDS: usize = 512;

/// What is wrong with an EBR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EbrProblem {
    #[error("it doesn't end in 55 AA")]
    NoSignature,
    #[error("its logical partition, {sectors} sectors from LBA {first}, lies outside the extended partition")]
    Outside { first: u64, sectors: u64 },
    #[error("the next one, at LBA {0}, lies outside the extended partition")]
    NextOutside(u64),
    #[error("the next one, at LBA {0}, is already part of the chain")]
    Loop(u64),
    #[error("the disk has more than {MOST_RECORDS} of them or more than {LAST_NUMBER} partitions")]
    TooMany,
    #[error("logical partition {0} covers it")]
    Covered(u32),
}

/// The logical partitions of all extended ones in `table`, whose ranges have been checked against the image.
pub(super) fn read(image: &Window, table: &PartitionTable) -> Result<Vec<Partition>, TableError> {
    let mut chain = Chain { image, id: &table.id, records: Vec::new(), found: Vec::new() };
    for extended in table.partitions.iter().filter(|partition| partition.extended) {
        chain.follow(extended.first_lba..extended.first_lba + extended.sectors)?;
    }
    chain.check_records()?;
    Ok(chain.found)
}

struct Chain<'a> {
    image: &'a Window,
    /// Of the disk.
    id: &'a str,
    /// The LBAs of the EBRs so far.
    records: Vec<u64>,
    found: Vec<Partition>,
}

impl Chain<'_> {
    /// Reads the EBRs of the extended partition with the sectors `extended`.
    fn follow(&mut self, extended: Range<u64>) -> Result<(), TableError> {
        let mut lba = extended.start;
        loop {
            let fail = |problem| TableError::Ebr { lba, problem };
            if self.records.len() == MOST_RECORDS {
                return Err(fail(EbrProblem::TooMany));
            }
            self.records.push(lba);
            let Some(entries) = self.entries(lba)? else {
                // An extended partition without logical ones may hold anything.
                let is_first = lba == extended.start;
                return if is_first { Ok(()) } else { Err(fail(EbrProblem::NoSignature)) };
            };
            for (index, entry) in entries.iter().filter(|(_, entry)| !is_extended(entry.os_type)) {
                self.add(lba, *index, entry, &extended)?;
            }
            let Some((_, link)) = entries.iter().find(|(_, entry)| is_extended(entry.os_type)) else {
                return Ok(());
            };
            let next = extended.start + u64::from(link.lb_start);
            if !extended.contains(&next) {
                return Err(fail(EbrProblem::NextOutside(next)));
            }
            if self.records.contains(&next) {
                return Err(fail(EbrProblem::Loop(next)));
            }
            lba = next;
        }
    }

    /// The used entries of the EBR at `lba` with their indices from 0; `None` without a signature.
    fn entries(&self, lba: u64) -> Result<Option<Vec<(usize, PartRecord)>>, TableError> {
        let mut sector = [0; 512];
        self.image.read_exact_at(lba * super::SECTOR, &mut sector)?;
        if sector[510..] != [0x55, 0xAA] {
            return Ok(None);
        }
        let record = mbr::parse_sector(&sector)?;
        let used = |index| Some((index, record.partition(index).filter(|entry| entry.lb_size != 0)?));
        Ok(Some((0..4).filter_map(used).collect()))
    }

    /// Adds the logical partition of entry `index` of the EBR at `lba`.
    fn add(
        &mut self,
        lba: u64,
        index: usize,
        entry: &PartRecord,
        extended: &Range<u64>,
    ) -> Result<(), TableError> {
        let (first, sectors) = (lba + u64::from(entry.lb_start), u64::from(entry.lb_size));
        if entry.lb_start == 0 || first + sectors > extended.end {
            // Linux ignores invalid ranges in the third and fourth entry, which some tools left undefined.
            let problem = EbrProblem::Outside { first, sectors };
            return if index < 2 { Err(TableError::Ebr { lba, problem }) } else { Ok(()) };
        }
        let number = self.found.last().map_or(FIRST_NUMBER, |last| last.number + 1);
        if number > LAST_NUMBER {
            return Err(TableError::Ebr { lba, problem: EbrProblem::TooMany });
        }
        self.found.push(mbr::partition_of(entry, self.id, number, first));
        Ok(())
    }

    /// Refuses a partition that covers an EBR: writing to the partition would destroy the chain.
    fn check_records(&self) -> Result<(), TableError> {
        for &lba in &self.records {
            let covers = |part: &&Partition| (part.first_lba..part.first_lba + part.sectors).contains(&lba);
            if let Some(part) = self.found.iter().find(covers) {
                return Err(TableError::Ebr { lba, problem: EbrProblem::Covered(part.number) });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Compares the partition table of an image with the expected one.

use std::fs::File;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::disk::table::{self, Disagreement, PartitionTable};
use crate::error::Result;
use crate::plan::{ExpectedDisk, ExpectedPartition, TableKind};

/// A difference between the disk of an image and the expected one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DiskMismatch {
    #[error("the image has {found} bytes, not {expected}")]
    Size { found: u64, expected: u64 },
    #[error("the partition table is {found:?}, not {expected:?}")]
    Table { found: TableKind, expected: TableKind },
    #[error("the disk id is {found}, not {expected}")]
    Id { found: String, expected: String },
    #[error("partition {number} is missing")]
    Missing { number: u32 },
    #[error("partition {number} is unexpected")]
    Unexpected { number: u32 },
    #[error(
        "partition {} has sector {}, length {}, type {} and PARTUUID {}, not sector {}, length {}, type {} and \
         PARTUUID {}",
        found.number, found.start, found.sectors, found.type_id, found.uuid,
        expected.start, expected.sectors, expected.type_id, expected.uuid
    )]
    Partition { found: Box<ExpectedPartition>, expected: Box<ExpectedPartition> },
    #[error(transparent)]
    Copies(#[from] Disagreement),
}

impl Serialize for DiskMismatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Every difference between the table of an image of `len` bytes and `expected`.
pub(super) fn compare(image: &Arc<File>, len: u64, expected: &ExpectedDisk) -> Result<Vec<DiskMismatch>> {
    Ok(differences(&table::read(image, len)?, len, expected))
}

fn differences(found: &PartitionTable, len: u64, expected: &ExpectedDisk) -> Vec<DiskMismatch> {
    let mut differences = Vec::new();
    if len != expected.size {
        differences.push(DiskMismatch::Size { found: len, expected: expected.size });
    }
    if found.kind != expected.table {
        differences.push(DiskMismatch::Table { found: found.kind, expected: expected.table });
    }
    if found.id != expected.id {
        differences.push(DiskMismatch::Id { found: found.id.clone(), expected: expected.id.clone() });
    }
    let partitions: Vec<ExpectedPartition> = found.partitions.iter().map(entry).collect();
    for expected in &expected.partitions {
        match partitions.iter().find(|found| found.number == expected.number) {
            None => differences.push(DiskMismatch::Missing { number: expected.number }),
            Some(found) if found == expected => {}
            Some(found) => {
                let (found, expected) = (Box::new(found.clone()), Box::new(expected.clone()));
                differences.push(DiskMismatch::Partition { found, expected });
            }
        }
    }
    let is_new = |number: u32| !expected.partitions.iter().any(|part| part.number == number);
    let new = partitions.iter().map(|part| part.number).filter(|number| is_new(*number));
    differences.extend(new.map(|number| DiskMismatch::Unexpected { number }));
    differences
}

/// The same, and for a table that was rewritten also whether its copies agree.
pub(super) fn compare_rewritten(
    image: &Arc<File>,
    len: u64,
    expected: &ExpectedDisk,
) -> Result<Vec<DiskMismatch>> {
    let found = table::read(image, len)?;
    let mut differences = differences(&found, len, expected);
    let disagreement = table::copies(image, len, &found)?;
    differences.extend(disagreement.map(DiskMismatch::Copies));
    Ok(differences)
}

/// A partition as the manifest records it.
pub(super) fn entry(part: &table::Partition) -> ExpectedPartition {
    ExpectedPartition {
        number: part.number,
        start: part.first_lba,
        sectors: part.sectors,
        type_id: part.type_id.clone(),
        uuid: part.uuid.clone(),
    }
}

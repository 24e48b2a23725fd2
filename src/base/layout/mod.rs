//! Finds the boot FAT and the root file system by content, never by partition number or type, which differ
//! between image families.

mod error;
mod probe;
mod root;

use std::fs::File;
use std::sync::Arc;

use serde::Serialize;

pub(crate) use error::{LayoutError, partitions};
pub(crate) use probe::PartitionContent;

use crate::disk::fat::Reader;
use crate::disk::table::{self, Partition, TableKind};

/// Files that identify a boot partition, the most reliable first.
const BOOT_FILES: [&str; 3] = ["cmdline.txt", "config.txt", "sysconf.txt"];

/// A partition and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Probed {
    #[serde(flatten)]
    pub(crate) partition: Partition,
    pub(crate) content: PartitionContent,
}

/// The partition table of an image, with the boot and the root partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Layout {
    pub(crate) table: TableKind,
    /// The disk's id.
    pub(crate) id: String,
    /// The partitions by number.
    pub(crate) parts: Vec<Probed>,
    /// The index in `parts` of the boot FAT.
    boot: usize,
    /// The index in `parts` of the root ext4.
    root: usize,
}

impl Layout {
    pub(crate) fn boot(&self) -> &Partition {
        &self.parts[self.boot].partition
    }

    pub(crate) fn root(&self) -> &Partition {
        &self.parts[self.root].partition
    }
}

/// Finds the boot and the root partition in an image of `len` bytes.
pub(crate) fn find(image: &Arc<File>, len: u64) -> Result<Layout, LayoutError> {
    let (table, id, parts) = probe(image, len)?;
    let found = || probe::list(&parts);
    if !parts.iter().any(|part| matches!(part.content, PartitionContent::Fat(_))) {
        return Err(LayoutError::NoFat { found: found() });
    }
    let boot = boot_of(&parts, image)?.ok_or_else(|| LayoutError::NoFirmware { found: found() })?;
    let words = kernel_words(&parts[boot], image)?;
    let root = root::find(&parts, image, words.as_deref())?;
    Ok(Layout { table, id, parts, boot, root })
}

/// Lists the partitions of an image with their content; unknown content isn't an error.
pub(crate) fn probe(image: &Arc<File>, len: u64) -> Result<(TableKind, String, Vec<Probed>), LayoutError> {
    let table = table::read(image, len)?;
    let mut parts = Vec::with_capacity(table.partitions.len());
    for partition in table.partitions {
        let window = partition.read_only(image);
        let content = window.and_then(|window| PartitionContent::find(&partition, window));
        let number = partition.number;
        let content = content.map_err(|source| LayoutError::Read { number, source })?;
        parts.push(Probed { partition, content });
    }
    Ok((table.kind, table.id, parts))
}

/// The index of the FAT with the files of a Raspberry Pi's boot partition.
fn boot_of(parts: &[Probed], image: &Arc<File>) -> Result<Option<usize>, LayoutError> {
    let mut fats = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if matches!(part.content, PartitionContent::Fat(_)) {
            fats.push((index, file_names(part, image)?));
        }
    }
    for file in BOOT_FILES {
        let has = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(file));
        let with: Vec<usize> = fats.iter().filter(|(_, names)| has(names)).map(|(index, _)| *index).collect();
        match with[..] {
            [] => {}
            [one] => return Ok(Some(one)),
            [..] => return decided_by_root(&with, file, parts, image).map(Some),
        }
    }
    Ok(None)
}

/// The FAT of `candidates` whose `cmdline.txt` names a root file system in the image. The recovery partition of NOOBS
/// and PINN may have a `cmdline.txt` too, for a system in memory.
fn decided_by_root(
    candidates: &[usize],
    file: &'static str,
    parts: &[Probed],
    image: &Arc<File>,
) -> Result<usize, LayoutError> {
    let mut with_root = Vec::new();
    for &index in candidates {
        let words = kernel_words(&parts[index], image)?;
        if words.is_some_and(|words| root::is_present(parts, &words)) {
            with_root.push(index);
        }
    }
    let several = if with_root.is_empty() { candidates } else { &with_root };
    if let [one] = several[..] {
        return Ok(one);
    }
    let numbers = several.iter().map(|&index| parts[index].partition.number).collect();
    Err(LayoutError::SeveralBoots { file, numbers })
}

/// The names of the files in a FAT's root directory.
fn file_names(part: &Probed, image: &Arc<File>) -> Result<Vec<String>, LayoutError> {
    let entries =
        part.partition.read_only(image).map_err(Into::into).and_then(|w| Reader::open(w)?.list("/"));
    let number = part.partition.number;
    let entries = entries.map_err(|source| LayoutError::Fat { number, source })?;
    Ok(entries.into_iter().filter(|entry| !entry.folder).map(|entry| entry.name).collect())
}

/// The kernel's command line on a FAT: the first line of `cmdline.txt`. `None` without that file.
fn kernel_words(boot: &Probed, image: &Arc<File>) -> Result<Option<String>, LayoutError> {
    let read = || {
        let fat = Reader::open(boot.partition.read_only(image)?)?;
        match fat.find("/cmdline.txt")? {
            Some(_) => fat.read("/cmdline.txt").map(Some),
            None => Ok(None),
        }
    };
    let number = boot.partition.number;
    let bytes = read().map_err(|source| LayoutError::Fat { number, source })?;
    let first_line = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes);
        text.lines().next().unwrap_or_default().to_owned()
    };
    Ok(bytes.map(first_line))
}

#[cfg(test)]
mod tests;

//! Which partition is the boot FAT and which the root ext4, found by what they hold: never by number or
//! type, which differ between the families of images.

mod error;
mod probe;

use std::fs::File;
use std::sync::Arc;

use serde::Serialize;

pub(crate) use error::LayoutError;
pub(crate) use probe::PartitionContent;

use crate::disk::fat::{FatError, Reader};
use crate::disk::table::{self, Partition, TableKind};

/// The file that hands a name and a key to Debian's images.
pub(crate) const SYSCONF: &str = "sysconf.txt";
/// One of these is on every boot partition of a Pi.
const FIRMWARE: [&str; 6] =
    ["config.txt", "cmdline.txt", "start4.elf", "start.elf", "bootcode.bin", "kernel8.img"];

/// Where an image comes from, as far as its boot partition tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Family {
    /// raspi.debian.net: has `sysconf.txt`.
    Sysconf,
    /// Raspberry Pi OS: cloud-init's files, or its `issue.txt`.
    RaspberryPiOs,
    /// Debian's cloud image `raspi`: firmware on a GPT disk.
    DebianCloud,
    /// Firmware and nothing that tells more.
    Other,
}

/// A partition and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Probed {
    /// Its place in the table.
    #[serde(flatten)]
    pub(crate) partition: Partition,
    /// What was found in it.
    pub(crate) content: PartitionContent,
}

/// An image's partitions, and which of them matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Layout {
    /// The kind of partition table.
    pub(crate) table: TableKind,
    /// The disk's id.
    pub(crate) id: String,
    /// The partitions by number.
    pub(crate) parts: Vec<Probed>,
    /// The index in `parts` of the boot FAT.
    pub(crate) boot: usize,
    /// The index in `parts` of the root ext4.
    pub(crate) root: usize,
    /// Whose image it is.
    pub(crate) family: Family,
}

impl Layout {
    /// The boot FAT.
    pub(crate) fn boot(&self) -> &Partition {
        &self.parts[self.boot].partition
    }

    /// The root ext4.
    pub(crate) fn root(&self) -> &Partition {
        &self.parts[self.root].partition
    }
}

/// Finds boot and root in an image of `len` bytes that is set up by `sysconf.txt`; the error for another
/// one says what it is instead.
pub(crate) fn find(image: &Arc<File>, len: u64) -> Result<Layout, LayoutError> {
    let layout = find_any(image, len)?;
    match layout.family {
        Family::Sysconf => Ok(layout),
        family => Err(LayoutError::NoSysconf { number: layout.boot().number, family, table: layout.table }),
    }
}

/// The same for an image of any family.
pub(crate) fn find_any(image: &Arc<File>, len: u64) -> Result<Layout, LayoutError> {
    let (table, id, parts) = probe(image, len)?;
    let found = || probe::list(&parts);
    if !parts.iter().any(|part| matches!(part.content, PartitionContent::Fat(_))) {
        return Err(LayoutError::NoFat { found: found() });
    }
    let boot = boot_of(&parts, image, table)?;
    let (boot, family) = boot.ok_or_else(|| LayoutError::NoFirmware { found: found() })?;
    let root = root_of(&parts)?.ok_or_else(|| LayoutError::NoExt4 { found: found() })?;
    Ok(Layout { table, id, parts, boot, root, family })
}

/// The partitions of an image and what each holds, whatever that is.
pub(crate) fn probe(image: &Arc<File>, len: u64) -> Result<(TableKind, String, Vec<Probed>), LayoutError> {
    let table = table::read(image, len)?;
    let mut parts = Vec::with_capacity(table.partitions.len());
    for partition in table.partitions {
        let mut probed = Probed { partition, content: PartitionContent::Unknown };
        let content = probed
            .partition
            .read_only(image)
            .and_then(|window| PartitionContent::find(&probed.partition, window));
        let number = probed.partition.number;
        probed.content = content.map_err(|source| LayoutError::Read { number, source })?;
        parts.push(probed);
    }
    Ok((table.kind, table.id, parts))
}

/// The FAT with `sysconf.txt`, else the one with firmware.
fn boot_of(
    parts: &[Probed],
    image: &Arc<File>,
    table: TableKind,
) -> Result<Option<(usize, Family)>, LayoutError> {
    let mut marked = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if matches!(part.content, PartitionContent::Fat(_)) {
            let number = part.partition.number;
            let family = mark(part, image, table).map_err(|source| LayoutError::Fat { number, source })?;
            marked.extend(family.map(|family| (index, family)));
        }
    }
    if marked.iter().any(|&(_, family)| family == Family::Sysconf) {
        marked.retain(|&(_, family)| family == Family::Sysconf);
    }
    match marked[..] {
        [(one, _), (other, _), ..] => {
            Err(LayoutError::SeveralBoots(parts[one].partition.number, parts[other].partition.number))
        }
        _ => Ok(marked.first().copied()),
    }
}

/// What the files on a FAT tell of the image; `None` when it isn't a Pi's boot partition.
fn mark(part: &Probed, image: &Arc<File>, table: TableKind) -> Result<Option<Family>, FatError> {
    let reader = Reader::open(part.partition.read_only(image)?)?;
    let names = reader.list("/")?;
    let has = |name: &str| names.iter().any(|entry| !entry.folder && entry.name.eq_ignore_ascii_case(name));
    if has(SYSCONF) {
        return Ok(Some(Family::Sysconf));
    }
    if !FIRMWARE.iter().any(|name| has(name)) {
        return Ok(None);
    }
    let issue = if has("issue.txt") { reader.read("issue.txt").unwrap_or_default() } else { Vec::new() };
    Ok(Some(if has("user-data") || issue.starts_with(b"Raspberry Pi reference") {
        Family::RaspberryPiOs
    } else if table == TableKind::Mbr {
        Family::Other
    } else {
        Family::DebianCloud
    }))
}

/// The largest ext4; two of the same size can't be told apart from outside.
fn root_of(parts: &[Probed]) -> Result<Option<usize>, LayoutError> {
    let is_ext4 = |&i: &usize| matches!(&parts[i].content, PartitionContent::Ext { version: "ext4", .. });
    let mut candidates: Vec<usize> = (0..parts.len()).filter(is_ext4).collect();
    candidates.sort_by_key(|&i| std::cmp::Reverse(parts[i].partition.sectors));
    match candidates[..] {
        [one, other, ..] if parts[one].partition.sectors == parts[other].partition.sectors => {
            let numbers = [parts[one].partition.number, parts[other].partition.number];
            Err(LayoutError::SeveralRoots(numbers[0], numbers[1]))
        }
        _ => Ok(candidates.first().copied()),
    }
}

#[cfg(test)]
mod tests;

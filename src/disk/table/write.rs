//! Writes a changed partition table. The `gpt` crate, which reads, can't: it renumbers partitions when it writes,
//! and knows no hybrid MBR. Only the fields that change are written; boot code, names and attributes stay.
//!
//! Sources of the formats: UEFI 2.10, section 5 (GPT and protective MBR).

use std::fs::File;
use std::io;
use std::sync::Arc;

use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::{GPT_ARRAY_SECTORS, Partition, PartitionTable, SECTOR, TableKind};
use crate::disk::window::Window;
use crate::error::Explain;

const CRC32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Offset of the first of four entries of 16 bytes in an MBR.
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY: usize = 16;
/// Offset of the disk signature.
const MBR_SIGNATURE: usize = 440;
/// "Beyond cylinder 1023", as `fdisk` writes it.
const CHS_LARGE: [u8; 3] = [0xFE, 0xFF, 0xFF];
const PROTECTIVE: u8 = 0xEE;

/// The entries of a GPT that this code can rewrite, in bytes and in number.
const GPT_ENTRY: usize = 128;
const GPT_ENTRIES: usize = 128;

/// A table that can't be rewritten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error("cannot write the partition table")]
    Io(#[from] io::Error),
    #[error("the GPT cannot be rewritten: {0}")]
    Gpt(&'static str),
    #[error("the {from:?} table cannot become a {to:?} table")]
    Kind { from: TableKind, to: TableKind },
}

impl Explain for RewriteError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Io(_) => None,
            Self::Gpt(_) => Some("check the base with `sgdisk --verify`".into()),
            Self::Kind { .. } => Some("without `base.table`, the base's own table stays".into()),
        }
    }
}

/// Replaces the table `before` of an image of `len` bytes by `after`. The image already has its new length, and
/// keeps the partitions' places. `root` is the first sector of the root partition, which may have grown.
pub(crate) fn rewrite(
    image: &Arc<File>,
    len: u64,
    before: &PartitionTable,
    after: &PartitionTable,
    root: u64,
) -> Result<(), RewriteError> {
    let disk = Window::writable(Arc::clone(image), 0, len)?;
    let mut mbr = [0; 512];
    disk.read_exact_at(0, &mut mbr)?;
    match (before.kind, after.kind) {
        (TableKind::Mbr, TableKind::Mbr) => change_mbr(&mut mbr, before, after),
        (from, TableKind::Mbr) if from != TableKind::Mbr => {
            Gpt::read(&disk)?.wipe(&disk)?;
            replace_mbr(&mut mbr, after);
        }
        (from, to) if from == to => {
            Gpt::read(&disk)?.change(&disk, before, after)?;
            change_hybrid(&mut mbr, before, after, len / SECTOR, root);
        }
        (from, to) => return Err(RewriteError::Kind { from, to }),
    }
    disk.write_all_at(0, &mbr)?;
    Ok(())
}

/// The entry with `number`, from 1 to 4; logical partitions have none.
fn mbr_entry(mbr: &mut [u8; 512], number: u32) -> Option<&mut [u8]> {
    let index = usize::try_from(number.checked_sub(1)?).ok().filter(|index| *index < 4)?;
    mbr.get_mut(MBR_ENTRIES + index * MBR_ENTRY..)?.get_mut(..MBR_ENTRY)
}

/// A sector number as an MBR has it; larger ones become its largest.
fn mbr_sectors(sectors: u64) -> [u8; 4] {
    u32::try_from(sectors).unwrap_or(u32::MAX).to_le_bytes()
}

fn set_mbr_entry(entry: &mut [u8], part: &Partition) {
    let digits = part.type_id.trim_start_matches("0x");
    entry.fill(0);
    entry[1..4].copy_from_slice(&CHS_LARGE);
    entry[4] = u8::from_str_radix(digits, 16).unwrap_or(0);
    entry[8..12].copy_from_slice(&mbr_sectors(part.first_lba));
    set_mbr_length(entry, part.sectors);
}

/// Sets the length of an entry; the end in cylinders, heads and sectors no longer says anything.
fn set_mbr_length(entry: &mut [u8], sectors: u64) {
    entry[5..8].copy_from_slice(&CHS_LARGE);
    entry[12..].copy_from_slice(&mbr_sectors(sectors));
}

fn change_mbr(mbr: &mut [u8; 512], before: &PartitionTable, after: &PartitionTable) {
    for part in &after.partitions {
        let old = before.partitions.iter().find(|old| old.number == part.number);
        let Some(entry) = mbr_entry(mbr, part.number) else { continue };
        match old {
            None => set_mbr_entry(entry, part),
            Some(old) if old.sectors != part.sectors => set_mbr_length(entry, part.sectors),
            Some(_) => {}
        }
    }
}

/// A new MBR; the boot code stays.
fn replace_mbr(mbr: &mut [u8; 512], after: &PartitionTable) {
    mbr[MBR_SIGNATURE..510].fill(0);
    let signature = u32::from_str_radix(&after.id, 16).unwrap_or(0);
    mbr[MBR_SIGNATURE..][..4].copy_from_slice(&signature.to_le_bytes());
    for part in &after.partitions {
        if let Some(entry) = mbr_entry(mbr, part.number) {
            set_mbr_entry(entry, part);
        }
    }
}

/// Entries for grown partitions grow with them; the protective entry that covers the root partition reaches to the
/// end of the disk.
fn change_hybrid(
    mbr: &mut [u8; 512],
    before: &PartitionTable,
    after: &PartitionTable,
    sectors: u64,
    root: u64,
) {
    for number in 1..=4 {
        let Some(entry) = mbr_entry(mbr, number) else { continue };
        let (start, count) = (u64::from(le32(entry, 8)), u64::from(le32(entry, 12)));
        if entry[4] == PROTECTIVE {
            if (start..start + count).contains(&root) {
                set_mbr_length(entry, sectors - start);
            }
            continue;
        }
        let is_listed = |part: &&Partition| (part.first_lba, part.sectors) == (start, count);
        let Some(old) = before.partitions.iter().find(is_listed) else { continue };
        if let Some(new) = after.partitions.iter().find(|new| new.number == old.number)
            && new.sectors != count
        {
            set_mbr_length(entry, new.sectors);
        }
    }
}

/// The bytes of a GPT.
struct Gpt {
    /// The primary header's sector.
    header: [u8; 512],
    /// The size that the header gives for itself, in bytes.
    header_size: usize,
    /// The first sector of the primary entries.
    entries_at: u64,
    entries: Vec<u8>,
    /// The sectors of the backup entries and header.
    backup: std::ops::Range<u64>,
}

impl Gpt {
    fn read(disk: &Window) -> Result<Self, RewriteError> {
        let mut header = [0; 512];
        disk.read_exact_at(SECTOR, &mut header)?;
        if header[..8] != *b"EFI PART" {
            return Err(RewriteError::Gpt("its primary header is damaged"));
        }
        let header_size = usize::try_from(le32(&header, 12)).unwrap_or(usize::MAX);
        let counts = (le32(&header, 80), le32(&header, 84));
        if !(92..=512).contains(&header_size) || counts != (128, 128) {
            return Err(RewriteError::Gpt("it has other than 128 entries of 128 bytes"));
        }
        let entries_at = le64(&header, 72);
        let mut entries = vec![0; GPT_ENTRY * GPT_ENTRIES];
        let offset =
            entries_at.checked_mul(SECTOR).ok_or(RewriteError::Gpt("its entries lie outside the disk"))?;
        disk.read_exact_at(offset, &mut entries)?;
        // The reader falls back to the backup; what is damaged here must not get a valid checksum.
        if header_checksum(header, header_size) != le32(&header, 16)
            || CRC32.checksum(&entries) != le32(&header, 88)
        {
            return Err(RewriteError::Gpt("its primary copy is damaged"));
        }
        let backup = le64(&header, 32);
        let backup = backup.saturating_sub(GPT_ARRAY_SECTORS)..backup.saturating_add(1);
        if backup.start <= le64(&header, 48) || backup.end > disk.len() / SECTOR {
            return Err(RewriteError::Gpt("its backup isn't at the end of the disk"));
        }
        Ok(Self { header, header_size, entries_at, entries, backup })
    }

    /// Removes both copies.
    fn wipe(&self, disk: &Window) -> Result<(), RewriteError> {
        disk.write_all_at(SECTOR, &[0; 512])?;
        disk.write_all_at(self.entries_at * SECTOR, &vec![0; self.entries.len()])?;
        self.wipe_backup(disk)
    }

    /// A stale backup would lie in the middle of a longer disk.
    fn wipe_backup(&self, disk: &Window) -> Result<(), RewriteError> {
        let zeros = vec![0; self.entries.len() + 512];
        Ok(disk.write_all_at(self.backup.start * SECTOR, &zeros)?)
    }

    fn change(
        mut self,
        disk: &Window,
        before: &PartitionTable,
        after: &PartitionTable,
    ) -> Result<(), RewriteError> {
        for part in &after.partitions {
            let at = usize::try_from(part.number - 1).unwrap_or(usize::MAX).saturating_mul(GPT_ENTRY);
            let entry = self.entries.get_mut(at..at.saturating_add(GPT_ENTRY));
            let entry = entry.ok_or(RewriteError::Gpt("a partition's number is too large"))?;
            let last = part.first_lba + part.sectors - 1;
            if before.partitions.iter().any(|old| old.number == part.number) {
                entry[40..48].copy_from_slice(&last.to_le_bytes());
            } else {
                set_gpt_entry(entry, part, last)?;
            }
        }
        self.wipe_backup(disk)?;
        let last = disk.len() / SECTOR - 1;
        let backup_at = last - GPT_ARRAY_SECTORS;
        let primary = self.header(1, last, backup_at - 1, self.entries_at);
        let backup = self.header(last, 1, backup_at - 1, backup_at);
        disk.write_all_at(backup_at * SECTOR, &self.entries)?;
        disk.write_all_at(last * SECTOR, &backup)?;
        disk.write_all_at(self.entries_at * SECTOR, &self.entries)?;
        disk.write_all_at(SECTOR, &primary)?;
        Ok(())
    }

    /// A header for sector `here`, whose other copy is in sector `other`.
    fn header(&self, here: u64, other: u64, last_usable: u64, entries_at: u64) -> [u8; 512] {
        let mut header = self.header;
        for (at, value) in [(24, here), (32, other), (48, last_usable), (72, entries_at)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[88..92].copy_from_slice(&CRC32.checksum(&self.entries).to_le_bytes());
        let checksum = header_checksum(header, self.header_size);
        header[16..20].copy_from_slice(&checksum.to_le_bytes());
        header
    }
}

/// The checksum of a header of `size` bytes, made with zeros in its own place.
fn header_checksum(mut header: [u8; 512], size: usize) -> u32 {
    header[16..20].fill(0);
    CRC32.checksum(&header[..size])
}

fn set_gpt_entry(entry: &mut [u8], part: &Partition, last: u64) -> Result<(), RewriteError> {
    let guid = |text: &str| Uuid::parse_str(text).map_err(|_| RewriteError::Gpt("a GUID is malformed"));
    entry.fill(0);
    entry[..16].copy_from_slice(&guid(&part.type_id)?.to_bytes_le());
    entry[16..32].copy_from_slice(&guid(&part.uuid)?.to_bytes_le());
    entry[32..40].copy_from_slice(&part.first_lba.to_le_bytes());
    entry[40..48].copy_from_slice(&last.to_le_bytes());
    for (place, unit) in entry[56..].chunks_exact_mut(2).zip(part.name.encode_utf16()) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    Ok(())
}

/// The number at byte `at`; 0 outside of `bytes`.
fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

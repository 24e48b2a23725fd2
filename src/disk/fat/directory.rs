//! Directories: slots of 32 bytes, and the entries with long names that they form.

use super::SLOT;
use super::damage::DirectoryDamage;

const VOLUME: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// The attributes of a long name's slot: read-only, hidden, system and volume together.
const LONG: u8 = 0x0F;
const DELETED: u8 = 0xE5;
/// Set in the order byte of a long name's first slot, which has the end of the name.
const LAST: u8 = 0x40;
/// Offsets of the 13 UTF-16 units in a long name's slot.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const MAX_LONG_SLOTS: u8 = 20;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FatEntry {
    /// The long name, or the short one with its lower-case flags applied. Bytes of a code page are U+FFFD.
    pub(crate) name: String,
    /// Such as `SYSCON~1.TXT`.
    pub(super) short_name: String,
    pub(crate) folder: bool,
    /// In bytes; 0 for folders.
    pub(super) size: u32,
    /// The first cluster; 0 for an empty file.
    pub(super) cluster: u32,
    /// The short name as stored: eight bytes and three of the extension, padded with spaces.
    pub(super) raw: [u8; 11],
}

impl FatEntry {
    /// Whether `name` is the long or the short name, in any case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        folded(&self.name) == folded(name) || self.short_name.eq_ignore_ascii_case(name)
    }

    /// Whether this is the entry `.` or `..`.
    pub(super) fn is_dot(&self) -> bool {
        matches!(&self.raw, b".          " | b"..         ")
    }
}

/// `name` in upper case: FAT compares names without regard to case.
pub(super) fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).collect()
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    /// The clusters of the directory; empty for FAT16's root.
    pub(super) clusters: Vec<u32>,
    /// Files and folders, `.` and `..` included.
    pub(super) entries: Vec<FatEntry>,
    /// The volume's label, in a root directory.
    pub(super) label: Option<[u8; 11]>,
    /// For each slot whether it is taken; no slot after the end mark is.
    pub(super) taken: Vec<bool>,
    /// The first damage found.
    pub(super) damage: Option<DirectoryDamage>,
}

/// The slots of a long name read so far; they come before the slot of the short name.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// The order number that the next slot must have; 0 when the name is complete.
    next: u8,
    checksum: u8,
    /// Whether there was a slot of a long name since the last short name.
    begun: bool,
}

impl Directory {
    /// Parses a directory's bytes. `wide`: first clusters have 32 bits.
    pub(super) fn parse(bytes: &[u8], clusters: Vec<u32>, wide: bool) -> Self {
        let (slots, _) = bytes.as_chunks::<SLOT>();
        let mut directory = Self { clusters, taken: vec![false; slots.len()], ..Self::default() };
        let mut long = LongName::default();
        for (index, slot) in slots.iter().enumerate() {
            match (slot[0], slot[11]) {
                (0, _) => {
                    if slots[index..].iter().any(|slot| slot[0] != 0) {
                        directory.note(DirectoryDamage::EntriesAfterEnd);
                    }
                    break;
                }
                (DELETED, _) => directory.drop_name(&mut long),
                (_, LONG) => {
                    directory.taken[index] = true;
                    if !long.add(slot) {
                        directory.note(DirectoryDamage::LongNameOrder);
                    }
                }
                _ => {
                    directory.taken[index] = true;
                    directory.add_short(slot, std::mem::take(&mut long), wide);
                }
            }
        }
        directory.drop_name(&mut long);
        directory
    }

    fn note(&mut self, damage: DirectoryDamage) {
        self.damage.get_or_insert(damage);
    }

    /// Forgets a long name that no short name follows.
    fn drop_name(&mut self, long: &mut LongName) {
        if std::mem::take(long).begun {
            self.note(DirectoryDamage::OrphanedLongName);
        }
    }

    fn add_short(&mut self, slot: &[u8; SLOT], long: LongName, wide: bool) {
        let raw: [u8; 11] = std::array::from_fn(|index| slot[index]);
        let attributes = slot[11];
        if attributes & LONG == LONG || attributes & (VOLUME | FOLDER) == VOLUME | FOLDER {
            self.note(DirectoryDamage::Attributes(attributes));
        }
        if attributes & VOLUME != 0 {
            self.label.get_or_insert(raw);
            return;
        }
        let short_name = short_name(&raw, 0);
        let begun = long.begun;
        let name = long.finish(&raw);
        if begun && name.is_none() {
            self.note(DirectoryDamage::LongName(short_name.clone()));
        }
        if raw.iter().any(|&byte| byte < 0x20 && byte != 0x05) || raw[0] == b' ' || short_name.contains('/') {
            self.note(DirectoryDamage::ShortName(short_name.clone()));
        }
        let u16_at = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
        let high = if wide { u16_at(20) << 16 } else { 0 };
        let folder = attributes & FOLDER != 0;
        self.entries.push(FatEntry {
            name: name.unwrap_or_else(|| self::short_name(&raw, slot[12])),
            short_name,
            folder,
            size: if folder { 0 } else { u16_at(28) | u16_at(30) << 16 },
            cluster: high | u16_at(26),
            raw,
        });
    }
}

impl LongName {
    /// Adds the next slot; false if it is out of order.
    fn add(&mut self, slot: &[u8; SLOT]) -> bool {
        let (order, checksum) = (slot[0], slot[13]);
        let number = order & !LAST;
        let first = order & LAST != 0;
        let in_order = if first {
            !self.begun
        } else {
            self.next != 0 && number == self.next && checksum == self.checksum
        };
        if !in_order || !(1..=MAX_LONG_SLOTS).contains(&number) {
            *self = Self { begun: true, ..Self::default() };
            return false;
        }
        if first {
            *self = Self { units: vec![0; usize::from(number) * UNITS.len()], checksum, ..Self::default() };
        }
        let start = usize::from(number - 1) * UNITS.len();
        for (unit, at) in self.units[start..].iter_mut().zip(UNITS) {
            *unit = u16::from_le_bytes([slot[at], slot[at + 1]]);
        }
        self.next = number - 1;
        self.begun = true;
        true
    }

    /// The name, if it is complete, legal and has the checksum of this short name.
    fn finish(self, raw: &[u8; 11]) -> Option<String> {
        if self.next != 0 || self.units.is_empty() || self.checksum != checksum(raw) {
            return None;
        }
        let end = self.units.iter().position(|&unit| unit == 0).unwrap_or(self.units.len());
        // After the final zero only 0xFFFF may follow.
        let filled = self.units[end..].iter().skip(1).all(|&unit| unit == 0xFFFF);
        let name = String::from_utf16_lossy(&self.units[..end]);
        let sound = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
        (filled && !matches!(name.as_str(), "" | "." | "..") && name.chars().all(sound)).then_some(name)
    }
}

/// The checksum of a short name, which every slot of its long name has.
fn checksum(raw: &[u8; 11]) -> u8 {
    raw.iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// A short name for messages. In Windows NT's `flags`, bit 3 is for a lower-case base, bit 4 for the extension.
fn short_name(raw: &[u8; 11], flags: u8) -> String {
    let text = |part: &[u8], lower: bool| -> String {
        let shown = |&byte: &u8| match byte {
            b'/' | b'\\' | 0x7F => char::REPLACEMENT_CHARACTER,
            b' '..=b'~' if lower => char::from(byte).to_ascii_lowercase(),
            b' '..=b'~' => char::from(byte),
            _ => char::REPLACEMENT_CHARACTER,
        };
        part.trim_ascii_end().iter().map(shown).collect()
    };
    let (base, extension) = (text(&raw[..8], flags & 0x08 != 0), text(&raw[8..], flags & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

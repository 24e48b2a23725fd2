//! Directories: slots of 32 bytes, and the entries with long names that they make up.

use serde::Serialize;

use super::SLOT;

const READ_ONLY: u8 = 0x01;
const VOLUME: u8 = 0x08;
const FOLDER: u8 = 0x10;
/// All of read-only, hidden, system and volume: a piece of a long name.
const LONG: u8 = 0x0F;
const DELETED: u8 = 0xE5;
/// Set on the first piece in the directory, which holds the name's end.
const LAST_PIECE: u8 = 0x40;
/// UTF-16 units in a piece, and where they are in its slot.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const MAX_PIECES: u8 = 20;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// The long name, or the short one with its lower-case flags applied. Bytes of a code page are U+FFFD.
    pub(crate) name: String,
    /// The short name, such as `SYSCON~1.TXT`.
    pub(crate) short_name: String,
    /// Whether it is a folder.
    pub(crate) folder: bool,
    /// Whether it may not be written to.
    pub(crate) read_only: bool,
    /// Its size in bytes; 0 for folders.
    pub(crate) size: u32,
    /// Its first cluster, or 0 when it has none.
    #[serde(skip)]
    pub(super) cluster: u32,
    /// The short name as it is stored.
    #[serde(skip)]
    pub(super) raw: [u8; 11],
}

impl Entry {
    /// Whether that is its long or short name, in any case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        folded(&self.name) == folded(name) || self.short_name.eq_ignore_ascii_case(name)
    }

    pub(super) fn is_dot(&self) -> bool {
        matches!(&self.raw, b".          " | b"..         ")
    }
}

/// A name as it is compared.
pub(super) fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).collect()
}

/// A directory as it was read.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Its clusters; none for FAT16's root.
    pub(super) clusters: Vec<u32>,
    /// Files and folders, the two dots too.
    pub(super) entries: Vec<Entry>,
    /// The volume's label, in a root directory.
    pub(super) label: Option<[u8; 11]>,
    /// For each slot whether it is taken; behind the end mark none is.
    pub(super) taken: Vec<bool>,
    /// The first thing in it that isn't as it should be.
    pub(super) lie: Option<String>,
}

/// The pieces of a long name that came so far.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    /// The piece that must come next; 0 when the name is complete.
    next: u8,
    sum: u8,
    /// Some piece came since the last short entry.
    begun: bool,
}

impl Directory {
    /// Takes a directory's bytes apart. `wide`: first clusters have 32 bits.
    pub(super) fn parse(bytes: &[u8], clusters: Vec<u32>, wide: bool) -> Self {
        let mut directory = Self { clusters, taken: vec![false; bytes.len() / SLOT], ..Self::default() };
        let mut long = LongName::default();
        let slots = bytes.chunks_exact(SLOT).enumerate();
        for (index, slot) in slots.clone() {
            match (slot[0], slot[11]) {
                (0, _) => {
                    if slots.clone().skip(index).any(|(_, slot)| slot[0] != 0) {
                        directory.accuse("it has entries behind its end");
                    }
                    break;
                }
                (DELETED, _) => directory.drop_name(&mut long),
                (_, LONG) => {
                    directory.taken[index] = true;
                    if !long.add(slot) {
                        directory.accuse("a long name has pieces out of order");
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

    fn accuse(&mut self, what: impl Into<String>) {
        self.lie.get_or_insert_with(|| what.into());
    }

    /// Pieces without a short entry belong to nothing.
    fn drop_name(&mut self, long: &mut LongName) {
        if std::mem::take(long).begun {
            self.accuse("a long name has no entry");
        }
    }

    fn add_short(&mut self, slot: &[u8], long: LongName, wide: bool) {
        let raw: [u8; 11] = *slot.first_chunk().unwrap_or(&[0; 11]);
        let attributes = slot[11];
        if attributes & LONG == LONG || attributes & (VOLUME | FOLDER) == VOLUME | FOLDER {
            self.accuse(format!("an entry has the impossible attributes {attributes:#04x}"));
        }
        if attributes & VOLUME != 0 {
            self.label.get_or_insert(raw);
            return;
        }
        let short_name = short_name(&raw, 0);
        let begun = long.begun;
        let name = long.finish(&raw);
        if begun && name.is_none() {
            self.accuse(format!("the long name of `{short_name}` doesn't belong to it"));
        }
        if raw.iter().any(|&byte| byte < 0x20 && byte != 0x05) || raw[0] == b' ' || short_name.contains('/') {
            self.accuse(format!("`{short_name}` is no name"));
        }
        let u16_at = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
        let high = if wide { u16_at(20) << 16 } else { 0 };
        let folder = attributes & FOLDER != 0;
        self.entries.push(Entry {
            name: name.unwrap_or_else(|| self::short_name(&raw, slot[12])),
            short_name,
            folder,
            read_only: attributes & READ_ONLY != 0,
            size: if folder { 0 } else { u16_at(28) | u16_at(30) << 16 },
            cluster: high | u16_at(26),
            raw,
        });
    }
}

impl LongName {
    /// Takes the next piece; says whether it is one.
    fn add(&mut self, slot: &[u8]) -> bool {
        let (order, sum) = (slot[0], slot[13]);
        let index = order & !LAST_PIECE;
        let fresh = order & LAST_PIECE != 0;
        let in_order =
            if fresh { !self.begun } else { self.next != 0 && index == self.next && sum == self.sum };
        if !in_order || !(1..=MAX_PIECES).contains(&index) {
            *self = Self { begun: true, ..Self::default() };
            return false;
        }
        if fresh {
            *self = Self { units: vec![0; usize::from(index) * UNITS.len()], sum, ..Self::default() };
        }
        let start = usize::from(index - 1) * UNITS.len();
        for (unit, at) in self.units[start..].iter_mut().zip(UNITS) {
            *unit = u16::from_le_bytes([slot[at], slot[at + 1]]);
        }
        self.next = index - 1;
        self.begun = true;
        true
    }

    /// The name, if all of it came and it belongs to this short name.
    fn finish(self, raw: &[u8; 11]) -> Option<String> {
        if self.next != 0 || self.units.is_empty() || self.sum != checksum(raw) {
            return None;
        }
        let end = self.units.iter().position(|&unit| unit == 0).unwrap_or(self.units.len());
        // Behind its end there is nothing but filling.
        let filled = self.units[end..].iter().skip(1).all(|&unit| unit == 0xFFFF);
        let name = String::from_utf16_lossy(&self.units[..end]);
        let sound = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
        (filled && !matches!(name.as_str(), "" | "." | "..") && name.chars().all(sound)).then_some(name)
    }
}

/// What each piece of a long name repeats of its short name.
fn checksum(raw: &[u8; 11]) -> u8 {
    raw.iter().fold(0_u8, |sum, &byte| sum.rotate_right(1).wrapping_add(byte))
}

/// A short name for people; NT's `flags` have bit 3 for a lower-case base and bit 4 for the extension.
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

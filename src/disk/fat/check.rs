//! Looks over a whole volume: what fsck.vfat would find, found before anything is written.

use std::collections::BTreeSet;

use serde::Serialize;

use super::FatError;
use super::directory::{Directory, Entry, folded};
use super::reader::{Place, Reader};
use crate::interrupt;

/// Bytes that are compared at once.
const CHUNK: usize = 64 << 10;
/// Marks of FAT32's information sector, by their offsets in it.
const INFO_MARKS: [(usize, [u8; 4]); 3] = [(0, *b"RRaA"), (484, *b"rrAa"), (508, [0, 0, 0x55, 0xAA])];

/// What a sound volume holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Health {
    /// Files.
    pub(crate) files: u32,
    /// Folders, without the root.
    pub(crate) folders: u32,
    /// Clusters that are taken by nothing: harmless leftovers of a volume that wasn't unmounted.
    pub(crate) lost_clusters: u32,
}

/// What is known so far.
struct Census {
    /// For each cluster whether something has it.
    owned: Vec<bool>,
    health: Health,
}

impl Census {
    fn claim(&mut self, chain: &[u32], path: &str) -> Result<(), FatError> {
        for &cluster in chain {
            if std::mem::replace(&mut self.owned[cluster as usize], true) {
                return damaged(format!("`{path}` shares cluster {cluster} with something else"));
            }
        }
        Ok(())
    }
}

fn damaged<T>(what: String) -> Result<T, FatError> {
    Err(FatError::Damaged(what))
}

impl Reader {
    /// Goes through all folders, entries and chains. An error says what is damaged; leftovers that harm
    /// nothing, the dirty flag and lost clusters, are no error.
    pub(crate) fn check(&self) -> Result<Health, FatError> {
        self.check_copies()?;
        self.check_info()?;
        let mut census = Census { owned: vec![false; self.links.len()], health: Health::default() };
        let root = self.directory(None, "/")?;
        census.claim(&root.clusters, "/")?;
        let mut waiting = vec![(None, None, String::new(), root)];
        while let Some((place, parent, path, directory)) = waiting.pop() {
            interrupt::check_io()?;
            self.check_directory(place, parent, &path, &directory)?;
            for entry in directory.entries.iter().filter(|entry| !entry.is_dot()) {
                let path = format!("{path}/{}", entry.name);
                if entry.folder {
                    // Its clusters can be claimed but once: a folder within itself ends here.
                    let inner = self.directory(Some(entry.cluster), &path)?;
                    census.claim(&inner.clusters, &path)?;
                    census.health.folders += 1;
                    waiting.push((Some(entry.cluster), place, path, inner));
                } else {
                    self.check_file(&mut census, entry, &path)?;
                }
            }
        }
        let taken = self.links.iter().zip(&census.owned).skip(2);
        let bad = if self.geometry.bits == 16 { 0xFFF7 } else { 0x0FFF_FFF7 };
        let lost = taken.filter(|&(&link, &owned)| !owned && link != 0 && link != bad).count();
        census.health.lost_clusters = u32::try_from(lost).unwrap_or(u32::MAX);
        Ok(census.health)
    }

    /// The copies of the allocation table are equal.
    fn check_copies(&self) -> Result<(), FatError> {
        let len = self.links.len() * usize::from(self.geometry.bits / 8);
        let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
        for &copy in &self.geometry.copies {
            for start in (0..len).step_by(CHUNK) {
                let count = CHUNK.min(len - start);
                let (one, other) = (&mut one[..count], &mut other[..count]);
                self.window.read_exact_at(self.geometry.table + start as u64, one)?;
                self.window.read_exact_at(copy + start as u64, other)?;
                if one != other {
                    return damaged("its two allocation tables differ".into());
                }
            }
        }
        Ok(())
    }

    /// FAT32 has its information sector, with its marks.
    fn check_info(&self) -> Result<(), FatError> {
        if self.geometry.bits == 16 {
            return Ok(());
        }
        let Some(place) = self.geometry.fs_info else {
            return damaged("it has no information sector".into());
        };
        let mut sector = [0; 512];
        self.window.read_exact_at(place, &mut sector)?;
        let sound = INFO_MARKS.iter().all(|&(at, mark)| sector[at..at + 4] == mark);
        if sound { Ok(()) } else { damaged("its information sector has lost its marks".into()) }
    }

    /// Its names are told apart, and its dots lead where they should.
    fn check_directory(
        &self,
        place: Place,
        parent: Place,
        path: &str,
        directory: &Directory,
    ) -> Result<(), FatError> {
        let shown = if path.is_empty() { "/" } else { path };
        if let Some(lie) = &directory.lie {
            return damaged(format!("in `{shown}` {lie}"));
        }
        let (dots, names): (Vec<_>, Vec<_>) = directory.entries.iter().partition(|entry| entry.is_dot());
        if place.is_none() {
            if !dots.is_empty() {
                return damaged("its root directory has an entry for itself or its parent".into());
            }
        } else {
            let led = |entry: &Entry| (entry.raw[1] == b'.', entry.folder, entry.cluster);
            let led: Vec<_> = directory.entries.iter().take(2).map(led).collect();
            let own = (false, true, place.unwrap_or(0));
            let up = |cluster| (true, true, cluster);
            // Zero stands for the root; some give its cluster on FAT32.
            let ups = [up(parent.unwrap_or(0)), up(parent.unwrap_or(self.geometry.root_cluster))];
            if dots.len() != 2 || !ups.iter().any(|&up| led == [own, up]) {
                return damaged(format!("the folder `{shown}` has wrong entries for itself or its parent"));
            }
        }
        let mut seen = BTreeSet::new();
        for entry in names {
            let short = (folded(&entry.name) != entry.short_name).then(|| entry.short_name.clone());
            for name in [Some(folded(&entry.name)), short].into_iter().flatten() {
                // Names in a code page can't be compared here.
                if !name.contains(char::REPLACEMENT_CHARACTER) && !seen.insert(name) {
                    return damaged(format!("`{shown}` has two entries named `{}`", entry.name));
                }
            }
        }
        Ok(())
    }

    /// A file's chain is as long as its size takes, and ends there.
    fn check_file(&self, census: &mut Census, entry: &Entry, path: &str) -> Result<(), FatError> {
        let chain = self.chain_of(entry, path)?;
        census.health.files += 1;
        census.claim(&chain, path)
    }
}

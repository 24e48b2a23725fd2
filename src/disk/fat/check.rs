//! Checks a whole volume: what fsck.vfat would find is found before anything is written.

use std::collections::BTreeSet;

use super::FatError;
use super::damage::FatDamage;
use super::directory::{Directory, FatEntry, folded};
use super::reader::{FirstCluster, Reader};
use crate::interrupt;

/// Bytes compared at once.
const CHUNK: usize = 64 << 10;
/// Signatures of FAT32's `FSInfo` sector, by their offsets in the sector.
const FS_INFO_SIGNATURES: [(usize, [u8; 4]); 3] = [(0, *b"RRaA"), (484, *b"rrAa"), (508, [0, 0, 0x55, 0xAA])];

/// What an undamaged volume holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FatContents {
    pub(super) files: u32,
    /// Folders, without the root.
    pub(super) folders: u32,
    /// Allocated clusters that belong to no file or folder: harmless, left by an unclean unmount.
    pub(super) lost_clusters: u32,
}

/// The clusters and entries seen so far.
struct Census {
    /// For each cluster whether it belongs to a file or folder.
    owned: Vec<bool>,
    contents: FatContents,
}

impl Census {
    fn claim(&mut self, chain: &[u32], path: &str) -> Result<(), FatDamage> {
        for &cluster in chain {
            if std::mem::replace(&mut self.owned[cluster as usize], true) {
                return Err(FatDamage::CrossLinked { path: path.to_owned(), cluster });
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Checks all folders, entries and cluster chains. A set dirty flag and lost clusters are not an error.
    pub(super) fn check(&self) -> Result<FatContents, FatError> {
        self.check_copies()?;
        self.check_fs_info()?;
        let mut census = Census { owned: vec![false; self.links.len()], contents: FatContents::default() };
        let root = self.directory(None, "/")?;
        census.claim(&root.clusters, "/")?;
        let mut waiting = vec![(None, None, String::new(), root)];
        while let Some((start, parent, path, directory)) = waiting.pop() {
            interrupt::check_io()?;
            self.check_directory(start, parent, &path, &directory)?;
            for entry in directory.entries.iter().filter(|entry| !entry.is_dot()) {
                let path = format!("{path}/{}", entry.name);
                if entry.folder {
                    let inner = self.directory(Some(entry.cluster), &path)?;
                    // Clusters can be claimed only once, so a folder that contains itself is an error here.
                    census.claim(&inner.clusters, &path)?;
                    census.contents.folders += 1;
                    waiting.push((Some(entry.cluster), start, path, inner));
                } else {
                    self.check_file(&mut census, entry, &path)?;
                }
            }
        }
        let taken = self.links.iter().zip(&census.owned).skip(2);
        let bad = if self.geometry.bits == 16 { 0xFFF7 } else { 0x0FFF_FFF7 };
        let lost = taken.filter(|&(&link, &owned)| !owned && link != 0 && link != bad).count();
        census.contents.lost_clusters = u32::try_from(lost).unwrap_or(u32::MAX);
        Ok(census.contents)
    }

    /// Compares the copies of the allocation table with the active one.
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
                    return Err(FatDamage::TablesDiffer.into());
                }
            }
        }
        Ok(())
    }

    /// Checks that FAT32 has an `FSInfo` sector with its signatures.
    fn check_fs_info(&self) -> Result<(), FatError> {
        if self.geometry.bits == 16 {
            return Ok(());
        }
        let at = self.geometry.fs_info.ok_or(FatDamage::NoFsInfo)?;
        let mut sector = [0; 512];
        self.window.read_exact_at(at, &mut sector)?;
        let is_signed = FS_INFO_SIGNATURES.iter().all(|&(at, bytes)| sector[at..at + 4] == bytes);
        if is_signed { Ok(()) } else { Err(FatDamage::FsInfoSignatures.into()) }
    }

    /// Checks that the names in a directory are unique, and that `.` and `..` have the right clusters.
    fn check_directory(
        &self,
        start: FirstCluster,
        parent: FirstCluster,
        path: &str,
        directory: &Directory,
    ) -> Result<(), FatDamage> {
        let path = if path.is_empty() { "/" } else { path };
        if let Some(damage) = &directory.damage {
            return Err(FatDamage::Directory { path: path.to_owned(), damage: damage.clone() });
        }
        let dots = directory.entries.iter().filter(|entry| entry.is_dot()).count();
        match start {
            None if dots != 0 => return Err(FatDamage::DotsInRoot),
            Some(start) if dots != 2 || !self.begins_with_dots(start, parent, directory) => {
                return Err(FatDamage::Dots(path.to_owned()));
            }
            _ => {}
        }
        check_names(path, directory)
    }

    /// Whether the first two entries are `.` and `..`, with the clusters of the directory and of its parent.
    fn begins_with_dots(&self, start: u32, parent: FirstCluster, directory: &Directory) -> bool {
        let fields = |entry: &FatEntry| (entry.raw[1] == b'.', entry.folder, entry.cluster);
        let found: Vec<_> = directory.entries.iter().take(2).map(fields).collect();
        let with_parent = |parent| [(false, true, start), (true, true, parent)];
        // Cluster 0 stands for the root; some tools write the root's own cluster on FAT32.
        [0, self.geometry.root_cluster].iter().any(|&root| found == with_parent(parent.unwrap_or(root)))
    }

    /// Checks that a file's chain is as long as its size requires.
    fn check_file(&self, census: &mut Census, entry: &FatEntry, path: &str) -> Result<(), FatError> {
        let chain = self.chain_of(entry, path)?;
        census.contents.files += 1;
        Ok(census.claim(&chain, path)?)
    }
}

fn check_names(path: &str, directory: &Directory) -> Result<(), FatDamage> {
    let mut seen = BTreeSet::new();
    for entry in directory.entries.iter().filter(|entry| !entry.is_dot()) {
        let short = (folded(&entry.name) != entry.short_name).then(|| entry.short_name.clone());
        for name in [Some(folded(&entry.name)), short].into_iter().flatten() {
            // Names with bytes of a code page can't be compared.
            if !name.contains(char::REPLACEMENT_CHARACTER) && !seen.insert(name) {
                return Err(FatDamage::DuplicateName { path: path.to_owned(), name: entry.name.clone() });
            }
        }
    }
    Ok(())
}

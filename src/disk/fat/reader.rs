//! Reads a FAT within bounds: cluster chains can't loop, and the size and depth of folders have limits.

use std::io::Write;

use serde::Serialize;

use super::boot::Geometry;
use super::damage::FatDamage;
use super::directory::{Directory, FatEntry};
use super::{FatError, SLOT};
use crate::disk::window::Window;

/// In bytes. The specification has the same limit.
const MAX_DIRECTORY: u32 = 2 << 20;
/// Depth of nested folders; a path has at most 260 characters.
const MAX_DEPTH: usize = 32;
/// Files and folders of a volume.
#[cfg(test)]
const MAX_ENTRIES: usize = 500_000;
/// Bytes that [`Reader::read`] takes into memory.
const MAX_READ: u64 = 256 << 20;
/// Bytes read at once.
const CHUNK: u32 = 1 << 20;

/// Facts about a volume, for `inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FatInfo {
    /// 16 or 32.
    pub(crate) bits: u8,
    /// From the root directory, else from the boot sector; empty if neither has one.
    pub(crate) label: String,
    /// As `blkid` writes it: `ABCD-1234`.
    pub(super) volume_id: String,
    pub(crate) cluster_bytes: u32,
    pub(crate) clusters: u32,
    /// Counted in the allocation table.
    pub(crate) free_clusters: u32,
    /// Only FAT16 has a root directory of fixed size.
    pub(super) root_slots: Option<RootSlots>,
    /// The volume was not cleanly unmounted.
    pub(crate) dirty: bool,
}

/// The slots of FAT16's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct RootSlots {
    pub(super) used: usize,
    pub(super) total: usize,
}

/// A FAT16 or FAT32 volume, open for reading. The allocation table is read once, directories and files when
/// they are needed.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) window: Window,
    pub(super) geometry: Geometry,
    /// The allocation table: for each cluster the next one of its chain.
    pub(super) links: Vec<u32>,
}

/// A directory's first cluster; `None` is the root.
pub(super) type FirstCluster = Option<u32>;

impl Reader {
    /// Opens the volume in `window`.
    pub(crate) fn open(window: Window) -> Result<Self, FatError> {
        let mut sector = [0; 512];
        if window.len() < 512 {
            return Err(FatError::NotFat);
        }
        window.read_exact_at(0, &mut sector)?;
        let geometry = Geometry::parse(&sector, window.len())?;
        let width = usize::from(geometry.bits / 8);
        // At most 64 MiB: the geometry limits the number of clusters.
        let mut table = vec![0; (geometry.clusters as usize + 2) * width];
        window.read_exact_at(geometry.table, &mut table)?;
        let links = if geometry.bits == 16 {
            table.as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes).into()).collect()
        } else {
            // The upper four bits are reserved.
            table.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes) & 0x0FFF_FFFF).collect()
        };
        Ok(Self { window, geometry, links })
    }

    pub(crate) fn info(&self) -> Result<FatInfo, FatError> {
        let root = self.directory(None, "/")?;
        let label = root.label.unwrap_or(self.geometry.label);
        let label = String::from_utf8_lossy(label.trim_ascii()).replace('\0', "");
        let id = self.geometry.volume_id;
        let used = root.taken.iter().filter(|&&taken| taken).count();
        Ok(FatInfo {
            bits: self.geometry.bits,
            label: if label == "NO NAME" { String::new() } else { label },
            volume_id: format!("{:04X}-{:04X}", id >> 16, id & 0xFFFF),
            cluster_bytes: self.geometry.cluster_bytes,
            clusters: self.geometry.clusters,
            free_clusters: self.free_clusters(),
            root_slots: (self.geometry.bits == 16).then_some(RootSlots { used, total: root.taken.len() }),
            dirty: self.is_dirty(),
        })
    }

    /// The file or folder at `path`, with `/` between names, in any case; `None` if it doesn't exist.
    pub(crate) fn find(&self, path: &str) -> Result<Option<FatEntry>, FatError> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(start) = self.find_folder(folder)? else { return Ok(None) };
        let entries = self.directory(start, folder)?.entries;
        Ok(entries.into_iter().find(|entry| !entry.is_dot() && entry.is_called(name)))
    }

    /// The entries of a folder in stored order; `/` is the root.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<FatEntry>, FatError> {
        let start = self.find_folder(path)?.ok_or_else(|| FatError::NotFound(path.to_owned()))?;
        let mut entries = self.directory(start, path)?.entries;
        entries.retain(|entry| !entry.is_dot());
        Ok(entries)
    }

    /// The content of a file of at most 256 MiB.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, FatError> {
        let entry = self.file_at(path)?;
        let bytes = u64::from(entry.size);
        if bytes > MAX_READ {
            return Err(FatError::TooLarge { path: path.to_owned(), bytes, limit: MAX_READ });
        }
        // The chain is checked first, so that no memory is taken for a wrong size.
        let chain = self.chain_of(&entry, path)?;
        let mut content = Vec::with_capacity(entry.size as usize);
        self.copy(&chain, entry.size as usize, path, &mut content)?;
        Ok(content)
    }

    /// All files and folders with their paths, sorted: a folder comes before its content.
    #[cfg(test)]
    pub(super) fn walk(&self) -> Result<Vec<(String, FatEntry)>, FatError> {
        let mut found = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![(None, String::new(), 0)];
        while let Some((start, path, depth)) = waiting.pop() {
            if !seen.insert(start) || depth > MAX_DEPTH {
                return Err(FatDamage::FolderLoop(path).into());
            }
            for entry in self.directory(start, &path)?.entries {
                if entry.is_dot() {
                    continue;
                }
                let path =
                    if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
                if entry.folder {
                    waiting.push((Some(entry.cluster), path.clone(), depth + 1));
                }
                found.push((path, entry));
            }
            if found.len() > MAX_ENTRIES {
                return Err(FatDamage::TooManyEntries(MAX_ENTRIES).into());
            }
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    pub(super) fn free_clusters(&self) -> u32 {
        let free = self.links[2..].iter().filter(|&&link| link == 0).count();
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    pub(super) fn is_dirty(&self) -> bool {
        // Linux sets a flag in the boot sector, Windows clears a bit in the table's second link.
        let clean = if self.geometry.bits == 16 { 0x8000 } else { 0x0800_0000 };
        self.geometry.state & 1 != 0 || self.links[1] & clean == 0
    }

    /// The folder at `path`; the outer `None` if it doesn't exist.
    pub(super) fn find_folder(&self, path: &str) -> Result<Option<FirstCluster>, FatError> {
        let mut start = None;
        for (depth, name) in path.split('/').filter(|name| !name.is_empty()).enumerate() {
            let mut entries = self.directory(start, path)?.entries.into_iter();
            let Some(entry) = entries.find(|entry| !entry.is_dot() && entry.is_called(name)) else {
                return Ok(None);
            };
            if !entry.folder {
                return Err(FatError::NotFolder(path.to_owned()));
            }
            if depth >= MAX_DEPTH {
                return Ok(None);
            }
            start = Some(entry.cluster);
        }
        Ok(Some(start))
    }

    /// Reads a directory; `path` is for messages.
    pub(super) fn directory(&self, start: FirstCluster, path: &str) -> Result<Directory, FatError> {
        let wide = self.geometry.bits == 32;
        if start.is_none() && !wide {
            let mut bytes = vec![0; self.geometry.root_slots as usize * SLOT];
            self.window.read_exact_at(self.geometry.root, &mut bytes)?;
            return Ok(Directory::parse(&bytes, Vec::new(), wide));
        }
        let first = start.unwrap_or(self.geometry.root_cluster);
        let most = MAX_DIRECTORY / self.geometry.cluster_bytes;
        let chain = self.chain(first, most, path)?;
        let len = chain.len() * self.geometry.cluster_bytes as usize;
        let mut bytes = Vec::with_capacity(len);
        self.copy(&chain, len, path, &mut bytes)?;
        Ok(Directory::parse(&bytes, chain, wide))
    }

    fn file_at(&self, path: &str) -> Result<FatEntry, FatError> {
        match self.find(path)? {
            None => Err(FatError::NotFound(path.to_owned())),
            Some(entry) if entry.folder => Err(FatError::IsFolder(path.to_owned())),
            Some(entry) => Ok(entry),
        }
    }

    /// The cluster chain of a file, as long as the file's size requires.
    pub(super) fn chain_of(&self, entry: &FatEntry, path: &str) -> Result<Vec<u32>, FatDamage> {
        let size = entry.size;
        let wanted = size.div_ceil(self.geometry.cluster_bytes);
        if wanted == 0 {
            let is_empty = entry.cluster == 0;
            return if is_empty { Ok(Vec::new()) } else { Err(FatDamage::ChainOfEmptyFile(path.to_owned())) };
        }
        if wanted > self.geometry.clusters {
            return Err(FatDamage::LargerThanVolume { path: path.to_owned(), size });
        }
        let chain = self.chain(entry.cluster, wanted, path)?;
        if chain.len() < wanted as usize {
            return Err(FatDamage::ChainTooShort { path: path.to_owned(), size });
        }
        Ok(chain)
    }

    /// Follows a chain of at most `most` clusters to its end. It has at least one cluster.
    pub(super) fn chain(&self, first: u32, most: u32, path: &str) -> Result<Vec<u32>, FatDamage> {
        let end = if self.geometry.bits == 16 { 0xFFF8 } else { 0x0FFF_FFF8 };
        let mut chain = Vec::new();
        let mut cluster = first;
        while cluster < end {
            // Also excludes the values for free, reserved and bad clusters.
            if !(2..self.geometry.clusters + 2).contains(&cluster) {
                return Err(FatDamage::InvalidCluster { path: path.to_owned(), cluster });
            }
            if chain.len() >= most as usize {
                return Err(FatDamage::ChainTooLong(path.to_owned()));
            }
            chain.push(cluster);
            cluster = self.links[cluster as usize];
        }
        if chain.is_empty() { Err(FatDamage::NoChain(path.to_owned())) } else { Ok(chain) }
    }

    /// Copies the first `len` bytes of a chain; consecutive clusters are read together.
    fn copy(&self, chain: &[u32], len: usize, path: &str, sink: &mut dyn Write) -> Result<(), FatError> {
        let cluster_bytes = self.geometry.cluster_bytes as usize;
        let mut left = len;
        let most = (CHUNK / self.geometry.cluster_bytes).max(1);
        let mut chain = chain.iter().copied().peekable();
        let mut buf = Vec::new();
        while let Some(first) = chain.next().filter(|_| left > 0) {
            let mut next = first + 1;
            while next - first < most && chain.next_if_eq(&next).is_some() {
                next += 1;
            }
            buf.resize(left.min((next - first) as usize * cluster_bytes), 0);
            self.window.read_exact_at(self.geometry.offset_of(first), &mut buf)?;
            sink.write_all(&buf).map_err(|source| FatError::Copy { path: path.to_owned(), source })?;
            left -= buf.len();
        }
        Ok(())
    }
}

//! Reads a FAT within bounds: chains can't loop, folders can't nest or grow without end.

use std::io::Write;

use serde::Serialize;

use super::boot::Geometry;
use super::directory::{Directory, Entry};
use super::{FatError, SLOT};
use crate::disk::window::Window;

/// No directory may be larger, in bytes.
const MAX_DIRECTORY: u32 = 2 << 20;
/// Folders within folders; a path has at most 260 characters.
const MAX_DEPTH: usize = 32;
/// Files and folders in all.
#[cfg(test)]
const MAX_ENTRIES: usize = 500_000;
/// What [`Reader::read`] takes into memory, in bytes.
const MAX_READ: u64 = 256 << 20;
/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;

/// Facts about a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FatInfo {
    /// 16 or 32.
    pub(crate) bits: u8,
    /// From the root directory, else from the boot sector; empty when there is none.
    pub(crate) label: String,
    /// As `blkid` writes it: `ABCD-1234`.
    pub(crate) volume_id: String,
    /// Bytes in a cluster.
    pub(crate) cluster_bytes: u32,
    /// How many clusters there are.
    pub(crate) clusters: u32,
    /// How many are free, counted in the allocation table.
    pub(crate) free_clusters: u32,
    /// The fixed root directory of FAT16.
    pub(crate) root_slots: Option<RootSlots>,
    /// Whether it wasn't unmounted properly.
    pub(crate) dirty: bool,
}

/// The slots of FAT16's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct RootSlots {
    /// Slots in use: one for an entry and one for every 13 units of a long name.
    pub(crate) used: usize,
    /// Slots that there are.
    pub(crate) total: usize,
}

/// A FAT16 or FAT32 volume, open for reading. The allocation table is read once, directories and files when
/// they are asked for.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) window: Window,
    pub(super) geometry: Geometry,
    /// The allocation table: for each cluster the next one.
    pub(super) links: Vec<u32>,
}

/// A directory's first cluster; `None` is the root.
pub(super) type Place = Option<u32>;

fn damaged<T>(what: String) -> Result<T, FatError> {
    Err(FatError::Damaged(what))
}

impl Reader {
    /// Opens the volume that a window holds.
    pub(crate) fn open(window: Window) -> Result<Self, FatError> {
        let mut sector = [0; 512];
        if window.len() < 512 {
            return Err(FatError::NotFat);
        }
        window.read_exact_at(0, &mut sector)?;
        let geometry = Geometry::parse(&sector, window.len())?;
        let width = usize::from(geometry.bits / 8);
        // At most 64 MiB: the geometry bounds the number of clusters, and its table lies in the window.
        let mut table = vec![0; (geometry.clusters as usize + 2) * width];
        window.read_exact_at(geometry.table, &mut table)?;
        let link = |bytes: &[u8]| match *bytes {
            [a, b] => u16::from_le_bytes([a, b]).into(),
            // The upper four bits are reserved.
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) & 0x0FFF_FFFF,
            _ => 0,
        };
        let links = table.chunks_exact(width).map(link).collect();
        Ok(Self { window, geometry, links })
    }

    /// Facts about it.
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

    /// The file or folder at a path with `/` between names, in any case; `None` when it isn't there.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Entry>, FatError> {
        let (folder, name) = path.trim_matches('/').rsplit_once('/').unwrap_or(("", path.trim_matches('/')));
        let Some(place) = self.place_of(folder)? else { return Ok(None) };
        let entries = self.directory(place, folder)?.entries;
        Ok(entries.into_iter().find(|entry| !entry.is_dot() && entry.is_called(name)))
    }

    /// What is in a folder, in the order it is stored; `/` is the root.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Entry>, FatError> {
        let place = self.place_of(path)?.ok_or_else(|| FatError::NotFound(path.to_owned()))?;
        let mut entries = self.directory(place, path)?.entries;
        entries.retain(|entry| !entry.is_dot());
        Ok(entries)
    }

    /// A file's content, of at most 256 MiB.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, FatError> {
        let entry = self.file_at(path)?;
        let bytes = u64::from(entry.size);
        if bytes > MAX_READ {
            return Err(FatError::TooLarge { path: path.to_owned(), bytes, limit: MAX_READ });
        }
        // What the chain can't hold isn't asked for.
        let chain = self.chain_of(&entry, path)?;
        let mut content = Vec::with_capacity(entry.size as usize);
        self.copy(&chain, entry.size, path, &mut content)?;
        Ok(content)
    }

    /// All files and folders with their paths, sorted: a folder comes before what is in it.
    #[cfg(test)]
    pub(crate) fn walk(&self) -> Result<Vec<(String, Entry)>, FatError> {
        let mut found = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut waiting = vec![(None, String::new(), 0)];
        while let Some((place, path, depth)) = waiting.pop() {
            if !seen.insert(place) || depth > MAX_DEPTH {
                return damaged(format!("the folder `{path}` holds itself"));
            }
            for entry in self.directory(place, &path)?.entries {
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
                return damaged(format!("it has more than {MAX_ENTRIES} entries"));
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
        // Linux keeps the flag in the boot sector, Windows a clear bit in the table's second link.
        let clean = if self.geometry.bits == 16 { 0x8000 } else { 0x0800_0000 };
        self.geometry.state & 1 != 0 || self.links[1] & clean == 0
    }

    /// Where the folder at a path is; `None` when nothing is there.
    pub(super) fn place_of(&self, path: &str) -> Result<Option<Place>, FatError> {
        let mut place = None;
        for (depth, name) in path.split('/').filter(|name| !name.is_empty()).enumerate() {
            let mut entries = self.directory(place, path)?.entries.into_iter();
            let Some(entry) = entries.find(|entry| !entry.is_dot() && entry.is_called(name)) else {
                return Ok(None);
            };
            if !entry.folder {
                return Err(FatError::NotFolder(path.to_owned()));
            }
            if depth >= MAX_DEPTH {
                return Ok(None);
            }
            place = Some(entry.cluster);
        }
        Ok(Some(place))
    }

    /// Reads a directory; `path` is for messages.
    pub(super) fn directory(&self, place: Place, path: &str) -> Result<Directory, FatError> {
        let wide = self.geometry.bits == 32;
        if place.is_none() && !wide {
            let mut bytes = vec![0; self.geometry.root_slots as usize * SLOT];
            self.window.read_exact_at(self.geometry.root, &mut bytes)?;
            return Ok(Directory::parse(&bytes, Vec::new(), wide));
        }
        let first = place.unwrap_or(self.geometry.root_cluster);
        let most = MAX_DIRECTORY / self.geometry.cluster_bytes;
        let chain = self.chain(first, most, path)?;
        let mut bytes = Vec::with_capacity(chain.len() * self.geometry.cluster_bytes as usize);
        let len = u32::try_from(chain.len()).unwrap_or(most) * self.geometry.cluster_bytes;
        self.copy(&chain, len, path, &mut bytes)?;
        Ok(Directory::parse(&bytes, chain, wide))
    }

    fn file_at(&self, path: &str) -> Result<Entry, FatError> {
        match self.find(path)? {
            None => Err(FatError::NotFound(path.to_owned())),
            Some(entry) if entry.folder => Err(FatError::IsFolder(path.to_owned())),
            Some(entry) => Ok(entry),
        }
    }

    /// The clusters of a file, as many as its size takes.
    pub(super) fn chain_of(&self, entry: &Entry, path: &str) -> Result<Vec<u32>, FatError> {
        let wanted = entry.size.div_ceil(self.geometry.cluster_bytes);
        if wanted == 0 {
            return if entry.cluster == 0 {
                Ok(Vec::new())
            } else {
                damaged(format!("`{path}` is empty, but has clusters"))
            };
        }
        if wanted > self.geometry.clusters {
            return damaged(format!("`{path}` claims {} bytes, more than there are", entry.size));
        }
        let chain = self.chain(entry.cluster, wanted, path)?;
        if chain.len() < wanted as usize {
            return damaged(format!("`{path}` claims {} bytes, but its clusters end before", entry.size));
        }
        Ok(chain)
    }

    /// Follows a chain of at most `most` clusters to its end.
    pub(super) fn chain(&self, first: u32, most: u32, path: &str) -> Result<Vec<u32>, FatError> {
        let end = if self.geometry.bits == 16 { 0xFFF8 } else { 0x0FFF_FFF8 };
        let mut chain = Vec::new();
        let mut cluster = first;
        while cluster < end {
            // The range leaves out the marks for free, reserved and bad clusters.
            if !(2..self.geometry.clusters + 2).contains(&cluster) {
                return damaged(format!("the clusters of `{path}` lead to {cluster}, which is none"));
            }
            if chain.len() >= most as usize {
                return damaged(format!(
                    "`{path}` has more clusters than it can have, or they go round in a circle"
                ));
            }
            chain.push(cluster);
            cluster = self.links[cluster as usize];
        }
        if chain.is_empty() { damaged(format!("`{path}` has no clusters")) } else { Ok(chain) }
    }

    /// Copies the first `len` bytes of a chain, neighbours at once.
    fn copy(&self, chain: &[u32], len: u32, path: &str, sink: &mut dyn Write) -> Result<(), FatError> {
        let mut left = u64::from(len);
        let most = (CHUNK / u64::from(self.geometry.cluster_bytes)).max(1);
        let mut chain = chain.iter().copied().peekable();
        let mut buf = Vec::new();
        while let Some(first) = chain.next().filter(|_| left > 0) {
            let mut count = 1;
            while count < most && chain.next_if(|&next| u64::from(next) == u64::from(first) + count).is_some()
            {
                count += 1;
            }
            let bytes = left.min(count * u64::from(self.geometry.cluster_bytes));
            buf.resize(usize::try_from(bytes).unwrap_or(0), 0);
            self.window.read_exact_at(self.geometry.offset_of(first), &mut buf)?;
            sink.write_all(&buf).map_err(|source| FatError::Copy { path: path.to_owned(), source })?;
            left -= bytes;
        }
        Ok(())
    }
}

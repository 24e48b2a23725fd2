//! Writes to a FAT through fatfs: only to undamaged volumes, and only after a check that there is space.
//!
//! Two faults of fatfs are corrected: `create_dir` gives `.` and `..` long names, and a root directory of FAT32
//! that grows keeps the old content of its new cluster.

use std::io::{self, Read, Write as _};

use fatfs::{FileSystem, FsOptions};

use super::boot::MIN_FAT32;
use super::cache::{CachedWindow, Invalidation};
use super::clock::{CLOCK, FixedClock};
use super::damage::{BootDamage, FatDamage};
use super::directory::Directory;
use super::reader::{FirstCluster, Reader};
use super::{FatError, SLOT, name};
use crate::disk::window::{ReadLimitExceeded, Window};
use crate::guard;

/// Bytes copied at once.
const CHUNK: usize = 256 << 10;
/// The specification's limit for a directory.
const MAX_SLOTS: usize = 65_536;
/// Offset of the number of free clusters in FAT32's `FSInfo` sector.
const FREE_COUNT: u64 = 488;

/// An undamaged volume, open for writing. Everything written gets the same time. After an error the volume may
/// be inconsistent; it is complete only when [`Writer::finish`] has returned.
pub(crate) struct Writer {
    window: Window,
    volume: FileSystem<CachedWindow>,
    /// For writes that bypass fatfs.
    invalidation: Invalidation,
    stamp: u32,
}

/// A path to be written, looked up.
struct Target {
    path: String,
    /// The folder of the path.
    folder: Directory,
    folder_start: FirstCluster,
    existing: Option<ExistingEntry>,
    /// Slots for a new entry; 0 if the entry exists.
    slots: usize,
}

enum ExistingEntry {
    Folder,
    /// A file with this number of clusters.
    File(u64),
}

impl Writer {
    /// Opens the volume in a writable window; `stamp`, in seconds since 1970, becomes the time of everything
    /// written. A damaged volume is an error, and nothing is written then.
    pub(crate) fn open(window: Window, stamp: u32) -> Result<Self, FatError> {
        let reader = Reader::open(window.reopen())?;
        reader.check()?;
        if reader.geometry.bits == 32 && reader.geometry.clusters < MIN_FAT32 {
            let clusters = reader.geometry.clusters;
            return Err(BootDamage::TooFewForFat32 { clusters, least: MIN_FAT32 }.into());
        }
        reset_hints(&reader)?;
        let options = FsOptions::new().time_provider(&CLOCK);
        let (cached, invalidation) = CachedWindow::new(window.reopen());
        let volume = call_fatfs("/", &window, || FileSystem::new(cached, options))?;
        Ok(Self { window, volume, invalidation, stamp })
    }

    /// Writes a file of `length` bytes. An existing file is replaced and keeps its name; the folder must exist.
    /// A lack of space is an error, and nothing is written then.
    pub(crate) fn write(&mut self, path: &str, source: &mut dyn Read, length: u64) -> Result<(), FatError> {
        let (reader, target) = self.look_up(path)?;
        let freed = match target.existing {
            Some(ExistingEntry::Folder) => return Err(FatError::IsFolder(path.to_owned())),
            Some(ExistingEntry::File(clusters)) => clusters,
            None => 0,
        };
        if length > u32::MAX.into() {
            return Err(FatError::TooLarge { path: path.to_owned(), bytes: length, limit: u32::MAX.into() });
        }
        let first_slot =
            target.reserve(&reader, length.div_ceil(reader.geometry.cluster_bytes.into()), freed)?;
        let mut copied = Ok(());
        self.with_fatfs(&target.path, |volume| {
            let mut file = volume.root_dir().create_file(&target.path)?;
            file.truncate()?;
            copied = copy(source, length, &mut file)?;
            file.flush()
        })?;
        copied.map_err(|source| FatError::Copy { path: path.to_owned(), source })?;
        self.zero_grown_root(&target, first_slot)
    }

    /// Creates a folder and its missing parents; an existing folder is kept.
    pub(crate) fn make_dir(&mut self, path: &str) -> Result<(), FatError> {
        let (mut names, last) = name::split(path)?;
        names.push(last);
        for depth in 1..=names.len() {
            let path = names[..depth].join("/");
            let (reader, target) = self.look_up(&path)?;
            match target.existing {
                Some(ExistingEntry::Folder) => continue,
                Some(ExistingEntry::File(_)) => return Err(FatError::NotFolder(path)),
                None => {}
            }
            let first_slot = target.reserve(&reader, 1, 0)?;
            self.with_fatfs(&target.path, |volume| volume.root_dir().create_dir(&target.path).map(|_| ()))?;
            self.rewrite_dots(&target)?;
            self.zero_grown_root(&target, first_slot)?;
        }
        Ok(())
    }

    /// Unmounts the volume and checks it.
    pub(crate) fn finish(self) -> Result<(), FatError> {
        let Self { window, volume, stamp, .. } = self;
        window.reset_limit();
        FixedClock::set(stamp);
        call_fatfs("/", &window, || volume.unmount())?;
        let reader = Reader::open(window)?;
        reader.check()?;
        if reader.is_dirty() { Err(FatDamage::StillDirty.into()) } else { Ok(()) }
    }

    /// Reads the volume's present state, and the entry at `path`.
    fn look_up(&self, path: &str) -> Result<(Reader, Target), FatError> {
        let (folders, last) = name::split(path)?;
        let parent = folders.join("/");
        self.window.reset_limit();
        let reader = Reader::open(self.window.reopen())?;
        let start = reader.find_folder(&parent)?.ok_or_else(|| FatError::NotFound(parent.clone()))?;
        let folder = reader.directory(start, &parent)?;
        let entry = folder.entries.iter().find(|entry| !entry.is_dot() && entry.is_called(last));
        let existing = match entry {
            None => None,
            Some(entry) if entry.folder => Some(ExistingEntry::Folder),
            Some(entry) => Some(ExistingEntry::File(reader.chain_of(entry, path)?.len() as u64)),
        };
        let slots = if existing.is_some() { 0 } else { name::slots(last) };
        let path = if parent.is_empty() { last.to_owned() } else { format!("{parent}/{last}") };
        Ok((reader, Target { path, folder, folder_start: start, existing, slots }))
    }

    fn with_fatfs(
        &self,
        path: &str,
        work: impl FnOnce(&FileSystem<CachedWindow>) -> io::Result<()>,
    ) -> Result<(), FatError> {
        FixedClock::set(self.stamp);
        call_fatfs(path, &self.window, || work(&self.volume))
    }

    /// Rewrites a new folder's first cluster: the entries `.` and `..`, then zeros.
    fn rewrite_dots(&self, target: &Target) -> Result<(), FatError> {
        let reader = Reader::open(self.window.reopen())?;
        let missing = || FatError::NotFound(target.path.clone());
        let start = reader.find_folder(&target.path)?.flatten().ok_or_else(missing)?;
        let at = reader.geometry.offset_of(start);
        let mut cluster = vec![0; reader.geometry.cluster_bytes as usize];
        self.window.read_exact_at(at, &mut cluster)?;
        let dot = |dots: &[u8; 11]| -> Result<Vec<u8>, FatError> {
            let slot = cluster.chunks_exact(SLOT).find(|slot| slot.starts_with(dots));
            slot.map(<[u8]>::to_vec).ok_or_else(missing)
        };
        let (own, mut parent) = (dot(b".          ")?, dot(b"..         ")?);
        // Cluster 0 stands for the root, even where the root has a cluster.
        let up = target.folder_start.unwrap_or(0).to_le_bytes();
        parent[20..22].copy_from_slice(if reader.geometry.bits == 32 { &up[2..] } else { &[0; 2] });
        parent[26..28].copy_from_slice(&up[..2]);
        let mut rewritten = [own, parent].concat();
        rewritten.resize(cluster.len(), 0);
        self.write_directly(at, &rewritten)
    }

    /// Zeroes the slots after the new entry where FAT32's root directory has grown.
    fn zero_grown_root(&self, target: &Target, first_slot: usize) -> Result<(), FatError> {
        let before = target.folder.taken.len();
        let end = first_slot + target.slots;
        if target.folder_start.is_some() || end <= before {
            return Ok(());
        }
        let reader = Reader::open(self.window.reopen())?;
        let cluster_bytes = reader.geometry.cluster_bytes as usize;
        let chain = reader.chain(reader.geometry.root_cluster, reader.geometry.clusters, "/")?;
        let last = chain.len() - 1;
        // All clusters before the last one are in use up to their end.
        let used = (end * SLOT).saturating_sub(last * cluster_bytes);
        let at = reader.geometry.offset_of(chain[last]) + used as u64;
        self.write_directly(at, &vec![0; cluster_bytes.saturating_sub(used)])
    }

    fn write_directly(&self, at: u64, bytes: &[u8]) -> Result<(), FatError> {
        self.invalidation.request();
        Ok(self.window.write_all_at(at, bytes)?)
    }
}

impl Target {
    /// Checks that there is space for `clusters` of content, where `freed` clusters become free, and for the
    /// name; returns the first slot that fatfs will use.
    fn reserve(&self, reader: &Reader, clusters: u64, freed: u64) -> Result<usize, FatError> {
        let cluster_bytes = u64::from(reader.geometry.cluster_bytes);
        let (first, run) = free_run(&self.folder.taken, self.slots);
        let total = self.folder.taken.len();
        let fixed = reader.geometry.bits == 16 && self.folder_start.is_none();
        if first + self.slots > if fixed { total } else { MAX_SLOTS } {
            return Err(FatError::NoSlots { path: self.path.clone(), needed: self.slots, free: run, total });
        }
        let growth = ((first + self.slots).saturating_sub(total) * SLOT) as u64;
        let needed = (clusters + growth.div_ceil(cluster_bytes)) * cluster_bytes;
        let free = (u64::from(reader.free_clusters()) + freed) * cluster_bytes;
        if needed > free {
            return Err(FatError::NoSpace { path: self.path.clone(), needed, free });
        }
        Ok(first)
    }
}

/// The first of `wanted` consecutive free slots, searched as fatfs does, or the first free slot at the end,
/// where a directory may grow; and the longest run of free slots.
fn free_run(taken: &[bool], wanted: usize) -> (usize, usize) {
    let (mut first, mut longest) = (0, 0);
    for (index, &taken) in taken.iter().enumerate() {
        if taken {
            first = index + 1;
        } else {
            longest = longest.max(index + 1 - first);
            if longest >= wanted {
                break;
            }
        }
    }
    (first, longest)
}

/// Corrects the number of free clusters and clears the dirty flag, which an unclean unmount leaves wrong and
/// which fatfs would believe.
fn reset_hints(reader: &Reader) -> Result<(), FatError> {
    let (window, geometry) = (&reader.window, &reader.geometry);
    if let Some(info) = geometry.fs_info {
        window.write_all_at(info + FREE_COUNT, &reader.free_clusters().to_le_bytes())?;
    }
    if reader.is_dirty() {
        window.write_all_at(geometry.state_at, &[geometry.state & !1])?;
        let width = u64::from(geometry.bits / 8);
        // The highest byte of the second link has the bit for "cleanly unmounted".
        let bit = if geometry.bits == 16 { 0x80 } else { 0x08 };
        for table in geometry.copies.iter().chain([&geometry.table]) {
            let mut byte = [0];
            window.read_exact_at(table + 2 * width - 1, &mut byte)?;
            window.write_all_at(table + 2 * width - 1, &[byte[0] | bit])?;
        }
    }
    Ok(())
}

/// Copies exactly `length` bytes. The outer error is the volume's, the inner error the source's.
fn copy(
    source: &mut dyn Read,
    length: u64,
    file: &mut fatfs::File<'_, CachedWindow>,
) -> io::Result<io::Result<()>> {
    let mut buf = vec![0; usize::try_from(length).unwrap_or(CHUNK).clamp(1, CHUNK)];
    let mut left = length;
    loop {
        let count = match source.read(&mut buf) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        if count as u64 > left || (count == 0 && left > 0) {
            let text = format!("its size changed, it had {length} bytes");
            return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        if count == 0 {
            return Ok(Ok(()));
        }
        file.write_all(&buf[..count])?;
        left -= count as u64;
    }
}

/// Calls fatfs, which may panic, and which loses the error of an exceeded read limit.
fn call_fatfs<T>(path: &str, window: &Window, work: impl FnOnce() -> io::Result<T>) -> Result<T, FatError> {
    guard::catch("fatfs", work).map_err(io::Error::from).flatten().map_err(|source| {
        if window.limit_exceeded() {
            ReadLimitExceeded.into()
        } else {
            FatError::Library { path: path.to_owned(), source }
        }
    })
}

//! Writes to a FAT by fatfs, which is only let at sound volumes, only with what fits, and whose known
//! faults are mended: `create_dir` gives the dots long names, and a root directory of FAT32 that grows
//! keeps what its new cluster held before.

use std::io::{self, Read, Write as _};

use fatfs::{FileSystem, FsOptions};

use super::boot::MIN_FAT32;
use super::cache::{Cached, Written};
use super::clock::{CLOCK, FixedClock};
use super::directory::Directory;
use super::reader::{Place, Reader};
use super::{FatError, SLOT, name};
use crate::disk::window::{ReadLimitExceeded, Window};
use crate::guard;
use crate::interrupt;

/// Bytes that are copied at once.
const CHUNK: usize = 256 << 10;
/// More than these no directory may have.
const MAX_SLOTS: usize = 65_536;
/// The number of free clusters in FAT32's information sector.
const FREE_COUNT: u64 = 488;

/// A sound volume, open for writing. Everything gets the same time. After an error the volume may be half
/// written; nothing counts before [`Writer::finish`].
pub(crate) struct Writer {
    window: Window,
    volume: FileSystem<Cached>,
    /// Tells fatfs's cache that something was written around it.
    written: Written,
    stamp: u32,
}

/// A path that is to be written, looked up.
struct Target {
    /// The path from the root, in the names that are there.
    path: String,
    folder: Directory,
    place: Place,
    /// Whether it is there, and the clusters of a file.
    existing: Option<Existing>,
    /// Slots that a new entry takes.
    slots: usize,
}

struct Existing {
    folder: bool,
    clusters: u64,
}

impl Writer {
    /// Opens the volume in a writable window; `stamp` is in seconds since 1970 and becomes the time of all
    /// that is written. Fails without a write when the volume is damaged.
    pub(crate) fn open(window: Window, stamp: u32) -> Result<Self, FatError> {
        let reader = Reader::open(window.reopen())?;
        reader.check()?;
        if reader.geometry.bits == 32 && reader.geometry.clusters < MIN_FAT32 {
            let why = format!("FAT32 with {} clusters, fewer than {MIN_FAT32}", reader.geometry.clusters);
            return Err(FatError::Boot(why));
        }
        settle(&reader)?;
        let options = FsOptions::new().time_provider(&CLOCK);
        let (cached, written) = Cached::new(window.reopen());
        let opened = guard::catch("fatfs", || FileSystem::new(cached, options));
        let volume =
            opened.map_err(io::Error::from).flatten().map_err(|error| failed("/", &window, &error))?;
        Ok(Self { window, volume, written, stamp })
    }

    /// Writes a file of `length` bytes, anew or in place of the one there, whose name is kept. Its folder
    /// must be there. Fails without a write when there is no room for it.
    pub(crate) fn write(&mut self, path: &str, source: &mut dyn Read, length: u64) -> Result<(), FatError> {
        let (reader, target) = self.look_up(path)?;
        let freed = match &target.existing {
            Some(existing) if existing.folder => return Err(FatError::IsFolder(path.to_owned())),
            Some(existing) => existing.clusters,
            None => 0,
        };
        if length > u32::MAX.into() {
            return Err(FatError::TooLarge { path: path.to_owned(), bytes: length, limit: u32::MAX.into() });
        }
        let first_slot =
            target.reserve(&reader, length.div_ceil(reader.geometry.cluster_bytes.into()), freed)?;
        let mut copied = Ok(());
        self.by_fatfs(&target.path, |volume| {
            let mut file = volume.root_dir().create_file(&target.path)?;
            file.truncate()?;
            copied = copy(source, length, &mut file)?;
            file.flush()
        })?;
        copied.map_err(|source| FatError::Copy { path: path.to_owned(), source })?;
        self.clear_behind(&target, first_slot)
    }

    /// Makes a folder, and those on the way to it; one that is there is kept.
    pub(crate) fn make_dir(&mut self, path: &str) -> Result<(), FatError> {
        let names = name::split(path)?;
        for depth in 1..=names.len() {
            let path = names[..depth].join("/");
            let (reader, target) = self.look_up(&path)?;
            match &target.existing {
                Some(existing) if existing.folder => continue,
                Some(_) => return Err(FatError::NotFolder(path)),
                None => {}
            }
            let first_slot = target.reserve(&reader, 1, 0)?;
            self.by_fatfs(&target.path, |volume| volume.root_dir().create_dir(&target.path).map(|_| ()))?;
            self.mend_dots(&target)?;
            self.clear_behind(&target, first_slot)?;
        }
        Ok(())
    }

    /// Closes the volume and looks all of it over.
    pub(crate) fn finish(self) -> Result<(), FatError> {
        let Self { window, volume, stamp, .. } = self;
        window.renew_budget();
        FixedClock::set(stamp);
        let closed = guard::catch("fatfs", || volume.unmount()).map_err(io::Error::from).flatten();
        closed.map_err(|error| failed("/", &window, &error))?;
        let reader = Reader::open(window)?;
        reader.check()?;
        if reader.is_dirty() { Err(FatError::Damaged("it is still marked as in use".into())) } else { Ok(()) }
    }

    /// Reads the volume as it is now, and what is at a path.
    fn look_up(&self, path: &str) -> Result<(Reader, Target), FatError> {
        let names = name::split(path)?;
        let (last, folders) = names.split_last().map_or(("", &names[..]), |(last, folders)| (*last, folders));
        let parent = folders.join("/");
        self.window.renew_budget();
        let reader = Reader::open(self.window.reopen())?;
        let place = reader.place_of(&parent)?.ok_or_else(|| FatError::NotFound(parent.clone()))?;
        let folder = reader.directory(place, &parent)?;
        let entry = folder.entries.iter().find(|entry| !entry.is_dot() && entry.is_called(last));
        let existing = match entry {
            None => None,
            Some(entry) if entry.folder => Some(Existing { folder: true, clusters: 0 }),
            Some(entry) => {
                let clusters = reader.chain_of(entry, path)?.len() as u64;
                Some(Existing { folder: false, clusters })
            }
        };
        let slots = if existing.is_some() { 0 } else { name::slots(last) };
        Ok((reader, Target { path: names.join("/"), folder, place, existing, slots }))
    }

    /// Lets fatfs work, within the guard.
    fn by_fatfs(
        &self,
        path: &str,
        work: impl FnOnce(&FileSystem<Cached>) -> io::Result<()>,
    ) -> Result<(), FatError> {
        FixedClock::set(self.stamp);
        let done = guard::catch("fatfs", || work(&self.volume)).map_err(io::Error::from).flatten();
        done.map_err(|error| failed(path, &self.window, &error))
    }

    /// Writes a new folder's first cluster as it should be: the two dots, then nothing.
    fn mend_dots(&self, target: &Target) -> Result<(), FatError> {
        let reader = Reader::open(self.window.reopen())?;
        let missing = || FatError::NotFound(target.path.clone());
        let place = reader.place_of(&target.path)?.flatten().ok_or_else(missing)?;
        let at = reader.geometry.offset_of(place);
        let mut cluster = vec![0; reader.geometry.cluster_bytes as usize];
        self.window.read_exact_at(at, &mut cluster)?;
        let dot = |dots: &[u8; 11]| -> Result<Vec<u8>, FatError> {
            let slot = cluster.chunks_exact(SLOT).find(|slot| slot.starts_with(dots));
            slot.map(<[u8]>::to_vec).ok_or_else(missing)
        };
        let (own, mut parent) = (dot(b".          ")?, dot(b"..         ")?);
        // Zero stands for the root, also where the root has a cluster.
        let up = target.place.unwrap_or(0).to_le_bytes();
        parent[20..22].copy_from_slice(if reader.geometry.bits == 32 { &up[2..] } else { &[0; 2] });
        parent[26..28].copy_from_slice(&up[..2]);
        let mut mended = [own, parent].concat();
        mended.resize(cluster.len(), 0);
        self.write_around(at, &mended)
    }

    /// Clears what a root directory of FAT32 that has grown has behind its new entry.
    fn clear_behind(&self, target: &Target, first_slot: usize) -> Result<(), FatError> {
        let before = target.folder.taken.len();
        let end = first_slot + target.slots;
        if target.place.is_some() || end <= before {
            return Ok(());
        }
        let reader = Reader::open(self.window.reopen())?;
        let cluster_bytes = reader.geometry.cluster_bytes as usize;
        let chain = reader.chain(reader.geometry.root_cluster, reader.geometry.clusters, "/")?;
        let last = chain.last().copied().unwrap_or(reader.geometry.root_cluster);
        // All clusters but the last are full of the entry.
        let used = (end * SLOT).saturating_sub((chain.len() - 1) * cluster_bytes);
        let at = reader.geometry.offset_of(last) + used as u64;
        self.write_around(at, &vec![0; cluster_bytes.saturating_sub(used)])
    }

    fn write_around(&self, at: u64, bytes: &[u8]) -> Result<(), FatError> {
        self.written.tell();
        Ok(self.window.write_all_at(at, bytes)?)
    }
}

impl Target {
    /// Checks that there is room for `clusters` of content, where `freed` become free, and for the name;
    /// returns the slot that fatfs will begin with.
    fn reserve(&self, reader: &Reader, clusters: u64, freed: u64) -> Result<usize, FatError> {
        let cluster_bytes = u64::from(reader.geometry.cluster_bytes);
        let (first, run) = free_run(&self.folder.taken, self.slots);
        let total = self.folder.taken.len();
        let fixed = reader.geometry.bits == 16 && self.place.is_none();
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

/// The first of `wanted` free slots in a row, as fatfs looks for them, or of those at the end, where a
/// directory may grow; and the longest run there is.
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

/// Sets what a sound volume may have wrong, so that fatfs doesn't go by it: the count of free clusters,
/// and the mark of a volume that is in use.
fn settle(reader: &Reader) -> Result<(), FatError> {
    let (window, geometry) = (&reader.window, &reader.geometry);
    if let Some(info) = geometry.fs_info {
        window.write_all_at(info + FREE_COUNT, &reader.free_clusters().to_le_bytes())?;
    }
    if reader.is_dirty() {
        window.write_all_at(geometry.state_at, &[geometry.state & !1])?;
        let width = u64::from(geometry.bits / 8);
        // The highest byte of the second link has the bit for "clean".
        let bit = if geometry.bits == 16 { 0x80 } else { 0x08 };
        for table in geometry.copies.iter().chain([&geometry.table]) {
            let mut byte = [0];
            window.read_exact_at(table + 2 * width - 1, &mut byte)?;
            window.write_all_at(table + 2 * width - 1, &[byte[0] | bit])?;
        }
    }
    Ok(())
}

/// Copies exactly `length` bytes. The outer error is the volume's, the inner one the source's.
fn copy(
    source: &mut dyn Read,
    length: u64,
    file: &mut fatfs::File<'_, Cached>,
) -> io::Result<io::Result<()>> {
    let mut buf = vec![0; usize::try_from(length).unwrap_or(CHUNK).clamp(1, CHUNK)];
    let mut left = length;
    loop {
        let count = match source.read(&mut buf) {
            Ok(count) => count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Err(error)),
        };
        if count > left || (count == 0 && left > 0) {
            let text = format!("it isn't the {length} bytes long that it was");
            return Ok(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        if count == 0 {
            return Ok(Ok(()));
        }
        file.write_all(&buf[..usize::try_from(count).unwrap_or(0)])?;
        left -= count;
    }
}

/// What fatfs failed with, told apart from an interruption and a spent budget.
fn failed(path: &str, window: &Window, error: &io::Error) -> FatError {
    if let Err(interrupted) = interrupt::check() {
        return interrupted.into();
    }
    let message = if window.is_spent() { ReadLimitExceeded.to_string() } else { error.to_string() };
    FatError::Library { path: path.to_owned(), message }
}

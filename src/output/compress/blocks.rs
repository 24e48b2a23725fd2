//! The blocks of an image, packed by several threads and handed on in their order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::cache::BlockCache;
use super::{BLOCK, ImageFormat};
use crate::files::positional::read_exact_at;
use crate::interrupt;

/// An image to be packed.
pub(super) struct Blocks<'a> {
    pub(super) file: &'a File,
    /// In bytes.
    pub(super) length: u64,
    pub(super) format: ImageFormat,
    /// What it was cloned from.
    pub(super) base: &'a File,
    pub(super) cache: &'a BlockCache,
}

/// What packing threads and the writing one share.
#[derive(Default)]
struct Desk {
    /// The next block nobody has taken.
    next: usize,
    /// The next block to be handed on.
    wanted: usize,
    packed: BTreeMap<usize, io::Result<Vec<u8>>>,
    closed: bool,
}

struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
    zeros: OnceLock<Vec<u8>>,
    fresh: AtomicUsize,
}

impl Blocks<'_> {
    /// Gives every block, packed, and its raw length to `take`, in order. Returns how many were compressed
    /// now. At most twice `jobs` packed blocks wait at a time.
    pub(super) fn each(
        &self,
        jobs: usize,
        mut take: impl FnMut(&[u8], u64) -> io::Result<()>,
    ) -> io::Result<usize> {
        let jobs = jobs.max(1);
        let count = usize::try_from(self.length.div_ceil(BLOCK as u64)).map_err(io::Error::other)?;
        let shared = Shared {
            desk: Mutex::default(),
            changed: Condvar::new(),
            zeros: OnceLock::new(),
            fresh: AtomicUsize::new(0),
        };
        let outcome = std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.work(&shared, count, 2 * jobs));
            }
            let outcome = (0..count).try_for_each(|index| {
                let packed = shared.wait_for(index)?;
                take(&packed, self.raw_length(index) as u64)
            });
            // After an error the threads must not wait for ever.
            shared.lock().closed = true;
            shared.changed.notify_all();
            outcome
        });
        outcome.map(|()| shared.fresh.into_inner())
    }

    fn work(&self, shared: &Shared, count: usize, ahead: usize) {
        let (mut raw, mut of_base) = (vec![0; BLOCK], vec![0; BLOCK]);
        while let Some(index) = shared.take_next(count, ahead) {
            let packed = self.packed(index, &mut raw, &mut of_base, shared);
            shared.lock().packed.insert(index, packed);
            shared.changed.notify_all();
        }
    }

    fn packed(
        &self,
        index: usize,
        buffer: &mut [u8],
        of_base: &mut [u8],
        shared: &Shared,
    ) -> io::Result<Vec<u8>> {
        interrupt::check_io()?;
        let (length, offset) = (self.raw_length(index), index as u64 * BLOCK as u64);
        let raw = &mut buffer[..length];
        read_exact_at(self.file, raw, offset)?;
        let is_empty = raw.len() == BLOCK && raw.iter().all(|b| *b == 0);
        if is_empty && let Some(known) = shared.zeros.get() {
            return Ok(known.clone());
        }
        // A block that isn't the base's may hold a secret, which has no place in a cache.
        let of_base = &mut of_base[..length];
        let is_bases = read_exact_at(self.base, of_base, offset).is_ok() && of_base == raw;
        if is_bases && let Some(known) = self.cache.get(index) {
            return Ok(known);
        }
        let packed = self.format.pack(raw)?;
        shared.fresh.fetch_add(1, Ordering::Relaxed);
        if is_bases {
            self.cache.keep(index, &packed);
        }
        if is_empty {
            let _ = shared.zeros.set(packed.clone());
        }
        Ok(packed)
    }

    /// All blocks are whole but the last.
    fn raw_length(&self, index: usize) -> usize {
        let rest = self.length.saturating_sub(index as u64 * BLOCK as u64);
        usize::try_from(rest).map_or(BLOCK, |rest| rest.min(BLOCK))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block to pack, not further ahead of the writer than `ahead`; `None` when all are taken.
    fn take_next(&self, count: usize, ahead: usize) -> Option<usize> {
        let mut desk = self.lock();
        loop {
            if desk.closed || desk.next >= count {
                return None;
            }
            if desk.next < desk.wanted + ahead {
                desk.next += 1;
                return Some(desk.next - 1);
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_for(&self, index: usize) -> io::Result<Vec<u8>> {
        let mut desk = self.lock();
        loop {
            if let Some(packed) = desk.packed.remove(&index) {
                desk.wanted = index + 1;
                drop(desk);
                self.changed.notify_all();
                return packed;
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

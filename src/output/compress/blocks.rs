//! The blocks of an image, packed by several threads and written in their order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use super::cache::BlockCache;
use super::{BLOCK, ImageFormat};
use crate::files::positional::read_exact_at;
use crate::interrupt;

/// The blocks of one image.
pub(super) struct ImageBlocks<'a> {
    pub(super) file: &'a File,
    /// In bytes.
    pub(super) length: u64,
    pub(super) format: ImageFormat,
    /// The raw base that the image was cloned from.
    pub(super) base: &'a File,
    pub(super) cache: &'a BlockCache,
}

/// Blocks on their way from the packing threads to the writer.
struct BlockQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// The packed form of a whole block of zeros, once there is one.
    zeros: OnceLock<Vec<u8>>,
    /// How many blocks were compressed.
    fresh: AtomicUsize,
}

#[derive(Default)]
struct QueueState {
    next_to_pack: usize,
    next_to_write: usize,
    packed: BTreeMap<usize, io::Result<Vec<u8>>>,
    /// The writer has ended, maybe with an error.
    closed: bool,
}

impl ImageBlocks<'_> {
    /// Calls `write` with every packed block and its raw length, in order. Returns how many blocks were
    /// compressed; the others came from the cache. At most twice `jobs` packed blocks are in memory.
    pub(super) fn each(
        &self,
        jobs: usize,
        mut write: impl FnMut(&[u8], u64) -> io::Result<()>,
    ) -> io::Result<usize> {
        let jobs = jobs.max(1);
        let count = usize::try_from(self.length.div_ceil(BLOCK as u64)).map_err(io::Error::other)?;
        let queue = BlockQueue {
            state: Mutex::default(),
            changed: Condvar::new(),
            zeros: OnceLock::new(),
            fresh: AtomicUsize::new(0),
        };
        let outcome = std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| self.pack_blocks(&queue, count, 2 * jobs));
            }
            let outcome = (0..count).try_for_each(|index| {
                let packed = queue.wait_for(index)?;
                write(&packed, self.raw_length(index) as u64)
            });
            // After an error the packing threads would wait forever.
            queue.lock().closed = true;
            queue.changed.notify_all();
            outcome
        });
        outcome.map(|()| queue.fresh.into_inner())
    }

    fn pack_blocks(&self, queue: &BlockQueue, count: usize, ahead: usize) {
        let (mut raw, mut base_block) = (vec![0; BLOCK], vec![0; BLOCK]);
        while let Some(index) = queue.take_next(count, ahead) {
            let packed = self.packed(index, &mut raw, &mut base_block, queue);
            queue.lock().packed.insert(index, packed);
            queue.changed.notify_all();
        }
    }

    fn packed(
        &self,
        index: usize,
        buffer: &mut [u8],
        base_block: &mut [u8],
        queue: &BlockQueue,
    ) -> io::Result<Vec<u8>> {
        interrupt::check_io()?;
        let (length, offset) = (self.raw_length(index), index as u64 * BLOCK as u64);
        let raw = &mut buffer[..length];
        read_exact_at(self.file, raw, offset)?;
        let is_empty = raw.len() == BLOCK && raw.iter().all(|b| *b == 0);
        if is_empty && let Some(packed) = queue.zeros.get() {
            return Ok(packed.clone());
        }
        // A block that differs from the base may hold a secret, which must not reach the cache.
        let base_block = &mut base_block[..length];
        let is_unchanged = read_exact_at(self.base, base_block, offset).is_ok() && base_block == raw;
        if is_unchanged && let Some(packed) = self.cache.get(index) {
            return Ok(packed);
        }
        let packed = self.format.pack(raw)?;
        queue.fresh.fetch_add(1, Ordering::Relaxed);
        if is_unchanged {
            self.cache.keep(index, &packed);
        }
        if is_empty {
            let _ = queue.zeros.set(packed.clone());
        }
        Ok(packed)
    }

    /// Only the last block may be shorter than [`BLOCK`].
    fn raw_length(&self, index: usize) -> usize {
        let rest = self.length.saturating_sub(index as u64 * BLOCK as u64);
        usize::try_from(rest).map_or(BLOCK, |rest| rest.min(BLOCK))
    }
}

impl BlockQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next block to pack, at most `ahead` blocks before the writer; `None` when all are taken.
    fn take_next(&self, count: usize, ahead: usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.closed || state.next_to_pack >= count {
                return None;
            }
            if state.next_to_pack < state.next_to_write + ahead {
                state.next_to_pack += 1;
                return Some(state.next_to_pack - 1);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait_for(&self, index: usize) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        loop {
            if let Some(packed) = state.packed.remove(&index) {
                state.next_to_write = index + 1;
                drop(state);
                self.changed.notify_all();
                return packed;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

//! The raw image: written with holes by one thread, hashed by another.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::error::Limit;
use super::{CopyError, read_full};
use crate::digest::{Sha256, Sha256Hasher};

/// Bytes that go from thread to thread at once; a multiple of [`BLOCK`].
const PIECE: usize = 1 << 20;
/// Number of buffers.
const PIECES: usize = 8;
/// Only aligned blocks of zeros become holes: smaller holes make more extents to copy. In bytes.
const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A buffer and the bytes in use.
type RawPiece = (Vec<u8>, usize);

pub(super) struct Sink {
    full: SyncSender<RawPiece>,
    empty: Receiver<Vec<u8>>,
    size: u64,
    limit: u64,
}

/// The threads, with their results.
pub(super) struct Written<'scope> {
    writer: ScopedJoinHandle<'scope, io::Result<u64>>,
    hasher: ScopedJoinHandle<'scope, Sha256>,
}

impl Written<'_> {
    /// Hash and size in bytes of the raw image.
    pub(super) fn join(self) -> io::Result<(Sha256, u64)> {
        let size = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let hash = self.hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((hash, size?))
    }
}

impl Sink {
    /// Starts the threads. `file` must be empty; `limit` is in bytes.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: &'scope File,
        limit: u64,
    ) -> (Self, Written<'scope>) {
        let (full, to_write) = sync_channel::<RawPiece>(PIECES);
        let (written, to_hash) = sync_channel::<RawPiece>(PIECES);
        let (give_back, empty) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // The channel has room for all of them.
            let _ = give_back.try_send(vec![0; PIECE]);
        }
        let writer = scope.spawn(move || write(file, to_write, &written));
        let hasher = scope.spawn(move || {
            let mut hasher = Sha256Hasher::default();
            for (piece, length) in to_hash {
                hasher.update(&piece[..length]);
                let _ = give_back.send(piece);
            }
            hasher.finish()
        });
        (Self { full, empty, size: 0, limit }, Written { writer, hasher })
    }

    /// Writes the whole content of `reader`.
    pub(super) fn copy(&mut self, reader: &mut dyn Read) -> Result<(), CopyError> {
        loop {
            let mut piece = self.empty.recv().map_err(|_| CopyError::SinkEnded)?;
            let length = read_full(reader, &mut piece)?;
            if length == 0 {
                return Ok(());
            }
            self.size += length as u64;
            if self.size > self.limit {
                return Err(CopyError::OverLimit(Limit::RawSize { bytes: self.limit }));
            }
            self.full.send((piece, length)).map_err(|_| CopyError::SinkEnded)?;
        }
    }
}

fn write(mut file: &File, pieces: Receiver<RawPiece>, written: &SyncSender<RawPiece>) -> io::Result<u64> {
    let mut size = 0;
    for (piece, length) in pieces {
        write_with_holes(file, size, &piece[..length])?;
        size += length as u64;
        // The hashing thread lives as long as this one.
        let _ = written.send((piece, length));
    }
    // The size includes a hole at the end.
    file.set_len(size)?;
    file.flush()?;
    Ok(size)
}

/// Writes the blocks that aren't zero.
fn write_with_holes(mut file: &File, at: u64, piece: &[u8]) -> io::Result<()> {
    let is_hole = |block: &[u8]| block == &ZEROS[..block.len()];
    let mut start = 0;
    while start < piece.len() {
        let blocks = piece[start..].chunks(BLOCK);
        let run: usize = blocks.take_while(|block| !is_hole(block)).map(<[u8]>::len).sum();
        if run > 0 {
            file.seek(SeekFrom::Start(at + start as u64))?;
            file.write_all(&piece[start..start + run])?;
        }
        // The block behind a run is a hole, or there is none.
        start += run + BLOCK;
    }
    Ok(())
}

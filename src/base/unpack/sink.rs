//! The raw image: written with holes by one thread, hashed by the next.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::{Problem, read_full};
use crate::digest::{Sha256, Sha256Hasher};

/// What goes from thread to thread at once; a multiple of [`BLOCK`].
const PIECE: usize = 1 << 20;
/// So many pieces are in use.
const PIECES: usize = 8;
/// Zeros become a hole if they fill this, aligned; smaller holes only make more extents to copy.
const BLOCK: usize = 64 << 10;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A full or last piece.
type Piece = (Vec<u8>, usize);

pub(super) struct Sink {
    full: SyncSender<Piece>,
    empty: Receiver<Vec<u8>>,
    size: u64,
    limit: u64,
}

/// What the threads end with.
pub(super) struct Written<'scope> {
    writer: ScopedJoinHandle<'scope, io::Result<u64>>,
    hasher: ScopedJoinHandle<'scope, Sha256>,
}

impl Written<'_> {
    /// Hash and size of what was written.
    pub(super) fn join(self) -> io::Result<(Sha256, u64)> {
        let size = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let hash = self.hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((hash, size?))
    }
}

impl Sink {
    /// Starts the threads; `file` is empty.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: &'scope File,
        limit: u64,
    ) -> (Self, Written<'scope>) {
        let (full, to_write) = sync_channel::<Piece>(PIECES);
        let (written, to_hash) = sync_channel::<Piece>(PIECES);
        let (give_back, empty) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // There is room for all of them.
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

    /// Writes all that `reader` gives.
    pub(super) fn copy(&mut self, reader: &mut dyn Read) -> Result<(), Problem> {
        loop {
            let mut piece = self.empty.recv().map_err(|_| Problem::SinkEnded)?;
            let length = read_full(reader, &mut piece)?;
            if length == 0 {
                return Ok(());
            }
            self.size += length as u64;
            if self.size > self.limit {
                return Err(Problem::TooLarge(self.limit));
            }
            self.full.send((piece, length)).map_err(|_| Problem::SinkEnded)?;
        }
    }
}

fn write(mut file: &File, pieces: Receiver<Piece>, written: &SyncSender<Piece>) -> io::Result<u64> {
    let mut size = 0;
    for (piece, length) in pieces {
        write_with_holes(file, size, &piece[..length])?;
        size += length as u64;
        // Its thread lives as long as we do.
        let _ = written.send((piece, length));
    }
    // What is a hole at the end counts, too.
    file.set_len(size)?;
    file.flush()?;
    Ok(size)
}

/// Writes the runs of blocks that aren't zero.
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

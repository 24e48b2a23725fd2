//! The packed file: read in pieces, hashed by another thread, with a look ahead.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::digest::{Sha256, Sha256Hasher};
use crate::interrupt;
use crate::progress::Task;

const PIECE: usize = 256 << 10;

/// What the caller knows about the reader while a decoder owns it.
#[derive(Debug, Default)]
pub(super) struct ReadState {
    position: AtomicU64,
    failed: AtomicBool,
}

impl ReadState {
    /// Consumed bytes.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Whether an error came from reading the file, not from its content.
    pub(super) fn failed_to_read(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// A piece of the file, and the offset of what isn't hashed yet.
type ReadPiece = (Arc<Vec<u8>>, usize);

pub(super) struct PackedReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    piece: Arc<Vec<u8>>,
    /// Consumed bytes of the piece.
    at: usize,
    hasher: SyncSender<ReadPiece>,
    state: &'a ReadState,
    task: &'a dyn Task,
}

/// The thread that hashes the whole file; returns hash and size.
pub(super) struct SourceHash<'scope>(ScopedJoinHandle<'scope, (Sha256, u64)>);

impl SourceHash<'_> {
    pub(super) fn join(self) -> (Sha256, u64) {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<'a> PackedReader<'a> {
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        input: Box<dyn Read + Send + 'a>,
        state: &'a ReadState,
        task: &'a dyn Task,
    ) -> (Self, SourceHash<'scope>) {
        let (hasher, pieces) = sync_channel::<ReadPiece>(8);
        let hash = scope.spawn(move || {
            let (mut hasher, mut size) = (Sha256Hasher::default(), 0);
            for (piece, from) in pieces {
                hasher.update(&piece[from..]);
                size += (piece.len() - from) as u64;
            }
            (hasher.finish(), size)
        });
        (Self { input, piece: Arc::default(), at: 0, hasher, state, task }, SourceHash(hash))
    }

    /// Consumed bytes.
    pub(super) fn position(&self) -> u64 {
        self.state.position()
    }

    /// Up to `length` of the next bytes without consuming them; fewer only at the end.
    pub(super) fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        while self.piece.len() - self.at < length {
            if !self.read_more()? {
                break;
            }
        }
        let end = self.piece.len().min(self.at + length);
        Ok(&self.piece[self.at..end])
    }

    /// Appends the file's next bytes to the unconsumed ones; false at the end.
    fn read_more(&mut self) -> io::Result<bool> {
        interrupt::check_io()?;
        let mut piece = self.piece[self.at..].to_vec();
        let old = piece.len();
        piece.resize(old + PIECE, 0);
        let read = loop {
            match self.input.read(&mut piece[old..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let read = read.inspect_err(|_| self.state.failed.store(true, Ordering::Relaxed))?;
        if read == 0 {
            return Ok(false);
        }
        piece.truncate(old + read);
        self.piece = Arc::new(piece);
        self.at = 0;
        // The hashing thread lives as long as this reader.
        let _ = self.hasher.send((Arc::clone(&self.piece), old));
        self.task.advance(read as u64);
        Ok(true)
    }
}

impl Read for PackedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for PackedReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            self.read_more()?;
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at = self.piece.len().min(self.at + length);
        self.state.position.fetch_add(length as u64, Ordering::Relaxed);
    }
}

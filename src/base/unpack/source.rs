//! The packed file: read in pieces, hashed by another thread on the way, with a look ahead.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use crate::digest::{Sha256, Sha256Hasher};
use crate::interrupt;
use crate::progress::Task;

const PIECE: usize = 256 << 10;

/// What is known of the source while a decoder owns it.
#[derive(Debug, Default)]
pub(super) struct ReadState {
    position: AtomicU64,
    failed: AtomicBool,
}

impl ReadState {
    /// Bytes that were consumed.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Whether an error came from reading, not from what was read.
    pub(super) fn failed_to_read(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// A piece of the file, and from where on it's new to the hash.
type Piece = (Arc<Vec<u8>>, usize);

pub(super) struct PackedReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    piece: Arc<Vec<u8>>,
    /// What of the piece is consumed.
    at: usize,
    hasher: SyncSender<Piece>,
    state: &'a ReadState,
    task: &'a dyn Task,
}

/// The hash and size of the whole file, once all of it was read.
pub(super) struct Hash<'scope>(ScopedJoinHandle<'scope, (Sha256, u64)>);

impl Hash<'_> {
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
    ) -> (Self, Hash<'scope>) {
        let (hasher, pieces) = sync_channel::<Piece>(8);
        let hash = scope.spawn(move || {
            let (mut hasher, mut size) = (Sha256Hasher::default(), 0);
            for (piece, from) in pieces {
                hasher.update(&piece[from..]);
                size += (piece.len() - from) as u64;
            }
            (hasher.finish(), size)
        });
        (Self { input, piece: Arc::default(), at: 0, hasher, state, task }, Hash(hash))
    }

    /// Bytes that were consumed.
    pub(super) fn position(&self) -> u64 {
        self.state.position()
    }

    /// The next bytes without consuming them: `length` of them, or as many as there are.
    pub(super) fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        while self.piece.len() - self.at < length {
            if !self.read_more()? {
                break;
            }
        }
        let end = self.piece.len().min(self.at + length);
        Ok(&self.piece[self.at..end])
    }

    /// Adds the file's next bytes to what isn't consumed; false at the end.
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
        // Its thread lives as long as we do.
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

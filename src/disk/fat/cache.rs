//! A small cache in front of a window: fatfs reads directories and tables two or four bytes at a time.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::disk::window::Window;

/// Bytes in a block.
const BLOCK: u64 = 4096;
/// Number of places; a block's number modulo this is its place.
const PLACES: usize = 16;

/// Reads whole blocks; writes pass through.
pub(super) struct CachedWindow {
    window: Window,
    position: u64,
    /// In each place a block's number and bytes.
    blocks: Vec<Option<(u64, Vec<u8>)>>,
    invalidation: Invalidation,
}

/// Empties the cache before its next read, for writes that bypass it.
#[derive(Clone, Default)]
pub(super) struct Invalidation(Rc<Cell<bool>>);

impl Invalidation {
    pub(super) fn request(&self) {
        self.0.set(true);
    }
}

impl CachedWindow {
    pub(super) fn new(window: Window) -> (Self, Invalidation) {
        let invalidation = Invalidation::default();
        let blocks = vec![None; PLACES];
        (Self { window, position: 0, blocks, invalidation: invalidation.clone() }, invalidation)
    }

    /// The bytes from the position to the end of its block; none at the end of the window.
    fn rest_of_block(&mut self) -> io::Result<&[u8]> {
        if self.invalidation.0.take() {
            self.blocks.fill(None);
        }
        let number = self.position / BLOCK;
        let place = &mut self.blocks[(number % PLACES as u64) as usize];
        let bytes = match place.take() {
            Some((cached, bytes)) if cached == number => bytes,
            _ => {
                let start = number * BLOCK;
                let mut bytes = vec![0; self.window.len().saturating_sub(start).min(BLOCK) as usize];
                self.window.read_exact_at(start, &mut bytes)?;
                bytes
            }
        };
        let (_, bytes) = place.insert((number, bytes));
        Ok(bytes.get((self.position % BLOCK) as usize..).unwrap_or_default())
    }
}

impl Read for CachedWindow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest_of_block()?;
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for CachedWindow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.window.write_all_at(self.position, buf)?;
        let end = self.position + buf.len() as u64;
        let touched = self.position / BLOCK..end.div_ceil(BLOCK);
        for place in &mut self.blocks {
            place.take_if(|(number, _)| touched.contains(number));
        }
        self.position = end;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for CachedWindow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.window.offset(to, self.position)?;
        Ok(self.position)
    }
}

//! A small cache in front of a window: fatfs reads directories and tables two or four bytes at a time.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use crate::disk::window::Window;

/// Bytes in a block, and how many blocks are kept; a block's number decides on its place.
const BLOCK: u64 = 4096;
const BLOCKS: usize = 16;

/// Reads by blocks; writes go through at once.
pub(super) struct Cached {
    window: Window,
    position: u64,
    /// A block's number and bytes.
    blocks: Vec<Option<(u64, Vec<u8>)>>,
    stale: Written,
}

/// Says that something was written around the cache.
#[derive(Clone, Default)]
pub(super) struct Written(Rc<Cell<bool>>);

impl Written {
    pub(super) fn tell(&self) {
        self.0.set(true);
    }
}

impl Cached {
    pub(super) fn new(window: Window) -> (Self, Written) {
        let stale = Written::default();
        (Self { window, position: 0, blocks: vec![None; BLOCKS], stale: stale.clone() }, stale)
    }

    /// The bytes from the position to the end of its block.
    fn rest_of_block(&mut self) -> io::Result<&[u8]> {
        if self.stale.0.take() {
            self.blocks.fill(None);
        }
        let number = self.position / BLOCK;
        let place = &mut self.blocks[(number % BLOCKS as u64) as usize];
        let bytes = match place.take() {
            Some((kept, bytes)) if kept == number => bytes,
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

impl Read for Cached {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest_of_block()?;
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Cached {
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

impl Seek for Cached {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.window.len().checked_add_signed(by),
        };
        let target = target.filter(|&offset| offset <= self.window.len());
        self.position = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

//! FAT16 and FAT32: a bounded reader, and a writer on top of fatfs.
//!
//! The reader shares no code with fatfs: it checks a volume before fatfs may write to it, and again afterwards.
//! The layout is that of Microsoft's "FAT: General Overview of On-Disk Format" 1.03; where Linux is stricter or
//! more lenient, Linux decides.

mod boot;
mod cache;
mod check;
mod clock;
mod damage;
mod directory;
mod error;
mod name;
mod reader;
mod writer;

pub(crate) use error::FatError;
pub(crate) use reader::{FatInfo, Reader};
pub(crate) use writer::Writer;

/// Bytes in a directory slot: an entry takes one slot, and one more for every 13 UTF-16 units of its long name.
const SLOT: usize = 32;

#[cfg(test)]
mod tests;

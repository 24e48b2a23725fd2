//! FAT16 and FAT32: our own bounded reader, and a writer on top of fatfs.
//!
//! The reader shares no code with fatfs: it looks over a volume before fatfs may touch it, and judges
//! afterwards what fatfs wrote. The layout is that of Microsoft's "FAT: General Overview of On-Disk
//! Format" 1.03; where Linux is stricter or laxer, Linux counts.

mod boot;
mod cache;
mod check;
mod clock;
mod directory;
mod error;
mod name;
mod reader;
mod writer;

pub(crate) use error::FatError;
pub(crate) use reader::{FatInfo, Reader};
pub(crate) use writer::Writer;

/// Bytes in a slot of a directory: an entry takes one, and one more for every 13 units of its long name.
const SLOT: usize = 32;

#[cfg(test)]
mod tests;

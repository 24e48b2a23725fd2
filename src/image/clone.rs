//! A copy of the base as the start of a node's image, as cheap as the file system allows.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;

use crate::error::{Exit, Explain};
use crate::files::positional::{read_exact_at, write_all_at};
use crate::files::sparse::{data_ranges, is_zero};
use crate::interrupt::{self, Interrupted};
use crate::progress::Task;
use crate::text;

/// What is read and written at once. Measured: twice as quick as 4 MiB, which leaves the processor's cache,
/// and quicker than `copy_file_range`, which moves 64 KiB at a time inside Linux.
const PIECE: usize = 512 * 1024;
/// Zeros are looked for in units of the usual file system block.
const BLOCK: usize = 4096;

/// How a clone came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Both files share their blocks until one is changed (btrfs, XFS): next to nothing was copied.
    Reflink,
    /// What was neither a hole nor zero was read and written.
    Copied,
}

/// Why a clone failed; the destination is then worth nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloneError {
    /// The source couldn't be read, or became shorter.
    #[error("cannot read the base image")]
    Read(#[source] io::Error),
    /// The destination couldn't be written.
    #[error("cannot write the image")]
    Write(#[source] io::Error),
    /// The destination's file system, or the user's share of it, is full.
    #[error("no space left for the image: it needs {}, and {} could be written", text::size(*.needed), text::size(*.written))]
    Full {
        /// Bytes of data in the base.
        needed: u64,
        /// Bytes that found room.
        written: u64,
    },
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for CloneError {
    fn exit(&self) -> Exit {
        match self {
            Self::Interrupted(e) => e.exit(),
            _ => Exit::Failed,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("free some space, or choose another folder with `--out-dir`".into()),
            Self::Write(e) if e.kind() == ErrorKind::FileTooLarge => Some(
                "the file system can't hold so large a file; choose another folder with `--out-dir`".into(),
            ),
            _ => None,
        }
    }
}

/// Makes `destination`, whatever it held, equal to `source` in content and length. Holes stay holes.
/// `task` advances by the source's length, holes included. Neither file's position means anything
/// afterwards.
pub(crate) fn clone_into(source: &File, destination: &File, task: &dyn Task) -> Result<How, CloneError> {
    let len = source.metadata().map_err(CloneError::Read)?.len();
    destination.set_len(0).map_err(CloneError::Write)?;
    let reflinked = reflink(source, destination);
    destination.set_len(len).map_err(CloneError::Write)?;
    if reflinked {
        task.advance(len);
        return Ok(How::Reflink);
    }
    let mut copy = Copy { source, destination, task, len, at: 0, written: 0, can_reserve: true };
    let mut buffer = vec![0; PIECE];
    for range in data_ranges(source, 0, len) {
        copy.range(range.map_err(CloneError::Read)?, &mut buffer)?;
    }
    copy.skip_to(len);
    Ok(How::Copied)
}

#[cfg(target_os = "linux")]
fn reflink(source: &File, destination: &File) -> bool {
    rustix::fs::ioctl_ficlone(destination, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_: &File, _: &File) -> bool {
    false
}

struct Copy<'a> {
    source: &'a File,
    destination: &'a File,
    task: &'a dyn Task,
    len: u64,
    /// Everything before is done.
    at: u64,
    written: u64,
    can_reserve: bool,
}

impl Copy<'_> {
    fn skip_to(&mut self, offset: u64) {
        self.task.advance(offset - self.at);
        self.at = offset;
    }

    fn range(&mut self, range: Range<u64>, buffer: &mut [u8]) -> Result<(), CloneError> {
        self.skip_to(range.start);
        while self.at < range.end {
            interrupt::check()?;
            let count = usize::try_from(range.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = &mut buffer[..count];
            read_exact_at(self.source, piece, self.at).map_err(CloneError::Read)?;
            for run in nonzero_runs(piece) {
                self.write(&piece[run.clone()], self.at + run.start as u64)
                    .map_err(|e| self.write_error(e))?;
            }
            self.skip_to(self.at + count as u64);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.can_reserve {
            self.can_reserve = reserve(self.destination, offset, bytes.len() as u64)?;
        }
        write_all_at(self.destination, bytes, offset)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn write_error(&self, error: io::Error) -> CloneError {
        if !matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            return CloneError::Write(error);
        }
        let needed = data_ranges(self.source, 0, self.len).flatten().map(|r| r.end - r.start).sum();
        CloneError::Full { needed, written: self.written }
    }
}

/// Allocates before writing, which saves Linux a third of the time (ext4's delayed allocation reserves
/// block by block). False if the file system doesn't know how.
#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, len: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), offset, len).map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Err(e),
        Err(_) => Ok(false),
    }
}

#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps)] // as its sibling above
fn reserve(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// The runs of blocks in `piece` that are not zero, each as long as can be: one write for each.
fn nonzero_runs(piece: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, block) in piece.chunks(BLOCK).enumerate() {
        if is_zero(block) {
            continue;
        }
        let start = index * BLOCK;
        let end = start + block.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Task for Count {
        fn advance(&self, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        fn finish(&self) {}
    }

    /// Data at both edges of blocks and pieces, explicit zeros, and a length that is no multiple of a block.
    fn sample() -> (File, Vec<u8>) {
        let mut bytes = vec![0; (6 << 20) + 777];
        for at in [0, 4095, PIECE - 1, PIECE + 5 * BLOCK, (5 << 20) + 1] {
            bytes[at] = 7;
        }
        bytes[3 << 20..][..100_000].fill(9);
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for run in nonzero_runs(&bytes) {
            write_all_at(&file, &bytes[run.clone()], run.start as u64).unwrap();
        }
        write_all_at(&file, &[0; 3 * BLOCK], 2 << 20).unwrap();
        (file, bytes)
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        read_exact_at(file, &mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_clone_is_equal_and_as_sparse() {
        let (source, bytes) = sample();
        let destination = tempfile::tempfile().unwrap();
        write_all_at(&destination, &vec![1; 70_000], (6 << 20) + 300).unwrap();
        let count = Count::default();
        clone_into(&source, &destination, &count).unwrap();
        assert!(content(&destination) == bytes);
        assert_eq!(count.0.into_inner(), bytes.len() as u64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let blocks = |file: &File| file.metadata().unwrap().blocks();
            assert!(blocks(&destination) <= blocks(&source));
        }
    }

    #[test]
    fn zeros_become_holes_where_the_source_has_none() {
        let (source, bytes) = sample();
        let destination = tempfile::tempfile().unwrap();
        let len = bytes.len() as u64;
        destination.set_len(len).unwrap();
        let count = Count::default();
        let (source, destination) = (&source, &destination);
        let mut copy = Copy { source, destination, task: &count, len, at: 0, written: 0, can_reserve: false };
        copy.range(0..len, &mut vec![0; PIECE]).unwrap();
        assert!(content(destination) == bytes);
        assert!(copy.written < 200_000, "{} bytes written: zeros were not skipped", copy.written);
        assert_eq!(count.0.into_inner(), len);
    }

    #[test]
    fn an_empty_source_makes_an_empty_clone() {
        let (source, destination) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        write_all_at(&destination, b"old", 0).unwrap();
        clone_into(&source, &destination, &crate::progress::Silent).unwrap();
        assert_eq!(destination.metadata().unwrap().len(), 0);
    }

    #[test]
    fn a_full_disk_is_said_with_numbers() {
        let (source, bytes) = sample();
        let destination = tempfile::tempfile().unwrap();
        let task = &crate::progress::Silent;
        let len = bytes.len() as u64;
        let copy = Copy {
            source: &source,
            destination: &destination,
            task,
            len,
            at: 0,
            written: 4096,
            can_reserve: true,
        };
        let error = copy.write_error(ErrorKind::StorageFull.into());
        assert!(error.to_string().starts_with("no space left for the image: it needs "), "{error}");
        assert!(error.to_string().ends_with("4.0 KiB could be written"), "{error}");
        assert!(error.hint().is_some());
    }
}

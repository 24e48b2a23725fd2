//! A byte range of a file, with a position, bounds and a read limit of its own.
//!
//! Everything that reads or writes a partition goes through a [`Window`]: it can't leave its range, it stops when
//! the user interrupts, and a reader that loops in a corrupt file system exceeds the limit and fails.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::files::positional::{read_exact_at, write_all_at};
use crate::interrupt;

/// A file system asked for far more input and output than an intact one of its size can need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read limit exceeded: the file system is probably corrupt")]
pub(crate) struct ReadLimitExceeded;

/// What may still be read and written through all windows that share it.
#[derive(Debug)]
struct Limit {
    bytes: AtomicU64,
    operations: AtomicU64,
    /// The values of both before the first read.
    initial: (u64, u64),
}

impl Limit {
    fn new(bytes: u64, operations: u64) -> Arc<Self> {
        let initial = (bytes, operations);
        Arc::new(Self { bytes: bytes.into(), operations: operations.into(), initial })
    }

    /// Counts one operation of `bytes`. Once the limit is exceeded, every further operation fails too.
    fn count(&self, bytes: u64) -> io::Result<()> {
        let take = |left: &AtomicU64, amount: u64| {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(amount));
            if taken.is_err() {
                left.store(0, Ordering::Relaxed);
            }
            taken.is_ok()
        };
        if take(&self.operations, 1) && take(&self.bytes, bytes) {
            Ok(())
        } else {
            Err(io::Error::other(ReadLimitExceeded))
        }
    }
}

/// Bytes `start..start + len` of a file. Methods with an offset count from `start` and don't move the position
/// of [`Read`], [`Write`] and [`Seek`].
#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<File>,
    start: u64,
    len: u64,
    position: u64,
    writable: bool,
    limit: Arc<Limit>,
}

impl Window {
    /// A read-only window of `len` bytes from byte `start` of the file. A range that no file can have is
    /// [`io::ErrorKind::InvalidInput`]; a range past the end of this file fails when it is read.
    pub(crate) fn read_only(file: Arc<File>, start: u64, len: u64) -> io::Result<Self> {
        Self::open(file, start, len, false)
    }

    /// A writable window; the file must have been opened for writing.
    pub(crate) fn writable(file: Arc<File>, start: u64, len: u64) -> io::Result<Self> {
        Self::open(file, start, len, true)
    }

    fn open(file: Arc<File>, start: u64, len: u64, writable: bool) -> io::Result<Self> {
        let end = start.checked_add(len).filter(|&end| i64::try_from(end).is_ok());
        end.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the range is too large for a file"))?;
        // Readers pass over an intact file system a few times at most, mostly in blocks of 512 bytes or more.
        let bytes = len.saturating_mul(64).saturating_add(64 << 20);
        let operations = (len / 256).saturating_add(1 << 22);
        Ok(Self { file, start, len, position: 0, writable, limit: Limit::new(bytes, operations) })
    }

    /// Replaces the default limit (64 times the length plus 64 MiB; 4 million operations plus one for every 256
    /// bytes).
    #[must_use]
    pub(super) fn with_limit(mut self, bytes: u64, operations: u64) -> Self {
        self.limit = Limit::new(bytes, operations);
        self
    }

    /// Resets the limit for all windows that share it, so that each of several tasks in a row has the whole
    /// limit.
    pub(super) fn reset_limit(&self) {
        let (bytes, operations) = self.limit.initial;
        self.limit.bytes.store(bytes, Ordering::Relaxed);
        self.limit.operations.store(operations, Ordering::Relaxed);
    }

    /// The same range with a position of its own, at 0; the limit is shared.
    #[must_use]
    pub(crate) fn reopen(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            start: self.start,
            len: self.len,
            position: 0,
            writable: self.writable,
            limit: Arc::clone(&self.limit),
        }
    }

    /// In bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the limit was exceeded: third-party crates often lose the [`ReadLimitExceeded`] error.
    pub(super) fn limit_exceeded(&self) -> bool {
        let empty = |left: &AtomicU64| left.load(Ordering::Relaxed) == 0;
        empty(&self.limit.bytes) || empty(&self.limit.operations)
    }

    /// Fills `buf` from byte `offset`; a range outside the window is an error before anything is read.
    pub(crate) fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let at = self.admit(offset, buf.len(), io::ErrorKind::UnexpectedEof)?;
        read_exact_at(&self.file, buf, at)
    }

    /// Writes all of `buf` at byte `offset`; a range outside the window is an error before anything is written.
    pub(crate) fn write_all_at(&self, offset: u64, buf: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the image is open for reading only",
            ));
        }
        let at = self.admit(offset, buf.len(), io::ErrorKind::WriteZero)?;
        write_all_at(&self.file, buf, at)
    }

    /// Checks range, limit and interruption; returns the offset in the file.
    fn admit(&self, offset: u64, len: usize, outside: io::ErrorKind) -> io::Result<u64> {
        interrupt::check_io()?;
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            let text = format!("{len} bytes at {offset} are outside the window of {} bytes", self.len);
            return Err(io::Error::new(outside, text));
        }
        self.limit.count(len)?;
        Ok(self.start + offset)
    }

    /// The offset that a seek from `position` leads to; outside the window is an error.
    pub(super) fn offset(&self, to: SeekFrom, position: u64) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        target.filter(|&offset| offset <= self.len).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("seek outside the window of {} bytes", self.len),
            )
        })
    }

    /// The part of `len` bytes that lies between the position and the end.
    fn clamp(&self, len: usize) -> usize {
        usize::try_from(self.len - self.position).map_or(len, |left| left.min(len))
    }
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.clamp(buf.len());
        if count > 0 {
            self.read_exact_at(self.position, &mut buf[..count])?;
            self.position += count as u64;
        }
        Ok(count)
    }
}

impl Write for Window {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.clamp(buf.len());
        // At the end, the whole buffer is asked for, so that the error names the window's end.
        let count = if count == 0 { buf.len() } else { count };
        self.write_all_at(self.position, &buf[..count])?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.offset(to, self.position)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        Arc::new(file)
    }

    #[test]
    fn reads_and_writes_outside_the_window_fail() {
        let file = file_of(b"--inside--");
        let mut window = Window::writable(Arc::clone(&file), 2, 6).expect("a window");
        let mut text = String::new();
        window.read_to_string(&mut text).expect("read");
        assert_eq!(text, "inside");
        assert_eq!(window.read(&mut [0; 4]).expect("the end"), 0);

        let mut buf = [0; 2];
        assert_eq!(
            window.read_exact_at(5, &mut buf).expect_err("outside").kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert!(window.read_exact_at(u64::MAX, &mut buf).is_err());
        assert!(window.write_all_at(5, b"xy").is_err());
        assert!(window.write(b"x").is_err(), "at the end");
        assert!(window.seek(SeekFrom::End(1)).is_err());
        assert!(window.seek(SeekFrom::Current(-7)).is_err());

        window.seek(SeekFrom::Start(4)).expect("inside");
        assert_eq!(window.write(b"DEfg").expect("as much as fits"), 2);
        let mut whole = Window::read_only(file, 0, 10).expect("a window");
        text.clear();
        whole.read_to_string(&mut text).expect("read");
        assert_eq!(text, "--insiDE--");
        assert!(whole.write(b"x").is_err(), "read-only");
    }

    #[test]
    fn range_larger_than_a_file_is_refused() {
        let file = file_of(b"");
        assert!(Window::read_only(Arc::clone(&file), u64::MAX, 1).is_err());
        assert!(Window::read_only(Arc::clone(&file), 1, u64::MAX / 2).is_err());
        let beyond = Window::read_only(file, 100, 10).expect("a window");
        assert!(beyond.read_exact_at(0, &mut [0; 1]).is_err());
    }

    #[test]
    fn read_limit_is_shared_by_reopened_windows_until_reset() {
        let window = Window::read_only(file_of(b"12345678"), 0, 8).expect("a window").with_limit(20, 1000);
        let again = window.reopen();
        let mut buf = [0; 8];
        window.read_exact_at(0, &mut buf).expect("8 of 20");
        again.read_exact_at(0, &mut buf).expect("16 of 20");
        assert!(!window.limit_exceeded());
        let error = again.read_exact_at(0, &mut buf).expect_err("24 of 20");
        assert!(error.get_ref().expect("an inner error").is::<ReadLimitExceeded>());
        assert!(window.limit_exceeded());
        assert!(window.read_exact_at(0, &mut buf[..1]).is_err(), "every further read fails");
        window.reset_limit();
        again.read_exact_at(0, &mut buf).expect("8 of 20 again");
    }

    #[test]
    fn window_is_send_and_sync() {
        fn assert_send_and_sync<T: Send + Sync>() {}
        assert_send_and_sync::<Window>();
    }
}

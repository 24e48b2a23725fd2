//! Sparse files: finds their data ranges, and reads them without reading their holes.

use std::fs::File;
use std::io;
use std::ops::Range;

use super::positional::read_exact_at;

/// Bytes that readers take at once; fits the processor's L2 cache.
pub(crate) const PIECE: usize = 256 * 1024;

static ZEROS: [u8; PIECE] = [0; PIECE];

/// Whether all of `bytes` are zero. Compares slices, which is fast in unoptimised builds too.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

/// The ranges of `file` between the offsets `start` and `end` that are not holes: in order, not empty, not
/// adjacent. One range covers everything where the file system can't report holes. The ranges depend on the file
/// system, so they must not influence an output.
pub(crate) fn data_ranges(file: &File, start: u64, end: u64) -> DataRanges<'_> {
    DataRanges { file, at: start, end }
}

pub(crate) struct DataRanges<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Iterator for DataRanges<'_> {
    type Item = io::Result<Range<u64>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let found = next_data(self.file, self.at, self.end);
        self.at = found.as_ref().map_or(self.end, |range| range.end);
        found.map(|range| (!range.is_empty()).then_some(range)).transpose()
    }
}

/// Passes the bytes of `range` to `take` in order, in pieces of [`PIECE`] bytes and a shorter last piece. Stops
/// when `take` fails. Pieces in holes are not read.
pub(crate) fn pieces<E: From<io::Error>>(
    file: &File,
    range: Range<u64>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; PIECE];
    let mut data = 0..0;
    let mut offset = range.start;
    while offset < range.end {
        let len = usize::try_from(range.end - offset).unwrap_or(usize::MAX).min(PIECE);
        if data.end <= offset {
            data = next_data(file, offset, range.end)?;
        }
        let is_hole = data.start >= offset + len as u64;
        let bytes = if is_hole {
            &ZEROS[..len]
        } else {
            read_exact_at(file, &mut buffer[..len], offset)?;
            &buffer[..len]
        };
        take(bytes)?;
        offset += len as u64;
    }
    Ok(())
}

/// The first data range at or after `from`; an empty range at `len` if there is none.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd"))]
fn next_data(file: &File, from: u64, len: u64) -> io::Result<Range<u64>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start.min(len),
        Err(Errno::NXIO) => return Ok(len..len),
        // The file system or the kind of file can't report holes: everything counts as data.
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY) => return Ok(from..len),
        Err(e) => return Err(e.into()),
    };
    if start == len {
        return Ok(len..len);
    }
    match seek(file, SeekFrom::Hole(start)) {
        Ok(end) => Ok(start..end.min(len)),
        Err(Errno::NXIO) => Ok(start..len),
        Err(e) => Err(e.into()),
    }
}

/// Without holes: this system isn't asked for them.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "freebsd")))]
#[allow(clippy::unnecessary_wraps)] // same signature as above
fn next_data(_: &File, from: u64, len: u64) -> io::Result<Range<u64>> {
    Ok(from..len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::positional::write_all_at;

    #[test]
    fn data_ranges_cover_all_data_in_order() {
        let file = tempfile::tempfile().unwrap();
        let len = (8 << 20) + 5;
        file.set_len(len).unwrap();
        assert!(data_ranges(&file, 0, 0).next().is_none());
        for at in [1 << 20, 5 << 20, len - 3] {
            write_all_at(&file, b"abc", at).unwrap();
        }
        let ranges: Vec<_> = data_ranges(&file, 0, len).collect::<io::Result<_>>().unwrap();
        for at in [1 << 20, 5 << 20, len - 3] {
            assert!(ranges.iter().any(|r| r.start <= at && at + 3 <= r.end), "{at} not in {ranges:?}");
        }
        assert!(ranges.windows(2).all(|w| w[0].end < w[1].start), "{ranges:?}");
        assert!(ranges.iter().all(|r| !r.is_empty() && r.end <= len), "{ranges:?}");
    }

    #[test]
    fn is_zero_checks_every_byte() {
        let mut bytes = vec![0; 200_001];
        assert!(is_zero(&bytes) && is_zero(&[]));
        bytes[200_000] = 1;
        assert!(!is_zero(&bytes));
    }
}

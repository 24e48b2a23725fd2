//! Unpacks a base image: raw, xz, gzip, zstd, or the one image in a tar of these, recognised by content, not
//! by name. Decompressing, writing and hashing run in parallel.

mod archive;
mod decode;
mod detect;
mod error;
mod sink;
mod source;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use decode::{DecodeError, Decoder};
use detect::Compression;
use error::{Damage, Limit, NotAnImage, UnpackError};
use sink::Sink;
use source::{PackedReader, ReadState};

use crate::digest::Sha256;
use crate::error::{FileError, Result, find_source};
use crate::interrupt;
use crate::plan::SECTOR;
use crate::progress::Progress;

/// Limit against decompression bombs, larger than any card that is used. In bytes.
const MAX_RAW_SIZE: u64 = 64 << 30;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Of the raw content.
    pub(crate) sha256: Sha256,
    /// Of the raw content, in bytes.
    pub(crate) size: u64,
    /// Of the packed file, as it was read.
    pub(crate) source_sha256: Sha256,
    /// Of the packed file, in bytes.
    pub(crate) source_size: u64,
    pub(crate) container: Container,
}

/// How an image is packed: `raw`, `xz`, `tar`, `tar.xz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Container {
    compression: Compression,
    is_tar: bool,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_tar, self.compression) {
            (false, compression) => write!(f, "{compression}"),
            (true, Compression::None) => f.write_str("tar"),
            (true, compression) => write!(f, "tar.{compression}"),
        }
    }
}

/// Whether the file's first bytes are those of a raw disk. An error names what isn't supported.
pub(crate) fn is_raw(path: &Path) -> Result<bool> {
    let file = File::open(path).map_err(FileError::new("read", path))?;
    let head = head_of(&file).map_err(FileError::new("read", path))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let refused = |reason| UnpackError::NotAnImage { file: name.clone().into_owned(), reason };
    let is_compressed = detect::compression(&head).map_err(refused)? != Compression::None;
    Ok(!is_compressed && !detect::is_tar(&head).map_err(refused)?)
}

fn head_of(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(detect::HEAD as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// Unpacks the file at `path`, called `name` in messages, to `dest`, with holes for zeros.
pub(crate) fn unpack_file(path: &Path, name: &str, dest: &Path, progress: &dyn Progress) -> Result<Unpacked> {
    let source = File::open(path).map_err(FileError::new("read", path))?;
    let size = source.metadata().map_err(FileError::new("read", path))?.len();
    let file = File::create(dest).map_err(FileError::new("create", dest))?;
    Unpacking { name, path, size, dest: &file, dest_path: dest }.run(source, progress)
}

/// Unpacks `bytes`, called `name` in messages, to `dest`, with holes for zeros.
pub(crate) fn unpack_bytes(
    bytes: &[u8],
    name: &str,
    dest: &Path,
    progress: &dyn Progress,
) -> Result<Unpacked> {
    let file = File::create(dest).map_err(FileError::new("create", dest))?;
    let (path, size) = (Path::new(name), bytes.len() as u64);
    Unpacking { name, path, size, dest: &file, dest_path: dest }.run(bytes, progress)
}

struct Unpacking<'a> {
    name: &'a str,
    path: &'a Path,
    size: u64,
    dest: &'a File,
    dest_path: &'a Path,
}

impl Unpacking<'_> {
    fn run(&self, input: impl Read + Send, progress: &dyn Progress) -> Result<Unpacked> {
        let task = progress.start(&format!("unpacking {}", self.name), Some(self.size));
        let state = ReadState::default();
        let unpacked = std::thread::scope(|scope| {
            let (source, source_hash) = PackedReader::start(scope, Box::new(input), &state, &*task);
            let (mut sink, written) = Sink::start(scope, self.dest, MAX_RAW_SIZE);
            let copied = copy(source, &mut sink);
            drop(sink);
            // A failed write ends the copy as well: its error is the cause.
            let (sha256, size) = written.join().map_err(FileError::new("write", self.dest_path))?;
            let container = copied.map_err(|error| self.explain(error, &state))?;
            let (source_sha256, source_size) = source_hash.join();
            Ok::<_, crate::Error>(Unpacked { sha256, size, source_sha256, source_size, container })
        })?;
        if unpacked.size % SECTOR != 0 {
            let reason = NotAnImage::PartialSector(unpacked.size);
            return Err(UnpackError::NotAnImage { file: self.name.into(), reason }.into());
        }
        task.finish();
        Ok(unpacked)
    }

    fn explain(&self, error: CopyError, state: &ReadState) -> crate::Error {
        // An interruption must not look like damage, for which the cached download is discarded.
        if let Err(interrupted) = interrupt::check() {
            return interrupted.into();
        }
        let file = self.name.to_owned();
        let unreadable = |error| FileError::new("read", self.path)(error).into();
        match error {
            CopyError::NotAnImage(reason) => UnpackError::NotAnImage { file, reason }.into(),
            CopyError::OverLimit(limit) => UnpackError::OverLimit { file, limit }.into(),
            CopyError::SinkEnded => unreadable(io::Error::other("the writing thread has ended")),
            CopyError::Io(error) if state.failed_to_read() => unreadable(error),
            CopyError::Io(error) => {
                let (damage, at) = match find_source::<DecodeError>(&error).cloned() {
                    Some(DecodeError::OverLimit(limit)) => {
                        return UnpackError::OverLimit { file, limit }.into();
                    }
                    Some(DecodeError::Damaged { damage, at }) => (damage, at),
                    None => (Damage::Tar(error.to_string()), None),
                };
                UnpackError::Damaged { file, damage, at: at.unwrap_or(state.position()) }.into()
            }
        }
    }
}

/// Moves the image from its container into `sink`.
fn copy(mut source: PackedReader<'_>, sink: &mut Sink) -> Result<Container, CopyError> {
    let compression = detect::compression(source.peek(detect::HEAD)?)?;
    let mut decoder = Decoder::new(compression, source);
    let mut head = vec![0; detect::HEAD];
    let length = read_full(&mut decoder, &mut head)?;
    head.truncate(length);
    let is_tar = detect::is_tar(&head)?;
    if is_tar {
        archive::copy(&head, &mut decoder, sink)?;
    } else {
        sink.copy(&mut head.as_slice().chain(&mut decoder))?;
    }
    Ok(Container { compression, is_tar })
}

/// Why [`copy`] stopped.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    /// Reading or decoding failed; [`ReadState`] and [`DecodeError`] tell which.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    NotAnImage(#[from] NotAnImage),
    #[error(transparent)]
    OverLimit(Limit),
    /// The writing thread has ended with an error of its own.
    #[error("the writing thread has ended")]
    SinkEnded,
}

/// Fills `buffer`; less than its length is read only at the end.
fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;

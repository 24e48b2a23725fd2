//! Unpacks a base image: raw, xz, gzip, zstd, or the one image in a tar of these. What it is, its content
//! says; names don't count. Decompressing, writing and hashing run side by side.

mod archive;
mod decode;
mod detect;
mod sink;
mod source;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use decode::{Broken, Decoder};
use detect::Outer;
use sink::Sink;
use source::PackedReader;

use crate::digest::Sha256;
use crate::error::{Exit, Explain, FileError, Result};
use crate::interrupt;
use crate::progress::Progress;

/// More than any card this is for, and little enough that a bomb ends before the night. In bytes.
const LARGEST_RAW: u64 = 64 << 30;

/// Why a base can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The compressed data ends too early or makes no sense.
    #[error("`{file}` is damaged: {what} at byte {at}")]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong, by which format.
        what: String,
        /// How many bytes were read until then.
        at: u64,
    },
    /// Something follows behind the end.
    #[error("`{file}` is damaged: its {container} data ends at byte {at}, but something follows")]
    Trailing {
        /// Its name.
        file: String,
        /// Which format ends there.
        container: String,
        /// The first byte that doesn't belong to it.
        at: u64,
    },
    /// It's something else, or something that isn't unpacked here.
    #[error("`{file}` is no base image: {what}")]
    NotAnImage {
        /// Its name.
        file: String,
        /// What was found.
        what: String,
        /// What can be done, if that's known.
        hint: Option<&'static str>,
    },
    /// It wants more than is sensible.
    #[error("`{file}` cannot be unpacked: {what}")]
    TooLarge {
        /// Its name.
        file: String,
        /// What it wants.
        what: String,
    },
}

impl Explain for UnpackError {
    fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } | Self::Trailing { .. } => Exit::Verification,
            Self::NotAnImage { .. } => Exit::Usage,
            Self::TooLarge { .. } => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { .. } | Self::Trailing { .. } => Some("get the file again from its source".into()),
            Self::NotAnImage { hint, .. } => Some(
                hint.unwrap_or(
                    "give a disk image with a partition table: .img, .img.xz, .img.gz, .img.zst or .tar.xz",
                )
                .into(),
            ),
            Self::TooLarge { .. } => Some("unpack it yourself and give the raw image".into()),
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Hash of the raw content.
    pub(crate) sha256: Sha256,
    /// Size of the raw content in bytes.
    pub(crate) size: u64,
    /// Hash of the packed file, as it was read.
    pub(crate) source_sha256: Sha256,
    /// Size of the packed file in bytes.
    pub(crate) source_size: u64,
    /// How it was packed: `xz`, `tar.xz`, `raw`.
    pub(crate) container: String,
}

/// What a file is packed with, by its first bytes: `raw`, `tar`, `xz`, `gzip`, `zstd`. An error names what
/// isn't supported.
pub(crate) fn container(path: &Path) -> Result<&'static str> {
    let file = File::open(path).map_err(FileError::new("read", path))?;
    let head = head_of(&file).map_err(FileError::new("read", path))?;
    let refused = |other| not_an_image(&name_of(path), &other);
    let outer = detect::outer(&head).map_err(refused)?;
    if outer == Outer::Plain && detect::inner(&head).map_err(refused)? {
        return Ok("tar");
    }
    Ok(outer.name())
}

fn head_of(mut file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(detect::HEAD as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

/// Unpacks the file at `path`, called `name`, to `dest`, with holes for zeros.
pub(crate) fn unpack_file(path: &Path, name: &str, dest: &Path, progress: &dyn Progress) -> Result<Unpacked> {
    let source = File::open(path).map_err(FileError::new("read", path))?;
    let size = source.metadata().map_err(FileError::new("read", path))?.len();
    let file = File::create(dest).map_err(FileError::new("create", dest))?;
    Unpacking { name, path, size, dest: &file, dest_path: dest }.run(source, progress)
}

/// Unpacks `bytes`, called `name`, to `dest`, with holes for zeros.
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

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What is unpacked, and to where.
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
        let state = source::ReadState::default();
        let unpacked = std::thread::scope(|scope| {
            let (source, source_hash) = PackedReader::start(scope, Box::new(input), &state, &*task);
            let (mut sink, written) = Sink::start(scope, self.dest, LARGEST_RAW);
            let copied = copy(source, &mut sink);
            drop(sink);
            // Its error explains why the copy stopped, if it was the first.
            let (sha256, size) = written.join().map_err(FileError::new("write", self.dest_path))?;
            let container = copied.map_err(|problem| self.explain(problem, &state))?;
            let (source_sha256, source_size) = source_hash.join();
            Ok::<_, crate::Error>(Unpacked { sha256, size, source_sha256, source_size, container })
        })?;
        if unpacked.size % 512 != 0 {
            let what = format!("its {} bytes are no whole number of 512-byte sectors", unpacked.size);
            return Err(UnpackError::NotAnImage { file: self.name.into(), what, hint: None }.into());
        }
        task.finish();
        Ok(unpacked)
    }

    fn explain(&self, problem: Problem, state: &source::ReadState) -> crate::Error {
        let file = self.name.to_owned();
        if let Err(stopped) = interrupt::check() {
            return stopped.into();
        }
        let unreadable = |error| FileError::new("read", self.path)(error).into();
        let damaged = |file, what| UnpackError::Damaged { file, what, at: state.position() }.into();
        match problem {
            Problem::Content(other) => not_an_image(&file, &other).into(),
            Problem::TooLarge(limit) => {
                UnpackError::TooLarge { file, what: format!("it holds more than {} GiB", limit >> 30) }.into()
            }
            Problem::SinkEnded => unreadable(io::Error::other("the writing thread has ended")),
            Problem::Io(error) if state.failed_to_read() => unreadable(error),
            Problem::Io(error) => match Broken::find(&error) {
                Some(Broken::Trailing { container, at }) => {
                    UnpackError::Trailing { file, container: (*container).into(), at: *at }.into()
                }
                Some(Broken::Memory(what)) => UnpackError::TooLarge { file, what: what.clone() }.into(),
                Some(Broken::Data(what)) => damaged(file, what.clone()),
                None => damaged(file, format!("tar: {error}")),
            },
        }
    }
}

/// Moves the image from its container into `sink`; how it was packed.
fn copy(mut source: PackedReader<'_>, sink: &mut Sink) -> Result<String, Problem> {
    let outer = detect::outer(source.peek(detect::HEAD)?).map_err(Problem::Content)?;
    let mut decoder = Decoder::new(outer, source);
    let mut head = vec![0; detect::HEAD];
    let length = read_full(&mut decoder, &mut head)?;
    head.truncate(length);
    let is_tar = detect::inner(&head).map_err(Problem::Content)?;
    if is_tar {
        archive::copy(&head, &mut decoder, sink)?;
    } else {
        sink.copy(&mut head.as_slice().chain(&mut decoder))?;
    }
    Ok(match (is_tar, outer.name()) {
        (false, outer) => outer.into(),
        (true, "raw" | "tar") => "tar".into(),
        (true, outer) => format!("tar.{outer}"),
    })
}

/// Why [`copy`] stopped.
#[derive(Debug)]
enum Problem {
    /// Reading the file, or decoding it; the source's state knows which.
    Io(io::Error),
    /// It's readable, but nothing to build with.
    Content(detect::Other),
    /// More raw content than this many bytes.
    TooLarge(u64),
    /// The writing thread has ended; its own error counts.
    SinkEnded,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn not_an_image(file: &str, other: &detect::Other) -> UnpackError {
    UnpackError::NotAnImage { file: file.into(), what: other.what.clone(), hint: other.hint }
}

/// Fills `buffer` as far as there is something.
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

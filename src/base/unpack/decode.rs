//! Decompression that accepts concatenated streams and nothing else behind them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use xz2::stream::{Action, Error as XzError, MtStreamBuilder, Status, Stream};
use zstd::zstd_safe;
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;

use super::detect::Compression;
use super::error::{Damage, Limit};
use super::source::PackedReader;

/// Memory limit for xz: enough for two threads with blocks of 192 MiB (`xz -9 -T0`), and for every dictionary
/// that `xz` makes by itself. In bytes.
const XZ_MEMORY: u64 = 1 << 30;
/// 128 MiB, zstd's own default. As a power of two.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why data cannot be decoded; travels inside an [`io::Error`].
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("{damage}")]
    Damaged {
        damage: Damage,
        /// Where it starts, if that isn't where the decoder stopped reading.
        at: Option<u64>,
    },
    #[error("{0}")]
    OverLimit(Limit),
}

impl DecodeError {
    pub(super) fn damaged(damage: Damage) -> io::Error {
        io::Error::other(Self::Damaged { damage, at: None })
    }

    fn trailing(compression: Compression, at: u64) -> io::Error {
        io::Error::other(Self::Damaged { damage: Damage::Trailing(compression), at: Some(at) })
    }

    fn memory(compression: Compression, bytes: u64) -> io::Error {
        io::Error::other(Self::OverLimit(Limit::Memory { compression, bytes }))
    }
}

/// Reads the content of all streams, members or frames.
pub(super) struct Decoder<'a> {
    compression: Compression,
    state: State<'a>,
}

enum State<'a> {
    Plain(PackedReader<'a>),
    Xz(Box<Stream>, PackedReader<'a>),
    Gzip(Box<GzDecoder<PackedReader<'a>>>),
    Zstd(zstd::stream::read::Decoder<'static, PackedReader<'a>>),
    /// Between two streams.
    Next(PackedReader<'a>),
    Ended,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(compression: Compression, source: PackedReader<'a>) -> Self {
        let state = if compression == Compression::None { State::Plain(source) } else { State::Next(source) };
        Self { compression, state }
    }

    /// Starts the next stream, if there is one. Only streams of the same compression may follow each other.
    fn start_next(&mut self, mut source: PackedReader<'a>) -> io::Result<State<'a>> {
        let at = source.position();
        if self.compression == Compression::Xz && at > 0 {
            skip_xz_padding(&mut source)?;
        }
        let head = source.peek(6)?;
        if head.is_empty() {
            return Ok(State::Ended);
        }
        if !self.compression.starts(head) {
            return Err(DecodeError::trailing(self.compression, at));
        }
        Ok(match self.compression {
            Compression::None => State::Plain(source),
            Compression::Xz => State::Xz(Box::new(xz_stream()?), source),
            Compression::Gzip => State::Gzip(Box::new(GzDecoder::new(source))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                State::Zstd(decoder)
            }
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.state {
                State::Plain(source) => return source.read(buffer),
                State::Ended => return Ok(0),
                State::Next(_) => 0,
                State::Xz(stream, source) => read_xz(stream, source, buffer)?,
                State::Gzip(decoder) => decoder.read(buffer).map_err(|e| damaged(Compression::Gzip, &e))?,
                State::Zstd(decoder) => decoder.read(buffer).map_err(|e| zstd_error(&e))?,
            };
            if read > 0 {
                return Ok(read);
            }
            let source = match std::mem::replace(&mut self.state, State::Ended) {
                State::Xz(_, source) | State::Next(source) => source,
                State::Gzip(decoder) => decoder.into_inner(),
                State::Zstd(decoder) => decoder.finish(),
                State::Plain(_) | State::Ended => return Ok(0),
            };
            self.state = self.start_next(source)?;
        }
    }
}

fn xz_stream() -> io::Result<Stream> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
    let stream = MtStreamBuilder::new()
        .threads(u32::try_from(threads).unwrap_or(1))
        .memlimit_threading(XZ_MEMORY)
        .memlimit_stop(XZ_MEMORY)
        .decoder();
    // Its only causes are options, which are right, and memory.
    stream.map_err(|_| DecodeError::memory(Compression::Xz, XZ_MEMORY))
}

/// Zero once the stream has ended.
fn read_xz(stream: &mut Stream, source: &mut PackedReader<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let mut idle = 0;
    loop {
        let input = source.fill_buf()?;
        let at_end = input.is_empty();
        let (before_in, before_out) = (stream.total_in(), stream.total_out());
        let status = stream.process(input, buffer, if at_end { Action::Finish } else { Action::Run });
        // Both are lengths of parts of slices.
        let consumed = usize::try_from(stream.total_in() - before_in).map_err(io::Error::other)?;
        let read = usize::try_from(stream.total_out() - before_out).map_err(io::Error::other)?;
        source.consume(consumed);
        let status = status.map_err(xz_error)?;
        if read > 0 || status == Status::StreamEnd {
            return Ok(read);
        }
        // liblzma may do nothing once while it waits for its threads; later that means that input is missing.
        idle = if consumed == 0 { idle + 1 } else { 0 };
        if idle > 2 {
            return Err(DecodeError::damaged(Damage::Truncated(Compression::Xz)));
        }
    }
}

fn xz_error(error: XzError) -> io::Error {
    let xz = Compression::Xz;
    match error {
        XzError::MemLimit | XzError::Mem => DecodeError::memory(xz, XZ_MEMORY),
        XzError::Options => DecodeError::damaged(Damage::UnknownOptions(xz)),
        XzError::Data | XzError::Format => DecodeError::damaged(Damage::Corrupt(xz)),
        other => DecodeError::damaged(Damage::CorruptBecause(xz, other.to_string())),
    }
}

/// Padding between streams and at the end: zeros in groups of four (xz file format, section 2.2).
fn skip_xz_padding(source: &mut PackedReader<'_>) -> io::Result<()> {
    let at = source.position();
    loop {
        match *source.peek(4)? {
            [0, 0, 0, 0] => source.consume(4),
            [0, ..] => return Err(DecodeError::trailing(Compression::Xz, at)),
            _ => return Ok(()),
        }
    }
}

/// Also called for failed reads and interruptions, which [`super::Unpacking`] recognises first.
fn damaged(compression: Compression, error: &io::Error) -> io::Error {
    DecodeError::damaged(match error.kind() {
        io::ErrorKind::UnexpectedEof => Damage::Truncated(compression),
        _ => Damage::CorruptBecause(compression, error.to_string()),
    })
}

fn zstd_error(error: &io::Error) -> io::Error {
    // The zstd crate keeps of libzstd's code, which is returned as its negative, only the name.
    let window_too_large = ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as usize;
    let name = zstd_safe::get_error_name(window_too_large.wrapping_neg());
    if error.get_ref().is_some_and(|inner| inner.to_string() == name) {
        return DecodeError::memory(Compression::Zstd, 1 << ZSTD_WINDOW_LOG);
    }
    damaged(Compression::Zstd, error)
}

//! Decompression that accepts concatenated streams and nothing else behind them.

use std::error::Error as StdError;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use xz2::stream::{Action, Error as XzError, MtStreamBuilder, Status, Stream};

use super::detect::Outer;
use super::source::PackedReader;

/// What xz may use: enough for two threads with blocks of 192 MiB (`xz -9 -T0`), and for any dictionary that
/// `xz` makes by itself. In bytes.
const XZ_MEMORY: u64 = 1 << 30;
/// 128 MiB, zstd's own default. As a power of two.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why data can't be decoded; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("{0}")]
    Data(String),
    #[error("{container} data ends at byte {at}")]
    Trailing { container: &'static str, at: u64 },
    #[error("{0}")]
    Memory(String),
}

impl Broken {
    /// The one inside `error`, however deep.
    pub(super) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        if let Some(broken) = error.downcast_ref() {
            return Some(broken);
        }
        // `source` of an `io::Error` is that of what it wraps, not what it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Self::find(wrapped),
            None => Self::find(error.source()?),
        }
    }

    fn data(what: impl Into<String>) -> io::Error {
        io::Error::other(Self::Data(what.into()))
    }
}

/// Reads the content of all streams, members or frames.
pub(super) struct Decoder<'a> {
    outer: Outer,
    state: State<'a>,
}

enum State<'a> {
    Plain(PackedReader<'a>),
    Xz(Box<Stream>, PackedReader<'a>),
    Gzip(Box<GzDecoder<PackedReader<'a>>>),
    Zstd(zstd::stream::read::Decoder<'static, PackedReader<'a>>),
    /// Between two of them.
    Next(PackedReader<'a>),
    Ended,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(outer: Outer, source: PackedReader<'a>) -> Self {
        Self { outer, state: if outer == Outer::Plain { State::Plain(source) } else { State::Next(source) } }
    }

    /// Starts the next stream, if there is one; only another one of the same kind may follow.
    fn start_next(&mut self, mut source: PackedReader<'a>) -> io::Result<State<'a>> {
        let at = source.position();
        if self.outer == Outer::Xz && at > 0 {
            skip_xz_padding(&mut source)?;
        }
        let head = source.peek(6)?;
        if head.is_empty() {
            return Ok(State::Ended);
        }
        if !self.outer.starts(head) {
            return Err(io::Error::other(Broken::Trailing { container: self.outer.name(), at }));
        }
        Ok(match self.outer {
            Outer::Plain => State::Plain(source),
            Outer::Xz => State::Xz(Box::new(xz_stream()?), source),
            Outer::Gzip => State::Gzip(Box::new(GzDecoder::new(source))),
            Outer::Zstd => {
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
                State::Gzip(decoder) => decoder.read(buffer).map_err(|e| damaged("gzip", &e))?,
                State::Zstd(decoder) => decoder.read(buffer).map_err(|e| damaged_zstd(&e))?,
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
    stream.map_err(|e| io::Error::other(Broken::Memory(format!("xz: {e}"))))
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
        let status = status.map_err(|e| match e {
            XzError::MemLimit | XzError::Mem => io::Error::other(Broken::Memory(format!(
                "xz needs more than {} MiB of memory for it",
                XZ_MEMORY >> 20
            ))),
            XzError::Data => Broken::data("corrupt xz data"),
            XzError::Format => Broken::data("this is not xz data"),
            XzError::Options => Broken::data("xz data with unknown options"),
            other => Broken::data(format!("xz: {other}")),
        })?;
        if read > 0 || status == Status::StreamEnd {
            return Ok(read);
        }
        // liblzma waits for its own threads; if it then still does nothing, it lacks input.
        idle = if consumed == 0 { idle + 1 } else { 0 };
        if idle > 2 {
            return Err(Broken::data("xz data ends too early"));
        }
    }
}

/// Between streams and at the end there may be zeros, four by four (xz file format, section 2.2).
fn skip_xz_padding(source: &mut PackedReader<'_>) -> io::Result<()> {
    let at = source.position();
    loop {
        match *source.peek(4)? {
            [0, 0, 0, 0] => source.consume(4),
            [0, ..] => return Err(io::Error::other(Broken::Trailing { container: Outer::Xz.name(), at })),
            _ => return Ok(()),
        }
    }
}

/// Also for what is no fault of the data: failed reads and signals are recognised by other means.
fn damaged(container: &'static str, error: &io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Broken::data(format!("{container} data ends too early")),
        _ => Broken::data(format!("corrupt {container} data ({error})")),
    }
}

fn damaged_zstd(error: &io::Error) -> io::Error {
    if error.to_string().contains("too much memory") {
        let what = format!("zstd needs a window of more than {} MiB for it", 1_u64 << (ZSTD_WINDOW_LOG - 20));
        return io::Error::other(Broken::Memory(what));
    }
    damaged("zstd", error)
}

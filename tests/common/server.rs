//! A small HTTP server on the loopback that answers as it is told, also wrongly.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does when it is asked for a path.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Gives this, or the part of it that was asked for.
    Content(Vec<u8>),
    /// Says another number than 200.
    Status(u16),
    /// Sends the client elsewhere.
    Redirect(String),
    /// Announces all of it, gives as many bytes, and hangs up; always.
    Cut(Vec<u8>, usize),
    /// As [`Reply::Cut`], but the first time only; after that, what is asked for.
    CutOnce(Vec<u8>, usize),
    /// Announces all of it, gives as many bytes, and says no more.
    Stall(Vec<u8>, usize),
}

/// Runs until the test program ends.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    replies: Mutex<BTreeMap<String, Reply>>,
    asked: Mutex<Vec<String>>,
}

impl Server {
    /// Knows no path yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its number");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that hangs up is no concern of the server's.
                thread::spawn(move || state.serve(&stream).ok());
            }
        });
        Self { address, state }
    }

    /// Sets what `path` gives; another reply for the same path takes its place.
    pub fn on(&self, path: &str, reply: Reply) -> &Self {
        self.state.replies.lock().expect("no panic").insert(path.to_owned(), reply);
        self
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The paths that were asked for, in order, with ` from N` where a part was.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// A URL where nobody answers.
    pub fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its number");
        format!("http://{address}/base.img")
    }
}

impl State {
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let mut from = None;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim().trim_end_matches('-').parse::<usize>().ok();
            }
        }
        let shown = from.map_or_else(|| path.clone(), |from| format!("{path} from {from}"));
        self.asked.lock().expect("no panic").push(shown);
        let reply = self.replies.lock().expect("no panic").get(&path).cloned();
        let content = |mut stream: &TcpStream, bytes: &[u8], count: usize| {
            let from = from.filter(|from| *from < bytes.len());
            let rest = &bytes[from.unwrap_or(0)..];
            let head = match from {
                Some(from) => format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
                    bytes.len() - 1,
                    bytes.len()
                ),
                None => "HTTP/1.1 200 OK\r\n".to_owned(),
            };
            let fields = "ETag: \"1\"\r\nAccept-Ranges: bytes\r\nConnection: close";
            write!(stream, "{head}Content-Length: {}\r\n{fields}\r\n\r\n", rest.len())?;
            stream.write_all(&rest[..count.min(rest.len())])?;
            stream.flush()
        };
        match reply.unwrap_or(Reply::Status(404)) {
            Reply::Content(bytes) => content(stream, &bytes, usize::MAX),
            Reply::Cut(bytes, at) => content(stream, &bytes, at),
            Reply::CutOnce(bytes, at) => {
                let whole = Reply::Content(bytes.clone());
                self.replies.lock().expect("no panic").insert(path, whole);
                content(stream, &bytes, at)
            }
            Reply::Stall(bytes, at) => {
                content(stream, &bytes, at)?;
                thread::sleep(Duration::from_secs(60));
                Ok(())
            }
            Reply::Status(code) => {
                write!(stream, "HTTP/1.1 {code} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            }
            Reply::Redirect(to) => write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
        }
    }
}

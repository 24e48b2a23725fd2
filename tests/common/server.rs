//! A small HTTP server on the loopback interface with configurable replies, including broken replies.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The reply to a request for a path.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this content, or 206 with the requested range.
    Content(Vec<u8>),
    /// An empty reply with this status code.
    Status(u16),
    /// 200 with a web page.
    Page,
    /// 302 to this URL.
    Redirect(String),
    /// Announces the full length, sends this many bytes and closes the connection.
    Cut(Vec<u8>, usize),
    /// [`Reply::Cut`] for the first request, [`Reply::Content`] after that.
    CutOnce(Vec<u8>, usize),
    /// Announces the full length, sends this many bytes and keeps the connection open without sending more.
    Stall(Vec<u8>, usize),
}

/// The server; runs until the test program ends.
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
    /// Starts a server without any paths: every request gets 404.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("read the port number");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Ignore errors: the client may close the connection early.
                thread::spawn(move || state.serve(&stream).ok());
            }
        });
        Self { address, state }
    }

    /// Sets the reply for `path`; replaces an earlier reply.
    pub fn on(&self, path: &str, reply: Reply) -> &Self {
        self.state.replies.lock().expect("lock is not poisoned").insert(path.to_owned(), reply);
        self
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requested paths in order; range requests as `PATH from N`.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("lock is not poisoned").clone()
    }

    /// A URL on a port where no server listens.
    pub fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
        let address = listener.local_addr().expect("read the port number");
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
        self.asked.lock().expect("lock is not poisoned").push(shown);
        let reply = self.replies.lock().expect("lock is not poisoned").get(&path).cloned();
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
                self.replies.lock().expect("lock is not poisoned").insert(path, whole);
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
            Reply::Page => {
                let page = "<!DOCTYPE html>\n<title>This file has moved</title>\n";
                let fields = "Content-Type: text/html; charset=utf-8\r\nConnection: close";
                write!(stream, "HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n{page}", page.len())
            }
            Reply::Redirect(to) => write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ),
        }
    }
}

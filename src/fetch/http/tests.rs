//! Against servers on the loopback: a well-behaved one, and one that says word for word what it's told.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;

use httptest::matchers::request::method_path;
use httptest::responders::{cycle, status_code};
use httptest::{Expectation, Server};

use super::*;
use crate::progress::{Silent, Task};

fn client() -> Client {
    Client::new(ClientSettings {
        tries: 3,
        first_pause: Duration::from_millis(1),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        proxy: false,
    })
}

/// Keeps what was noted.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);
impl Progress for Notes {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

struct Place {
    _dir: tempfile::TempDir,
    partial: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { partial: dir.path().join("it.partial"), _dir: dir }
    }

    fn download(&self, urls: &[&str], expected: Expected) -> Result<Downloaded> {
        client().download(urls, &self.partial, expected, &Silent)
    }

    fn content(&self) -> String {
        std::fs::read_to_string(&self.partial).unwrap()
    }
}

fn expect(content: &[u8]) -> Expected {
    Expected { sha256: Some(Sha256::of(content)), size: Some(content.len() as u64) }
}

/// A server that gives each connection the next of `answers` and then closes it; the requests it got.
struct Script {
    url: String,
    thread: JoinHandle<Vec<String>>,
}

impl Script {
    fn new(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/base.img.xz", listener.local_addr().unwrap());
        let mut answers: VecDeque<Vec<u8>> = answers.iter().map(|a| a.as_bytes().to_vec()).collect();
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            while let Some(answer) = answers.pop_front() {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                requests.push(String::from_utf8(request).unwrap().to_lowercase());
                stream.write_all(&answer).unwrap();
            }
            requests
        });
        Self { url, thread }
    }

    fn requests(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

#[test]
fn a_download_is_hashed_and_its_size_told() {
    let server = Server::run();
    server.expect(
        Expectation::matching(method_path("GET", "/a")).respond_with(status_code(200).body("content")),
    );
    let place = Place::new();
    let done = place.download(&[&server.url_str("/a")], Expected::default()).unwrap();
    assert_eq!((done.sha256, done.size), (Sha256::of(b"content"), 7));
    assert_eq!(place.content(), "content");
}

#[test]
fn what_fails_for_a_moment_is_tried_again_and_what_is_missing_is_not() {
    let server = Server::run();
    server.expect(Expectation::matching(method_path("GET", "/busy")).times(3).respond_with(cycle![
        status_code(503).append_header("Retry-After", "0"),
        status_code(429),
        status_code(200).body("content"),
    ]));
    server
        .expect(Expectation::matching(method_path("GET", "/broken")).times(3).respond_with(status_code(500)));
    server.expect(Expectation::matching(method_path("GET", "/none")).times(2).respond_with(status_code(404)));
    let place = Place::new();
    place.download(&[&server.url_str("/busy")], expect(b"content")).unwrap();

    let (broken, none) = (server.url_str("/broken"), server.url_str("/none"));
    let place = Place::new();
    let error = place.download(&[&broken, &none], Expected::default()).unwrap_err();
    let expected = format!(
        "cannot download `{broken}`: the server answers 500 Internal Server Error, after 3 tries; \
         `{none}`: the server answers 404 Not Found"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.exit(), Exit::Network);
    assert_eq!(client().find_small(&none, 100, &Silent).unwrap(), None);
}

#[test]
fn a_body_that_is_cut_short_is_continued() {
    let server = Script::new(&[
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n45",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\n6789",
    ]);
    let place = Place::new();
    let done = place.download(&[&server.url], Expected::default()).unwrap();
    assert_eq!(done.sha256, Sha256::of(b"0123456789"));
    assert_eq!(place.content(), "0123456789");
    let requests = server.requests();
    assert!(!requests[0].contains("range"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nrange: bytes=4-\r\nif-range: \"v1\"\r\n"), "{}", requests[1]);
    assert!(requests[2].contains("\r\nrange: bytes=6-\r\n"), "{}", requests[2]);
}

#[test]
fn another_run_continues_only_what_is_still_the_same_file() {
    let cut = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123";
    let server =
        Script::new(&[cut, cut, cut, "HTTP/1.1 200 OK\r\nETag: \"v2\"\r\nContent-Length: 3\r\n\r\nnew"]);
    let place = Place::new();
    let error = place.download(&[&server.url], Expected::default()).unwrap_err();
    assert!(error.to_string().contains("after 3 tries"), "{error}");
    assert!(error.hint().unwrap().contains("is kept"));
    assert_eq!(place.content(), "0123");
    let done = place.download(&[&server.url], Expected::default()).unwrap();
    assert_eq!((done.sha256, place.content()), (Sha256::of(b"new"), "new".into()));
    assert!(server.requests()[3].contains("if-range: \"v1\""));

    // No ETag and no hash: nothing says that the rest would fit.
    let server = Script::new(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"]);
    std::fs::write(&place.partial, "xyz").unwrap();
    place.download(&[&server.url], Expected::default()).unwrap();
    assert_eq!(place.content(), "abc");
    assert!(!server.requests()[0].contains("range"));
}

#[test]
fn a_known_hash_allows_to_continue_and_tells_when_that_was_wrong() {
    let rest =
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789";
    let server = Script::new(&[rest]);
    let place = Place::new();
    std::fs::write(&place.partial, "0123").unwrap();
    place.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!(server.requests().len(), 1);

    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let server = Script::new(&[rest, whole]);
    std::fs::write(&place.partial, "XXXX").unwrap();
    place.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!(server.requests().len(), 2);

    // The other part of the file than was asked for.
    let server = Script::new(&[&rest.replace("4-9", "3-8"), whole]);
    std::fs::write(&place.partial, "0123").unwrap();
    place.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!((server.requests().len(), place.content()), (2, "0123456789".into()));

    // Everything is there already: nobody is asked.
    place.download(&["http://127.0.0.1:1/x"], expect(b"0123456789")).unwrap();
}

#[test]
fn another_file_than_expected_is_refused_and_a_mirror_asked() {
    let wrong = Script::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nCONTENT"]);
    let long = Script::new(&["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ncontentX"]);
    let chunked =
        Script::new(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ncontentX\r\n0\r\n\r\n"]);
    let urls = [wrong.url.as_str(), &long.url, &chunked.url];
    let place = Place::new();
    let error = place.download(&urls, expect(b"content")).unwrap_err();
    let (found, expected) = (Sha256::of(b"CONTENT"), Sha256::of(b"content"));
    let text = format!(
        "cannot download `{}`: it has SHA-256 {found}, but {expected} was expected; \
         `{}`: it has 8 bytes, but 7 were expected; `{}`: it has more than the expected 7 bytes",
        urls[0], urls[1], urls[2]
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(error.exit(), Exit::Verification);

    let wrong = Script::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nCONTENT"]);
    let right = Script::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent"]);
    let done = place.download(&[&wrong.url, &right.url], expect(b"content")).unwrap();
    assert_eq!((done.url, place.content()), (right.url, "content".into()));
}

#[test]
fn redirects_are_followed_but_not_in_circles_and_not_for_ever() {
    let server = Server::run();
    let to = |path: &str| status_code(302).append_header("Location", path);
    let at = |path: &'static str| Expectation::matching(method_path("GET", path)).times(..);
    server.expect(at("/a").respond_with(to("/b")));
    server.expect(at("/b").respond_with(status_code(200).body("content")));
    server.expect(at("/circle").respond_with(to("/circle2")));
    server.expect(at("/circle2").respond_with(to("/circle")));
    for i in 0..20 {
        let path: &'static str = format!("/{i}").leak();
        server.expect(at(path).respond_with(to(&format!("/{}", i + 1))));
    }
    server.expect(at("/file").respond_with(to("file:///etc/passwd")));
    let small = |path| client().fetch_small(&server.url_str(path), 100, &Silent);
    assert_eq!(small("/a").unwrap(), b"content");
    let why = |path| small(path).unwrap_err().to_string();
    let url = server.url_str("/circle");
    assert_eq!(why("/circle"), format!("cannot download `{url}`: it is redirected in a circle"));
    assert!(why("/0").ends_with("it is redirected more than 10 times"));
    assert!(why("/file").ends_with("the server answers 302 Found"), "{}", why("/file"));
}

#[test]
fn no_network_says_so_after_trying_and_shows_no_password() {
    // Nothing listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let notes = Notes::default();
    let url = format!("http://user:secret@127.0.0.1:{port}/x?token=secret");
    let error = client().download(&[&url], &Place::new().partial, Expected::default(), &notes).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot download `http://127.0.0.1:{port}/x?…`: no connection: ")),
        "{text}"
    );
    assert!(text.ends_with(", after 3 tries"), "{text}");
    let notes = notes.0.into_inner().unwrap();
    assert_eq!(notes.len(), 2);
    assert!(!format!("{text}{notes:?}").contains("secret"));
    assert_eq!(error.exit(), Exit::Network);
}

#[test]
fn offline_never_connects() {
    let error = Client::offline().fetch_small("http://127.0.0.1:1/x", 10, &Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`http://127.0.0.1:1/x` is not in the cache, and `--offline` forbids to download it"
    );
    assert_eq!(error.exit(), Exit::Network);
    assert!(error.hint().unwrap().contains("magi-image fetch"));
}

#[test]
fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let brief = Duration::from_millis(100);
    let settings =
        ClientSettings { tries: 2, connect_timeout: brief, read_timeout: brief, ..client().settings };
    let error = Client::new(settings).fetch_small(&url, 10, &Silent).unwrap_err();
    assert!(error.to_string().ends_with("the server was silent for 200ms, after 2 tries"), "{error}");
}

#[test]
fn small_files_have_a_limit_and_urls_a_scheme() {
    let server = Server::run();
    server.expect(
        Expectation::matching(method_path("GET", "/a")).respond_with(status_code(200).body("content")),
    );
    let error = client().fetch_small(&server.url_str("/a"), 6, &Silent).unwrap_err();
    assert!(error.to_string().contains("more than 6 bytes"), "{error}");
    for url in ["ftp://a/b", "file:///etc/passwd", "nonsense"] {
        assert!(client().fetch_small(url, 6, &Silent).unwrap_err().exit() == Exit::Network, "{url}");
    }
}

#[test]
fn urls_are_taken_apart() {
    assert_eq!(shown("https://u:p@h/a/b.img?x=1#y"), "https://h/a/b.img?…");
    assert_eq!(without_credentials("https://u@p@h:1/@x"), "https://h:1/@x");
    assert_eq!(file_name("https://h/v1.33%2Bk3s1/k3s-arm64?x=/y"), "k3s-arm64");
    assert_eq!(file_name("https://h/"), "");
    assert_eq!(file_name("https://h"), "");
}

//! Against servers on the loopback: `httptest`, and a raw listener that sends given bytes.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread::JoinHandle;

use httptest::matchers::request::method_path;
use httptest::responders::{cycle, status_code};
use httptest::{Expectation, Server};

use super::*;
use crate::error::Exit;
use crate::progress::Silent;
use crate::progress::testing::Recorder;

fn client() -> Client {
    Client::new(ClientSettings {
        tries: 3,
        first_pause: Duration::from_millis(1),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        proxy: false,
    })
}

struct PartialFile {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl PartialFile {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("it.partial"), _dir: dir }
    }

    fn download(&self, urls: &[&str], expected: ExpectedFile) -> Result<Downloaded> {
        client().download(urls, &self.path, expected, &Silent)
    }

    fn content(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

fn expect(content: &[u8]) -> ExpectedFile {
    ExpectedFile { sha256: Some(Sha256::of(content)), size: Some(content.len() as u64) }
}

/// A server that sends the next of `responses` to each connection, then closes it. Records the requests.
struct RawServer {
    url: String,
    thread: JoinHandle<Vec<String>>,
}

impl RawServer {
    fn new(responses: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/base.img.xz", listener.local_addr().unwrap());
        let mut responses: VecDeque<Vec<u8>> = responses.iter().map(|a| a.as_bytes().to_vec()).collect();
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            while let Some(response) = responses.pop_front() {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    request.push(byte[0]);
                }
                requests.push(String::from_utf8(request).unwrap().to_lowercase());
                stream.write_all(&response).unwrap();
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
fn download_returns_hash_and_size() {
    let server = Server::run();
    server.expect(
        Expectation::matching(method_path("GET", "/a")).respond_with(status_code(200).body("content")),
    );
    let file = PartialFile::new();
    let done = file.download(&[&server.url_str("/a")], ExpectedFile::default()).unwrap();
    assert_eq!((done.sha256, done.size), (Sha256::of(b"content"), 7));
    assert_eq!(file.content(), "content");
}

#[test]
fn temporary_status_is_retried_and_missing_file_is_not() {
    let server = Server::run();
    server.expect(Expectation::matching(method_path("GET", "/busy")).times(3).respond_with(cycle![
        status_code(503).append_header("Retry-After", "0"),
        status_code(429),
        status_code(200).body("content"),
    ]));
    server
        .expect(Expectation::matching(method_path("GET", "/broken")).times(3).respond_with(status_code(500)));
    server.expect(Expectation::matching(method_path("GET", "/none")).times(2).respond_with(status_code(404)));
    let file = PartialFile::new();
    file.download(&[&server.url_str("/busy")], expect(b"content")).unwrap();

    let (broken, none) = (server.url_str("/broken"), server.url_str("/none"));
    let file = PartialFile::new();
    let error = file.download(&[&broken, &none], ExpectedFile::default()).unwrap_err();
    let expected = format!(
        "cannot download `{broken}`: the server answers 500 Internal Server Error, after 3 tries; \
         `{none}`: the server answers 404 Not Found"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.exit(), Exit::Network);
    assert_eq!(client().find_small(&none, 100, &Silent).unwrap(), None);
}

#[test]
fn truncated_body_is_resumed() {
    let server = RawServer::new(&[
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n45",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 6-9/10\r\nContent-Length: 4\r\n\r\n6789",
    ]);
    let file = PartialFile::new();
    let done = file.download(&[&server.url], ExpectedFile::default()).unwrap();
    assert_eq!(done.sha256, Sha256::of(b"0123456789"));
    assert_eq!(file.content(), "0123456789");
    let requests = server.requests();
    assert!(!requests[0].contains("range"), "{}", requests[0]);
    assert!(requests[1].contains("\r\nrange: bytes=4-\r\nif-range: \"v1\"\r\n"), "{}", requests[1]);
    assert!(requests[2].contains("\r\nrange: bytes=6-\r\n"), "{}", requests[2]);
}

#[test]
fn later_run_resumes_only_with_the_same_etag() {
    let cut = "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\n0123";
    let server =
        RawServer::new(&[cut, cut, cut, "HTTP/1.1 200 OK\r\nETag: \"v2\"\r\nContent-Length: 3\r\n\r\nnew"]);
    let file = PartialFile::new();
    let error = file.download(&[&server.url], ExpectedFile::default()).unwrap_err();
    assert!(error.to_string().contains("after 3 tries"), "{error}");
    assert!(error.hint().unwrap().contains("is kept"));
    assert_eq!(file.content(), "0123");
    let done = file.download(&[&server.url], ExpectedFile::default()).unwrap();
    assert_eq!((done.sha256, file.content()), (Sha256::of(b"new"), "new".into()));
    assert!(server.requests()[3].contains("if-range: \"v1\""));

    // Without ETag and hash, the rest could belong to another file.
    let server = RawServer::new(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"]);
    std::fs::write(&file.path, "xyz").unwrap();
    file.download(&[&server.url], ExpectedFile::default()).unwrap();
    assert_eq!(file.content(), "abc");
    assert!(!server.requests()[0].contains("range"));
}

#[test]
fn expected_hash_allows_resume_and_detects_wrong_partial() {
    let rest =
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789";
    let server = RawServer::new(&[rest]);
    let file = PartialFile::new();
    std::fs::write(&file.path, "0123").unwrap();
    file.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!(server.requests().len(), 1);

    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let server = RawServer::new(&[rest, whole]);
    std::fs::write(&file.path, "XXXX").unwrap();
    file.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!(server.requests().len(), 2);

    // Another range than the requested one.
    let server = RawServer::new(&[&rest.replace("4-9", "3-8"), whole]);
    std::fs::write(&file.path, "0123").unwrap();
    file.download(&[&server.url], expect(b"0123456789")).unwrap();
    assert_eq!((server.requests().len(), file.content()), (2, "0123456789".into()));

    // The file is complete: no request is sent.
    file.download(&["http://127.0.0.1:1/x"], expect(b"0123456789")).unwrap();
}

#[test]
fn wrong_content_is_refused_and_mirror_is_tried() {
    let wrong = RawServer::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nCONTENT"]);
    let long = RawServer::new(&["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ncontentX"]);
    let chunked =
        RawServer::new(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ncontentX\r\n0\r\n\r\n"]);
    let urls = [wrong.url.as_str(), &long.url, &chunked.url];
    let file = PartialFile::new();
    let error = file.download(&urls, expect(b"content")).unwrap_err();
    let (found, expected) = (Sha256::of(b"CONTENT"), Sha256::of(b"content"));
    let text = format!(
        "cannot download `{}`: it has SHA-256 {found}, but {expected} was expected; \
         `{}`: it has 8 bytes, but 7 were expected; `{}`: it has more than the expected 7 bytes",
        urls[0], urls[1], urls[2]
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(error.exit(), Exit::Verification);

    let wrong = RawServer::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nCONTENT"]);
    let right = RawServer::new(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent"]);
    let done = file.download(&[&wrong.url, &right.url], expect(b"content")).unwrap();
    assert_eq!((done.url, file.content()), (right.url, "content".into()));
}

#[test]
fn web_page_is_refused_unless_it_has_the_expected_hash() {
    let page = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let server = RawServer::new(&[&page("a page"), &page("a page"), &page("a page")]);
    let expected = format!(
        "cannot download `{}`: the server answers 200 OK with a web page instead of the file",
        server.url
    );
    for other in [ExpectedFile::default(), expect(b"longer than a page")] {
        let error = PartialFile::new().download(&[&server.url], other).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.cause().is_some_and(HttpError::is_missing));
    }
    PartialFile::new().download(&[&server.url], expect(b"a page")).unwrap();
    assert_eq!(server.requests().len(), 3, "none was tried again");
}

#[test]
fn redirect_loop_and_long_chain_are_refused() {
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
    assert_eq!(why("/circle"), format!("cannot download `{url}`: redirect loop"));
    assert!(why("/0").ends_with("more than 10 redirects"));
    assert!(why("/file").ends_with("the server answers 302 Found"), "{}", why("/file"));
}

#[test]
fn refused_connection_is_retried_and_hides_password() {
    // Nothing listens on a port that was just released.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let recorder = Recorder::default();
    let url = format!("http://user:secret@127.0.0.1:{port}/x?token=secret");
    let error =
        client().download(&[&url], &PartialFile::new().path, ExpectedFile::default(), &recorder).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot download `http://127.0.0.1:{port}/x?…`: no connection: ")),
        "{text}"
    );
    assert!(text.ends_with(", after 3 tries"), "{text}");
    let notes = recorder.notes();
    assert_eq!(notes.len(), 2);
    assert!(!format!("{text}{notes:?}").contains("secret"));
    assert_eq!(error.exit(), Exit::Network);
}

#[test]
fn offline_client_never_connects() {
    let error = Client::offline().fetch_small("http://127.0.0.1:1/x", 10, &Silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`http://127.0.0.1:1/x` is not in the cache and cannot be downloaded with `--offline`"
    );
    assert_eq!(error.exit(), Exit::Network);
    assert!(error.hint().unwrap().contains("magi-image fetch"));
}

#[test]
fn silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let brief = Duration::from_millis(100);
    let settings =
        ClientSettings { tries: 2, connect_timeout: brief, read_timeout: brief, ..client().settings };
    let error = Client::new(settings).fetch_small(&url, 10, &Silent).unwrap_err();
    assert!(error.to_string().ends_with("the server sent nothing for 100ms, after 2 tries"), "{error}");
}

#[test]
fn small_file_limit_and_url_scheme_are_enforced() {
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
fn untrusted_certificate_is_refused_without_retry() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![issued.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let mut connection = rustls::ServerConnection::new(config.into()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // Fails, because the client rejects the certificate.
        let _ = connection.complete_io(&mut stream);
    });
    let text = client().fetch_small(&url, 10, &Silent).unwrap_err().to_string();
    let expected = format!("cannot download `{url}`: no secure connection: invalid peer certificate: ");
    assert!(text.starts_with(&expected) && !text.contains("tries"), "{text}");
}

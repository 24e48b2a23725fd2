//! One request and its answer. The blocking calls run on a thread of their own, so that a signal or a
//! silent server never holds the caller.

use std::error::Error as StdError;
use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use reqwest::redirect::{Action, Attempt, Policy};

use super::{ClientSettings, FailureKind, Try};
use crate::interrupt;

const MOST_REDIRECTS: usize = 10;
const CHUNK: usize = 128 << 10;

/// A client that follows redirects by our rules.
pub(super) fn make_client(settings: &ClientSettings) -> Result<reqwest::blocking::Client, String> {
    // Fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::blocking::Client::builder()
        .user_agent(concat!("magi-image/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(follow))
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .timeout(None);
    if !settings.proxy {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| innermost(&e))
}

fn follow(attempt: Attempt<'_>) -> Action {
    match refusal(attempt.previous(), attempt.url()) {
        Some(why) => attempt.error(why),
        None => attempt.follow(),
    }
}

/// Why a redirect to `next` isn't followed, after `previous` (the first is the one that was asked for).
fn refusal(previous: &[reqwest::Url], next: &reqwest::Url) -> Option<String> {
    let was_secure = previous.last().is_some_and(|url| url.scheme() == "https");
    if was_secure && next.scheme() != "https" {
        return Some(format!("it is redirected from https to {}", next.scheme()));
    }
    if previous.contains(next) {
        return Some("it is redirected in a circle".into());
    }
    (previous.len() > MOST_REDIRECTS).then(|| format!("it is redirected more than {MOST_REDIRECTS} times"))
}

/// A GET.
pub(super) struct Request<'a> {
    url: &'a str,
    headers: HeaderMap,
}

impl<'a> Request<'a> {
    pub(super) fn new(url: &'a str) -> Self {
        let mut headers = HeaderMap::new();
        // Hashes and ranges are those of the file, not of a compressed form of it.
        headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
        Self { url, headers }
    }

    /// Asks for what follows the first `from` bytes, if the file still has this `ETag`.
    pub(super) fn range(mut self, from: u64, etag: Option<&str>) -> Self {
        if let Ok(range) = format!("bytes={from}-").parse() {
            self.headers.insert(header::RANGE, range);
        }
        if let Some(etag) = etag.and_then(|etag| etag.parse().ok()) {
            self.headers.insert(header::IF_RANGE, etag);
        }
        self
    }

    /// Sends it and waits for the answer's head.
    pub(super) fn send(
        self,
        client: &reqwest::blocking::Client,
        settings: &ClientSettings,
    ) -> Result<(Head, ChannelBody), Try> {
        let url = reqwest::Url::parse(self.url).map_err(|e| Try::no(FailureKind::Url, e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Try::no(FailureKind::Url, "only http and https URLs are downloaded"));
        }
        let request = client.get(url).headers(self.headers);
        let (sender, events) = sync_channel(4);
        // Not joined: a silent server would hold us. It ends when the connection or this process does.
        std::thread::spawn(move || exchange(request, &sender));
        let mut body = ChannelBody { events, patience: settings.read_timeout, ended: false };
        // Connecting, with several addresses and redirects, has its own time limit inside.
        body.patience += settings.connect_timeout;
        let first = body.next_event()?;
        body.patience = settings.read_timeout;
        match first {
            Event::Head(head) => Ok((head, body)),
            Event::Failed(failed) => Err(failed),
            Event::Chunk(_) | Event::End => Err(Try::again("the answer has no head")),
        }
    }
}

/// What the thread tells.
enum Event {
    Head(Head),
    Chunk(Vec<u8>),
    End,
    Failed(Try),
}

fn exchange(request: reqwest::blocking::RequestBuilder, events: &SyncSender<Event>) {
    // A failed send means that nobody wants to know any more.
    let mut response = match request.send() {
        Ok(response) => response,
        Err(e) => return drop(events.send(Event::Failed(classify(&e)))),
    };
    let head = Head {
        status: response.status(),
        length: response.content_length(),
        headers: std::mem::take(response.headers_mut()),
    };
    if events.send(Event::Head(head)).is_err() {
        return;
    }
    loop {
        let mut chunk = vec![0; CHUNK];
        let event = match response.read(&mut chunk) {
            Ok(0) => Event::End,
            Ok(n) => {
                chunk.truncate(n);
                Event::Chunk(chunk)
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => Event::Failed(Try::again(format!("the connection broke: {}", innermost(&e)))),
        };
        let is_last = !matches!(event, Event::Chunk(_));
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

/// The status line and headers of an answer.
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Bytes in the body, where the server says.
    pub(super) length: Option<u64>,
    headers: HeaderMap,
}

impl Head {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A strong `ETag`: equal ones mean equal bytes.
    pub(super) fn strong_etag(&self) -> Option<String> {
        self.header(header::ETAG).filter(|etag| etag.starts_with('"') && etag.len() > 2).map(str::to_owned)
    }

    /// `Content-Range: bytes 5-9/10` as (5, 9, Some(10)).
    pub(super) fn content_range(&self) -> Option<(u64, u64, Option<u64>)> {
        let (range, total) = self.header(header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()))
    }

    /// Whether the server says that this isn't worth another try, or is, or is fine.
    pub(super) fn require_success(&self) -> Result<(), Try> {
        let status = self.status;
        let why = || format!("the server answers {status}");
        match status.as_u16() {
            200 | 206 => Ok(()),
            408 | 429 | 500.. => {
                let seconds = self.header(header::RETRY_AFTER).and_then(|after| after.trim().parse().ok());
                Err(Try::Again { why: why(), wait: seconds.map(Duration::from_secs), brought: 0 })
            }
            403 | 404 | 410 => Err(Try::no(FailureKind::Missing, why())),
            _ => Err(Try::no(FailureKind::Url, why())),
        }
    }
}

/// A body that comes in pieces.
pub(super) trait Body {
    /// The next piece; `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Try>;
}

/// The body of an answer that the thread reads.
pub(super) struct ChannelBody {
    events: Receiver<Event>,
    patience: Duration,
    ended: bool,
}

impl ChannelBody {
    fn next_event(&mut self) -> Result<Event, Try> {
        let since = Instant::now();
        loop {
            interrupt::check()?;
            match self.events.recv_timeout(Duration::from_millis(50)) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) if since.elapsed() < self.patience => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Try::again(format!("the server was silent for {:?}", self.patience)));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Try::again("the transfer ended early")),
            }
        }
    }
}

impl Body for ChannelBody {
    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, Try> {
        if self.ended {
            return Ok(None);
        }
        match self.next_event()? {
            Event::Chunk(chunk) => Ok(Some(chunk)),
            Event::Failed(failed) => Err(failed),
            Event::End | Event::Head(_) => {
                self.ended = true;
                Ok(None)
            }
        }
    }
}

/// What a failed request means. reqwest's own text isn't used: it holds the URL with its credentials.
fn classify(error: &reqwest::Error) -> Try {
    let cause = innermost(error);
    if error.is_redirect() {
        return Try::no(FailureKind::Url, cause);
    }
    if error.is_builder() {
        return Try::no(FailureKind::Url, format!("this is no URL to download from: {cause}"));
    }
    if let Some(tls) = tls_error(error) {
        return Try::no(FailureKind::Url, format!("the connection can't be trusted: {tls}"));
    }
    if error.is_timeout() {
        return Try::again("connecting took too long");
    }
    Try::again(if error.is_connect() {
        format!("no connection: {cause}")
    } else {
        format!("the request failed: {cause}")
    })
}

/// A certificate that isn't valid won't be valid in a second.
fn tls_error(error: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(tls @ rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return Some(tls.to_string());
    }
    // `source` of an `io::Error` is that of what it wraps, not what it wraps.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => tls_error(wrapped),
        None => tls_error(error.source()?),
    }
}

/// The text of the deepest cause.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secure_download_stays_secure() {
        let url = |text: &str| reqwest::Url::parse(text).unwrap();
        let from = |text| [url("http://a/"), url(text)];
        let downgraded = Some("it is redirected from https to http".to_owned());
        assert_eq!(refusal(&from("https://b/"), &url("http://c/")), downgraded);
        assert_eq!(refusal(&from("http://b/"), &url("https://c/")), None);
        assert_eq!(refusal(&from("http://b/"), &url("http://c/")), None);
    }
}

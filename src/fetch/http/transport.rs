//! One request and its response. Requests run on a tokio runtime in the calling thread, which looks for an
//! interruption while it waits.

use std::error::Error as StdError;
use std::ops::Deref;
use std::pin::pin;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use tokio::runtime::Runtime;
use url::Url;

use super::ClientSettings;
use super::error::{FailureCause, HttpError, RefusedRedirect, TryError, WebPage};
use crate::error::find_source;
use crate::fetch::url::shown;
use crate::interrupt::{self, Interrupted};

const MAX_REDIRECTS: usize = 10;
/// How often a wait looks for an interruption.
const INTERRUPT_POLL: Duration = Duration::from_millis(50);

/// Connections, certificates and the runtime that drives them.
#[derive(Debug)]
pub(super) struct Transport {
    /// Always there until the drop.
    runtime: Option<Runtime>,
    client: reqwest::Client,
    read_timeout: Duration,
}

impl Transport {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, HttpError> {
        // Fails only if a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("magi-image/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::custom(|attempt| match refused(&attempt) {
                Some(refused) => attempt.error(refused),
                None => attempt.follow(),
            }))
            .referer(false)
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout);
        if !settings.proxy {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| HttpError::Setup(innermost(&e)))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = Some(runtime.map_err(|e| HttpError::Setup(e.to_string()))?);
        Ok(Self { runtime, client, read_timeout: settings.read_timeout })
    }

    /// Sends `request` and waits for the head of the response.
    pub(super) fn send(&self, request: Request<'_>) -> Result<Response<'_>, TryError> {
        let url = Url::parse(request.url).map_err(FailureCause::from)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FailureCause::Scheme.into());
        }
        let requested = url.clone();
        let request = self.client.get(url).headers(request.headers);
        // Inside a block, because `send` starts timers, which need the runtime.
        let response = self.wait_for(async { request.send().await })?;
        let response = response.map_err(|e| self.cause_of(&e))?;
        Ok(Response { transport: self, requested, inner: response })
    }

    pub(super) fn sleep(&self, pause: Duration) -> Result<(), Interrupted> {
        self.wait_for(async { tokio::time::sleep(pause).await })
    }

    fn wait_for<T>(&self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        let Some(runtime) = &self.runtime else { unreachable!("only a drop takes the runtime") };
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                interrupt::check()?;
                if let Ok(done) = tokio::time::timeout(INTERRUPT_POLL, work.as_mut()).await {
                    return Ok(done);
                }
            }
        })
    }

    /// reqwest's own text isn't used: it shows the URL with its credentials.
    fn cause_of(&self, error: &reqwest::Error) -> FailureCause {
        if let Some(refused) = find_source::<RefusedRedirect>(error) {
            return refused.clone().into();
        }
        if let Some(tls @ rustls::Error::InvalidCertificate(_)) = find_source(error) {
            return FailureCause::Tls(tls.clone());
        }
        match error {
            e if e.is_builder() => FailureCause::Request(innermost(e)),
            e if e.is_timeout() && e.is_connect() => FailureCause::ConnectTimeout,
            e if e.is_timeout() => FailureCause::ReadTimeout(self.read_timeout),
            e if e.is_connect() => FailureCause::Connect(innermost(e)),
            e => FailureCause::Broken(innermost(e)),
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // A runtime's own drop waits for name lookups, which can take minutes.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn refused(attempt: &Attempt<'_>) -> Option<RefusedRedirect> {
    refused_after(attempt.previous(), attempt.url())
}

/// Why a redirect to `next` isn't followed, after `previous` (the first is the requested URL).
fn refused_after(previous: &[Url], next: &Url) -> Option<RefusedRedirect> {
    let was_secure = previous.last().is_some_and(|url| url.scheme() == "https");
    if was_secure && next.scheme() != "https" {
        return Some(RefusedRedirect::Insecure(next.scheme().into()));
    }
    if previous.contains(next) {
        return Some(RefusedRedirect::Loop);
    }
    (previous.len() > MAX_REDIRECTS).then_some(RefusedRedirect::TooMany(MAX_REDIRECTS))
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
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Self { url, headers }
    }

    /// Requests what follows the first `from` bytes, if the file still has this `ETag`.
    pub(super) fn range(mut self, from: u64, etag: Option<&str>) -> Self {
        if let Ok(range) = format!("bytes={from}-").parse() {
            self.headers.insert(header::RANGE, range);
        }
        if let Some(etag) = etag.and_then(|etag| etag.parse().ok()) {
            self.headers.insert(header::IF_RANGE, etag);
        }
        self
    }
}

/// A response whose head has arrived.
pub(super) struct Response<'a> {
    transport: &'a Transport,
    requested: Url,
    inner: reqwest::Response,
}

impl Response<'_> {
    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// Bytes in the body, if the server announces them.
    pub(super) fn length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// Whether the server announces HTML.
    pub(super) fn is_html(&self) -> bool {
        self.header(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
    }

    /// The description of the response as a web page.
    pub(super) fn web_page(&self) -> WebPage {
        let url = self.inner.url();
        WebPage { redirected_to: (*url != self.requested).then(|| shown(url.as_str())) }
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

    /// Fails for every status but 200 and 206.
    pub(super) fn require_success(&self) -> Result<(), TryError> {
        if matches!(self.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Ok(());
        }
        let seconds = self.header(header::RETRY_AFTER).and_then(|after| after.trim().parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Err(TryError::Url { cause: FailureCause::Status(self.status()), retry_after, received: 0 })
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<impl Deref<Target = [u8]> + use<>>, TryError> {
        let chunk = self.transport.wait_for(self.inner.chunk())?;
        Ok(chunk.map_err(|e| self.transport.cause_of(&e))?)
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }
}

/// The text of the deepest source.
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
    fn redirect_from_https_to_http_is_refused() {
        let url = |text: &str| Url::parse(text).unwrap();
        let refused = |from: &str, to: &str| refused_after(&[url("http://a/"), url(from)], &url(to));
        assert_eq!(refused("https://b/", "http://c/"), Some(RefusedRedirect::Insecure("http".into())));
        assert_eq!(refused("http://b/", "https://c/"), None);
        assert_eq!(refused("http://b/", "http://c/"), None);
    }
}

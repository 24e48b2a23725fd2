//! Downloads over HTTP: resumed, retried, from mirrors, never through an insecure redirect.

mod error;
mod transfer;
mod transport;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) use error::HttpError;

use error::{CauseClass, FailureCause, RetryError, TryError, UrlFailure};
use transfer::Transfer;
use transport::{Request, Transport};

use super::url::shown;
use crate::digest::Sha256;
use crate::error::Result;
use crate::progress::Progress;

/// The longest pause that a server can ask for with `Retry-After`.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// After a try that received this many bytes, counting the tries starts again.
const WORTHWHILE: u64 = 1 << 20;

/// Timeouts and retries of a [`Client`].
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    /// Tries for each URL, until one receives [`WORTHWHILE`] bytes.
    pub(crate) tries: u32,
    /// The pause before the second try; each later one is twice as long.
    pub(crate) first_pause: Duration,
    pub(crate) connect_timeout: Duration,
    /// How long a server may send nothing.
    pub(crate) read_timeout: Duration,
    /// Whether `HTTPS_PROXY` and the like, and the system's settings, are used.
    pub(crate) proxy: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            tries: 5,
            first_pause: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(45),
            proxy: true,
        }
    }
}

/// What a download must be, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExpectedFile {
    pub(crate) sha256: Option<Sha256>,
    /// In bytes.
    pub(crate) size: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Downloaded {
    pub(crate) sha256: Sha256,
    /// In bytes.
    pub(crate) size: u64,
    /// The one of the URLs that worked.
    pub(crate) url: String,
}

/// Downloads files. Cheap to make: connections and certificates are set up when first needed.
#[derive(Debug, Default)]
pub(crate) struct Client {
    settings: ClientSettings,
    offline: bool,
    transport: OnceLock<Transport>,
}

impl Client {
    #[cfg(test)]
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// A client whose every call is an error.
    pub(crate) fn offline() -> Self {
        Self { offline: true, ..Self::default() }
    }

    /// Downloads to `partial` from the first of `urls` that gives what is expected. What an earlier run left in
    /// `partial` is resumed if it belongs to the same file. An error leaves `partial` for the next run.
    pub(crate) fn download(
        &self,
        urls: &[&str],
        partial: &Path,
        expected: ExpectedFile,
        progress: &dyn Progress,
    ) -> Result<Downloaded> {
        let mut failures = Vec::new();
        for (at, url) in urls.iter().enumerate() {
            let mut transfer = Transfer::open(partial, url, expected, progress)?;
            match self.retry(url, progress, |transport| transfer.run(transport)) {
                Ok((sha256, size)) => return Ok(Downloaded { sha256, size, url: (*url).to_owned() }),
                Err(RetryError::Url(failure)) => {
                    if let Some(next) = urls.get(at + 1) {
                        progress.note(&format!("{failure}; trying `{}`", shown(next)));
                    }
                    failures.push(failure);
                }
                Err(RetryError::Fatal(error)) => return Err(error),
            }
        }
        Err(HttpError::Failed(failures).into())
    }

    /// The content at `url`, of at most `limit` bytes; for keys and lists of checksums.
    pub(crate) fn fetch_small(&self, url: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<u8>> {
        Ok(self.small(url, limit, progress)?)
    }

    /// As [`Client::fetch_small`], but `None` if the server has no such file.
    pub(crate) fn find_small(
        &self,
        url: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<u8>>> {
        match self.small(url, limit, progress) {
            Err(RetryError::Url(failure)) if failure.cause.class() == CauseClass::Missing => Ok(None),
            small => Ok(Some(small?)),
        }
    }

    /// Fails if the server doesn't have the file at `url`, or answers with a web page.
    pub(crate) fn check_exists(&self, url: &str, progress: &dyn Progress) -> Result<()> {
        Ok(self.retry(url, progress, |transport| {
            let response = transport.send(Request::new(url))?;
            response.require_success()?;
            if response.is_html() {
                return Err(FailureCause::WebPage(response.web_page()).into());
            }
            Ok(())
        })?)
    }

    fn small(&self, url: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<u8>, RetryError> {
        self.retry(url, progress, |transport| {
            let mut response = transport.send(Request::new(url))?;
            response.require_success()?;
            let mut content = Vec::new();
            while let Some(chunk) = response.next_chunk()? {
                content.extend_from_slice(&chunk);
                if content.len() > limit {
                    return Err(FailureCause::Limit(limit).into());
                }
            }
            Ok(content)
        })
    }

    /// Tries until it works, cannot work, or has failed too often.
    fn retry<T>(
        &self,
        url: &str,
        progress: &dyn Progress,
        mut attempt: impl FnMut(&Transport) -> Result<T, TryError>,
    ) -> Result<T, RetryError> {
        if self.offline {
            return Err(HttpError::Offline(shown(url)).into());
        }
        let transport = self.transport()?;
        let (mut tries, mut fruitless) = (0, 0);
        loop {
            let (cause, retry_after, received) = match attempt(transport) {
                Ok(done) => return Ok(done),
                Err(TryError::Fatal(error)) => return Err(RetryError::Fatal(error)),
                Err(TryError::Url { cause, retry_after, received }) => (cause, retry_after, received),
            };
            tries += 1;
            fruitless = if received >= WORTHWHILE { 1 } else { fruitless + 1 };
            if cause.class() != CauseClass::Temporary || fruitless >= self.settings.tries {
                return Err(RetryError::Url(UrlFailure { url: shown(url), cause, tries }));
            }
            progress.note(&format!("`{}`: {cause}; trying again", shown(url)));
            transport.sleep(self.pause(fruitless).max(retry_after.unwrap_or_default()).min(MAX_PAUSE))?;
        }
    }

    /// The pause after this many tries without result.
    fn pause(&self, fruitless: u32) -> Duration {
        self.settings.first_pause.saturating_mul(1 << (fruitless - 1).min(16))
    }

    fn transport(&self) -> Result<&Transport, HttpError> {
        if let Some(transport) = self.transport.get() {
            return Ok(transport);
        }
        let made = Transport::new(&self.settings)?;
        Ok(self.transport.get_or_init(|| made))
    }
}

#[cfg(test)]
mod tests;

//! Downloads over HTTP: resumed, retried, from mirrors, never through an insecure redirect.

mod exchange;
mod transfer;

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use exchange::{Body, Request};
use transfer::Transfer;

use crate::digest::Sha256;
use crate::error::{Error, Exit, Explain, Result};
use crate::interrupt;
use crate::progress::Progress;

/// The server may ask for a longer pause with `Retry-After`, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A try that brought this many bytes was worth it: counting starts again.
const WORTHWHILE: u64 = 1 << 20;

/// How patient a [`Client`] is.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    /// Tries for each URL that bring nothing, before it's given up.
    pub(crate) tries: u32,
    /// The pause before the second try; each later one is twice as long.
    pub(crate) first_pause: Duration,
    /// How long making a connection may take.
    pub(crate) connect_timeout: Duration,
    /// How long a server may be silent.
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

/// What a download should be, as far as it's known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Expected {
    /// Its hash.
    pub(crate) sha256: Option<Sha256>,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
}

/// What a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Downloaded {
    /// Its hash.
    pub(crate) sha256: Sha256,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Which of the URLs gave it.
    pub(crate) url: String,
}

/// Why one URL gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The URL, without credentials and query.
    pub(crate) url: String,
    /// What happened last.
    pub(crate) why: String,
    /// After how many tries.
    pub(crate) tries: u32,
    /// Of what kind it is.
    pub(crate) kind: FailureKind,
}

/// Kinds of [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No connection, or the server failed; it may work later.
    Network,
    /// The server has no such file, or doesn't give it.
    Missing,
    /// It's another file than was expected.
    Verification,
    /// The URL itself, or where it leads, is no good.
    Url,
}

/// Why nothing was downloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// By the user's wish.
    #[error("`{0}` is not in the cache, and `--offline` forbids to download it")]
    Offline(String),
    /// Every URL failed.
    #[error("cannot download {}", all(.0))]
    Failed(Vec<Failure>),
    /// No client could be made.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

fn all(failures: &[Failure]) -> String {
    let one = |f: &Failure| match f.tries {
        0 | 1 => format!("`{}`: {}", f.url, f.why),
        tries => format!("`{}`: {}, after {tries} tries", f.url, f.why),
    };
    failures.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl Explain for HttpError {
    fn exit(&self) -> Exit {
        let Self::Failed(failures) = self else { return Exit::Network };
        let wrong = failures.iter().any(|f| f.kind == FailureKind::Verification);
        if wrong { Exit::Verification } else { Exit::Network }
    }

    fn hint(&self) -> Option<String> {
        let Self::Failed(failures) = self else {
            return matches!(self, Self::Offline(_))
                .then(|| "run `magi-image fetch` once while there is a network".into());
        };
        let any = |kind| failures.iter().any(|f| f.kind == kind);
        Some(if any(FailureKind::Verification) {
            "the file was replaced or is damaged on its way; if it's a new version, update the pinned hash"
                .into()
        } else if any(FailureKind::Network) {
            "check the network and try again: what was already downloaded is kept".into()
        } else {
            "check the URL, or use a mirror or a local file".into()
        })
    }
}

/// Downloads files. Cheap to make: connections and certificates are set up when first needed.
#[derive(Debug)]
pub(crate) struct Client {
    settings: ClientSettings,
    offline: bool,
    inner: OnceLock<reqwest::blocking::Client>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(ClientSettings::default())
    }
}

impl Client {
    /// A client with these settings.
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, offline: false, inner: OnceLock::new() }
    }

    /// A client whose every call is an error.
    pub(crate) fn offline() -> Self {
        Self { offline: true, ..Self::default() }
    }

    /// Downloads to `partial` from the first of `urls` that gives what is expected. What `partial` already
    /// holds from an earlier run is continued if it's still the same file. On an error it's left for that.
    pub(crate) fn download(
        &self,
        urls: &[&str],
        partial: &Path,
        expected: Expected,
        progress: &dyn Progress,
    ) -> Result<Downloaded> {
        let mut failures = Vec::new();
        for url in urls {
            let mut transfer = Transfer::open(partial, url, expected, progress)?;
            match self.try_often(url, progress, |inner| transfer.run(inner, &self.settings)) {
                Ok((sha256, size)) => return Ok(Downloaded { sha256, size, url: (*url).to_owned() }),
                Err(Stop::This(failure)) => failures.push(failure),
                Err(Stop::All(error)) => return Err(error),
            }
        }
        Err(HttpError::Failed(failures).into())
    }

    /// The content at `url`, of at most `limit` bytes; for keys and lists of checksums.
    pub(crate) fn fetch_small(&self, url: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<u8>> {
        match self.small(url, limit, progress) {
            Ok(content) => Ok(content),
            Err(Stop::This(failure)) => Err(HttpError::Failed(vec![failure]).into()),
            Err(Stop::All(error)) => Err(error),
        }
    }

    /// The same, but `None` if the server has no such file.
    pub(crate) fn find_small(
        &self,
        url: &str,
        limit: usize,
        progress: &dyn Progress,
    ) -> Result<Option<Vec<u8>>> {
        match self.small(url, limit, progress) {
            Ok(content) => Ok(Some(content)),
            Err(Stop::This(failure)) if failure.kind == FailureKind::Missing => Ok(None),
            Err(Stop::This(failure)) => Err(HttpError::Failed(vec![failure]).into()),
            Err(Stop::All(error)) => Err(error),
        }
    }

    fn small(&self, url: &str, limit: usize, progress: &dyn Progress) -> Result<Vec<u8>, Stop> {
        self.try_often(url, progress, |inner| {
            let (head, mut body) = Request::new(url).send(inner, &self.settings)?;
            head.require_success()?;
            let mut content = Vec::new();
            while let Some(chunk) = body.next_chunk()? {
                content.extend_from_slice(&chunk);
                if content.len() > limit {
                    let why = format!("it has more than {limit} bytes, too many for what it should be");
                    return Err(Try::no(FailureKind::Url, why));
                }
            }
            Ok(content)
        })
    }

    /// Tries until it works, can't work, or has failed too often.
    fn try_often<T>(
        &self,
        url: &str,
        progress: &dyn Progress,
        mut attempt: impl FnMut(&reqwest::blocking::Client) -> Result<T, Try>,
    ) -> Result<T, Stop> {
        if self.offline {
            return Err(Stop::All(HttpError::Offline(shown(url)).into()));
        }
        let inner = self.inner().map_err(|e| Stop::All(e.into()))?;
        let (mut tries, mut in_vain) = (0, 0);
        loop {
            tries += 1;
            let failed = |why, kind| Err(Stop::This(Failure { url: shown(url), why, tries, kind }));
            match attempt(inner) {
                Ok(done) => return Ok(done),
                Err(Try::Fatal(error)) => return Err(Stop::All(error)),
                Err(Try::No { kind, why }) => return failed(why, kind),
                Err(Try::Again { why, wait, brought }) => {
                    in_vain = if brought >= WORTHWHILE { 1 } else { in_vain + 1 };
                    if in_vain >= self.settings.tries {
                        return failed(why, FailureKind::Network);
                    }
                    let pause = self.settings.first_pause.saturating_mul(1 << (in_vain - 1).min(16));
                    let pause = wait.unwrap_or_default().max(pause).min(LONGEST_PAUSE);
                    progress.note(&format!("`{}`: {why}; trying again", shown(url)));
                    sleep(pause).map_err(|e| Stop::All(e.into()))?;
                }
            }
        }
    }

    fn inner(&self) -> Result<&reqwest::blocking::Client, HttpError> {
        if let Some(inner) = self.inner.get() {
            return Ok(inner);
        }
        let made = exchange::make_client(&self.settings).map_err(HttpError::Setup)?;
        Ok(self.inner.get_or_init(|| made))
    }
}

/// How one try failed.
enum Try {
    /// It may work later.
    Again {
        why: String,
        /// The server's wish.
        wait: Option<Duration>,
        /// Bytes that are there now and weren't before.
        brought: u64,
    },
    /// This URL will never work.
    No { kind: FailureKind, why: String },
    /// No URL will work: the disk is full, the user said stop.
    Fatal(Error),
}

impl Try {
    fn again(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), wait: None, brought: 0 }
    }

    fn no(kind: FailureKind, why: impl Into<String>) -> Self {
        Self::No { kind, why: why.into() }
    }
}

impl<E: Into<Error>> From<E> for Try {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

/// How all tries ended.
enum Stop {
    This(Failure),
    All(Error),
}

fn sleep(pause: Duration) -> Result<(), interrupt::Interrupted> {
    let end = Instant::now() + pause;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        interrupt::check()?;
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    interrupt::check()
}

/// A URL as it may be shown: no user name, no password, no query.
pub(crate) fn shown(url: &str) -> String {
    let bare = without_credentials(url);
    let end = bare.find(['?', '#']).unwrap_or(bare.len());
    if end < bare.len() { format!("{}?…", &bare[..end]) } else { bare }
}

/// A URL without user name and password.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host..])
}

/// The last part of a URL's path, decoded as far as it's plain; empty if there is none.
pub(crate) fn file_name(url: &str) -> String {
    let bare = without_credentials(url);
    let path = bare.split_once("://").map_or(bare.as_str(), |(_, rest)| rest);
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    let name = path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).unwrap_or_default();
    name.replace("%2B", "+").replace("%2b", "+").replace("%20", " ")
}

#[cfg(test)]
mod tests;

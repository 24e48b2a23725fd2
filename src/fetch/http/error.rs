//! How downloads fail.

use std::time::Duration;

use reqwest::StatusCode;

use crate::error::{Error, Exit, Explain};
use crate::fetch::checksum::DigestMismatch;

/// Why nothing was downloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("`{0}` is not in the cache and cannot be downloaded with `--offline`")]
    Offline(String),
    /// Every URL failed.
    #[error("cannot download {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Failed(Vec<UrlFailure>),
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

impl HttpError {
    /// Whether `--offline` is the reason.
    pub(crate) fn is_offline(&self) -> bool {
        matches!(self, Self::Offline(_))
    }

    /// Whether a server doesn't have the file, and none has another file instead.
    pub(crate) fn is_missing(&self) -> bool {
        self.any(CauseClass::Missing) && !self.any(CauseClass::Verification)
    }

    fn any(&self, class: CauseClass) -> bool {
        matches!(self, Self::Failed(failures) if failures.iter().any(|f| f.cause.class() == class))
    }
}

impl Explain for HttpError {
    fn exit(&self) -> Exit {
        if self.any(CauseClass::Verification) { Exit::Verification } else { Exit::Network }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Setup(_) => return None,
            Self::Offline(_) => "run `magi-image fetch` once while there is a network",
            Self::Failed(_) if self.any(CauseClass::Verification) => {
                "the file was replaced, or damaged in transit; if there is a new version, update the pinned hash"
            }
            Self::Failed(_) if self.any(CauseClass::Temporary) => {
                "check the network and try again: a partial download is kept and resumed"
            }
            Self::Failed(_) => "check the URL, or use a mirror or a local file",
        };
        Some(hint.into())
    }
}

/// Why one URL failed.
#[derive(Debug, thiserror::Error)]
#[error("`{url}`: {cause}{}", if *.tries > 1 { format!(", after {} tries", .tries) } else { String::new() })]
pub(crate) struct UrlFailure {
    /// Without credentials and query.
    pub(super) url: String,
    /// Of the last try.
    pub(super) cause: FailureCause,
    pub(super) tries: u32,
}

/// What a failure means for further tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CauseClass {
    /// Another try may succeed.
    Temporary,
    /// The server has no such file, or doesn't give access to it.
    Missing,
    /// The content differs from what was expected.
    Verification,
    /// The URL cannot be used.
    Url,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum FailureCause {
    #[error("not a valid URL: {0}")]
    InvalidUrl(#[from] url::ParseError),
    #[error("only http and https URLs can be downloaded")]
    Scheme,
    #[error("the request cannot be sent: {0}")]
    Request(String),
    #[error(transparent)]
    Redirect(#[from] RefusedRedirect),
    #[error("no secure connection: {0}")]
    Tls(rustls::Error),
    #[error("timeout while connecting")]
    ConnectTimeout,
    #[error("no connection: {0}")]
    Connect(String),
    #[error("the server sent nothing for {0:?}")]
    ReadTimeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("the server answers {0}")]
    Status(StatusCode),
    #[error("the server answers 200 OK with a web page instead of the file{}", .0.redirected())]
    WebPage(WebPage),
    #[error("the server cannot resume the download")]
    NotResumable,
    #[error("the server sent another range than the requested one")]
    OtherRange,
    #[error("truncated after {received} of {size} bytes")]
    Truncated { received: u64, size: u64 },
    #[error("the resumed file has the wrong SHA-256")]
    ResumedDigest,
    #[error("it has {0}")]
    Digest(#[from] DigestMismatch),
    #[error("it has {found} bytes, but {expected} were expected")]
    Size { found: u64, expected: u64 },
    #[error("it has more than the expected {0} bytes")]
    Longer(u64),
    /// A limit in bytes for what is held in memory.
    #[error("it has more than {0} bytes, the limit for this kind of file")]
    Limit(usize),
}

impl FailureCause {
    pub(super) fn class(&self) -> CauseClass {
        match self {
            Self::ConnectTimeout
            | Self::Connect(_)
            | Self::ReadTimeout(_)
            | Self::Broken(_)
            | Self::NotResumable
            | Self::OtherRange
            | Self::Truncated { .. }
            | Self::ResumedDigest => CauseClass::Temporary,
            Self::Status(status) => match status.as_u16() {
                408 | 429 | 500.. => CauseClass::Temporary,
                403 | 404 | 410 => CauseClass::Missing,
                _ => CauseClass::Url,
            },
            Self::WebPage(_) => CauseClass::Missing,
            Self::Digest(_) | Self::Size { .. } | Self::Longer(_) => CauseClass::Verification,
            // A certificate that isn't valid now won't be in a second.
            Self::InvalidUrl(_)
            | Self::Scheme
            | Self::Request(_)
            | Self::Redirect(_)
            | Self::Tls(_)
            | Self::Limit(_) => CauseClass::Url,
        }
    }
}

/// A page where a file was expected: some servers answer so for files that they no longer have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebPage {
    /// The URL that redirects led to, without credentials and query.
    pub(super) redirected_to: Option<String>,
}

impl WebPage {
    fn redirected(&self) -> String {
        self.redirected_to.as_ref().map_or_else(String::new, |url| format!(", redirected to `{url}`"))
    }
}

/// Why a redirect isn't followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RefusedRedirect {
    #[error("redirected from https to {0}")]
    Insecure(String),
    #[error("redirect loop")]
    Loop,
    #[error("more than {0} redirects")]
    TooMany(usize),
}

/// How one try failed.
pub(super) enum TryError {
    Url {
        cause: FailureCause,
        /// The pause that the server asks for.
        retry_after: Option<Duration>,
        /// Bytes that this try added to the file.
        received: u64,
    },
    /// No URL can work: the disk is full, or the user interrupts.
    Fatal(Error),
}

impl From<FailureCause> for TryError {
    fn from(cause: FailureCause) -> Self {
        Self::Url { cause, retry_after: None, received: 0 }
    }
}

impl<E: Into<Error>> From<E> for TryError {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

/// How all tries of one URL failed.
pub(super) enum RetryError {
    Url(UrlFailure),
    /// See [`TryError::Fatal`].
    Fatal(Error),
}

impl From<RetryError> for Error {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::Url(failure) => HttpError::Failed(vec![failure]).into(),
            RetryError::Fatal(error) => error,
        }
    }
}

impl<E: Explain> From<E> for RetryError {
    fn from(error: E) -> Self {
        Self::Fatal(error.into())
    }
}

//! The library's error: the cause, the context, the exit code and a hint.
//!
//! Each module has a `thiserror` enum that implements [`Explain`]. Outside the module it becomes an [`Error`], which
//! callers extend with context. Messages are in lower case, without a full stop.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Exit codes; part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 1: any other failure.
    Failed = 1,
    /// 2: the command line, the profile or an overlay is wrong.
    Usage = 2,
    /// 3: a checksum, a signature or a read-back differs.
    Verification = 3,
    /// 4: the network or the cache could not provide a file.
    Network = 4,
    /// 130: SIGINT or SIGTERM, by the convention of shells. `cli::run` uses it for every error after a signal.
    Interrupted = 130,
}

/// An error with an exit code and a hint.
pub(crate) trait Explain: StdError + Send + Sync + 'static {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
    /// The user's next step, if known.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An [`Explain`] and the context in which it occurred.
#[derive(Debug)]
pub(crate) struct Error {
    cause: Box<dyn Explain>,
    /// Innermost first.
    context: Vec<String>,
    /// Replaces exit code and hint of the cause.
    instead: Option<(Exit, String)>,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The exit code of the cause, or its replacement.
    pub(crate) fn exit(&self) -> Exit {
        self.instead.as_ref().map_or_else(|| self.cause.exit(), |(exit, _)| *exit)
    }

    /// The hint of the cause, or its replacement.
    pub(crate) fn hint(&self) -> Option<String> {
        self.instead.as_ref().map_or_else(|| self.cause.hint(), |(_, hint)| Some(hint.clone()))
    }

    /// Replaces exit code and hint if the cause is a [`FileError`] of the file at `path`.
    #[must_use]
    pub(crate) fn instead(mut self, path: &Path, exit: Exit, hint: &str) -> Self {
        if self.cause::<FileError>().is_some_and(|e| e.path == path) {
            self.instead = Some((exit, hint.to_owned()));
        }
        self
    }

    /// Replaces the exit code; `hint` is used if the cause has none.
    #[must_use]
    pub(crate) fn exiting(mut self, exit: Exit, hint: &str) -> Self {
        self.instead = Some((exit, self.hint().unwrap_or_else(|| hint.to_owned())));
        self
    }

    /// Replaces the hint.
    #[must_use]
    pub(crate) fn hinting(mut self, hint: String) -> Self {
        self.instead = Some((self.exit(), hint));
        self
    }

    /// The cause, if it is a `T`.
    pub(crate) fn cause<T: Explain>(&self) -> Option<&T> {
        let cause: &(dyn StdError + 'static) = &*self.cause;
        cause.downcast_ref()
    }

    /// The cause by value, without its context, if it is a `T`; otherwise the error.
    pub(crate) fn into_cause<T: Explain>(self) -> Result<T, Self> {
        if self.cause::<T>().is_none() {
            return Err(self);
        }
        let cause: Box<dyn StdError + Send + Sync> = self.cause;
        match cause.downcast() {
            Ok(cause) => Ok(*cause),
            Err(_) => unreachable!("the type was checked"),
        }
    }

    /// The messages from the outermost context to the innermost cause.
    pub(crate) fn chain(&self) -> Vec<String> {
        let mut chain: Vec<String> = self.context.iter().rev().cloned().collect();
        chain.push(self.cause.to_string());
        let mut source = self.cause.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Messages that must stand alone, such as those of damaged file systems, contain their source's message.
            if !chain.last().is_some_and(|last| last.contains(&text)) {
                chain.push(text);
            }
            source = cause.source();
        }
        chain
    }

    /// Adds the task during which the error occurred, as a gerund: "patching `sysconf.txt`".
    #[must_use]
    pub(crate) fn context(mut self, what: impl Into<String>) -> Self {
        self.context.push(what.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain().join(": "))
    }
}

impl<E: Explain> From<E> for Error {
    fn from(cause: E) -> Self {
        Self { cause: Box::new(cause), context: Vec::new(), instead: None }
    }
}

/// Adds context to a result.
pub(crate) trait Context<T> {
    /// See [`Error::context`]; `what` is called only for an error.
    fn while_doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn while_doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| e.into().context(what()))
    }
}

/// An I/O error on a file of the user's machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{}`", crate::text::printable(path))]
pub(crate) struct FileError {
    /// The failed operation, such as `read`, `write` or `create`.
    verb: &'static str,
    path: PathBuf,
    pub(crate) source: std::io::Error,
    exit: Exit,
}

impl FileError {
    /// A closure for `map_err`.
    pub(crate) fn new(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        Self::with(verb, path, Exit::Failed)
    }

    /// For a file that the user named, on the command line or in a profile.
    pub(crate) fn named(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        Self::with("read", path, Exit::Usage)
    }

    fn with(verb: &'static str, path: &Path, exit: Exit) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self { verb, path, source, exit }
    }
}

impl Explain for FileError {
    fn exit(&self) -> Exit {
        self.exit
    }
    fn hint(&self) -> Option<String> {
        use std::io::ErrorKind as K;
        match self.source.kind() {
            K::NotFound => Some("check the path".into()),
            K::PermissionDenied => Some("check its permissions, or choose another folder".into()),
            K::AlreadyExists | K::NotADirectory => Some("a file is in the way; choose another folder".into()),
            K::InvalidInput => Some("name a regular file".into()),
            K::IsADirectory => Some("this is a folder; name a file".into()),
            K::ReadOnlyFilesystem => Some("the file system is read-only; choose another folder".into()),
            K::StorageFull => Some("free some space, or choose another folder".into()),
            _ => None,
        }
    }
}

/// The first `T` among `error` and its sources, including what an [`std::io::Error`] wraps.
pub(crate) fn find_source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // `source` of an `io::Error` skips the error that it wraps.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => find_source(wrapped),
        None => find_source(error.source()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("damaged: {0}")]
    struct Damaged(#[from] std::io::Error);

    impl Explain for Damaged {}

    #[test]
    fn cause_is_found_by_its_type() {
        let error = || Error::from(Damaged(std::io::Error::other("no cluster"))).context("reading");
        assert!(error().cause::<Damaged>().is_some() && error().cause::<FileError>().is_none());
        assert_eq!(error().into_cause::<Damaged>().unwrap().to_string(), "damaged: no cluster");
        assert_eq!(error().into_cause::<FileError>().unwrap_err().chain().len(), 2);
        let hinted = error().hinting("use a backup".into());
        assert_eq!((hinted.exit(), hinted.hint().as_deref()), (Exit::Failed, Some("use a backup")));
    }

    #[test]
    fn chain_goes_from_context_to_cause_without_repetition() {
        let io = std::io::Error::from(std::io::ErrorKind::NotFound);
        let text = io.to_string();
        let error = Error::from(FileError::new("read", "a.toml".as_ref())(io)).context("loading the profile");
        assert_eq!(error.chain(), ["loading the profile".to_owned(), "cannot read `a.toml`".into(), text]);
        assert_eq!(error.hint().as_deref(), Some("check the path"));
        assert_eq!(error.exit(), Exit::Failed);
        let error = Error::from(Damaged(std::io::Error::other("no cluster")));
        assert_eq!(error.chain(), ["damaged: no cluster"]);
    }
}

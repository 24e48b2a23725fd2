//! Secrets: text that can't be printed, what it can be made of, and the one file that keeps it.

mod kind;
mod pki;
mod store;

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

pub(crate) use kind::{Alphabet, SecretKind, SecretSpec};
pub(crate) use store::{Store, Wanted};

use crate::error::{Exit, Explain};

/// Text that no format string prints.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for what goes into an image's private files, nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A secret as templates see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretValue {
    /// A text: `secrets.NAME`.
    Text(Secret),
    /// A private key, with its certificate if it has one: `secrets.NAME.key`, `secrets.NAME.crt`.
    Pair {
        /// PEM, without a newline at its end.
        crt: Option<Secret>,
        /// The same.
        key: Secret,
    },
}

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    /// Others can read it.
    #[error("`{}` can be read by other users (mode {mode:03o})", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The secrets themselves, given where their file's name belongs. Never quoted.
    #[error("`--secrets` or `MAGI_IMAGE_SECRETS` holds the secrets themselves, not the name of their file")]
    Content,
    /// The file was named, so it must be there: a slip would begin another cluster.
    #[error("the secrets file `{}` isn't there", crate::text::printable(.0))]
    Missing(PathBuf),
    /// Nothing in it.
    #[error("`{}` holds no secrets", crate::text::printable(.0))]
    Empty(PathBuf),
    /// No entropy from the system.
    #[error("the system gave no random bytes: {0}")]
    NoEntropy(String),
    /// Two builds wrote secrets at the same moment.
    #[error("another build has just written `{}`", .0.display())]
    Raced(PathBuf),
    /// A line that can't be.
    #[error("`{}` has an entry of the wrong form: `{key}`", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The dotted key; never the value.
        key: String,
    },
    /// Not what the overlay declares.
    #[error("`{}`: `{key}` {flaw}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The dotted key; never the value.
        key: String,
        /// What is wrong with it.
        flaw: String,
    },
    /// A key or a certificate couldn't be made.
    #[error("a certificate couldn't be made: {0}")]
    NotMade(String),
    /// A name that a certificate can't carry.
    #[error("`{file}` line {line}: {flaw}: `{name}`")]
    Name {
        /// The overlay's file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// As rendered.
        name: String,
        /// What is wrong with it.
        flaw: String,
    },
}

impl Explain for SecretsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooOpen { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::Content => {
                Some("write them to a file that only you can read (mode 600), and name that".into())
            }
            Self::Missing(path) => {
                let path = crate::text::printable(path);
                Some(format!(
                    "check the path; for a new cluster, `magi-image init --secrets {path}` makes it"
                ))
            }
            Self::Empty(_) => Some(
                "restore it from a backup, or bring it again; remove it only to begin a new cluster".into(),
            ),
            Self::NoEntropy(_) | Self::NotMade(_) => None,
            Self::Raced(_) => Some("run this one again: it will use the same secrets".into()),
            Self::Name { .. } => Some("shorten what it is made of, as the cluster's name".into()),
            Self::Entry { .. } | Self::Unfit { .. } => {
                Some("restore the file from a backup; every node of a cluster needs the same".into())
            }
        }
    }
}

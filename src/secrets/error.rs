//! Errors of this room. No message quotes a secret.

use std::path::PathBuf;

use super::Alphabet;
use crate::error::{Exit, Explain};
use crate::text::{escaped, printable};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretsError {
    #[error("other users can read `{}` (mode {mode:03o})", printable(path))]
    Readable { path: PathBuf, mode: u32 },
    /// The path is the content of a secrets file. It is never quoted.
    #[error("`--secrets` or `MAGI_IMAGE_SECRETS` is the content of a secrets file, not its path")]
    ContentAsPath,
    /// A file that was named must exist: a typing error would start another cluster.
    #[error("the secrets file `{}` does not exist", printable(.0))]
    Missing(PathBuf),
    #[error("`{}` has no secrets", printable(.0))]
    Empty(PathBuf),
    #[error("the system provides no random bytes: {0}")]
    NoEntropy(String),
    #[error("another build has just written `{}`", printable(.0))]
    ConcurrentWrite(PathBuf),
    #[error("`{}`: `{key}` {flaw}", printable(path))]
    Flawed { path: PathBuf, key: String, flaw: SecretFlaw },
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// `name` is rendered from a template of the overlay's `file`.
    #[error("`{file}` line {line}: `{}` {flaw}", escaped(name))]
    CertificateName { file: String, line: usize, name: String, flaw: NameFlaw },
}

/// What is wrong with an entry of the secrets file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFlaw {
    /// Neither a table nor text of the allowed characters, or a key that needs quotes.
    #[error("is not a valid entry of a secrets file")]
    Entry,
    #[error("must be a table")]
    NotATable,
    #[error("must be a string")]
    NotAString,
    #[error("is missing")]
    Missing,
    #[error("must be {length} characters of {}", alphabet.description())]
    Letters { alphabet: Alphabet, length: usize },
    #[error("is not a P-256 private key in PEM (`EC PRIVATE KEY`)")]
    NotAKey,
    #[error("is not a certificate in PEM")]
    NotACertificate,
    #[error("does not belong to the key `{key}`")]
    OtherKey { key: String },
    #[error("is not a self-signed CA certificate")]
    NotACa,
    #[error("is not signed by `{issuer}`")]
    OtherIssuer { issuer: String },
}

/// Why a text cannot be a name in a certificate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFlaw {
    #[error("is empty, but a certificate needs a name")]
    Empty,
    #[error("has control characters, which a certificate's name must not have")]
    ControlCharacter,
    #[error("has {letters} characters, but a certificate's name has at most {max}")]
    Length { letters: usize, max: usize },
}

impl Explain for SecretsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Readable { path, .. } => return Some(format!("run `chmod 600 {}`", printable(path))),
            Self::Missing(path) => {
                let path = printable(path);
                return Some(format!(
                    "check the path; `magi-image init --secrets {path}` makes it for a new cluster"
                ));
            }
            Self::NoEntropy(_) | Self::Certificate(_) => return None,
            Self::ContentAsPath => "write the secrets to a file with mode 600 and give its path",
            Self::Empty(_) => "restore the file from a backup; remove it only to start a new cluster",
            Self::ConcurrentWrite(_) => "run this command again; it will use the same secrets",
            Self::CertificateName { .. } => "change what the name is made of, such as the cluster's name",
            Self::Flawed { .. } => {
                "restore the file from a backup; all nodes of a cluster need the same secrets"
            }
        };
        Some(hint.to_owned())
    }
}

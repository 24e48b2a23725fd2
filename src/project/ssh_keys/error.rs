//! Why keys can't be used.

use std::path::PathBuf;

use crate::error::{Exit, Explain};
use crate::profile::ssh_key::KeyLineError;
use crate::text::printable;

#[derive(Debug, thiserror::Error)]
pub(super) enum SshKeyError {
    #[error("`{}` is {encoding}, which OpenSSH doesn't read", printable(path))]
    Encoding { path: PathBuf, encoding: &'static str },
    #[error("`{}` holds no ssh public key: it is empty", printable(.0))]
    Empty(PathBuf),
    /// `line` counts from 1.
    #[error("`{}` line {line} is no ssh public key: {error}", printable(path))]
    Invalid { path: PathBuf, line: usize, error: KeyLineError },
    #[error("`{}` is there, but not its public key `{}`", printable(private), printable(public))]
    NoPublicKey { private: PathBuf, public: PathBuf },
    #[error("cannot generate an ssh key pair: no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("cannot generate an ssh key pair")]
    Generate(#[source] ssh_key::Error),
    #[error("cannot generate an ssh key pair: {0}")]
    Generated(KeyLineError),
}

impl Explain for SshKeyError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Encoding { .. } => "save the file as UTF-8 without a byte order mark",
            Self::Empty(_) => "give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`",
            Self::Invalid { error, .. } => error.hint(),
            Self::NoPublicKey { .. } => {
                "`ssh-keygen -y -f FILE` prints it: save that beside it, or move the private key away"
            }
            Self::Random(_) | Self::Generate(_) | Self::Generated(_) => "name a key in `ssh.authorized_keys`",
        };
        Some(hint.into())
    }
}

//! Secrets: text that format strings do not print, how it is generated, and the file that keeps it.

mod error;
mod file;
mod generate;
mod pki;
mod random;
mod spec;
mod store;

use std::fmt;

use zeroize::Zeroizing;

use error::{SecretFlaw, SecretsError};
pub(crate) use generate::SecretsRequest;
pub(crate) use spec::{Alphabet, SecretKind, SecretSpec};
pub(crate) use store::SecretStore;

/// Text that format strings do not print; overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Only for private files of an image and for the secrets file.
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
    /// `secrets.NAME`.
    Text(Secret),
    /// A private key, `secrets.NAME.key`, and its certificate, `secrets.NAME.crt`, if it has one.
    Pair {
        /// PEM without a newline at the end.
        crt: Option<Secret>,
        /// PEM without a newline at the end.
        key: Secret,
    },
}

//! What `[[secret]]` of an overlay declares.

use crate::document::Located;

/// The characters of a random text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    Hex,
    Alphanumeric,
}

impl Alphabet {
    /// The characters of generated secrets, without those that look alike (0, O, 1, I, l).
    pub(super) fn letters(self) -> &'static [u8] {
        match self {
            Self::Hex => b"0123456789abcdef",
            Self::Alphanumeric => b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        }
    }

    /// Whether `text`, perhaps written by a person, has only allowed characters.
    pub(super) fn allows(self, text: &str) -> bool {
        match self {
            Self::Hex => text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Alphanumeric => text.bytes().all(|b| b.is_ascii_alphanumeric()),
        }
    }

    /// The allowed characters, for messages.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Hex => "0-9 and a-f",
            Self::Alphanumeric => "0-9, A-Z and a-z",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum SecretKind {
    Letters {
        alphabet: Alphabet,
        length: usize,
    },
    /// A self-signed certificate authority and its key.
    Ca {
        /// A template.
        common_name: Located<String>,
    },
    /// A client certificate and its key.
    Certificate {
        /// The [`SecretKind::Ca`] of the same overlay that signs it.
        issuer: Located<String>,
        /// A template.
        common_name: Located<String>,
        /// A template.
        organization: Option<Located<String>>,
    },
    /// A private key without a certificate.
    Key,
}

#[derive(Debug, Clone)]
pub(crate) struct SecretSpec {
    pub(crate) name: Located<String>,
    pub(crate) kind: SecretKind,
    /// Whether each node has its own.
    pub(crate) per_node: bool,
}

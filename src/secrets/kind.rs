//! What an overlay can ask for: random letters, and what a cluster's certificates are made of.

use zeroize::Zeroizing;

use super::{Secret, SecretsError};
use crate::document::Located;

/// What a random text is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// 0-9 and a-f.
    Hex,
    /// 0-9, A-Z and a-z, without what is easily mistaken (0, O, 1, I, l).
    Alphanumeric,
}

impl Alphabet {
    fn letters(self) -> &'static [u8] {
        match self {
            Self::Hex => b"0123456789abcdef",
            Self::Alphanumeric => b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        }
    }

    /// Whether `text`, perhaps written by a person, can be of it.
    fn spells(self, text: &str) -> bool {
        match self {
            Self::Hex => text.bytes().all(|b| b.is_ascii_hexdigit()),
            Self::Alphanumeric => text.bytes().all(|b| b.is_ascii_alphanumeric()),
        }
    }
}

/// What a secret is.
#[derive(Debug, Clone)]
pub(crate) enum SecretKind {
    /// A text of random letters.
    Letters {
        /// Its letters.
        alphabet: Alphabet,
        /// How many.
        length: usize,
    },
    /// A certificate authority that signs itself, and its key.
    Ca {
        /// Its name, a template.
        common_name: Located<String>,
    },
    /// A client's certificate and its key.
    Certificate {
        /// The [`SecretKind::Ca`] of the same overlay that signs it.
        issuer: Located<String>,
        /// Whose it is, a template.
        common_name: Located<String>,
        /// The group it belongs to, a template.
        organization: Option<Located<String>>,
    },
    /// A private key alone.
    Key,
}

/// A secret that an overlay declares.
#[derive(Debug, Clone)]
pub(crate) struct SecretSpec {
    /// Its name in the overlay's templates.
    pub(crate) name: Located<String>,
    /// What it is.
    pub(crate) kind: SecretKind,
    /// One for each node instead of one for the cluster.
    pub(crate) per_node: bool,
}

/// Makes `length` letters of `alphabet`.
pub(super) fn random(alphabet: Alphabet, length: usize) -> Result<Secret, SecretsError> {
    let letters = alphabet.letters();
    // Bytes past the last multiple are drawn again, so that no letter is likelier than another.
    let fair = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = Zeroizing::new([0u8; 64]);
        entropy(bytes.as_mut())?;
        let chosen = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < fair);
        text.extend(chosen.map(|b| letters[b % letters.len()] as char).take(length - text.len()));
    }
    Ok(Secret::new(text))
}

/// Fills `bytes` with the system's randomness.
pub(super) fn entropy(bytes: &mut [u8]) -> Result<(), SecretsError> {
    getrandom::fill(bytes).map_err(|e| SecretsError::NoEntropy(e.to_string()))
}

/// What keeps `secret` from being `length` letters of `alphabet`.
pub(super) fn flaw(secret: &Secret, alphabet: Alphabet, length: usize) -> Option<String> {
    let of = match alphabet {
        Alphabet::Hex => "0-9 and a-f",
        Alphabet::Alphanumeric => "0-9, A-Z and a-z",
    };
    let fits = secret.reveal().len() == length && alphabet.spells(secret.reveal());
    (!fits).then(|| format!("must be {length} letters of {of}"))
}

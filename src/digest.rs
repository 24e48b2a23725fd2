//! SHA-256 and SHA-512 as values.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::interrupt;

/// A text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 (64 hexadecimal digits) or SHA-512 (128 hexadecimal digits)")]
pub(crate) struct NotAHash(String);

/// Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Sha256([u8; 32]);

impl Sha256 {
    /// A hash in the source code. In a constant, anything but 64 lower-case hexadecimal digits fails to compile.
    pub(crate) const fn from_literal(hex: &str) -> Self {
        const fn digit(byte: u8) -> u8 {
            match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => panic!("not a lower-case hexadecimal digit"),
            }
        }
        let (hex, mut bytes, mut at) = (hex.as_bytes(), [0; 32], 0);
        assert!(hex.len() == 64, "a SHA-256 has 64 hexadecimal digits");
        while at < 32 {
            bytes[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
            at += 1;
        }
        Self(bytes)
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of all bytes of `reader`, and their number. Stops when interrupted.
    pub(crate) fn of_reader(mut reader: impl Read) -> std::io::Result<(Self, u64)> {
        let mut hasher = Sha256Hasher::default();
        let size = pump(&mut reader, |bytes| hasher.update(bytes))?;
        Ok((hasher.finish(), size))
    }
}

/// Computes a [`Sha256`] piece by piece.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sha256Hasher(sha2::Sha256);

impl Sha256Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl FromStr for Sha256 {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        from_hex(text).map(Self)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NotAHash;
    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(hash: Sha256) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A published checksum; its length decides the algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Digest {
    Sha256(Sha256),
    Sha512([u8; 64]),
}

impl Digest {
    /// `SHA-256` or `SHA-512`.
    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::Sha512(_) => "SHA-512",
        }
    }

    /// The digest of all bytes of `reader` by the algorithm of `self`. Stops when interrupted.
    pub(crate) fn same_of_reader(&self, mut reader: impl Read) -> std::io::Result<Self> {
        match self {
            Self::Sha256(_) => Ok(Self::Sha256(Sha256::of_reader(reader)?.0)),
            Self::Sha512(_) => {
                let mut hasher = sha2::Sha512::new();
                pump(&mut reader, |bytes| hasher.update(bytes))?;
                Ok(Self::Sha512(hasher.finalize().into()))
            }
        }
    }
}

impl From<Sha256> for Digest {
    fn from(hash: Sha256) -> Self {
        Self::Sha256(hash)
    }
}

impl FromStr for Digest {
    type Err = NotAHash;
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        if text.len() == 128 { from_hex(text).map(Self::Sha512) } else { text.parse().map(Self::Sha256) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hash) => hash.fmt(f),
            Self::Sha512(bytes) => to_hex(bytes, f),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Passes all bytes of `reader` to `sink` in pieces; returns their number.
fn pump(reader: &mut impl Read, mut sink: impl FnMut(&[u8])) -> std::io::Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        interrupt::check_io()?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(n) => {
                sink(&buffer[..n]);
                size += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], NotAHash> {
    let wrong = || NotAHash(text.chars().take(130).collect());
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(bytes)
}

fn to_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn test_vectors_of_fips_180() {
        assert_eq!(Sha256::of(b"abc").to_string(), ABC);
        assert_eq!(Sha256::of_reader(&b"abc"[..]).unwrap(), (ABC.parse().unwrap(), 3));
        let long = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                    2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        let expected: Digest = long.parse().unwrap();
        assert_eq!(expected.same_of_reader(&b"abc"[..]).unwrap().to_string(), long);
    }

    #[test]
    fn hashes_parse_in_any_case_and_only_with_the_right_length() {
        assert_eq!(ABC.to_uppercase().parse::<Sha256>().unwrap().to_string(), ABC);
        for bad in ["", "abc", &ABC[1..], &format!("{ABC}0"), &format!("+{}", &ABC[1..]), &"é".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}

//! `OpenPGP`: which keys a key file holds, and whether one of them signed something (RFC 9580).
//!
//! `rPGP` parses and computes; it has no policy, so `policy` decides which signatures count.

mod policy;
mod verify;

use std::io::Read;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::composed::{Deserializable, SignedPublicKey};
use pgp::packet::{Packet, PacketParser};
use pgp::types::KeyDetails;

pub(crate) use policy::Refusal;
pub(crate) use verify::{SignedData, verify_cleartext, verify_detached};

use crate::error::{Exit, Explain, FileError};
use crate::interrupt::Interrupted;

/// Limit for key files and signatures, in bytes. Larger input isn't parsed.
const LIMIT: usize = 1 << 20;

/// Why a key or a signature isn't accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenPgpError {
    /// Bytes that aren't public keys.
    #[error("not an OpenPGP public key: {0}")]
    NotAKey(String),
    /// Another key, or more than one.
    #[error("expected the OpenPGP key {expected}, found {}", list(found))]
    Fingerprint {
        /// Hexadecimal digits.
        expected: String,
        /// Fingerprints of the primary keys in the file.
        found: Vec<String>,
    },
    /// Bytes that aren't a signature.
    #[error("not an OpenPGP signature: {0}")]
    NotASignature(String),
    /// A signature that the policy doesn't accept.
    #[error("the signature is not valid: {0}")]
    Refused(Refusal),
    /// The signed file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".into() } else { found.join(" and ") }
}

impl Explain for OpenPgpError {
    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            _ => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotAKey(_) => Some("the download may be an error page; open its URL in a browser".into()),
            Self::Fingerprint { .. } => Some(
                "get the new fingerprint from the key's owner by another way before you change it".into(),
            ),
            Self::NotASignature(_) | Self::Refused(_) => Some(
                "don't use the file; if its hash is known from elsewhere, pin it with `sha256` instead"
                    .into(),
            ),
            Self::File(error) => error.hint(),
            Self::Interrupted(_) => None,
        }
    }
}

/// The fingerprints of all primary keys in `key_file` (armoured or binary): upper-case hexadecimal digits.
pub(crate) fn fingerprints(key_file: &[u8]) -> Result<Vec<String>, OpenPgpError> {
    Ok(keys(key_file)?.iter().map(fingerprint).collect())
}

/// Fails unless `key_file` holds exactly one primary key, which has this fingerprint (blanks and case don't
/// matter). A second key is an error: apt and gpg would trust it too.
pub(crate) fn require_fingerprint(key_file: &[u8], expected: &str) -> Result<(), OpenPgpError> {
    let expected = expected.split_whitespace().collect::<String>().to_uppercase();
    let found = fingerprints(key_file)?;
    // A short key id is not enough: attackers can make another key with the same key id.
    if found == [expected.as_str()] && expected.len() >= 40 {
        return Ok(());
    }
    Err(OpenPgpError::Fingerprint { expected, found })
}

fn fingerprint(key: &SignedPublicKey) -> String {
    format!("{:X}", key.primary_key.fingerprint())
}

/// All keys of a file. A packet that can't be read is an error: another program might read a key in it.
fn keys(key_file: &[u8]) -> Result<Vec<SignedPublicKey>, OpenPgpError> {
    let packets = packets(key_file, BlockType::PublicKey).map_err(OpenPgpError::NotAKey)?;
    let packets = packets.into_iter().filter(|p| !matches!(p, Packet::Trust(_))).map(Ok);
    let keys: Result<Vec<_>, _> = SignedPublicKey::from_packets(packets.peekable()).collect();
    keys.map_err(|e| OpenPgpError::NotAKey(e.to_string()))
}

/// All packets of all blocks; an error unless every byte belongs to one that can be read.
fn packets(data: &[u8], kind: BlockType) -> Result<Vec<Packet>, String> {
    let mut packets = Vec::new();
    for block in dearmor(data, kind)? {
        let before = packets.len();
        for packet in PacketParser::new(&block[..]) {
            packets.push(packet.map_err(|e| e.to_string())?);
        }
        // rPGP stops without an error at bytes that don't start a packet.
        if count_packets(&block) != Some(packets.len() - before) {
            return Err("it is damaged, or other data follows it".into());
        }
    }
    packets.retain(|p| !matches!(p, Packet::Marker(_) | Packet::Padding(_)));
    Ok(packets)
}

/// Counts the packets in `data` by their headers (RFC 9580, section 4.2); `None` if other bytes are in it.
fn count_packets(mut data: &[u8]) -> Option<usize> {
    let mut count = 0;
    while let [first, rest @ ..] = data {
        let number = |n: usize| rest.get(..n).map(|b| b.iter().fold(0, |sum, b| sum << 8 | usize::from(*b)));
        let (header, length) = match (first & 0xc0, rest.first()?) {
            (0xc0, &short @ ..192) => (1, short.into()),
            (0xc0, &high @ 192..224) => {
                (2, ((usize::from(high) - 192) << 8) + usize::from(*rest.get(1)?) + 192)
            }
            (0xc0, 255) => (5, number(5)? & 0xffff_ffff),
            (0x80, _) if first & 3 < 3 => (1 << (first & 3), number(1 << (first & 3))?),
            // Partial and indeterminate lengths are for data packets, not for keys and signatures.
            _ => return None,
        };
        data = rest.get(header..)?.get(length..)?;
        count += 1;
    }
    Some(count)
}

/// The binary content of every armoured block. Binary data is returned as it is.
fn dearmor(data: &[u8], kind: BlockType) -> Result<Vec<Vec<u8>>, String> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if data.len() > LIMIT {
        return Err(format!("{} bytes are too many", data.len()));
    }
    // The first octet of a packet has its high bit set.
    if data.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(vec![data.to_vec()]);
    }
    let mut starts: Vec<usize> =
        data.windows(BEGIN.len()).enumerate().filter(|(_, w)| *w == BEGIN).map(|(at, _)| at).collect();
    if starts.is_empty() {
        return Err("it has no armour".into());
    }
    starts.push(data.len());
    starts.windows(2).map(|pair| dearmor_block(&data[pair[0]..pair[1]], kind)).collect()
}

fn dearmor_block(block: &[u8], kind: BlockType) -> Result<Vec<u8>, String> {
    let mut armour = Dearmor::with_options(block, DearmorOptions::new().set_limit(LIMIT));
    armour.read_header().map_err(|e| e.to_string())?;
    if armour.typ != Some(kind) {
        return Err(format!(
            "it is a {}",
            armour.typ.map_or("block of an unknown kind".into(), |t| t.to_string())
        ));
    }
    let mut binary = Vec::new();
    armour.read_to_end(&mut binary).map_err(|e| e.to_string())?;
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("fixtures/", $name))
        };
    }

    /// The fingerprint of `plain`; the fixture script makes new keys each time.
    fn plain() -> String {
        fingerprints(fixture!("plain.key.asc")).unwrap().remove(0)
    }

    #[test]
    fn fingerprint_is_compared_without_case_and_blanks() {
        let fingerprint = plain();
        assert_eq!(fingerprint.len(), 40);
        let pretty: Vec<_> =
            fingerprint.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).to_lowercase()).collect();
        require_fingerprint(fixture!("plain.key.asc"), &pretty.join(" ")).unwrap();
    }

    #[test]
    fn other_or_additional_key_is_refused_with_its_fingerprint() {
        let error = require_fingerprint(fixture!("weak.key.asc"), &plain()).unwrap_err();
        let found = fingerprints(fixture!("weak.key.asc")).unwrap().remove(0);
        assert_eq!(error.to_string(), format!("expected the OpenPGP key {}, found {found}", plain()));
        assert_eq!(error.exit(), Exit::Verification);

        for two in [
            fixture!("two.key").to_vec(),
            [&fixture!("plain.key.asc")[..], fixture!("weak.key.asc")].concat(),
        ] {
            let found = fingerprints(&two).unwrap();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0], plain());
            assert!(require_fingerprint(&two, &plain()).is_err());
        }
        let short = &plain()[24..];
        assert!(require_fingerprint(fixture!("plain.key.asc"), short).is_err(), "a key id is no fingerprint");
    }

    #[test]
    fn error_says_what_a_file_without_keys_is() {
        let text = |data: &[u8]| fingerprints(data).unwrap_err().to_string();
        assert_eq!(text(b"<!DOCTYPE html>"), "not an OpenPGP public key: it has no armour");
        assert_eq!(text(fixture!("plain.asc")), "not an OpenPGP public key: it is a PGP SIGNATURE");
        let key = fixture!("two.key");
        assert!(fingerprints(&key[..key.len() - 9]).is_err(), "cut short");
        assert!(fingerprints(&[&key[..], b"\xff\xff\xff"].concat()).is_err(), "garbage behind it");
        assert!(require_fingerprint(b"", &plain()).is_err());
    }

    /// Debian's keyring has keys with different algorithms and ages.
    #[test]
    fn debian_archive_keyring_is_read() {
        let path = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let Ok(keyring) = std::fs::read(path) else {
            assert!(std::env::var_os("CI").is_none(), "`{path}` is missing (package debian-archive-keyring)");
            return eprintln!("skipped: `{path}` is missing (package debian-archive-keyring)");
        };
        assert!(fingerprints(&keyring).unwrap().len() > 3);
    }

    proptest! {
        #[test]
        fn damaged_keys_never_panic(at in 0_usize..700, byte: u8, cut in 0_usize..700) {
            let mut key = fixture!("two.key").to_vec();
            let at = at % key.len();
            key[at] = byte;
            key.truncate(cut.max(1));
            let _ = fingerprints(&key);
        }
    }
}

//! Whether a key made a signature over a text or a file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use pgp::armor::BlockType;
use pgp::composed::{CleartextSignedMessage, SignedPublicKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::VerifyingKey;

use super::policy::{self, Refusal};
use super::{LIMIT, OpenPgpError, keys, packets};
use crate::error::FileError;
use crate::interrupt;

/// The data that a detached signature signs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SignedData<'a> {
    Bytes(&'a [u8]),
    /// A file, however large: it is read in pieces.
    File(&'a Path),
}

impl<'a> SignedData<'a> {
    fn open(self) -> Result<Box<dyn Read + 'a>, OpenPgpError> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(bytes)),
            Self::File(path) => {
                let file = File::open(path).map_err(FileError::new("read", path))?;
                Ok(Box::new(Interruptible(BufReader::with_capacity(256 << 10, file))))
            }
        }
    }
}

/// Ends a long read with an error once a signal has come.
struct Interruptible<R>(R);

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        interrupt::check_io()?;
        self.0.read(buffer)
    }
}

/// Fails unless `signature` (armoured or binary) is a detached signature over `data` by one of the keys in
/// `key_file` that counts: made while the key was valid, and not by MD5, SHA-1 or RIPEMD-160.
pub(crate) fn verify_detached(
    data: SignedData<'_>,
    signature: &[u8],
    key_file: &[u8],
) -> Result<(), OpenPgpError> {
    let packets = packets(signature, BlockType::Signature).map_err(OpenPgpError::NotASignature)?;
    let signatures: Result<Vec<Signature>, _> = packets.into_iter().map(TryInto::try_into).collect();
    let signatures =
        signatures.map_err(|_| OpenPgpError::NotASignature("it has packets of other kinds".into()))?;
    accept_one(&signatures, data, key_file, &[SignatureType::Binary, SignatureType::Text])
}

/// Returns the signed text of the clear-signed message `text`, with LF line ends and without trailing blanks
/// (neither is signed), if one of the keys in `key_file` signed it. The rules of [`verify_detached`] apply.
/// Text outside the armour is an error.
pub(crate) fn verify_cleartext(text: &str, key_file: &[u8]) -> Result<String, OpenPgpError> {
    // rPGP's search for the end of the text is quadratic in its length.
    if text.len() > LIMIT / 4 {
        return Err(OpenPgpError::NotASignature(format!("{} bytes are too many", text.len())));
    }
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|e| OpenPgpError::NotASignature(e.to_string()))?;
    let signed = message.signed_text();
    accept_one(message.signatures(), SignedData::Bytes(signed.as_bytes()), key_file, &[SignatureType::Text])?;
    Ok(signed.replace("\r\n", "\n"))
}

/// Succeeds if one of the signatures is accepted; otherwise returns the last refusal by a known key.
fn accept_one(
    signatures: &[Signature],
    data: SignedData<'_>,
    key_file: &[u8],
    kinds: &[SignatureType],
) -> Result<(), OpenPgpError> {
    let keys = keys(key_file)?;
    let mut refusal = Refusal::NotByThisKey;
    for signature in signatures {
        for key in &keys {
            match accept(signature, data, key, kinds)? {
                Ok(()) => return Ok(()),
                Err(Refusal::NotByThisKey) => {}
                Err(other) => refusal = other,
            }
        }
    }
    Err(OpenPgpError::Refused(refusal))
}

/// Checks one signature against one key with its subkeys. The outer error is a failure to read the data.
fn accept(
    signature: &Signature,
    data: SignedData<'_>,
    key: &SignedPublicKey,
    kinds: &[SignatureType],
) -> Result<Result<(), Refusal>, OpenPgpError> {
    if is_by(signature, &key.primary_key, data)? {
        return Ok(policy::check(signature, key, None, kinds));
    }
    for subkey in &key.public_subkeys {
        if is_by(signature, &subkey.key, data)? {
            return Ok(policy::check(signature, key, Some(subkey), kinds));
        }
    }
    Ok(Err(Refusal::NotByThisKey))
}

/// Whether the signature names `key` as its issuer, or names no issuer.
fn may_be_by(signature: &Signature, key: &impl VerifyingKey) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    let names_none = ids.is_empty() && fingerprints.is_empty();
    names_none || ids.contains(&&key.legacy_key_id()) || fingerprints.contains(&&key.fingerprint())
}

/// Whether `key` made the signature over `data`.
fn is_by(signature: &Signature, key: &impl VerifyingKey, data: SignedData<'_>) -> Result<bool, OpenPgpError> {
    if !may_be_by(signature, key) {
        return Ok(false);
    }
    let verified = signature.verify(key, data.open()?).is_ok();
    interrupt::check()?;
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::openpgp::policy::KeyPart;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("fixtures/", $name))
        };
    }

    const TEXT: &[u8] = fixture!("text");

    fn why(signature: &[u8], key: &[u8]) -> String {
        verify_detached(SignedData::Bytes(TEXT), signature, key).unwrap_err().to_string()
    }

    #[test]
    fn valid_signatures_are_accepted_in_every_form() {
        let key = fixture!("plain.key.asc");
        verify_detached(SignedData::Bytes(TEXT), fixture!("plain.sig"), key).unwrap();
        verify_detached(SignedData::Bytes(TEXT), fixture!("plain.asc"), key).unwrap();
        verify_detached(SignedData::Bytes(TEXT), fixture!("plain.sig"), fixture!("two.key")).unwrap();
        let clear = std::str::from_utf8(fixture!("plain.clear")).unwrap();
        let text = std::str::from_utf8(TEXT).unwrap().replace("-- \n", "--\n");
        assert_eq!(verify_cleartext(clear, key).unwrap(), text.trim_end());
        let by_subkey = std::str::from_utf8(fixture!("subkey.clear")).unwrap();
        verify_cleartext(by_subkey, fixture!("subkey.key.asc")).unwrap();
    }

    #[test]
    fn other_key_or_changed_text_is_refused() {
        let refused = "the signature is not valid: no signature by the expected key matches the content";
        assert_eq!(why(fixture!("plain.sig"), fixture!("subkey.key.asc")), refused);
        let key = fixture!("plain.key.asc");
        let error = verify_detached(SignedData::Bytes(b"other"), fixture!("plain.sig"), key).unwrap_err();
        assert_eq!(error.to_string(), refused);
        let clear = std::str::from_utf8(fixture!("plain.clear")).unwrap();
        assert_eq!(verify_cleartext(&clear.replace("end", "END"), key).unwrap_err().to_string(), refused);
        assert!(verify_cleartext(&format!("{clear}\nmore"), key).is_err(), "text behind it");
        assert!(verify_cleartext(&format!("more\n{clear}"), key).is_err(), "text before it");
        assert!(
            verify_cleartext(&clear.replacen("\n\n", "\nevil\n\n", 1), key).is_err(),
            "a line in the header"
        );
    }

    #[test]
    fn expired_revoked_and_weak_signatures_are_refused() {
        let cases: [(&[u8], &[u8], Refusal); 4] = [
            (fixture!("expiring.sig"), fixture!("expiring.key.asc"), Refusal::KeyExpired(KeyPart::Primary)),
            (
                fixture!("compromised.sig"),
                fixture!("compromised.key.asc"),
                Refusal::Revoked(KeyPart::Primary),
            ),
            (fixture!("weak.sig"), fixture!("weak.key.asc"), Refusal::WeakHash("SHA1".into())),
            (fixture!("short.sig"), fixture!("plain.key.asc"), Refusal::SignatureExpired),
        ];
        for (signature, key, expected) in cases {
            match verify_detached(SignedData::Bytes(TEXT), signature, key) {
                Err(OpenPgpError::Refused(refusal)) => assert_eq!(refusal, expected),
                other => panic!("{expected:?}: {other:?}"),
            }
        }
        verify_detached(
            SignedData::Bytes(TEXT),
            fixture!("expiring-before.sig"),
            fixture!("expiring.key.asc"),
        )
        .unwrap();
        verify_detached(SignedData::Bytes(TEXT), fixture!("retired.sig"), fixture!("retired.key.asc"))
            .unwrap();
    }

    #[test]
    fn error_says_what_a_file_without_signature_is() {
        let key = fixture!("plain.key.asc");
        assert_eq!(why(key, key), "not an OpenPGP signature: it is a PGP PUBLIC KEY BLOCK");
        assert_eq!(why(b"", key), "not an OpenPGP signature: it has no armour");
        let signature = fixture!("plain.sig");
        assert!(why(&signature[..60], key).starts_with("not an OpenPGP signature: "));
        assert!(verify_cleartext("text", key).is_err());
    }
}

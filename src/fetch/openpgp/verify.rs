//! Did a key sign this, and may it count?

use pgp::armor::BlockType;
use pgp::composed::{CleartextSignedMessage, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType};
use pgp::types::{Tag, Timestamp, VerifyingKey};

use super::{LIMIT, OpenPgpError, keys, packets};

/// Fails unless `signature` (armoured or binary) is a detached signature over `data` by one of the keys in
/// `key_file` that counts: made while the key was valid, and not by MD5, SHA-1 or RIPEMD-160.
pub(crate) fn verify_detached(data: &[u8], signature: &[u8], key_file: &[u8]) -> Result<(), OpenPgpError> {
    let packets = packets(signature, BlockType::Signature).map_err(OpenPgpError::NotASignature)?;
    let signatures: Result<Vec<Signature>, _> = packets.into_iter().map(TryInto::try_into).collect();
    let signatures =
        signatures.map_err(|_| OpenPgpError::NotASignature("it has packets of other kinds".into()))?;
    accept_one(&signatures, data, key_file, &[SignatureType::Binary, SignatureType::Text])
}

/// The text that was signed in the clear-signed message `text`, with LF ends of lines and no blanks before
/// them (neither is part of what is signed), if one of the keys in `key_file` signed it; see
/// [`verify_detached`] for what counts. Text outside the armour is an error.
pub(crate) fn verify_cleartext(text: &str, key_file: &[u8]) -> Result<String, OpenPgpError> {
    // `rPGP`'s search for the end of the text takes time by the square of its length.
    if text.len() > LIMIT / 4 {
        return Err(OpenPgpError::NotASignature(format!("{} bytes are too many", text.len())));
    }
    let (message, _) =
        CleartextSignedMessage::from_string(text).map_err(|e| OpenPgpError::NotASignature(e.to_string()))?;
    let signed = message.signed_text();
    accept_one(message.signatures(), signed.as_bytes(), key_file, &[SignatureType::Text])?;
    Ok(signed.replace("\r\n", "\n"))
}

/// Succeeds if one of the signatures counts; else says why the most promising one doesn't.
fn accept_one(
    signatures: &[Signature],
    data: &[u8],
    key_file: &[u8],
    kinds: &[SignatureType],
) -> Result<(), OpenPgpError> {
    let keys = keys(key_file)?;
    let mut reason = None;
    for signature in signatures {
        for key in &keys {
            match accept(signature, data, key, kinds) {
                Ok(()) => return Ok(()),
                Err(Why::NotByThisKey) => {}
                Err(Why::Refused(why)) => reason = Some(why),
            }
        }
    }
    Err(OpenPgpError::Refused(
        reason.unwrap_or_else(|| "it isn't by the expected key, or the content was changed".into()),
    ))
}

enum Why {
    NotByThisKey,
    Refused(String),
}

fn refused<T>(why: impl Into<String>) -> Result<T, Why> {
    Err(Why::Refused(why.into()))
}

/// The rules for one signature and one key with its subkeys.
fn accept(
    signature: &Signature,
    data: &[u8],
    key: &SignedPublicKey,
    kinds: &[SignatureType],
) -> Result<(), Why> {
    let primary = &key.primary_key;
    let by_primary = signature.verify(primary, data).is_ok();
    let by_subkey = key.public_subkeys.iter().find(|subkey| signature.verify(&subkey.key, data).is_ok());
    if !by_primary && by_subkey.is_none() {
        return Err(Why::NotByThisKey);
    }
    if !signature.typ().is_some_and(|kind| kinds.contains(&kind)) {
        return refused("it's a signature of another kind");
    }
    if is_weak(signature) {
        return refused(format!(
            "it was made with {}",
            signature.hash_alg().map_or("?".into(), |h| h.to_string())
        ));
    }
    let Some(made) = signature.created() else { return refused("it doesn't say when it was made") };
    let lifetime = signature.signature_expiration_time().map(pgp::types::Duration::as_secs);
    if is_over(made, lifetime, Timestamp::now()) {
        return refused("it has expired");
    }

    let Some(newest) = newest(self_signatures(key).into_iter()) else {
        return refused("the key has no signature of its own");
    };
    check_lifetime("the key", primary, newest, made)?;
    check_revocations("the key", made, key.details.revocation_signatures.iter(), |s| {
        s.verify_key(primary).is_ok()
    })?;
    match by_subkey {
        Some(subkey) if !by_primary => check_subkey(subkey, key, made),
        _ => may_sign(newest),
    }
}

/// A subkey must be bound by the primary key, and say itself that it belongs to it.
fn check_subkey(subkey: &SignedPublicSubKey, key: &SignedPublicKey, made: Timestamp) -> Result<(), Why> {
    let primary = &key.primary_key;
    let is_valid = |s: &Signature| s.verify_subkey_binding(primary, &subkey.key).is_ok();
    let bindings = subkey
        .signatures
        .iter()
        .filter(|s| s.typ() == Some(SignatureType::SubkeyBinding) && !is_weak(s) && is_valid(s));
    let Some(binding) = newest(bindings) else { return refused("the subkey isn't bound to the key") };
    may_sign(binding)?;
    let back = binding.embedded_signature();
    if !back.is_some_and(|s| !is_weak(s) && s.verify_primary_key_binding(&subkey.key, primary).is_ok()) {
        return refused("the subkey doesn't acknowledge the key");
    }
    check_lifetime("the subkey", &subkey.key, binding, made)?;
    let revocations = subkey.signatures.iter().filter(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
    check_revocations("the subkey", made, revocations, is_valid)
}

/// The signatures by which the key speaks about itself. Weak ones count: they can only restrict a key that
/// is known by its fingerprint.
fn self_signatures(key: &SignedPublicKey) -> Vec<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok());
    let certifications = key.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|s| {
            s.typ() != Some(SignatureType::CertRevocation)
                && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    direct.chain(certifications).collect()
}

fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|s| s.created())
}

fn check_lifetime(what: &str, key: &impl VerifyingKey, says: &Signature, made: Timestamp) -> Result<(), Why> {
    if made < key.created_at() {
        return refused(format!("{what} is younger than it"));
    }
    let lifetime = says.key_expiration_time().map(pgp::types::Duration::as_secs);
    if is_over(key.created_at(), lifetime, made) {
        return refused(format!("{what} had expired when it was made"));
    }
    Ok(())
}

/// A revocation because of retirement leaves earlier signatures good; any other one, or none given, does not.
fn check_revocations<'a>(
    what: &str,
    made: Timestamp,
    revocations: impl Iterator<Item = &'a Signature>,
    is_valid: impl Fn(&Signature) -> bool,
) -> Result<(), Why> {
    for revocation in revocations.filter(|s| is_valid(s)) {
        let gentle = matches!(
            revocation.revocation_reason_code(),
            Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired)
        );
        if !gentle || revocation.created().is_none_or(|revoked| revoked <= made) {
            return refused(format!("{what} was revoked"));
        }
    }
    Ok(())
}

fn may_sign(says: &Signature) -> Result<(), Why> {
    if says.key_flags().sign() { Ok(()) } else { refused("the key isn't for signing") }
}

/// Whether a lifetime in seconds (0 or none: for ever) that started at `from` is over at `at`.
fn is_over(from: Timestamp, lifetime: Option<u32>, at: Timestamp) -> bool {
    lifetime.is_some_and(|seconds| seconds > 0 && from.as_secs().saturating_add(seconds) <= at.as_secs())
}

fn is_weak(signature: &Signature) -> bool {
    use HashAlgorithm as H;
    let strong = [H::Sha224, H::Sha256, H::Sha384, H::Sha512, H::Sha3_256, H::Sha3_512];
    !signature.hash_alg().is_some_and(|hash| strong.contains(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("fixtures/", $name))
        };
    }

    const TEXT: &[u8] = fixture!("text");

    fn why(signature: &[u8], key: &[u8]) -> String {
        verify_detached(TEXT, signature, key).unwrap_err().to_string()
    }

    #[test]
    fn a_good_signature_counts_in_every_form() {
        let key = fixture!("plain.key.asc");
        verify_detached(TEXT, fixture!("plain.sig"), key).unwrap();
        verify_detached(TEXT, fixture!("plain.asc"), key).unwrap();
        verify_detached(TEXT, fixture!("plain.sig"), fixture!("two.key")).unwrap();
        let clear = std::str::from_utf8(fixture!("plain.clear")).unwrap();
        let sum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(verify_cleartext(clear, key).unwrap(), format!("{sum}  base.img.xz\n--\nend"));
        let by_subkey = std::str::from_utf8(fixture!("subkey.clear")).unwrap();
        verify_cleartext(by_subkey, fixture!("subkey.key.asc")).unwrap();
    }

    #[test]
    fn another_key_or_a_changed_text_does_not() {
        let refused =
            "the signature is not acceptable: it isn't by the expected key, or the content was changed";
        assert_eq!(why(fixture!("plain.sig"), fixture!("subkey.key.asc")), refused);
        let key = fixture!("plain.key.asc");
        let error = verify_detached(b"other", fixture!("plain.sig"), key).unwrap_err();
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
    fn what_a_key_says_of_itself_is_heeded() {
        let end = |text: String| text.rsplit(": ").next().unwrap_or_default().to_owned();
        let cases: [(&[u8], &[u8], &str); 4] = [
            (fixture!("expiring.sig"), fixture!("expiring.key.asc"), "the key had expired when it was made"),
            (fixture!("compromised.sig"), fixture!("compromised.key.asc"), "the key was revoked"),
            (fixture!("weak.sig"), fixture!("weak.key.asc"), "it was made with SHA1"),
            (fixture!("short.sig"), fixture!("plain.key.asc"), "it has expired"),
        ];
        for (signature, key, expected) in cases {
            assert_eq!(end(why(signature, key)), expected);
        }
        verify_detached(TEXT, fixture!("expiring-before.sig"), fixture!("expiring.key.asc")).unwrap();
        verify_detached(TEXT, fixture!("retired.sig"), fixture!("retired.key.asc")).unwrap();
    }

    #[test]
    fn what_is_no_signature_says_so() {
        let key = fixture!("plain.key.asc");
        assert_eq!(why(key, key), "this is no OpenPGP signature: it's a PGP PUBLIC KEY BLOCK");
        assert_eq!(why(b"", key), "this is no OpenPGP signature: it has no armour");
        let signature = fixture!("plain.sig");
        assert!(why(&signature[..60], key).starts_with("this is no OpenPGP signature: "));
        assert!(verify_cleartext("text", key).is_err());
    }
}

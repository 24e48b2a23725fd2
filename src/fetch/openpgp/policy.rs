//! Policy for signatures. rPGP checks only the cryptography; validity, expiry, revocation and the strength of
//! hashes are decided here (RFC 9580, section 5.2).

use std::fmt;

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{RevocationCode, Signature, SignatureType};
use pgp::types::{Tag, Timestamp, VerifyingKey};

/// Why a signature isn't accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no signature by the expected key matches the content")]
    NotByThisKey,
    #[error("the signature is not one over a document")]
    NotOverDocument,
    #[error("the signature uses {0}, which is too weak")]
    WeakHash(String),
    #[error("the signature has no creation time")]
    NoCreationTime,
    #[error("the signature has expired")]
    SignatureExpired,
    #[error("the key has no valid self-signature")]
    NoSelfSignature,
    #[error("the subkey is not bound to the primary key")]
    SubkeyNotBound,
    #[error("the subkey has no valid back signature")]
    NoBackSignature,
    #[error("the {0} was created after the signature")]
    CreatedLater(KeyPart),
    #[error("the {0} had expired when the signature was made")]
    KeyExpired(KeyPart),
    #[error("the {0} was revoked")]
    Revoked(KeyPart),
    #[error("the key may not sign")]
    NotForSigning,
}

/// The part of a key that a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPart {
    Primary,
    Subkey,
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary key",
            Self::Subkey => "subkey",
        })
    }
}

/// Applies the policy to a cryptographically valid signature by `subkey`, or without a subkey by the primary key
/// of `key`.
pub(super) fn check(
    signature: &Signature,
    key: &SignedPublicKey,
    subkey: Option<&SignedPublicSubKey>,
    kinds: &[SignatureType],
) -> Result<(), Refusal> {
    let primary = &key.primary_key;
    if !signature.typ().is_some_and(|kind| kinds.contains(&kind)) {
        return Err(Refusal::NotOverDocument);
    }
    if is_weak(signature) {
        let hash = signature.hash_alg().map_or("an unknown hash".into(), |h| h.to_string());
        return Err(Refusal::WeakHash(hash));
    }
    let made = signature.created().ok_or(Refusal::NoCreationTime)?;
    let lifetime = signature.signature_expiration_time().map(pgp::types::Duration::as_secs);
    if is_over(made, lifetime, Timestamp::now()) {
        return Err(Refusal::SignatureExpired);
    }
    let newest = newest(self_signatures(key).into_iter()).ok_or(Refusal::NoSelfSignature)?;
    check_lifetime(KeyPart::Primary, primary, newest, made)?;
    check_revocations(KeyPart::Primary, made, key.details.revocation_signatures.iter(), |s| {
        s.verify_key(primary).is_ok()
    })?;
    match subkey {
        Some(subkey) => check_subkey(subkey, key, made),
        None => may_sign(newest),
    }
}

/// The primary key must bind a subkey, and the subkey must acknowledge the primary key (back signature).
fn check_subkey(subkey: &SignedPublicSubKey, key: &SignedPublicKey, made: Timestamp) -> Result<(), Refusal> {
    let primary = &key.primary_key;
    let is_valid = |s: &Signature| s.verify_subkey_binding(primary, &subkey.key).is_ok();
    let is_binding =
        |s: &&Signature| s.typ() == Some(SignatureType::SubkeyBinding) && !is_weak(s) && is_valid(s);
    let binding = newest(subkey.signatures.iter().filter(is_binding)).ok_or(Refusal::SubkeyNotBound)?;
    may_sign(binding)?;
    let is_back = |s: &Signature| !is_weak(s) && s.verify_primary_key_binding(&subkey.key, primary).is_ok();
    if !binding.embedded_signature().is_some_and(is_back) {
        return Err(Refusal::NoBackSignature);
    }
    check_lifetime(KeyPart::Subkey, &subkey.key, binding, made)?;
    let revocations = subkey.signatures.iter().filter(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
    check_revocations(KeyPart::Subkey, made, revocations, is_valid)
}

/// The signatures by which the key describes itself. Weak ones count: they can only restrict a key that is
/// known by its fingerprint.
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

fn check_lifetime(
    part: KeyPart,
    key: &impl VerifyingKey,
    self_signature: &Signature,
    made: Timestamp,
) -> Result<(), Refusal> {
    if made < key.created_at() {
        return Err(Refusal::CreatedLater(part));
    }
    let lifetime = self_signature.key_expiration_time().map(pgp::types::Duration::as_secs);
    if is_over(key.created_at(), lifetime, made) { Err(Refusal::KeyExpired(part)) } else { Ok(()) }
}

/// A key that was retired or superseded keeps its earlier signatures valid; any other revocation, or one
/// without a reason, makes all of them invalid.
fn check_revocations<'a>(
    part: KeyPart,
    made: Timestamp,
    revocations: impl Iterator<Item = &'a Signature>,
    is_valid: impl Fn(&Signature) -> bool,
) -> Result<(), Refusal> {
    for revocation in revocations.filter(|s| is_valid(s)) {
        let is_soft = matches!(
            revocation.revocation_reason_code(),
            Some(RevocationCode::KeySuperseded | RevocationCode::KeyRetired)
        );
        if !is_soft || revocation.created().is_none_or(|revoked| revoked <= made) {
            return Err(Refusal::Revoked(part));
        }
    }
    Ok(())
}

fn may_sign(self_signature: &Signature) -> Result<(), Refusal> {
    if self_signature.key_flags().sign() { Ok(()) } else { Err(Refusal::NotForSigning) }
}

/// Whether a lifetime in seconds that started at `from` is over at `at`; 0 or `None` means no expiry.
fn is_over(from: Timestamp, lifetime: Option<u32>, at: Timestamp) -> bool {
    lifetime.is_some_and(|seconds| seconds > 0 && from.as_secs().saturating_add(seconds) <= at.as_secs())
}

/// MD5, SHA-1 and RIPEMD-160 are weak.
fn is_weak(signature: &Signature) -> bool {
    use HashAlgorithm as H;
    let strong = [H::Sha224, H::Sha256, H::Sha384, H::Sha512, H::Sha3_256, H::Sha3_512];
    !signature.hash_alg().is_some_and(|hash| strong.contains(&hash))
}

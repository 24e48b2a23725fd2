//! Keys and certificates on the curve P-256: generated and checked. PEM here has no newline at its end.

use pem_rfc7468::LineEnding;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};
use sec1::der::asn1::{AnyRef, ObjectIdentifier};
use sec1::der::{Decode as _, Encode as _};
use sec1::{EcParameters, EcPrivateKey, pkcs8};
use x509_parser::certificate::X509Certificate;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::NameFlaw;
use super::{Secret, SecretFlaw, SecretsError, random};

const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const KEY_LABEL: &str = "EC PRIVATE KEY";
const CERTIFICATE_LABEL: &str = "CERTIFICATE";
/// Limit of X.520, in characters.
const MAX_NAME: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) common_name: String,
    pub(super) organization: Option<String>,
}

/// Checks a name for a certificate.
pub(super) fn check_name(name: &str) -> Result<(), NameFlaw> {
    let letters = name.chars().count();
    if name.trim().is_empty() {
        Err(NameFlaw::Empty)
    } else if name.chars().any(char::is_control) {
        Err(NameFlaw::ControlCharacter)
    } else if letters > MAX_NAME {
        Err(NameFlaw::Length { letters, max: MAX_NAME })
    } else {
        Ok(())
    }
}

/// Overwritten when dropped.
pub(super) struct PrivateKey(KeyPair);

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PrivateKey {
    pub(super) fn generate() -> Result<Self, SecretsError> {
        Ok(Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(not_made)?))
    }

    /// SEC1 (RFC 5915) with the name of the curve, which Kubernetes requires.
    pub(super) fn to_pem(&self) -> Result<Secret, SecretsError> {
        let der = self.to_sec1().map_err(not_made)?;
        pem(KEY_LABEL, &der).map(Secret::new)
    }

    fn to_sec1(&self) -> sec1::der::Result<Zeroizing<Vec<u8>>> {
        let wrapped = pkcs8::PrivateKeyInfo::from_der(self.0.serialized_der())?;
        let mut key = EcPrivateKey::from_der(wrapped.private_key)?;
        key.parameters = Some(EcParameters::NamedCurve(P256));
        key.to_der().map(Zeroizing::new)
    }

    /// Reads the format of [`PrivateKey::to_pem`]. The public key must be in it and belong to the private key.
    pub(super) fn from_pem(secret: &Secret) -> Option<Self> {
        let (label, der) = pem_rfc7468::decode_vec(secret.reveal().as_bytes()).ok()?;
        let der = Zeroizing::new(der);
        let key = EcPrivateKey::from_der(&der).ok().filter(|_| label == KEY_LABEL)?;
        if key.parameters.is_some_and(|p| p != EcParameters::NamedCurve(P256)) {
            return None;
        }
        let bare = EcPrivateKey { parameters: None, ..key };
        let bare = Zeroizing::new(bare.to_der().ok()?);
        let algorithm =
            pkcs8::AlgorithmIdentifierRef { oid: sec1::ALGORITHM_OID, parameters: Some(AnyRef::from(&P256)) };
        let wrapped = Zeroizing::new(pkcs8::PrivateKeyInfo::new(algorithm, &bare).to_der().ok()?);
        let pair = rcgen::KeyPair::try_from(wrapped.as_slice()).ok()?;
        Some(Self(pair))
    }

    fn is_of(&self, certificate: &X509Certificate<'_>) -> bool {
        certificate.public_key().raw == self.0.subject_public_key_info()
    }
}

/// A self-signed CA certificate.
pub(super) fn ca_certificate(subject: &Subject, key: &PrivateKey) -> Result<Secret, SecretsError> {
    let mut params = params(subject)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    let made = params.self_signed(&key.0).map_err(not_made)?;
    pem(CERTIFICATE_LABEL, made.der()).map(Secret::new)
}

/// A client certificate for `key`, signed by the CA with the certificate `ca` and the key `ca_key`.
pub(super) fn client_certificate(
    subject: &Subject,
    key: &PrivateKey,
    ca: &Secret,
    ca_key: &PrivateKey,
) -> Result<Secret, SecretsError> {
    let mut params = params(subject)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let ca = certificate_der(ca).ok_or_else(|| not_made("the CA is not a certificate in PEM"))?;
    let issuer = Issuer::from_ca_cert_der(&ca.into(), &ca_key.0).map_err(not_made)?;
    let made = params.signed_by(&key.0, &issuer).map_err(not_made)?;
    pem(CERTIFICATE_LABEL, made.der()).map(Secret::new)
}

fn params(subject: &Subject) -> Result<CertificateParams, SecretsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(organization) = &subject.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
    }
    params.distinguished_name.push(DnType::CommonName, subject.common_name.as_str());
    // A Raspberry Pi has no clock battery: at first boot its clock may be years behind. X.509's two-digit
    // years end with 2049.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31) + std::time::Duration::from_secs(86_399);
    let mut serial = [0u8; 16];
    random::fill(&mut serial)?;
    // Positive, and always of the same length.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    Ok(params)
}

/// A certificate or key of the secrets file with its dotted key.
pub(super) struct Entry<'a, T> {
    pub(super) key: &'a str,
    pub(super) value: &'a T,
}

/// Checks that `crt` belongs to the key and is signed by the issuer, or is a self-signed CA without one.
pub(super) fn check_certificate(
    crt: &Secret,
    private: &Entry<'_, PrivateKey>,
    issuer: Option<&Entry<'_, Secret>>,
) -> Result<(), SecretFlaw> {
    let der = certificate_der(crt).ok_or(SecretFlaw::NotACertificate)?;
    let own = parsed(&der).ok_or(SecretFlaw::NotACertificate)?;
    if !private.value.is_of(&own) {
        return Err(SecretFlaw::OtherKey { key: private.key.to_owned() });
    }
    let Some(issuer) = issuer else {
        let is_ca = own.is_ca() && own.verify_signature(None).is_ok();
        return if is_ca { Ok(()) } else { Err(SecretFlaw::NotACa) };
    };
    let issuer_der = certificate_der(issuer.value);
    let is_signed = issuer_der.as_deref().and_then(parsed).is_some_and(|ca| {
        own.issuer() == ca.subject() && own.verify_signature(Some(ca.public_key())).is_ok()
    });
    if is_signed { Ok(()) } else { Err(SecretFlaw::OtherIssuer { issuer: issuer.key.to_owned() }) }
}

/// Parses one certificate without trailing bytes.
fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn certificate_der(crt: &Secret) -> Option<Vec<u8>> {
    let (label, der) = pem_rfc7468::decode_vec(crt.reveal().as_bytes()).ok()?;
    (label == CERTIFICATE_LABEL).then_some(der)
}

fn pem(label: &str, der: &[u8]) -> Result<String, SecretsError> {
    let mut text = pem_rfc7468::encode_string(label, LineEnding::LF, der).map_err(not_made)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// The libraries' messages name the step that failed and quote no data.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn not_made(error: impl ToString) -> SecretsError {
    SecretsError::Certificate(error.to_string())
}

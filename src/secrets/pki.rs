//! Keys and certificates on the curve P-256, made and looked at. PEM here has no newline at its end.

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

use super::kind::entropy;
use super::{Secret, SecretsError};

const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const KEY_LABEL: &str = "EC PRIVATE KEY";
const CERTIFICATE_LABEL: &str = "CERTIFICATE";
/// What X.520 allows for a name, in letters.
const LONGEST_NAME: usize = 64;

/// Who a certificate is about.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) common_name: String,
    pub(super) organization: Option<String>,
}

/// Whether `name` can stand in a certificate; if not, why.
pub(super) fn name_flaw(name: &str) -> Option<String> {
    let letters = name.chars().count();
    if name.trim().is_empty() {
        Some("a certificate's name can't be empty".into())
    } else if name.chars().any(char::is_control) {
        Some("a certificate's name can't have control characters".into())
    } else if letters > LONGEST_NAME {
        Some(format!("a certificate's name has at most {LONGEST_NAME} letters, and this one has {letters}"))
    } else {
        None
    }
}

/// A private key; wiped when it goes.
pub(super) struct Key(KeyPair);

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Key {
    /// A new one.
    pub(super) fn generate() -> Result<Self, SecretsError> {
        Ok(Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(not_made)?))
    }

    /// As SEC1 (RFC 5915) with the curve's name, which Kubernetes' reader wants.
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

    /// Reads what [`Key::to_pem`] wrote. The public half must be in it, and belong to the private one.
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

/// A certificate that `key` signs itself.
pub(super) fn authority(subject: &Subject, key: &Key) -> Result<Secret, SecretsError> {
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

/// A client's certificate for `key`, signed by the CA that `ca` and `ca_key` are.
pub(super) fn client(
    subject: &Subject,
    key: &Key,
    ca: &Secret,
    ca_key: &Key,
) -> Result<Secret, SecretsError> {
    let mut params = params(subject)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let ca = certificate_der(ca).unwrap_or_default();
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
    // A Pi has no battery: its clock may stand in the past when it first looks at a certificate. 2049 is
    // the last year of X.509's two-digit dates.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31) + std::time::Duration::from_secs(86_399);
    let mut serial = [0u8; 16];
    entropy(&mut serial)?;
    // Positive, and of the same length each time.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    Ok(params)
}

/// What keeps `crt` from being a certificate of `key` that `issuer` signed; without one it signs itself.
pub(super) fn certificate_flaw(crt: &Secret, key: &Key, issuer: Option<&Secret>) -> Option<&'static str> {
    let der = certificate_der(crt).unwrap_or_default();
    let Some(own) = parsed(&der) else { return Some("isn't a certificate in PEM") };
    if !key.is_of(&own) {
        return Some("doesn't belong to its key");
    }
    let Some(issuer) = issuer else {
        let signs_itself = own.is_ca() && own.verify_signature(None).is_ok();
        return (!signs_itself).then_some("isn't a CA that signs itself");
    };
    let issuer = certificate_der(issuer).unwrap_or_default();
    let signed = parsed(&issuer).is_some_and(|issuer| {
        own.issuer() == issuer.subject() && own.verify_signature(Some(issuer.public_key())).is_ok()
    });
    (!signed).then_some("isn't signed by its issuer")
}

/// A whole certificate, with nothing behind it.
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

/// Libraries say which step failed, never on what.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn not_made(error: impl ToString) -> SecretsError {
    SecretsError::NotMade(error.to_string())
}

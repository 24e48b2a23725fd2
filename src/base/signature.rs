//! OpenPGP signatures of a base: over a checksum file beside it, or over the image itself.

use std::path::Path;

use super::packed::Packed;
use super::{BaseError, Preparing};
use crate::error::{Context as _, FileError, Result};
use crate::fetch::checksum;
use crate::fetch::openpgp::{self, SignedData};
use crate::fetch::url::shown;

/// The publisher's key, as the profile names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publisher<'a> {
    /// Hexadecimal digits, upper case, without blanks.
    pub(crate) fingerprint: &'a str,
    /// File or URL of the key, which is checked against the fingerprint.
    pub(crate) key: &'a str,
}

/// The publisher's key, read and checked.
#[derive(Debug)]
pub(super) struct PublisherKey {
    pub(super) fingerprint: String,
    file: Vec<u8>,
}

/// A detached signature over the image file.
pub(super) struct ImageSignature {
    bytes: Vec<u8>,
    /// URL or path of the signature, for messages.
    from: String,
}

/// File name suffixes of signatures, as used by Raspberry Pi, Debian and kernel.org.
const SUFFIXES: [&str; 4] = [".asc", ".sig", ".sign", ".gpg"];

impl PublisherKey {
    pub(super) fn new(publisher: Publisher<'_>, file: Vec<u8>) -> Result<Self> {
        openpgp::require_fingerprint(&file, publisher.fingerprint)
            .while_doing(|| format!("reading the publisher's key `{}`", shown(publisher.key)))?;
        Ok(Self { fingerprint: publisher.fingerprint.to_owned(), file })
    }

    pub(super) fn from_file(publisher: Publisher<'_>, path: &Path) -> Result<Self> {
        Self::new(publisher, std::fs::read(path).map_err(FileError::named(path))?)
    }

    /// Returns the signed content of the checksum file `name`, which is clear-signed or has a signature beside it.
    /// `None` without a signature; an error if a signature isn't valid.
    pub(super) fn signed_text(
        &self,
        name: &str,
        text: Option<&[u8]>,
        read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<String>> {
        if let Some(text) = text.and_then(clear_signed) {
            return Ok(Some(self.verified(text, name)?));
        }
        for suffix in SUFFIXES {
            let beside = format!("{name}{suffix}");
            let Some(signature) = read(&beside)? else { continue };
            if let Some(clear) = clear_signed(&signature) {
                return Ok(Some(self.verified(clear, &beside)?));
            }
            if let Some(text) = text.filter(|_| is_signature(&signature)) {
                openpgp::verify_detached(SignedData::Bytes(text), &signature, &self.file)
                    .while_doing(|| checking(&beside))?;
                return Ok(Some(String::from_utf8_lossy(text).into_owned()));
            }
        }
        Ok(None)
    }

    fn verified(&self, clear_signed: &str, name: &str) -> Result<String> {
        openpgp::verify_cleartext(clear_signed, &self.file).while_doing(|| checking(name))
    }

    /// The detached signature beside the image called `name`, if there is one.
    pub(super) fn beside_image(
        name: &str,
        read: &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<ImageSignature>> {
        for suffix in SUFFIXES {
            let from = format!("{name}{suffix}");
            if let Some(bytes) = read(&from)?.filter(|bytes| is_signature(bytes)) {
                return Ok(Some(ImageSignature { bytes, from }));
            }
        }
        Ok(None)
    }

    /// Fails unless `signature` is a valid signature over the image at `path`.
    pub(super) fn check_image(&self, signature: &ImageSignature, path: &Path) -> Result<()> {
        openpgp::verify_detached(SignedData::File(path), &signature.bytes, &self.file)
            .while_doing(|| checking(&signature.from))
    }
}

impl Preparing<'_> {
    /// Notes that only the checksum was checked, not a signature.
    pub(super) fn note_unsigned(&self, packed: &Packed) {
        let source = shown(&packed.source);
        self.progress.note(&format!(
            "`{source}`: only the checksum was checked, not a signature; `base.openpgp_fingerprint` names a key"
        ));
    }

    /// The error for a base without a signature although the publisher's key is given.
    pub(super) fn no_signature(&self) -> BaseError {
        BaseError::NoSignature { source_text: shown(self.request.source) }
    }
}

/// Whether there is a signature beside the image at `path` or one of its checksum files.
pub(super) fn lies_beside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let exists = |file: &str| SUFFIXES.iter().any(|s| path.with_file_name(format!("{file}{s}")).exists());
    exists(&name) || checksum::lists_for(&name).iter().any(|list| exists(list))
}

fn checking(name: &str) -> String {
    format!("checking the signature `{}`", shown(name))
}

fn clear_signed(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| checksum::is_clear_signed(text))
}

/// Whether `bytes` look like an OpenPGP signature. Some servers answer every request with a web page.
fn is_signature(bytes: &[u8]) -> bool {
    // The first octet of a binary packet has its high bit set (RFC 9580, section 4.2).
    bytes.starts_with(b"-----BEGIN PGP SIGNATURE") || bytes.first().is_some_and(|first| first & 0x80 != 0)
}

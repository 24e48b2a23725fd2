//! The base image: lookup by name, download, verification, unpacking into the cache, and survey of its content.

mod beside;
mod catalog;
mod download;
mod expected;
mod family;
pub(crate) mod firmware_config;
pub(crate) mod kernel_words;
pub(crate) mod layout;
mod list;
mod local;
mod packed;
pub(crate) mod part_uuids;
mod signature;
mod survey;
pub(crate) mod sysconf;
mod unavailable;
pub(crate) mod unpack;

use std::path::{Path, PathBuf};

pub(crate) use family::InstalledSystem;
pub(crate) use list::{ListedBase, Verification, list, listed as listed_base};
pub(crate) use signature::Publisher;
pub(crate) use survey::{Survey, survey};

use catalog::{Known, Source};
use expected::{ExpectedDigest, Requirements};
use packed::Packed;
use signature::PublisherKey;

use crate::digest::{Digest, Sha256};
use crate::error::{Exit, Explain, Result};
use crate::fetch::cache::{Cache, CacheEntry};
use crate::fetch::http::Client;
use crate::fetch::lock::LockFile;
use crate::fetch::openpgp_key;
use crate::fetch::url::shown;
use crate::files::home;
use crate::plan::BaseFacts;
use crate::progress::Progress;
use crate::text::listed;

/// The base to prepare, and how to verify it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// A name in the catalog, a URL or a path.
    pub(crate) source: &'a str,
    /// The pinned hash: of the file as published, or of the raw image.
    pub(crate) sha256: Option<Sha256>,
    /// The key that must have signed the base.
    pub(crate) publisher: Option<Publisher<'a>>,
    /// Whether a base without a known checksum is accepted.
    pub(crate) insecure_no_checksum: bool,
    /// The folder that a relative `source` starts from.
    pub(crate) relative_to: &'a Path,
}

/// A verified base, unpacked to a raw image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Name in the catalog, or file name.
    pub(crate) name: String,
    /// URL without credentials, or path.
    pub(crate) source: String,
    /// SHA-256 of the file before unpacking.
    pub(crate) source_sha256: Sha256,
    /// Size of the file before unpacking, in bytes.
    pub(crate) source_size: u64,
    /// The raw image. Must not be written to: it may be the user's own file.
    pub(crate) raw_path: PathBuf,
    /// SHA-256 of the raw image.
    pub(crate) raw_sha256: Sha256,
    /// Size of the raw image in bytes.
    pub(crate) raw_size: u64,
    /// Whether it's the built-in sample.
    pub(crate) sample: bool,
}

/// Why a base can't be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// The source is no name in the catalog, no URL and no existing file.
    #[error("`{source_text}` is no built-in base, no URL and no file")]
    Unknown {
        source_text: String,
        /// A similar name in the catalog.
        nearest: Option<&'static str>,
    },
    /// A path to a folder or a device.
    #[error("the base `{}` is not a file", crate::text::printable(.0))]
    NotAFile(PathBuf),
    /// A URL with another scheme than http or https.
    #[error("the base `{0}` is no http or https URL")]
    Scheme(String),
    /// No hash is known for the base.
    #[error("nothing says what SHA-256 `{source_text}` must have: {problem}")]
    NoChecksum {
        source_text: String,
        /// What is wrong with the checksum file, or that there is none.
        problem: String,
    },
    /// The publisher's key is given, but no signature was found.
    #[error(
        "no OpenPGP signature was found for `{source_text}`, but `base.openpgp_fingerprint` asks for one"
    )]
    NoSignature { source_text: String },
    /// The publisher lists another hash than the lock.
    #[error(
        "`{source_text}` was replaced by its publisher: `magi.lock` has SHA-256 {locked}, but {by} now lists \
         {} {published}",
        published.algorithm()
    )]
    Replaced {
        source_text: String,
        locked: Sha256,
        published: Digest,
        /// The checksum file.
        by: String,
    },
    /// Neither the file nor its raw image has the pinned hash.
    #[error("`{source_text}` has SHA-256 {packed}{}, but {by} expects {expected}", raw.map_or_else(
        || " and can't be unpacked".to_owned(),
        |raw| format!(", and its raw image {raw}"),
    ))]
    NeitherMatches {
        source_text: String,
        expected: Digest,
        /// Source of the expected hash, for messages.
        by: String,
        /// Hash of the file.
        packed: Sha256,
        /// Hash of the raw image; `None` if the file can't be unpacked.
        raw: Option<Sha256>,
    },
}

impl Explain for BaseError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } | Self::NotAFile(_) | Self::Scheme(_) => Exit::Usage,
            Self::NoChecksum { .. }
            | Self::NoSignature { .. }
            | Self::Replaced { .. }
            | Self::NeitherMatches { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        let names = || listed(catalog::CATALOG.iter().map(|k| k.name));
        Some(match self {
            Self::Unknown { nearest: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::Unknown { .. } => format!("check the path; built-in bases are {}", names()),
            Self::NotAFile(_) => "give a disk image, packed or raw".into(),
            Self::Scheme(_) => "download it, and give the file's path".into(),
            Self::NoChecksum { .. } => {
                "pin it in the profile with `sha256 = \"…\"` under `[base]`, put a `.sha256` \
                                        file beside it, or take it as it is with `--insecure-no-checksum`"
                    .into()
            }
            Self::NoSignature { .. } => {
                "publishers put it beside the image or its checksum file, with `.asc` or \
                                         `.sig` at the end; without one, remove `base.openpgp_fingerprint`"
                    .into()
            }
            Self::Replaced { .. } => {
                "`magi-image fetch --update` takes what is published now; for the locked version, give a \
                                      URL or a file that has it"
                    .into()
            }
            Self::NeitherMatches { .. } => {
                "the file is damaged, was replaced, or the pin is that of another version".into()
            }
        })
    }
}

/// Fetches, verifies and unpacks the base; steps whose result is in the cache are skipped.
///
/// The expected hash comes from the lock, the profile, the catalog or a checksum file beside the base, in this
/// order; a pin that differs from the lock is an error. So is a base without a hash or a signature to check,
/// unless the request allows it.
pub(crate) fn prepare(
    request: &Request<'_>,
    cache: &Cache,
    client: &Client,
    lock: &mut LockFile,
    progress: &dyn Progress,
) -> Result<Prepared> {
    let known = catalog::find(request.source);
    let scheme = request.source.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        return Err(BaseError::Scheme(shown(request.source)).into());
    }
    let key = match request.publisher {
        Some(publisher) => {
            Some(publisher_key(publisher, request.relative_to, cache, client, lock, progress)?)
        }
        None => None,
    };
    let preparing = Preparing { request, pin: request.sha256, key, cache, client, progress };
    if let Some(Known { name, source: Source::BuiltIn(packed), .. }) = known {
        return preparing.sample(name, packed);
    }
    if known.is_some() || request.source.contains("://") {
        return preparing.url(known, lock);
    }
    preparing.file()
}

/// Reads the publisher's key from its file, or fetches it.
fn publisher_key(
    publisher: Publisher<'_>,
    relative_to: &Path,
    cache: &Cache,
    client: &Client,
    lock: &mut LockFile,
    progress: &dyn Progress,
) -> Result<PublisherKey> {
    if publisher.key.contains("://") {
        let fetched =
            openpgp_key::fetch(publisher.key, publisher.fingerprint, cache, client, lock, progress)?;
        return PublisherKey::from_file(publisher, &fetched.path);
    }
    PublisherKey::from_file(publisher, &home::resolve(publisher.key, relative_to))
}

/// The probable facts of a base that isn't downloaded yet: those of the named base's family, or of the default
/// base's family.
pub(crate) fn expected_facts(source: &str) -> BaseFacts {
    let known = catalog::find(source).unwrap_or(catalog::DEFAULT);
    known.family.expected_facts(known.codename)
}

struct Preparing<'a> {
    request: &'a Request<'a>,
    pin: Option<Sha256>,
    key: Option<PublisherKey>,
    cache: &'a Cache,
    client: &'a Client,
    progress: &'a dyn Progress,
}

impl Preparing<'_> {
    /// Prepares the built-in sample. It needs no signature: it is part of the binary.
    fn sample(&self, name: &str, bytes: &[u8]) -> Result<Prepared> {
        let packed = Packed {
            name: name.into(),
            source: name.into(),
            sha256: Sha256::of(bytes),
            size: bytes.len() as u64,
        };
        let required =
            Requirements { expected: self.pin.map(ExpectedDigest::pinned), ..Requirements::default() };
        let raw = packed.unpacked(&required, self.cache, self.progress, |dest| {
            unpack::unpack_bytes(bytes, name, dest, self.progress)
        })?;
        Ok(packed.prepared(raw, true))
    }

    fn file(&self) -> Result<Prepared> {
        let path = local::resolve(self.request.source, self.request.relative_to)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let is_raw = unpack::is_raw(&path)?;
        let required = self.requirements_of_file(&path)?;
        let (sha256, size) = local::hash(&path, self.cache, self.progress)?;
        let packed = Packed { name: name.clone(), source: path.display().to_string(), sha256, size };
        packed.check(&required, &path, self.cache)?;
        self.check_signature(&required, &path)?;
        if required.expected.is_none() && required.signed_by.is_none() {
            self.note_unverified(&packed);
        } else if required.unsigned_list && signature::lies_beside(&path) {
            self.note_unsigned(&packed);
        }
        if is_raw {
            // A build only reads the base, so a raw one needs no copy.
            let raw = CacheEntry { path, sha256, size, source_size: size };
            packed.check_raw(&required, &raw, self.cache)?;
            return Ok(packed.prepared(raw, false));
        }
        let raw = packed.unpacked(&required, self.cache, self.progress, |dest| {
            unpack::unpack_file(&path, &name, dest, self.progress)
        })?;
        Ok(packed.prepared(raw, false))
    }

    fn note_unverified(&self, packed: &Packed) {
        let Packed { source, sha256, .. } = packed;
        self.progress.note(&format!("no checksum is known for `{source}`; it has SHA-256 {sha256}"));
    }
}

#[cfg(test)]
mod tests;

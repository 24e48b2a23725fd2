//! The base image: named, fetched, verified, unpacked and kept raw in the cache; and what is in it.

mod catalog;
mod download;
mod expected;
mod family;
pub(crate) mod kernel_words;
pub(crate) mod layout;
mod list;
mod local;
mod packed;
mod signature;
mod survey;
pub(crate) mod sysconf;
pub(crate) mod unpack;

use std::path::{Path, PathBuf};

pub(crate) use list::{ListedBase, Verification, list};
pub(crate) use signature::Publisher;
pub(crate) use survey::{Survey, architecture, os_release, survey};

use catalog::{Known, Source};
use expected::{ExpectedDigest, Requirements};
use family::Family;
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

/// Which base is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// A built-in name, a URL or a path.
    pub(crate) source: &'a str,
    /// The pinned hash: of the file as published, or of the raw image.
    pub(crate) sha256: Option<Sha256>,
    /// The key that must have signed it.
    pub(crate) publisher: Option<Publisher<'a>>,
    /// Whether a base without any known checksum is taken.
    pub(crate) insecure_no_checksum: bool,
    /// The folder that a relative path starts from.
    pub(crate) relative_to: &'a Path,
}

/// A base that is verified and raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Its built-in name, or its file's.
    pub(crate) name: String,
    /// Its URL without credentials, or its path.
    pub(crate) source: String,
    /// SHA-256 of the file it came from.
    pub(crate) source_sha256: Sha256,
    /// Bytes of the file it came from.
    pub(crate) source_size: u64,
    /// The raw image; only to be read.
    pub(crate) raw_path: PathBuf,
    /// SHA-256 of the raw image.
    pub(crate) raw_sha256: Sha256,
    /// Bytes of the raw image.
    pub(crate) raw_size: u64,
    /// Whether it's the built-in sample.
    pub(crate) sample: bool,
}

/// Why there is no base.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BaseError {
    /// Nothing is called so.
    #[error("`{source_text}` is no built-in base, no URL and no file")]
    Unknown {
        /// What the profile says.
        source_text: String,
        /// What it may be meant to be.
        nearest: Option<&'static str>,
    },
    /// A path to a folder or a device.
    #[error("the base `{}` is not a file", crate::text::printable(.0))]
    NotAFile(PathBuf),
    /// A URL that nobody here can follow.
    #[error("the base `{0}` is no http or https URL")]
    Scheme(String),
    /// Nobody says what it must be.
    #[error("nothing says what SHA-256 `{source_text}` must have{}", .problem.as_ref().map_or_else(String::new, |p| format!(": {p}")))]
    NoChecksum {
        /// The base.
        source_text: String,
        /// What was wrong with a list of checksums that was found.
        problem: Option<String>,
    },
    /// No signature where the publisher's key is named.
    #[error(
        "no OpenPGP signature was found for `{source_text}`, but `base.openpgp_fingerprint` asks for one"
    )]
    NoSignature {
        /// The base.
        source_text: String,
    },
    /// It's another one than was pinned.
    #[error("`{source_text}` has SHA-256 {packed}{}, but {by} expects {expected}", raw.map_or_else(
        || " and can't be unpacked".to_owned(),
        |raw| format!(", and its raw image {raw}"),
    ))]
    NeitherMatches {
        /// The base.
        source_text: String,
        expected: Digest,
        /// Who expects it.
        by: String,
        /// Hash of the file.
        packed: Sha256,
        /// Hash of the raw image, if there is one.
        raw: Option<Sha256>,
    },
}

impl Explain for BaseError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } | Self::NotAFile(_) | Self::Scheme(_) => Exit::Usage,
            Self::NoChecksum { .. } | Self::NoSignature { .. } | Self::NeitherMatches { .. } => {
                Exit::Verification
            }
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
            Self::NeitherMatches { .. } => {
                "the file is damaged, was replaced, or the pin is that of another version".into()
            }
        })
    }
}

/// Gets the base, checks it, and unpacks it into the cache, as far as that isn't done yet.
///
/// It must have the hash that is pinned by the profile, else by the lock, else by the catalog, else by a
/// list of checksums beside it. Nothing is returned that wasn't compared with one of these, unless the
/// request allows it.
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

/// The facts that a base will probably have, before it is there: those of the built-in base's family, or of the
/// default one's.
pub(crate) fn expected_facts(source: &str) -> BaseFacts {
    let known = catalog::find(source).or_else(|| catalog::find(catalog::DEFAULT));
    let (family, codename) = known.map_or((Family::DebianCloud, ""), |known| (known.family, known.codename));
    family.expected_facts(codename)
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
    /// The built-in sample. No signature is asked of it: it is part of this program.
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
            unpack::unpack_bytes(bytes, "the sample", dest, self.progress)
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

//! The base image: named, fetched, verified, unpacked and kept raw in the cache.

pub(crate) mod catalog;
mod expected;
pub(crate) mod facts;
pub(crate) mod layout;
mod local;
mod raw;
pub(crate) mod sysconf;
pub(crate) mod unpack;

use std::path::{Path, PathBuf};

pub(crate) use facts::{RASPI_DEBIAN, Survey, survey};

use catalog::Known;
use expected::{ExpectedDigest, Of};
use raw::Packed;

use crate::digest::Sha256;
use crate::error::{Exit, Explain, Result};
use crate::fetch::cache::{Cache, CacheEntry, CacheKey};
use crate::fetch::http::{Client, ExpectedFile};
use crate::fetch::lock::{LockFile, LockedInput};
use crate::fetch::url::{file_name, shown, without_credentials};
use crate::progress::Progress;

/// The sample: see its folder's README.
static SAMPLE: &[u8] = include_bytes!("sample/sample.img.xz");

/// Which base is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// A built-in name, a URL or a path.
    pub(crate) source: &'a str,
    /// SHA-256 that the profile pins, in hexadecimal digits: of the file as it is, or of the raw image.
    pub(crate) sha256: Option<Sha256>,
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
    /// It's another one than was pinned.
    #[error("`{source_text}` has SHA-256 {packed}{}, but {by} expects {expected}", raw.map_or_else(
        || " and can't be unpacked".to_owned(),
        |raw| format!(", and its raw image {raw}"),
    ))]
    NeitherMatches {
        /// The base.
        source_text: String,
        /// What was expected.
        expected: String,
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
            Self::NoChecksum { .. } | Self::NeitherMatches { .. } => Exit::Verification,
        }
    }

    fn hint(&self) -> Option<String> {
        let names =
            || catalog::CATALOG.iter().map(|k| format!("`{}`", k.name)).collect::<Vec<_>>().join(", ");
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
    let preparing = Preparing { request, pin: request.sha256, cache, client, progress };
    if known.is_some_and(|known| known.urls.is_empty()) {
        return preparing.sample();
    }
    if known.is_some() || request.source.contains("://") {
        return preparing.url(known, lock);
    }
    preparing.file()
}

struct Preparing<'a> {
    request: &'a Request<'a>,
    pin: Option<Sha256>,
    cache: &'a Cache,
    client: &'a Client,
    progress: &'a dyn Progress,
}

impl Preparing<'_> {
    fn sample(&self) -> Result<Prepared> {
        let packed = Packed {
            name: catalog::SAMPLE.into(),
            source: catalog::SAMPLE.into(),
            sha256: Sha256::of(SAMPLE),
            size: SAMPLE.len() as u64,
        };
        let expected = self.pin.map(ExpectedDigest::pinned);
        let raw = packed.unpacked(expected.as_ref(), self.cache, self.progress, |dest| {
            unpack::unpack_bytes(SAMPLE, "the sample", dest, self.progress)
        })?;
        Ok(packed.prepared(raw, true))
    }

    fn url(&self, known: Option<&Known>, lock: &mut LockFile) -> Result<Prepared> {
        let urls = known.map_or_else(|| vec![self.request.source], |known| known.urls.to_vec());
        let name = known.map_or_else(|| file_name(urls[0]), |known| known.name.into());
        let source = without_credentials(urls[0]);
        let expected = self.expected_of_url(urls[0], known, lock)?;
        let packed = |sha256, size| Packed { name: name.clone(), source: source.clone(), sha256, size };

        // What was unpacked before isn't downloaded again.
        let sha256 = expected.as_ref().and_then(|e| e.packed_sha256(self.cache));
        if let (Some(sha256), Some(expected)) = (sha256, &expected)
            && let Some(raw) = self.cache.raw(sha256)?
        {
            let packed = packed(sha256, raw.source_size);
            packed.check_raw(expected, &raw, self.cache)?;
            lock.insert(urls[0], locked(&packed, &raw))?;
            return Ok(packed.prepared(raw, false));
        }

        let mut is_second_try = false;
        loop {
            let (entry, was_cached) = self.download(&urls, expected.as_ref())?;
            let packed = packed(entry.sha256, entry.size);
            let checked = expected.as_ref().map_or(Ok(()), |e| packed.check(e, &entry.path, self.cache));
            let unpacked = |()| {
                packed.unpacked(expected.as_ref(), self.cache, self.progress, |dest| {
                    unpack::unpack_file(&entry.path, &file_name(urls[0]), dest, self.progress)
                })
            };
            match checked.and_then(unpacked) {
                Ok(raw) => {
                    match expected {
                        Some(_) => lock.insert(urls[0], locked(&packed, &raw))?,
                        None => self.warn(&packed),
                    }
                    return Ok(packed.prepared(raw, false));
                }
                // The cache's copy may have been damaged since it was made.
                Err(_) if was_cached && !is_second_try && !packed.is_still(&entry.path)? => {
                    self.progress.note(&format!("the cached `{name}` is damaged; downloading it again"));
                    self.cache.discard_download(entry.sha256)?;
                    is_second_try = true;
                }
                Err(error) => {
                    // What is wrong once is wrong for ever.
                    if matches!(error.exit(), Exit::Verification | Exit::Usage) {
                        self.cache.discard_download(entry.sha256)?;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The packed file from the cache or the first URL that has it, and whether it was cached.
    fn download(&self, urls: &[&str], expected: Option<&ExpectedDigest>) -> Result<(CacheEntry, bool)> {
        let likely = expected.and_then(|e| e.packed_sha256(self.cache));
        let key = likely.map_or_else(|| CacheKey::url(urls[0]), CacheKey::Download);
        let lock = self.cache.lock(key, &file_name(urls[0]), self.progress)?;
        if let Some(sha256) = likely
            && let Some(entry) = self.cache.download(sha256)?
        {
            return Ok((entry, true));
        }
        // A pin that may be the raw image's can't be asked of the download.
        let sha256 = expected.filter(|e| e.of == Of::Packed).and(likely);
        let expected = ExpectedFile { sha256, size: None };
        let downloaded = self.client.download(urls, &lock.partial, expected, self.progress)?;
        Ok((self.cache.keep_download(&lock, downloaded.sha256)?, false))
    }

    fn file(&self) -> Result<Prepared> {
        let path = local::resolve(self.request.source, self.request.relative_to)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let is_raw = unpack::is_raw(&path)?;
        let expected = self.expected_of_file(&path)?;
        let (sha256, size) = local::hash(&path, self.cache, self.progress)?;
        let packed = Packed { name: name.clone(), source: path.display().to_string(), sha256, size };
        if let Some(expected) = &expected {
            packed.check(expected, &path, self.cache)?;
        } else {
            self.warn(&packed);
        }
        if is_raw {
            // It's only read, so it needs no copy.
            let raw = CacheEntry { path, sha256, size, source_size: size };
            if let Some(expected) = &expected {
                packed.check_raw(expected, &raw, self.cache)?;
            }
            return Ok(packed.prepared(raw, false));
        }
        let raw = packed.unpacked(expected.as_ref(), self.cache, self.progress, |dest| {
            unpack::unpack_file(&path, &name, dest, self.progress)
        })?;
        Ok(packed.prepared(raw, false))
    }

    fn warn(&self, packed: &Packed) {
        let Packed { source, sha256, .. } = packed;
        self.progress.note(&format!("nothing says what `{source}` must be; it has SHA-256 {sha256}"));
    }
}

fn locked(packed: &Packed, raw: &CacheEntry) -> LockedInput {
    LockedInput { size: packed.size, sha256: packed.sha256, raw: Some((raw.size, raw.sha256)) }
}

#[cfg(test)]
mod tests;

//! The catalog as `base list` shows it.

use serde::Serialize;

use super::catalog::{self, CATALOG, DEFAULT, Known, Source};
use crate::error::Result;
use crate::fetch::cache::Cache;
use crate::fetch::lock::LockFile;

/// One base in the output of `base list`.
#[derive(Debug, Serialize)]
pub(crate) struct ListedBase {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Title of the image family.
    pub(crate) family: &'static str,
    /// Raspberry Pi models that the base boots on.
    pub(crate) boards: &'static str,
    pub(crate) verified_by: Verification,
    /// Whether a build needs no download.
    pub(crate) cached: bool,
    /// Whether a new profile uses it.
    pub(crate) default: bool,
}

/// How a base is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verification {
    /// Embedded in the binary.
    BuiltIn,
    /// By the hash in the catalog.
    PinnedHash,
    /// By the hash in `magi.lock`.
    Lock,
    /// By the checksum file beside the download; after the first build the lock keeps the hash.
    ChecksumFile,
}

/// All bases in the catalog. Nothing is downloaded.
pub(crate) fn list(cache: &Cache, lock: &LockFile) -> Result<Vec<ListedBase>> {
    CATALOG.iter().map(|known| listed_entry(known, cache, lock)).collect()
}

/// The base of this name, if the catalog has it.
pub(crate) fn listed(name: &str, cache: &Cache, lock: &LockFile) -> Result<Option<ListedBase>> {
    catalog::find(name).map(|known| listed_entry(known, cache, lock)).transpose()
}

fn listed_entry(known: &Known, cache: &Cache, lock: &LockFile) -> Result<ListedBase> {
    let locked = known.urls().first().and_then(|url| lock.get(url)).map(|locked| locked.sha256);
    let (verified_by, sha256) = match (known.source, locked, known.sha256()) {
        (Source::BuiltIn(_), ..) => (Verification::BuiltIn, None),
        (_, Some(locked), _) => (Verification::Lock, Some(locked)),
        (_, None, Some(pinned)) => (Verification::PinnedHash, Some(pinned)),
        (_, None, None) => (Verification::ChecksumFile, None),
    };
    let is_cached = match sha256 {
        Some(sha256) => cache.raw(sha256)?.is_some() || cache.download(sha256)?.is_some(),
        None => verified_by == Verification::BuiltIn,
    };
    Ok(ListedBase {
        name: known.name,
        about: known.about,
        family: known.family.title(),
        boards: known.boards,
        verified_by,
        cached: is_cached,
        default: known.name == DEFAULT.name,
    })
}

//! What hash a base must have, and who says so.

use std::io::Read;
use std::path::Path;

use super::catalog::Known;
use super::{BaseError, Preparing};
use crate::digest::{Digest, Sha256};
use crate::error::Result;
use crate::fetch::cache::Cache;
use crate::fetch::checksum::{self, ChecksumError};
use crate::fetch::lock::{LockDifference, LockError, LockFile};
use crate::fetch::url::{file_name, shown};

/// Lists of checksums are small. In bytes.
const LARGEST_LIST: usize = 1 << 20;

/// What a hash is that of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The file as it is.
    Packed,
    /// The raw image in it.
    Raw,
    /// People pin the one or the other.
    Either,
}

/// A hash that must be met.
#[derive(Debug, Clone)]
pub(super) struct ExpectedDigest {
    pub(super) digest: Digest,
    pub(super) of: Of,
    /// Who expects it, for messages.
    pub(super) by: String,
}

impl ExpectedDigest {
    pub(super) fn pinned(pin: Sha256) -> Self {
        Self { digest: pin.into(), of: Of::Either, by: "the profile".into() }
    }

    /// The SHA-256 of the packed file, if that follows.
    pub(super) fn packed_sha256(&self, cache: &Cache) -> Option<Sha256> {
        // What was found out before counts first: a pin may be that of the raw image.
        cache.known(&self.digest).or(match (self.digest, self.of) {
            (Digest::Sha256(hash), Of::Packed | Of::Either) => Some(hash),
            _ => None,
        })
    }
}

impl Preparing<'_> {
    /// From the profile, else the lock, else the catalog, else a list of checksums beside the URL.
    pub(super) fn expected_of_url(
        &self,
        url: &str,
        known: Option<&Known>,
        lock: &LockFile,
    ) -> Result<Option<ExpectedDigest>> {
        let locked = lock.get(url);
        if let (Some(pin), Some(locked)) = (self.pin, locked)
            && pin != locked.sha256
            && locked.raw.is_none_or(|(_, raw)| pin != raw)
        {
            let difference = LockDifference::Pin { locked: locked.sha256, pinned: pin };
            return Err(LockError::Differs { url: shown(url), difference }.into());
        }
        // The lock's hash is the more exact one: it's surely that of the packed file.
        if let Some(locked) = locked {
            let (digest, by) = (locked.sha256.into(), "`magi.lock`".into());
            return Ok(Some(ExpectedDigest { digest, of: Of::Packed, by }));
        }
        if let Some(pin) = self.pin {
            return Ok(Some(ExpectedDigest::pinned(pin)));
        }
        if let Some(hash) = known.and_then(|known| known.sha256) {
            let digest = hash.into();
            return Ok(Some(ExpectedDigest { digest, of: Of::Packed, by: "the catalog".into() }));
        }
        let found = self.listed(&file_name(url), &beside_url(url), |candidate| {
            self.client.find_small(candidate, LARGEST_LIST, self.progress)
        })?;
        if found.is_some() && url.starts_with("http://") {
            let note = "a checksum that came over http proves nothing; pin it in the profile";
            self.progress.note(&format!("`{}`: {note}", shown(url)));
        }
        Ok(found)
    }

    /// From the profile, else a list of checksums beside the file.
    pub(super) fn expected_of_file(&self, path: &Path) -> Result<Option<ExpectedDigest>> {
        if let Some(pin) = self.pin {
            return Ok(Some(ExpectedDigest::pinned(pin)));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new(""));
        let candidates: Vec<String> = [format!("{name}.sha256"), "SHA256SUMS".into(), "SHA512SUMS".into()]
            .map(|file| folder.join(file).to_string_lossy().into_owned())
            .into();
        self.listed(&name, &candidates, |candidate| {
            let Ok(file) = std::fs::File::open(candidate) else { return Ok(None) };
            let mut content = Vec::new();
            let limit = LARGEST_LIST as u64;
            let read = file.take(limit).read_to_end(&mut content);
            Ok(read.is_ok().then_some(content))
        })
    }

    /// What the first of the candidates that exists and speaks of `name` says.
    fn listed(
        &self,
        name: &str,
        candidates: &[String],
        mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<ExpectedDigest>> {
        let raw_name = [".xz", ".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end));
        let names: Vec<&str> = std::iter::once(name).chain(raw_name).collect();
        let mut problem = None;
        for candidate in candidates {
            let Some(text) = read(candidate)? else { continue };
            let text = String::from_utf8_lossy(&text);
            let by = format!("`{}`", shown(candidate));
            match checksum::find(&text, &names, candidate) {
                Ok((0, digest)) => return Ok(Some(ExpectedDigest { digest, of: Of::Packed, by })),
                Ok((_, digest)) => return Ok(Some(ExpectedDigest { digest, of: Of::Raw, by })),
                Err(error @ ChecksumError::Ambiguous { .. }) => return Err(error.into()),
                Err(other) if candidate.ends_with(".sha256") => match checksum::only(&text) {
                    Some(digest) => return Ok(Some(ExpectedDigest { digest, of: Of::Either, by })),
                    None => problem = Some(other.to_string()),
                },
                // Some servers answer everything with a page.
                Err(other) => problem = problem.or(Some(other.to_string())),
            }
        }
        if self.request.insecure_no_checksum {
            return Ok(None);
        }
        Err(BaseError::NoChecksum { source_text: shown(self.request.source), problem }.into())
    }
}

/// Where lists of checksums lie beside a URL. Its query isn't kept: it's that of the one file.
fn beside_url(url: &str) -> Vec<String> {
    let file = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    let host = file.find("://").map_or(0, |at| at + 3);
    let folder = file[host..].rfind('/').map_or(file, |at| &file[..host + at]);
    let mut beside = vec![format!("{file}.sha256")];
    beside.extend(["SHA256SUMS", "SHA512SUMS"].map(|list| format!("{folder}/{list}")));
    beside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_looked_for_beside_the_file() {
        assert_eq!(
            beside_url("https://h/a/b.img.xz?x=/1#y"),
            ["https://h/a/b.img.xz.sha256", "https://h/a/SHA256SUMS", "https://h/a/SHA512SUMS"]
        );
        assert_eq!(beside_url("https://h")[1], "https://h/SHA256SUMS");
    }
}

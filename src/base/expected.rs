//! Requirements on a base: the hash from the profile, the lock, the catalog or a checksum file, and the
//! signature by the publisher's key.

use std::io::Read;
use std::path::Path;

use super::catalog::Known;
use super::signature::{ImageSignature, PublisherKey};
use super::{BaseError, Preparing};
use crate::digest::{Digest, Sha256};
use crate::error::{FileError, Result};
use crate::fetch::cache::Cache;
use crate::fetch::checksum::{self, ChecksumError};
use crate::fetch::lock::{LockDifference, LockError, LockFile, LockedInput};
use crate::fetch::url::{self, InvalidUrl, file_name, shown};

/// Limit for checksum files and signatures, in bytes.
const LARGEST_LIST: usize = 1 << 20;

/// Which file a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HashOf {
    /// The file as published.
    Packed,
    /// The raw image in it.
    Raw,
    /// One of the two: a pin doesn't say which.
    Either,
}

/// A hash that the base must have.
#[derive(Debug, Clone)]
pub(super) struct ExpectedDigest {
    pub(super) digest: Digest,
    pub(super) of: HashOf,
    /// The source of the expectation, for messages.
    pub(super) by: String,
}

impl ExpectedDigest {
    pub(super) fn pinned(pin: Sha256) -> Self {
        Self { digest: pin.into(), of: HashOf::Either, by: "the profile".into() }
    }

    /// The SHA-256 of the packed file, if it follows from this hash.
    pub(super) fn packed_sha256(&self, cache: &Cache) -> Option<Sha256> {
        // The cache knows whether a pin is the hash of the raw image, so it comes first.
        cache.known(&self.digest).or(match (self.digest, self.of) {
            (Digest::Sha256(hash), HashOf::Packed | HashOf::Either) => Some(hash),
            _ => None,
        })
    }
}

/// Hashes and signatures that are checked before a base is used.
#[derive(Default)]
pub(super) struct Requirements {
    /// The expected hash; `None` only with `--insecure-no-checksum`, or where a signature suffices.
    pub(super) expected: Option<ExpectedDigest>,
    /// The hash in a signed checksum file, where `expected` comes from elsewhere.
    pub(super) signed: Option<ExpectedDigest>,
    /// A signature over the image file itself.
    pub(super) image_signature: Option<ImageSignature>,
    /// Fingerprint of the key that must have signed the checksum file or the image.
    pub(super) signed_by: Option<String>,
    /// Whether the hash comes from a checksum file whose signature isn't checked.
    pub(super) unsigned_list: bool,
    /// The entry in `magi.lock`.
    pub(super) locked: Option<LockedInput>,
}

impl Requirements {
    /// All hashes that the base must have.
    pub(super) fn digests(&self) -> impl Iterator<Item = &ExpectedDigest> {
        self.expected.iter().chain(&self.signed)
    }

    /// The SHA-256 of the packed file, if it is known beforehand.
    pub(super) fn packed_sha256(&self, cache: &Cache) -> Option<Sha256> {
        self.digests().find_map(|expected| expected.packed_sha256(cache))
    }

    /// Like `packed_sha256`, but without pins, which may be the hash of the raw image.
    pub(super) fn download_sha256(&self, cache: &Cache) -> Option<Sha256> {
        let mut packed = self.digests().filter(|expected| expected.of == HashOf::Packed);
        packed.find_map(|expected| expected.packed_sha256(cache))
    }
}

/// A base's name, the checksum files that may list it, and a reader for files beside it.
struct Beside<'a> {
    /// URL or path of the image.
    image: String,
    name: String,
    lists: Vec<String>,
    read: &'a mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
}

impl Preparing<'_> {
    /// Requirements from the lock, the profile, the catalog or a checksum file beside the URL, and from the
    /// publisher's key.
    pub(super) fn requirements_of_url(
        &self,
        url: &str,
        known: Option<&Known>,
        lock: &LockFile,
    ) -> Result<Requirements> {
        let fixed = self.fixed(url, known, lock)?;
        let mut read = |beside: &str| self.client.find_small(beside, LARGEST_LIST, self.progress);
        let (image, lists) = (url::with_suffix(url, "")?, lists_beside(url)?);
        let beside = Beside { image, name: file_name(url), lists, read: &mut read };
        let mut requirements = match &self.key {
            Some(key) if !lock.is_signed_by(url, &key.fingerprint) => self.signed(key, fixed, beside)?,
            _ => self.unsigned(fixed, beside)?,
        };
        requirements.locked = lock.get(url).cloned();
        if requirements.unsigned_list && url.starts_with("http://") {
            let note = "a checksum that came over http proves nothing; pin it in the profile";
            self.progress.note(&format!("`{}`: {note}", shown(url)));
        }
        Ok(requirements)
    }

    /// Requirements from the profile or a checksum file beside the file, and from the publisher's key.
    pub(super) fn requirements_of_file(&self, path: &Path) -> Result<Requirements> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lists = checksum::lists_for(&name);
        let lists = lists.map(|list| folder.join(list).to_string_lossy().into_owned()).into();
        let image = path.to_string_lossy().into_owned();
        let beside = Beside { image, name, lists, read: &mut read_small };
        let fixed = self.pin.map(ExpectedDigest::pinned);
        match &self.key {
            Some(key) => self.signed(key, fixed, beside),
            None => self.unsigned(fixed, beside),
        }
    }

    /// The hash from the lock, the profile or the catalog, in this order.
    fn fixed(&self, url: &str, known: Option<&Known>, lock: &LockFile) -> Result<Option<ExpectedDigest>> {
        let locked = lock.get(url);
        if let (Some(pin), Some(locked)) = (self.pin, locked)
            && pin != locked.sha256
            && locked.raw.is_none_or(|(_, raw)| pin != raw)
        {
            let difference = LockDifference::Pin { locked: locked.sha256, pinned: pin };
            return Err(LockError::Differs { url: shown(url), difference }.into());
        }
        let packed = |hash: Sha256, by: &str| ExpectedDigest {
            digest: hash.into(),
            of: HashOf::Packed,
            by: by.to_owned(),
        };
        // The lock comes before the pin: its hash is always that of the packed file.
        Ok(locked
            .map(|locked| packed(locked.sha256, "`magi.lock`"))
            .or_else(|| self.pin.map(ExpectedDigest::pinned))
            .or_else(|| Some(packed(known?.sha256()?, "the catalog"))))
    }

    /// Without a key, a checksum file is trusted if no other hash is known.
    fn unsigned(&self, fixed: Option<ExpectedDigest>, mut beside: Beside<'_>) -> Result<Requirements> {
        if fixed.is_some() {
            return Ok(Requirements { expected: fixed, ..Requirements::default() });
        }
        let mut problem = None;
        let listed = beside.listed(&mut problem, |_, text, _| {
            Ok(text.map(|text| String::from_utf8_lossy(text).into_owned()))
        })?;
        if listed.is_none() && !self.request.insecure_no_checksum {
            let source_text = shown(self.request.source);
            return Err(BaseError::NoChecksum { source_text, problem }.into());
        }
        let unsigned_list = listed.is_some();
        Ok(Requirements { expected: listed, unsigned_list, ..Requirements::default() })
    }

    /// With a key, a checksum file counts only with a valid signature; otherwise the image itself must be signed.
    fn signed(
        &self,
        key: &PublisherKey,
        fixed: Option<ExpectedDigest>,
        mut beside: Beside<'_>,
    ) -> Result<Requirements> {
        let signed_by = Some(key.fingerprint.clone());
        let listed = beside.listed(&mut None, |list, text, read| key.signed_text(list, text, &mut *read))?;
        let requirements = match (fixed, listed) {
            (Some(fixed), Some(listed)) => {
                Requirements { expected: Some(fixed), signed: Some(listed), ..Requirements::default() }
            }
            (None, Some(listed)) => Requirements { expected: Some(listed), ..Requirements::default() },
            (expected, None) => {
                let signature = PublisherKey::beside_image(&beside.image, beside.read)?;
                let image_signature = Some(signature.ok_or_else(|| self.no_signature())?);
                Requirements { expected, image_signature, ..Requirements::default() }
            }
        };
        Ok(Requirements { signed_by, ..requirements })
    }
}

impl Beside<'_> {
    /// The hash in the first checksum file that lists the base. `text_of` gives the part of a file that counts,
    /// if any; `problem` gets the error of a file that doesn't list the base.
    fn listed(
        &mut self,
        problem: &mut Option<String>,
        mut text_of: impl FnMut(
            &str,
            Option<&[u8]>,
            &mut dyn FnMut(&str) -> Result<Option<Vec<u8>>>,
        ) -> Result<Option<String>>,
    ) -> Result<Option<ExpectedDigest>> {
        let raw_name = [".xz", ".gz", ".zst", ".zstd"].iter().find_map(|end| self.name.strip_suffix(end));
        let names: Vec<&str> = std::iter::once(self.name.as_str()).chain(raw_name).collect();
        for list in &self.lists {
            let content = (self.read)(list)?;
            let Some(text) = text_of(list, content.as_deref(), self.read)? else { continue };
            let by = format!("`{}`", shown(list));
            match checksum::find(&text, &names, list) {
                Ok((0, digest)) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Packed, by })),
                Ok((_, digest)) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Raw, by })),
                Err(error @ ChecksumError::Ambiguous { .. }) => return Err(error.into()),
                Err(other) if list.ends_with(".sha256") => match checksum::only(&text) {
                    Some(digest) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Either, by })),
                    None => *problem = Some(other.to_string()),
                },
                // Some servers answer every request with a web page.
                Err(other) => *problem = problem.take().or(Some(other.to_string())),
            }
        }
        Ok(None)
    }
}

/// A small file beside a local image; `None` if there is none.
fn read_small(path: &str) -> Result<Option<Vec<u8>>> {
    let path = Path::new(path);
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::named(path)(e).into()),
    };
    let mut content = Vec::new();
    file.take(LARGEST_LIST as u64).read_to_end(&mut content).map_err(FileError::named(path))?;
    Ok(Some(content))
}

/// The checksum files beside a URL.
fn lists_beside(url: &str) -> Result<Vec<String>, InvalidUrl> {
    let lists = checksum::lists_beside(|suffix| url::with_suffix(url, suffix), |name| url::beside(url, name));
    lists.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_file_urls_are_beside_the_image() {
        assert_eq!(
            lists_beside("https://h/a/b.img.xz?x=/1#y").unwrap(),
            ["https://h/a/b.img.xz.sha256", "https://h/a/SHA256SUMS", "https://h/a/SHA512SUMS"]
        );
        assert_eq!(lists_beside("https://h").unwrap()[1], "https://h/SHA256SUMS");
    }
}

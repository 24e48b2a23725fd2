//! The base image: named, fetched, verified, unpacked and kept raw in the cache.

pub mod catalog;
pub mod facts;
mod sums;
pub mod unpack;

use std::path::{Path, PathBuf};

use self::catalog::Published;
use crate::document::listed;
use crate::error::{Exit, Explain, FileError, Result};
use crate::fetch::cache::{Cache, Entry, Key, KeyLock};
use crate::fetch::checksum;
use crate::digest::{Digest, NotAHash, Sha256};
use crate::fetch::http::{Client, Expected, shown};
use crate::fetch::lock::{Lock, Locked};
use crate::progress::Progress;

/// The sample, as `sample/make-sample` made it.
static SAMPLE: &[u8] = include_bytes!("sample/sample.img.xz");

/// Which base, and how it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// A built-in name, a URL or a file.
    pub source: &'a str,
    /// The SHA-256 of the file as published, in hex.
    pub sha256: Option<&'a str>,
    /// Go on when no checksum is known.
    pub insecure_no_checksum: bool,
    /// What a relative path is relative to.
    pub relative_to: &'a Path,
}

/// A base that is verified and unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// As the user named it.
    pub name: String,
    /// Its URL without credentials, its path, or `built-in`.
    pub source: String,
    /// Of the file as published.
    pub source_sha256: Sha256,
    /// Of the file as published, in bytes.
    pub source_size: u64,
    /// The raw image in the cache; only ever read.
    pub raw_path: PathBuf,
    /// Of the raw image.
    pub raw_sha256: Sha256,
    /// Of the raw image, in bytes.
    pub raw_size: u64,
    /// Whether it is the built-in sample.
    pub sample: bool,
}

/// Why there is no base.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// Neither a name nor a URL nor a file.
    #[error("there is no base `{0}`: it is neither a built-in name nor a URL nor a file")]
    Unknown(String),
    /// Nobody says what it must be.
    #[error("no checksum is known for `{0}`")]
    NoChecksum(String),
    /// A pin that isn't one.
    #[error("the base's `sha256` is wrong: {0}")]
    Pin(NotAHash),
}

impl Explain for BaseError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoChecksum(_) => Exit::Verification,
            Self::Unknown(_) | Self::Pin(_) => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(name) => Some(match catalog::suggestion(name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("built-in names: {}", listed(catalog::names())),
            }),
            Self::NoChecksum(_) => Some(
                "set `base.sha256` in the profile, or put a `.sha256` beside the image; \
                 `--insecure-no-checksum` goes on without"
                    .into(),
            ),
            Self::Pin(_) => None,
        }
    }
}

/// Fetches, verifies and unpacks what the cache doesn't have yet. The raw image is named by the hash of
/// the file it came from, so nothing unverified is ever found there.
pub fn prepare(
    request: &Request<'_>,
    cache: &Cache,
    client: &Client,
    lock: &mut Lock,
    progress: &dyn Progress,
) -> Result<Prepared> {
    let pin = request.sha256.map(str::parse::<Sha256>).transpose().map_err(BaseError::Pin)?;
    let mut work = Work { request, pin, cache, client, lock, progress };
    if request.source == catalog::SAMPLE {
        return work.sample();
    }
    if let Some(published) = catalog::published(request.source) {
        return work.download(published.urls, Some(published));
    }
    if request.source.starts_with("https://") || request.source.starts_with("http://") {
        return work.download(&[request.source], None);
    }
    let path = request.relative_to.join(request.source);
    if !path.is_file() && !request.source.contains(['/', '.', '\\']) {
        return Err(BaseError::Unknown(request.source.to_owned()).into());
    }
    work.file(&path)
}

struct Work<'a> {
    request: &'a Request<'a>,
    pin: Option<Sha256>,
    cache: &'a Cache,
    client: &'a Client,
    lock: &'a mut Lock,
    progress: &'a dyn Progress,
}

/// What a base's file is and where it is said to be so.
struct Known {
    digest: Digest,
    by: String,
}

impl Work<'_> {
    fn sample(&self) -> Result<Prepared> {
        let sha256 = Sha256::of(SAMPLE);
        let raw = self.unpacked(sha256, |lock| {
            unpack::unpack_bytes(SAMPLE, "the sample", &lock.partial, self.progress)
        })?;
        Ok(self.prepared("built-in".into(), sha256, SAMPLE.len() as u64, raw, true))
    }

    fn file(&self, path: &Path) -> Result<Prepared> {
        let size = std::fs::metadata(path).map_err(FileError::new("read", path))?.len();
        let shown = path.display().to_string();
        let known = match self.pin {
            Some(pin) => Some(Known { digest: pin.into(), by: "the profile".into() }),
            None => sums::beside_file(path)?,
        };
        let sha256 = self.hash_of_file(path, known, &shown)?;
        let raw = self.unpacked(sha256, |lock| {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
            unpack::unpack_file(path, &name, &lock.partial, self.progress)
        })?;
        Ok(self.prepared(shown, sha256, size, raw, false))
    }

    /// The hash under which a local file is looked for. A SHA-256 that is known isn't computed first: what
    /// is unpacked is hashed on the way, and what is cached was.
    fn hash_of_file(&self, path: &Path, known: Option<Known>, shown: &str) -> Result<Sha256> {
        let open = || std::fs::File::open(path).map_err(FileError::new("read", path));
        match known {
            Some(Known { digest: Digest::Sha256(sha256), .. }) => Ok(sha256),
            Some(Known { digest, by }) => {
                if let Some(sha256) = self.cache.known(&digest) {
                    return Ok(sha256);
                }
                let found = digest.same_of_reader(open()?).map_err(FileError::new("read", path))?;
                checksum::compare(shown, digest, found, &by)?;
                let (sha256, _) = Sha256::of_reader(open()?).map_err(FileError::new("read", path))?;
                self.cache.remember(&digest, sha256)?;
                Ok(sha256)
            }
            None if self.request.insecure_no_checksum => {
                self.progress.note(&format!("taking `{shown}` without any checksum, as you asked"));
                Ok(Sha256::of_reader(open()?).map_err(FileError::new("read", path))?.0)
            }
            None => Err(BaseError::NoChecksum(shown.to_owned()).into()),
        }
    }

    fn download(&mut self, urls: &[&str], published: Option<&Published>) -> Result<Prepared> {
        let url = urls.first().copied().unwrap_or_default();
        let known = self.known_of_url(url, published)?;
        let sha256 = match &known {
            Some(Known { digest: Digest::Sha256(sha256), .. }) => Some(*sha256),
            Some(Known { digest, .. }) => self.cache.known(digest),
            None => None,
        };
        // What is unpacked already needs no download, not even of a file that was cleaned away.
        let cached = match (sha256, self.lock.get(url)) {
            (Some(sha256), Some(locked)) => self.cache.raw(sha256)?.map(|raw| (sha256, locked.size, raw)),
            _ => None,
        };
        let (sha256, size, raw) = match cached {
            Some(found) => found,
            None => {
                let packed = self.fetched(urls, sha256, known.as_ref())?;
                let name = crate::fetch::http::file_name(url);
                let raw = self.unpacked(packed.sha256, |lock| {
                    unpack::unpack_file(&packed.path, &name, &lock.partial, self.progress)
                })?;
                (packed.sha256, packed.size, raw)
            }
        };
        let locked = Locked { size, sha256, raw: Some((raw.size, raw.sha256)) };
        self.lock.insert(url, locked)?;
        Ok(self.prepared(crate::fetch::http::without_credentials(url), sha256, size, raw, false))
    }

    /// What the file at `url` must be: by the profile, the lock, the catalog, or a list beside it.
    fn known_of_url(&self, url: &str, published: Option<&Published>) -> Result<Option<Known>> {
        if let Some(pin) = self.pin {
            return Ok(Some(Known { digest: pin.into(), by: "the profile".into() }));
        }
        if let Some(locked) = self.lock.get(url) {
            return Ok(Some(Known { digest: locked.sha256.into(), by: "`magi.lock`".into() }));
        }
        if let Some(pin) = published.and_then(|p| p.sha256) {
            let digest = pin.parse::<Sha256>().map_err(BaseError::Pin)?.into();
            return Ok(Some(Known { digest, by: "magi-image's own list".into() }));
        }
        let found = sums::beside_url(url, self.client, self.progress)?;
        match found {
            None if !self.request.insecure_no_checksum => Err(BaseError::NoChecksum(shown(url)).into()),
            None => {
                self.progress.note(&format!("taking `{}` without any checksum, as you asked", shown(url)));
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// The packed file in the cache, downloaded if need be and held against `known`.
    fn fetched(&self, urls: &[&str], sha256: Option<Sha256>, known: Option<&Known>) -> Result<Entry> {
        let url = urls.first().copied().unwrap_or_default();
        let key = sha256.map_or_else(|| Key::url(url), Key::Download);
        let lock = self.cache.lock(key, &shown(url), self.progress)?;
        if let Some(sha256) = sha256
            && let Some(entry) = self.cache.download(sha256)?
        {
            return Ok(entry);
        }
        let done =
            self.client.download(urls, &lock.partial, Expected { sha256, size: None }, self.progress)?;
        if let Some(Known { digest: digest @ Digest::Sha512(_), by }) = known {
            let file = std::fs::File::open(&lock.partial).map_err(FileError::new("read", &lock.partial))?;
            let found = digest.same_of_reader(file).map_err(FileError::new("read", &lock.partial))?;
            if let Err(error) = checksum::compare(&shown(url), *digest, found, by) {
                // Resuming it another time would only give the same again.
                let _ = std::fs::remove_file(&lock.partial);
                return Err(error.into());
            }
            self.cache.remember(digest, done.sha256)?;
        }
        self.cache.keep_download(&lock, done.sha256)
    }

    /// The raw image unpacked from the file with this hash; `unpack` writes it if it isn't there.
    fn unpacked(
        &self,
        source: Sha256,
        unpack: impl FnOnce(&KeyLock) -> Result<unpack::Unpacked>,
    ) -> Result<Entry> {
        if let Some(entry) = self.cache.raw(source)? {
            return Ok(entry);
        }
        let lock = self.cache.lock(Key::Raw(source), self.request.source, self.progress)?;
        // Another build may have made it while we waited.
        if let Some(entry) = self.cache.raw(source)? {
            return Ok(entry);
        }
        let unpacked = unpack(&lock).inspect_err(|_| {
            let _ = std::fs::remove_file(&lock.partial);
        })?;
        let checked = checksum::compare(
            &shown(self.request.source),
            source.into(),
            unpacked.source_sha256.into(),
            "the profile or the checksum file",
        );
        if let Err(error) = checked {
            let _ = std::fs::remove_file(&lock.partial);
            return Err(error.into());
        }
        self.cache.keep_raw(&lock, source, unpacked.raw_sha256, &unpacked.container)
    }

    fn prepared(&self, source: String, sha256: Sha256, size: u64, raw: Entry, sample: bool) -> Prepared {
        Prepared {
            name: shown(self.request.source),
            source,
            source_sha256: sha256,
            source_size: size,
            raw_path: raw.path,
            raw_sha256: raw.sha256,
            raw_size: raw.size,
            sample,
        }
    }
}

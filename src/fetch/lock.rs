//! `magi.lock`: every input's URL, size and hash, as they were when it was first fetched. It lies beside the
//! profile and belongs into version control; a build refuses what differs from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum;
use super::http::{shown, without_credentials};
use crate::digest::Sha256;
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::atomic::{self, Access, Existing};

const HEADER: &str = "\
# Made by magi-image, to be committed: what every input was when it was fetched. A build refuses anything else.
# `magi-image fetch --update` fetches all of it anew.
";
const VERSION: u32 = 1;

/// What is wrong with the lock file, or with an input by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// It isn't what we write.
    #[error("`{}`, line {line}: {message}", crate::text::printable(path))]
    Malformed {
        /// The lock file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A newer magi-image wrote it.
    #[error(
        "`{}` has version {version}, but this magi-image knows version {VERSION}",
        crate::text::printable(path)
    )]
    Version {
        /// The lock file.
        path: PathBuf,
        /// What it says.
        version: u32,
    },
    /// The input isn't what it was.
    #[error("`{url}` is not what `magi.lock` says: {what}")]
    Differs {
        /// Without credentials and query.
        url: String,
        /// Both values.
        what: String,
    },
}

impl Explain for LockError {
    fn exit(&self) -> Exit {
        match self {
            Self::Differs { .. } => Exit::Verification,
            Self::Malformed { .. } | Self::Version { .. } => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Differs { .. } => {
                "if it was replaced on purpose, remove its entry from `magi.lock` or run \
                                     `magi-image fetch --update`"
                    .into()
            }
            Self::Malformed { .. } => "restore the file from version control, or remove it and run \
                                       `magi-image fetch`"
                .into(),
            Self::Version { .. } => "use a newer magi-image".into(),
        })
    }
}

/// What one input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locked {
    /// Bytes of the download.
    pub(crate) size: u64,
    /// Hash of the download.
    pub(crate) sha256: Sha256,
    /// Size and hash of a base's raw content.
    pub(crate) raw: Option<(u64, Sha256)>,
    /// The fingerprint of the key that signed it.
    pub(crate) signed_by: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    version: u32,
    #[serde(default, rename = "input")]
    inputs: Vec<Input>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    url: toml::Spanned<String>,
    size: u64,
    sha256: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_sha256: Option<Sha256>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
}

/// The lock file's content; see the module.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    /// None: it's never saved.
    path: Option<PathBuf>,
    inputs: BTreeMap<String, Locked>,
    /// Entries of the file that don't count until they are fetched again.
    outdated: BTreeSet<String>,
    changed: bool,
}

impl Lock {
    /// An empty one that belongs to no file.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::default()
    }

    /// Reads the file; one that isn't there is empty.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let inputs = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text, path)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(FileError::new("read", path)(e).into()),
        };
        Ok(Self { path: Some(path.to_owned()), inputs, ..Self::default() })
    }

    /// Takes every input as it comes and forgets what it was: `fetch --update`.
    #[must_use]
    pub(crate) fn for_update(mut self) -> Self {
        self.outdated = self.inputs.keys().cloned().collect();
        self
    }

    /// What the input at `url` must be, if that is known. Credentials in the URL don't matter.
    pub(crate) fn get(&self, url: &str) -> Option<&Locked> {
        let url = without_credentials(url);
        if self.outdated.contains(&url) { None } else { self.inputs.get(&url) }
    }

    /// Whether the input at `url` is known to be signed by the key with this fingerprint.
    pub(crate) fn is_signed_by(&self, url: &str, fingerprint: &str) -> bool {
        self.get(url).and_then(|locked| locked.signed_by.as_deref()) == Some(fingerprint)
    }

    /// Notes what the input at `url` is; an error if it was another one.
    pub(crate) fn insert(&mut self, url: &str, found: Locked) -> Result<(), LockError> {
        let mut found = found;
        if let Some(locked) = self.get(url) {
            compare(url, locked, &found)?;
            found.raw = found.raw.or(locked.raw);
            found.signed_by = found.signed_by.or_else(|| locked.signed_by.clone());
        }
        let url = without_credentials(url);
        self.outdated.remove(&url);
        self.changed |= self.inputs.insert(url, found.clone()) != Some(found);
        Ok(())
    }

    /// Writes the file, if there is something new. A crash leaves the old one or the new one.
    pub(crate) fn save(&mut self) -> Result<()> {
        let Some(path) = self.path.as_deref().filter(|_| self.changed) else { return Ok(()) };
        let inputs = self.inputs.iter().map(|(url, locked)| Input {
            url: toml::Spanned::new(0..0, url.clone()),
            size: locked.size,
            sha256: locked.sha256,
            raw_size: locked.raw.map(|(size, _)| size),
            raw_sha256: locked.raw.map(|(_, hash)| hash),
            signed_by: locked.signed_by.clone(),
        });
        let text = toml::to_string(&Text { version: VERSION, inputs: inputs.collect() })
            .map_err(|e| FileError::new("write", path)(std::io::Error::other(e)))?;
        atomic::write(path, format!("{HEADER}{text}").as_bytes(), Access::Shared, Existing::Replace)?;
        self.changed = false;
        Ok(())
    }
}

fn compare(url: &str, locked: &Locked, found: &Locked) -> Result<(), LockError> {
    let differs = |what: String| Err(LockError::Differs { url: shown(url), what });
    let hashes =
        |what: &str, was: Sha256, is: Sha256| match checksum::compare(what, was.into(), is.into(), "") {
            Err(e) => differs(e.to_string().replace('`', "")),
            Ok(()) => Ok(()),
        };
    hashes("it", locked.sha256, found.sha256)?;
    if locked.size != found.size {
        return differs(format!("it has {} bytes, but {} were expected", found.size, locked.size));
    }
    match (locked.raw, found.raw) {
        (Some((_, was)), Some((_, is))) => hashes("its raw content", was, is),
        _ => Ok(()),
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Locked>, LockError> {
    let malformed = |at: usize, message: String| {
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        LockError::Malformed { path: path.to_owned(), line, message }
    };
    let parsed: Text = toml::from_str(text)
        .map_err(|e| malformed(e.span().map_or(0, |span| span.start), e.message().replace('\n', " ")))?;
    if parsed.version != VERSION {
        return Err(LockError::Version { path: path.to_owned(), version: parsed.version });
    }
    let mut inputs = BTreeMap::new();
    for Input { url, size, sha256, raw_size, raw_sha256, signed_by } in parsed.inputs {
        let (at, url) = (url.span().start, url.into_inner());
        let locked = Locked { size, sha256, raw: raw_size.zip(raw_sha256), signed_by };
        if raw_size.is_some() != raw_sha256.is_some() {
            return Err(malformed(at, "`raw_size` and `raw_sha256` belong together".into()));
        }
        if inputs.insert(url.clone(), locked).is_some() {
            return Err(malformed(at, format!("`{}` is there twice", shown(&url))));
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(content: &[u8]) -> Locked {
        Locked { size: content.len() as u64, sha256: Sha256::of(content), raw: None, signed_by: None }
    }

    #[test]
    fn what_is_saved_is_loaded_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.lock");
        let mut lock = Lock::load(&path).unwrap();
        lock.save().unwrap();
        assert!(!path.exists(), "nothing to say, nothing written");
        let base = Locked { raw: Some((7, Sha256::of(b"raw"))), ..locked(b"base") };
        lock.insert("https://user:secret@b/base.img.xz", base.clone()).unwrap();
        lock.insert("https://a/k3s?x=\"1\"", locked(b"k3s")).unwrap();
        lock.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(text, @r#"
        # Made by magi-image, to be committed: what every input was when it was fetched. A build refuses anything else.
        # `magi-image fetch --update` fetches all of it anew.
        version = 1

        [[input]]
        url = 'https://a/k3s?x="1"'
        size = 3
        sha256 = "86bd33ebf64e01aaafb7dab419436ac025d04abd933bbbb124ddb25c30b59dd7"

        [[input]]
        url = "https://b/base.img.xz"
        size = 4
        sha256 = "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2"
        raw_size = 7
        raw_sha256 = "d7439bee24773bcbfa2d0a97947ee36227b10d1022b1a55847e928965bb6bfde"
        "#);
        let again = Lock::load(&path).unwrap();
        assert_eq!(again.inputs, lock.inputs);
        assert_eq!(again.get("https://other@b/base.img.xz"), Some(&base));
    }

    #[test]
    fn another_input_than_before_is_refused_until_the_lock_is_updated() {
        let mut lock = Lock::in_memory();
        lock.insert("https://a/x", locked(b"old")).unwrap();
        let error = lock.insert("https://a/x", locked(b"new")).unwrap_err();
        let (old, new) = (Sha256::of(b"old"), Sha256::of(b"new"));
        assert_eq!(
            error.to_string(),
            format!(
                "`https://a/x` is not what `magi.lock` says: it has SHA-256 {new}, but {old} was expected"
            )
        );
        assert_eq!(error.exit(), Exit::Verification);
        assert!(error.hint().unwrap().contains("magi-image fetch --update"));

        let mut lock = lock.for_update();
        assert_eq!(lock.get("https://a/x"), None);
        lock.insert("https://a/x", locked(b"new")).unwrap();
        assert_eq!(lock.get("https://a/x"), Some(&locked(b"new")));
        assert!(lock.insert("https://a/x", locked(b"newer")).is_err(), "only once");
    }

    #[test]
    fn the_raw_content_is_learned_and_then_kept() {
        let mut lock = Lock::in_memory();
        let raw = |content: &[u8]| Locked { raw: Some((3, Sha256::of(content))), ..locked(b"x") };
        lock.insert("u", locked(b"x")).unwrap();
        lock.insert("u", raw(b"one")).unwrap();
        lock.insert("u", locked(b"x")).unwrap();
        assert_eq!(lock.get("u"), Some(&raw(b"one")));
        let error = lock.insert("u", raw(b"two")).unwrap_err().to_string();
        assert!(error.contains("its raw content has SHA-256"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named_with_its_line() {
        let hash = Sha256::of(b"");
        let input = format!("[[input]]\nurl = \"u\"\nsize = 0\nsha256 = \"{hash}\"\n");
        for (text, expected) in [
            ("version = 1\n<<<<<<< HEAD\n", "`magi.lock`, line 2: "),
            ("version = 1\nspeed = 2\n", "`magi.lock`, line 2: unknown field `speed`"),
            ("version = 2\n", "`magi.lock` has version 2, but this magi-image knows version 1"),
            ("version = 1\n[[input]]\nurl = \"u\"\nsize = -1\n", "`magi.lock`, line 4: "),
            (&format!("version = 1\n{input}{input}"), "`magi.lock`, line 7: `u` is there twice"),
            (&format!("version = 1\n{input}raw_size = 1\n"), "`magi.lock`, line 3: `raw_size` and"),
            (&format!("version = 1\n{}", input.replace(&hash.to_string(), "abc")), "`magi.lock`, line 5: "),
        ] {
            let error = parse(text, Path::new("magi.lock")).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
    }
}

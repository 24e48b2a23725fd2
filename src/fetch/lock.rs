//! `magi.lock`: every input's URL, size and hash from its first fetch. The file lies beside the profile and
//! belongs into version control; a build refuses inputs that differ from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checksum::{self, DigestMismatch};
use super::url::{shown, without_credentials};
use crate::digest::Sha256;
use crate::error::{Error, Exit, Explain, FileError, Result};
use crate::files::atomic::{self, Access, Existing};

const HEADER: &str = "\
# Made by magi-image, to be committed: what every input was when it was fetched. A build refuses anything else.
# `magi-image fetch --update` fetches all of it anew.
";
const VERSION: u32 = 1;

/// What is wrong with the lock file, or with an input that it lists.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("`{}`, line {line}: {problem}", crate::text::printable(path))]
    Malformed {
        path: PathBuf,
        /// From 1.
        line: usize,
        problem: LockProblem,
    },
    #[error(
        "`{}` has version {version}, but this magi-image knows version {VERSION}",
        crate::text::printable(path)
    )]
    Version { path: PathBuf, version: u32 },
    #[error("`{url}` differs from `magi.lock`: {difference}")]
    Differs {
        /// Without credentials and query.
        url: String,
        difference: LockDifference,
    },
}

/// What is wrong in one line of the lock file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockProblem {
    /// The TOML parser's message.
    #[error("{0}")]
    Syntax(String),
    #[error("`raw_size` and `raw_sha256` belong together")]
    HalfRaw,
    #[error("duplicate entry for `{0}`")]
    Duplicate(String),
}

/// How an input differs from its entry in the lock file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockDifference {
    #[error("it has {0}")]
    Packed(DigestMismatch),
    #[error("its raw content has {0}")]
    Raw(DigestMismatch),
    #[error("it has {found} bytes, but {locked} were expected")]
    Size { found: u64, locked: u64 },
    #[error("the lock has SHA-256 {locked}, but the profile pins {pinned}")]
    Pin { locked: Sha256, pinned: Sha256 },
}

impl Explain for LockError {
    fn exit(&self) -> Exit {
        match self {
            Self::Differs { .. } => Exit::Verification,
            Self::Malformed { .. } | Self::Version { .. } => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Differs { .. } => {
                "if it was replaced on purpose, remove its entry from `magi.lock` or run \
                 `magi-image fetch --update`"
            }
            Self::Malformed { .. } => {
                "restore the file from version control, or remove it and run `magi-image fetch`"
            }
            Self::Version { .. } => "use a newer magi-image",
        };
        Some(hint.into())
    }
}

/// The hint for a server that has another file than the lock.
const MOVED: &str = "the server has another version than `magi.lock` names: `magi-image fetch --update` takes it; \
                     for the locked version, use a mirror or a local file that has it";

/// Explains a failed download of a locked input: the server's file was replaced.
pub(crate) fn explain_mismatch(error: Error) -> Error {
    if error.exit() == Exit::Verification { error.hinting(MOVED.into()) } else { error }
}

/// One input as the lock file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockedInput {
    /// Of the download, in bytes.
    pub(crate) size: u64,
    /// Of the download.
    pub(crate) sha256: Sha256,
    /// Size in bytes and hash of a base's raw content.
    pub(crate) raw: Option<(u64, Sha256)>,
    /// The fingerprint of the key that signed it.
    pub(crate) signed_by: Option<String>,
}

impl LockedInput {
    /// A raw content that one of both doesn't know isn't compared.
    fn compare(&self, found: &Self) -> Result<(), LockDifference> {
        checksum::require_equal(self.sha256, found.sha256).map_err(LockDifference::Packed)?;
        if self.size != found.size {
            return Err(LockDifference::Size { found: found.size, locked: self.size });
        }
        match (self.raw, found.raw) {
            (Some((_, locked)), Some((_, found))) => {
                checksum::require_equal(locked, found).map_err(LockDifference::Raw)
            }
            _ => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockText {
    version: u32,
    #[serde(default, rename = "input")]
    inputs: Vec<InputText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
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

/// The lock file's content.
#[derive(Debug, Default)]
pub(crate) struct LockFile {
    /// `None` for a lock that is never saved.
    path: Option<PathBuf>,
    inputs: BTreeMap<String, LockedInput>,
    /// Entries that are ignored until they are fetched again.
    outdated: BTreeSet<String>,
    changed: bool,
}

impl LockFile {
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self::default()
    }

    /// Reads the file; a missing file is an empty lock.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let inputs = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text, path)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(FileError::new("read", path)(e).into()),
        };
        Ok(Self { path: Some(path.to_owned()), inputs, ..Self::default() })
    }

    /// Ignores all entries until their inputs are fetched again: `fetch --update`.
    #[must_use]
    pub(crate) fn for_update(mut self) -> Self {
        self.outdated = self.inputs.keys().cloned().collect();
        self
    }

    /// What the input at `url` must be. Credentials in the URL are ignored.
    pub(crate) fn get(&self, url: &str) -> Option<&LockedInput> {
        let url = without_credentials(url);
        if self.outdated.contains(&url) { None } else { self.inputs.get(&url) }
    }

    /// Whether the input at `url` is known to be signed by the key with this fingerprint.
    pub(crate) fn is_signed_by(&self, url: &str, fingerprint: &str) -> bool {
        self.get(url).and_then(|locked| locked.signed_by.as_deref()) == Some(fingerprint)
    }

    /// Records the input at `url`; an error if it differs from its entry.
    pub(crate) fn insert(&mut self, url: &str, found: LockedInput) -> Result<(), LockError> {
        let mut found = found;
        if let Some(locked) = self.get(url) {
            locked
                .compare(&found)
                .map_err(|difference| LockError::Differs { url: shown(url), difference })?;
            found.raw = found.raw.or(locked.raw);
            found.signed_by = found.signed_by.or_else(|| locked.signed_by.clone());
        }
        let url = without_credentials(url);
        self.outdated.remove(&url);
        self.changed |= self.inputs.insert(url, found.clone()) != Some(found);
        Ok(())
    }

    /// Writes the file if something changed. A crash leaves the old or the new file.
    pub(crate) fn save(&mut self) -> Result<()> {
        let Some(path) = self.path.as_deref().filter(|_| self.changed) else { return Ok(()) };
        let inputs = self.inputs.iter().map(|(url, locked)| InputText {
            url: toml::Spanned::new(0..0, url.clone()),
            size: locked.size,
            sha256: locked.sha256,
            raw_size: locked.raw.map(|(size, _)| size),
            raw_sha256: locked.raw.map(|(_, hash)| hash),
            signed_by: locked.signed_by.clone(),
        });
        let text = toml::to_string(&LockText { version: VERSION, inputs: inputs.collect() })
            .map_err(|e| FileError::new("write", path)(std::io::Error::other(e)))?;
        atomic::write(path, format!("{HEADER}{text}").as_bytes(), Access::Shared, Existing::Replace)?;
        self.changed = false;
        Ok(())
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, LockedInput>, LockError> {
    let malformed = |at: usize, problem| {
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        LockError::Malformed { path: path.to_owned(), line, problem }
    };
    let parsed: LockText = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        malformed(at, LockProblem::Syntax(e.message().replace('\n', " ")))
    })?;
    if parsed.version != VERSION {
        return Err(LockError::Version { path: path.to_owned(), version: parsed.version });
    }
    let mut inputs = BTreeMap::new();
    for InputText { url, size, sha256, raw_size, raw_sha256, signed_by } in parsed.inputs {
        // Entries are looked up without credentials and in the URL parser's spelling.
        let (at, url) = (url.span().start, without_credentials(url.get_ref()));
        let locked = LockedInput { size, sha256, raw: raw_size.zip(raw_sha256), signed_by };
        if raw_size.is_some() != raw_sha256.is_some() {
            return Err(malformed(at, LockProblem::HalfRaw));
        }
        if inputs.contains_key(&url) {
            return Err(malformed(at, LockProblem::Duplicate(shown(&url))));
        }
        inputs.insert(url, locked);
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(content: &[u8]) -> LockedInput {
        LockedInput { size: content.len() as u64, sha256: Sha256::of(content), raw: None, signed_by: None }
    }

    #[test]
    fn saved_lock_is_sorted_and_loads_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.lock");
        let mut lock = LockFile::load(&path).unwrap();
        lock.save().unwrap();
        assert!(!path.exists(), "an unchanged lock is not written");
        let base = LockedInput { raw: Some((7, Sha256::of(b"raw"))), ..locked(b"base") };
        lock.insert("https://user:secret@b/base.img.xz", base.clone()).unwrap();
        lock.insert("https://a/k3s?x=\"1\"", locked(b"k3s")).unwrap();
        lock.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        insta::assert_snapshot!(text, @r#"
        # Made by magi-image, to be committed: what every input was when it was fetched. A build refuses anything else.
        # `magi-image fetch --update` fetches all of it anew.
        version = 1

        [[input]]
        url = "https://a/k3s?x=%221%22"
        size = 3
        sha256 = "86bd33ebf64e01aaafb7dab419436ac025d04abd933bbbb124ddb25c30b59dd7"

        [[input]]
        url = "https://b/base.img.xz"
        size = 4
        sha256 = "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2"
        raw_size = 7
        raw_sha256 = "d7439bee24773bcbfa2d0a97947ee36227b10d1022b1a55847e928965bb6bfde"
        "#);
        let again = LockFile::load(&path).unwrap();
        assert_eq!(again.inputs, lock.inputs);
        assert_eq!(again.get("https://other@b/base.img.xz"), Some(&base));
    }

    #[test]
    fn changed_input_is_refused_until_update() {
        let mut lock = LockFile::in_memory();
        lock.insert("https://a/x", locked(b"old")).unwrap();
        let error = lock.insert("https://a/x", locked(b"new")).unwrap_err();
        let (old, new) = (Sha256::of(b"old"), Sha256::of(b"new"));
        assert_eq!(
            error.to_string(),
            format!("`https://a/x` differs from `magi.lock`: it has SHA-256 {new}, but {old} was expected")
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
    fn raw_content_is_added_and_kept() {
        let mut lock = LockFile::in_memory();
        let raw = |content: &[u8]| LockedInput { raw: Some((3, Sha256::of(content))), ..locked(b"x") };
        lock.insert("u", locked(b"x")).unwrap();
        lock.insert("u", raw(b"one")).unwrap();
        lock.insert("u", locked(b"x")).unwrap();
        assert_eq!(lock.get("u"), Some(&raw(b"one")));
        let error = lock.insert("u", raw(b"two")).unwrap_err().to_string();
        assert!(error.contains("its raw content has SHA-256"), "{error}");
    }

    #[test]
    fn malformed_lock_names_file_and_line() {
        let hash = Sha256::of(b"");
        let input = format!("[[input]]\nurl = \"u\"\nsize = 0\nsha256 = \"{hash}\"\n");
        for (text, expected) in [
            ("version = 1\n<<<<<<< HEAD\n", "`magi.lock`, line 2: "),
            ("version = 1\nspeed = 2\n", "`magi.lock`, line 2: unknown field `speed`"),
            ("version = 2\n", "`magi.lock` has version 2, but this magi-image knows version 1"),
            ("version = 1\n[[input]]\nurl = \"u\"\nsize = -1\n", "`magi.lock`, line 4: "),
            (&format!("version = 1\n{input}{input}"), "`magi.lock`, line 7: duplicate entry for `u`"),
            (&format!("version = 1\n{input}raw_size = 1\n"), "`magi.lock`, line 3: `raw_size` and"),
            (&format!("version = 1\n{}", input.replace(&hash.to_string(), "abc")), "`magi.lock`, line 5: "),
        ] {
            let error = parse(text, Path::new("magi.lock")).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
    }
}

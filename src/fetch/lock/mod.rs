//! `magi.lock`: every input's URL, size and hash from its first fetch. The file lies beside the profile and
//! belongs into version control; a build refuses inputs that differ from it.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) use changes::{InputChange, LockedFile};
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
    /// The entries when the file was read.
    loaded: BTreeMap<String, LockedInput>,
    /// URLs that this run recorded.
    recorded: BTreeSet<String>,
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
        Ok(Self { path: Some(path.to_owned()), loaded: inputs.clone(), inputs, ..Self::default() })
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
        self.recorded.insert(url.clone());
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
mod tests;

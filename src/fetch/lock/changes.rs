//! What a run changed in the lock file: `fetch --update` shows it.

use serde::Serialize;

use super::{LockFile, LockedInput};
use crate::digest::Sha256;

/// One input of the lock file, before and after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InputChange {
    /// Without credentials, as in the lock file.
    pub(crate) url: String,
    /// `None` if the input is new.
    pub(crate) from: Option<LockedFile>,
    /// `None` if the run didn't need the input: its entry stays as it was.
    pub(crate) to: Option<LockedFile>,
}

/// A download, as the lock file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct LockedFile {
    pub(crate) sha256: Sha256,
    /// In bytes.
    pub(crate) size: u64,
}

impl From<&LockedInput> for LockedFile {
    fn from(input: &LockedInput) -> Self {
        Self { sha256: input.sha256, size: input.size }
    }
}

impl LockFile {
    /// All inputs, sorted by URL.
    pub(crate) fn changes(&self) -> Vec<InputChange> {
        let change = |(url, now): (&String, &LockedInput)| InputChange {
            url: url.clone(),
            from: self.loaded.get(url).map(LockedFile::from),
            to: self.recorded.contains(url).then(|| now.into()),
        };
        self.inputs.iter().map(change).collect()
    }
}

//! The secrets of a cluster in one file, mode 0600, beside the profile.
//!
//! Existing entries never change: a node that is built again later needs the same secrets. People may have
//! edited the file, so every entry is checked before use.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::{self, SecretsByKey};
use super::{Secret, SecretFlaw, SecretsError};
use crate::error::{FileError, Result};
use crate::files::atomic::StagedError;
use crate::files::private;

#[derive(Debug)]
pub(crate) struct SecretStore {
    path: PathBuf,
    values: SecretsByKey,
    /// The content of the file when it was opened; `None` if there was no file.
    opened: Option<Zeroizing<Vec<u8>>>,
    /// Whether there are secrets that the file does not have.
    grown: bool,
}

impl SecretStore {
    /// Opens the file at `path`. If it does not exist and need not, the store is empty.
    pub(crate) fn open(path: &Path, must_exist: bool) -> Result<Self> {
        if file::is_content(path) {
            return Err(SecretsError::ContentAsPath.into());
        }
        let mut store = Self { path: path.to_path_buf(), ..Self::ephemeral() };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound && must_exist => {
                return Err(SecretsError::Missing(path.to_path_buf()).into());
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(store),
            Err(e) => return Err(FileError::named(path)(e).into()),
        };
        file::refuse_readable(path)?;
        store.values = file::parse(path, &bytes)?;
        if store.values.is_empty() {
            return Err(SecretsError::Empty(path.to_path_buf()).into());
        }
        store.opened = Some(bytes);
        Ok(store)
    }

    /// A store without a file, for plans that are only shown.
    pub(crate) fn ephemeral() -> Self {
        Self { path: PathBuf::new(), values: SecretsByKey::new(), opened: None, grown: false }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Secret> {
        self.values.get(key)
    }

    /// Adds a secret under a new dotted key.
    pub(super) fn insert(&mut self, key: &str, secret: Secret) -> Result<(), SecretsError> {
        let is_below = |key: &str, table: &str| key.strip_prefix(table).is_some_and(|r| r.starts_with('.'));
        if let Some(text) = self.values.keys().find(|k| is_below(key, k)) {
            return Err(self.flawed(text, SecretFlaw::NotATable));
        }
        if self.values.keys().any(|k| is_below(k, key)) {
            return Err(self.flawed(key, SecretFlaw::NotAString));
        }
        self.values.insert(key.to_owned(), secret);
        self.grown = true;
        Ok(())
    }

    pub(super) fn flawed(&self, key: &str, flaw: SecretFlaw) -> SecretsError {
        SecretsError::Flawed { path: self.path.clone(), key: key.to_owned(), flaw }
    }

    /// Whether [`SecretStore::save`] would write.
    pub(crate) fn has_grown(&self) -> bool {
        self.grown
    }

    /// Whether there was no file.
    pub(crate) fn is_new(&self) -> bool {
        self.opened.is_none()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes new secrets atomically with mode 0600. If another process wrote the file since it was opened,
    /// this is an error: secrets of two clusters must not mix, and none may be lost.
    pub(crate) fn save(&mut self) -> Result<()> {
        if !self.grown {
            return Ok(());
        }
        let text = file::to_toml(&self.values);
        match &self.opened {
            Some(opened) => {
                // Locked until the new file is in place; a process that waited finds other content.
                let file = std::fs::File::open(&self.path).map_err(FileError::new("read", &self.path))?;
                file.lock().map_err(FileError::new("lock", &self.path))?;
                let now = std::fs::read(&self.path).map_err(FileError::new("read", &self.path))?;
                if Zeroizing::new(now) != *opened {
                    return Err(SecretsError::ConcurrentWrite(self.path.clone()).into());
                }
                private::write(&self.path, text.as_bytes())?;
            }
            None => private::write_new(&self.path, text.as_bytes()).map_err(|e| self.creation_error(e))?,
        }
        self.opened = Some(Zeroizing::new(text.as_bytes().to_vec()));
        self.grown = false;
        Ok(())
    }

    fn creation_error(&self, error: StagedError) -> crate::Error {
        match error {
            StagedError::File(e) if e.source.kind() == ErrorKind::AlreadyExists => {
                SecretsError::ConcurrentWrite(self.path.clone()).into()
            }
            _ => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.secrets.toml");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(SecretStore::open(&path, false).unwrap_err().to_string().starts_with("other users can read"));
    }
}

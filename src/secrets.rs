//! Secrets: text that can't be printed, and the one 0600 file beside the profile that keeps them.
//!
//! The file is made by the first build and never changed afterwards but for what is missing: a node that
//! is built again next year needs the very same.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::document::{DocumentError, Source};
use crate::error::{Exit, Explain, FileError, Result};
use crate::private_file;

/// Text that no format string prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for what goes into an image's private files, nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// 0-9 and a-f.
    Hex,
    /// 0-9, A-Z and a-z, without what is easily mistaken (0, O, 1, I, l).
    Alphanumeric,
}

impl Alphabet {
    fn letters(self) -> &'static [u8] {
        match self {
            Self::Hex => b"0123456789abcdef",
            Self::Alphanumeric => b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
        }
    }
}

/// A secret that an overlay declares.
#[derive(Debug, Clone)]
pub struct SecretSpec {
    /// Its name in the overlay's templates.
    pub name: String,
    /// Its letters.
    pub alphabet: Alphabet,
    /// How many.
    pub length: usize,
    /// One for each node instead of one for the cluster.
    pub per_node: bool,
}

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Others can read it.
    #[error("`{}` can be read by other users (mode {mode:03o})", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No entropy from the system.
    #[error("the system gave no random bytes: {0}")]
    NoEntropy(String),
    /// Two builds made the first secrets at the same moment.
    #[error("another build has just made `{}`", .0.display())]
    Raced(PathBuf),
    /// A line that can't be.
    #[error("`{}` has an entry of the wrong form: `{key}`", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The dotted key; never the value.
        key: String,
    },
}

impl Explain for SecretsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::TooOpen { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::NoEntropy(_) => None,
            Self::Raced(_) => Some("run this one again: it will use the same secrets".into()),
            Self::Entry { .. } => {
                Some("restore the file from a backup; every node of a cluster needs the same".into())
            }
        }
    }
}

/// All secrets of a cluster, by dotted key: `k3s.token`, `k3s.node_password.caspar`.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    values: BTreeMap<String, Secret>,
    /// Whether there is anything that the file doesn't have.
    grown: bool,
}

impl Store {
    /// Opens the file, or an empty store that will become it.
    pub fn open(path: &Path) -> Result<Self> {
        let mut store = Self { path: path.to_path_buf(), ..Self::passing() };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(store),
            Err(e) => return Err(FileError::new("read", path)(e).into()),
        };
        refuse_open_modes(path)?;
        store.values = parse(path, &bytes)?;
        Ok(store)
    }

    /// A store that is kept nowhere: for plans that are only shown.
    pub fn passing() -> Self {
        Self { path: PathBuf::new(), values: BTreeMap::new(), grown: false }
    }

    /// The secret of this name, made now if it isn't there yet.
    pub fn get_or_make(
        &mut self,
        overlay: &str,
        spec: &SecretSpec,
        node: &str,
    ) -> Result<Secret, SecretsError> {
        let mut key = format!("{overlay}.{}", spec.name);
        if spec.per_node {
            key = format!("{key}.{node}");
        }
        if let Some(secret) = self.values.get(&key) {
            return Ok(secret.clone());
        }
        let secret = random(spec.alphabet, spec.length)?;
        self.values.insert(key, secret.clone());
        self.grown = true;
        Ok(secret)
    }

    /// Whether [`Store::save`] would write.
    pub fn has_grown(&self) -> bool {
        self.grown
    }

    /// Where it is or will be kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is new, atomically and 0600. Of two builds that make the first file, one wins and the
    /// other is told to try again: two clusters' secrets must never mix.
    pub fn save(&mut self) -> Result<()> {
        if !self.grown {
            return Ok(());
        }
        let text = self.to_toml();
        if self.path.exists() {
            private_file::write(&self.path, text.as_bytes())?;
        } else {
            private_file::write_new(&self.path, text.as_bytes()).map_err(|e| self.lost_the_race(e))?;
        }
        self.grown = false;
        Ok(())
    }

    fn lost_the_race(&self, error: FileError) -> crate::Error {
        match error.source.kind() {
            std::io::ErrorKind::AlreadyExists => SecretsError::Raced(self.path.clone()).into(),
            _ => error.into(),
        }
    }

    fn to_toml(&self) -> Zeroizing<String> {
        let mut text = String::from(
            "# The cluster's secrets, made by magi-image. Keep this file safe and out of version control:\n\
             # a node that is built again needs the same ones.\n",
        );
        let mut section = "";
        for (key, secret) in &self.values {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
            if table != section {
                text.push_str(&format!("\n[{table}]\n"));
                section = table;
            }
            // Letters and digits only (see `Alphabet`), so no escapes are needed.
            text.push_str(&format!("{name} = \"{}\"\n", secret.reveal()));
        }
        Zeroizing::new(text)
    }
}

fn random(alphabet: Alphabet, length: usize) -> Result<Secret, SecretsError> {
    let letters = alphabet.letters();
    // Bytes past the last multiple are drawn again, so that no letter is likelier than another.
    let fair = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = Zeroizing::new([0u8; 64]);
        getrandom::fill(bytes.as_mut()).map_err(|e| SecretsError::NoEntropy(e.to_string()))?;
        let chosen = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < fair);
        text.extend(chosen.map(|b| letters[b % letters.len()] as char).take(length - text.len()));
    }
    Ok(Secret::new(text))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Secret>> {
    let source = Source::from_bytes(path.display().to_string(), bytes)?;
    // The parser's message could quote the line, and the line is a secret.
    let table: toml::Table = source.text.parse().map_err(|e: toml::de::Error| -> DocumentError {
        source.error(e.span().map_or(0, |s| s.start), "not valid TOML")
    })?;
    let mut values = BTreeMap::new();
    flatten(path, "", &table, &mut values)?;
    Ok(values)
}

fn flatten(
    path: &Path,
    prefix: &str,
    table: &toml::Table,
    values: &mut BTreeMap<String, Secret>,
) -> Result<(), SecretsError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let legal = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric());
        match value {
            toml::Value::Table(inner) => flatten(path, &key, inner, values)?,
            toml::Value::String(text) if legal(text) => {
                values.insert(key, Secret::new(text.clone()));
            }
            _ => return Err(SecretsError::Entry { path: path.to_path_buf(), key }),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn refuse_open_modes(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(FileError::new("read", path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SecretsError::TooOpen { path: path.to_path_buf(), mode }.into())
    }
}

#[cfg(not(unix))]
fn refuse_open_modes(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(per_node: bool) -> SecretSpec {
        SecretSpec { name: "token".into(), alphabet: Alphabet::Alphanumeric, length: 8, per_node }
    }

    #[test]
    fn secrets_are_made_once_kept_private_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.secrets.toml");
        let mut store = Store::open(&path).unwrap();
        let shared = store.get_or_make("vip", &spec(false), "caspar").unwrap();
        let own = store.get_or_make("k3s", &spec(true), "caspar").unwrap();
        assert_eq!(shared.reveal().len(), 8);
        assert_eq!(format!("{shared:?}"), "Secret(***)");
        store.save().unwrap();

        let mut again = Store::open(&path).unwrap();
        assert_eq!(again.get_or_make("vip", &spec(false), "melchior").unwrap(), shared);
        assert_eq!(again.get_or_make("k3s", &spec(true), "caspar").unwrap(), own);
        assert_ne!(again.get_or_make("k3s", &spec(true), "melchior").unwrap(), own);
        assert!(again.has_grown());
    }

    #[cfg(unix)]
    #[test]
    fn an_open_or_broken_file_is_refused_without_quoting_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        std::fs::write(&path, "[k3s]\ntoken = \"abc def\"\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(Store::open(&path).unwrap_err().to_string().contains("other users (mode 644)"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let message = Store::open(&path).unwrap_err().to_string();
        assert!(message.contains("k3s.token") && !message.contains("abc"), "{message}");
    }
}

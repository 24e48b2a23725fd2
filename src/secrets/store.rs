//! The file that keeps a cluster's secrets, 0600, beside the profile.
//!
//! It is made once and never changed afterwards but for what is missing: a node that is built again next
//! year needs the very same. What a person wrote into it is checked before anything is made with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::kind::{self, SecretKind, SecretSpec};
use super::pki::{self, Key, Subject};
use super::{Secret, SecretValue, SecretsError};
use crate::document::{DocumentError, Located, SourceText};
use crate::error::{FileError, Result};
use crate::files::atomic::StagedError;
use crate::files::private;

/// All secrets of a cluster, by dotted key: `k3s.token`, `k3s.node_password.caspar`, `k3s.server_ca.crt`.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    values: BTreeMap<String, Secret>,
    /// What the file held when it was opened; nothing where there was none.
    opened: Option<Zeroizing<Vec<u8>>>,
    /// Whether there is anything that the file doesn't have.
    grown: bool,
}

/// What an overlay declares, and how its templates become text.
pub(crate) struct Wanted<'a> {
    /// The overlay's name.
    pub(crate) overlay: &'a str,
    /// Its `overlay.toml`, for complaints.
    pub(crate) source: &'a SourceText,
    /// Its secrets.
    pub(crate) specs: &'a [SecretSpec],
    /// Whose; without one, only those that all nodes share.
    pub(crate) node: Option<&'a str>,
    /// Renders a name that goes into a certificate; whether that is a node's own.
    pub(crate) render: &'a dyn Fn(&Located<String>, bool) -> Result<String>,
}

impl Store {
    /// Opens the file that must be there, or an empty store that will become it.
    pub(crate) fn open(path: &Path, must_exist: bool) -> Result<Self> {
        if holds_content(path) {
            return Err(SecretsError::Content.into());
        }
        let mut store = Self { path: path.to_path_buf(), ..Self::ephemeral() };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && must_exist => {
                return Err(SecretsError::Missing(path.to_path_buf()).into());
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(store),
            Err(e) => return Err(FileError::named(path)(e).into()),
        };
        refuse_open_modes(path)?;
        store.values = parse(path, &bytes)?;
        if store.values.is_empty() {
            return Err(SecretsError::Empty(path.to_path_buf()).into());
        }
        store.opened = Some(bytes);
        Ok(store)
    }

    /// A store that is kept nowhere: for plans that are only shown.
    pub(crate) fn ephemeral() -> Self {
        Self { path: PathBuf::new(), values: BTreeMap::new(), opened: None, grown: false }
    }

    /// An overlay's secrets by name; those that aren't there yet are made now.
    pub(crate) fn get_or_make(&mut self, wanted: &Wanted<'_>) -> Result<BTreeMap<String, SecretValue>> {
        let mut values = BTreeMap::new();
        // Who signs comes before what is signed.
        let (signed, first): (Vec<_>, Vec<_>) =
            wanted.specs.iter().partition(|s| matches!(s.kind, SecretKind::Certificate { .. }));
        for spec in first.into_iter().chain(signed) {
            let key = match (spec.per_node, wanted.node) {
                (false, _) => format!("{}.{}", wanted.overlay, spec.name.value),
                (true, Some(node)) => format!("{}.{}.{node}", wanted.overlay, spec.name.value),
                (true, None) => continue,
            };
            let value = match &spec.kind {
                SecretKind::Letters { alphabet, length } => SecretValue::Text(self.text(
                    &key,
                    || kind::random(*alphabet, *length),
                    |secret| kind::flaw(secret, *alphabet, *length),
                )?),
                SecretKind::Key => SecretValue::Pair { crt: None, key: self.key(&key)?.1 },
                SecretKind::Ca { .. } | SecretKind::Certificate { .. } => self.pair(&key, spec, wanted)?,
            };
            values.insert(spec.name.value.clone(), value);
        }
        Ok(values)
    }

    /// A private key, alone or with its certificate, and its text.
    fn key(&mut self, key: &str) -> Result<(Key, Secret), SecretsError> {
        let dotted = format!("{key}.key");
        let text = self.text(&dotted, || Key::generate()?.to_pem(), |_| None)?;
        match Key::from_pem(&text) {
            Some(parsed) => Ok((parsed, text)),
            None => Err(self.unfit(&dotted, "isn't a private key on P-256 in PEM (`EC PRIVATE KEY`)")),
        }
    }

    /// A certificate with its key: both from the file, or both made.
    fn pair(&mut self, key: &str, spec: &SecretSpec, wanted: &Wanted<'_>) -> Result<SecretValue> {
        let (crt_key, key_key) = (format!("{key}.crt"), format!("{key}.key"));
        for (there, missing) in [(&crt_key, &key_key), (&key_key, &crt_key)] {
            if self.values.contains_key(there) && !self.values.contains_key(missing) {
                return Err(self.unfit(missing, "is missing").into());
            }
        }
        let (private, key_text) = self.key(key)?;
        let issuer = match &spec.kind {
            SecretKind::Certificate { issuer, .. } => Some(format!("{}.{}", wanted.overlay, issuer.value)),
            _ => None,
        };
        let ca = issuer.as_ref().and_then(|i| self.values.get(&format!("{i}.crt"))).cloned();
        if !self.values.contains_key(&crt_key) {
            let subject = subject(spec, wanted)?;
            let made = match (&issuer, &ca) {
                (Some(issuer), Some(ca)) => pki::client(&subject, &private, ca, &self.key(issuer)?.0)?,
                _ => pki::authority(&subject, &private)?,
            };
            self.insert(&crt_key, made)?;
        }
        let crt = self.text(&crt_key, || Ok(Secret::new(String::new())), |_| None)?;
        if let Some(flaw) = pki::certificate_flaw(&crt, &private, ca.as_ref()) {
            let flaw = match issuer {
                Some(issuer) => flaw.replace("its issuer", &format!("`{issuer}.crt`")),
                None => flaw.to_owned(),
            };
            return Err(self.unfit(&crt_key, &flaw.replace("its key", &format!("`{key_key}`"))).into());
        }
        Ok(SecretValue::Pair { crt: Some(crt), key: key_text })
    }

    /// The text under `key`, made if it isn't there.
    fn text(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Result<Secret, SecretsError>,
        flaw: impl FnOnce(&Secret) -> Option<String>,
    ) -> Result<Secret, SecretsError> {
        if let Some(secret) = self.values.get(key) {
            return match flaw(secret) {
                None => Ok(secret.clone()),
                Some(flaw) => Err(self.unfit(key, &flaw)),
            };
        }
        let secret = make()?;
        self.insert(key, secret.clone())?;
        Ok(secret)
    }

    /// Adds what isn't there; a key can't be a value and a table at once.
    fn insert(&mut self, key: &str, secret: Secret) -> Result<(), SecretsError> {
        let inside = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|r| r.starts_with('.'));
        let clash = self.values.keys().find(|k| inside(k, key) || inside(key, k)).cloned();
        if let Some(clash) = clash {
            return Err(self.unfit(&clash, &format!("stands where `{key}` should be")));
        }
        self.values.insert(key.to_owned(), secret);
        self.grown = true;
        Ok(())
    }

    fn unfit(&self, key: &str, flaw: &str) -> SecretsError {
        SecretsError::Unfit { path: self.path.clone(), key: key.to_owned(), flaw: flaw.to_owned() }
    }

    /// Whether [`Store::save`] would write.
    pub(crate) fn has_grown(&self) -> bool {
        self.grown
    }

    /// Whether there was no file yet.
    pub(crate) fn is_new(&self) -> bool {
        self.opened.is_none()
    }

    /// Where it is or will be kept.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is new, atomically and 0600. Of two builds that write at the same moment, one wins and
    /// the other is told to try again: two clusters' secrets must never mix, and none be lost.
    pub(crate) fn save(&mut self) -> Result<()> {
        if !self.grown {
            return Ok(());
        }
        let text = self.to_toml();
        match &self.opened {
            Some(opened) => {
                // Held until the new file is in place; who waited for it finds another content.
                let file = std::fs::File::open(&self.path).map_err(FileError::new("read", &self.path))?;
                file.lock().map_err(FileError::new("lock", &self.path))?;
                let now = std::fs::read(&self.path).map_err(FileError::new("read", &self.path))?;
                if Zeroizing::new(now) != *opened {
                    return Err(SecretsError::Raced(self.path.clone()).into());
                }
                private::write(&self.path, text.as_bytes())?;
            }
            None => {
                private::write_new(&self.path, text.as_bytes()).map_err(|e| self.lost_the_race(e))?;
            }
        }
        self.opened = Some(Zeroizing::new(text.as_bytes().to_vec()));
        self.grown = false;
        Ok(())
    }

    fn lost_the_race(&self, error: StagedError) -> crate::Error {
        match error {
            StagedError::File(e) if e.source.kind() == std::io::ErrorKind::AlreadyExists => {
                SecretsError::Raced(self.path.clone()).into()
            }
            _ => error.into(),
        }
    }

    fn to_toml(&self) -> Zeroizing<String> {
        let mut tables: BTreeMap<&str, Vec<(&str, &Secret)>> = BTreeMap::new();
        for (key, secret) in &self.values {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
            tables.entry(table).or_default().push((name, secret));
        }
        // Room for all of it at once: a text that grows leaves copies behind.
        let room: usize = self.values.iter().map(|(key, s)| 2 * key.len() + s.reveal().len() + 16).sum();
        let mut text = Zeroizing::new(String::with_capacity(room + 256));
        text.push_str(
            "# The cluster's secrets, made by magi-image. Keep this file safe and out of version control:\n\
             # a node that is built again needs the same ones.\n",
        );
        for (table, secrets) in tables {
            if !table.is_empty() {
                text.push_str(&format!("\n[{table}]\n"));
            }
            for (name, secret) in secrets {
                // Nothing in it needs escaping: see `is_legal`.
                let quotes =
                    if secret.reveal().contains('\n') { ("\"\"\"\n", "\n\"\"\"") } else { ("\"", "\"") };
                for part in [name, " = ", quotes.0, secret.reveal(), quotes.1, "\n"] {
                    text.push_str(part);
                }
            }
        }
        text
    }
}

fn subject(spec: &SecretSpec, wanted: &Wanted<'_>) -> Result<Subject> {
    let render = |written: &Located<String>| -> Result<String> {
        let name = (wanted.render)(written, spec.per_node)?;
        match pki::name_flaw(&name) {
            None => Ok(name),
            Some(flaw) => {
                let DocumentError { file, line, .. } = wanted.source.error(written.at, "");
                Err(SecretsError::Name { file, line, name, flaw }.into())
            }
        }
    };
    let (common_name, organization) = match &spec.kind {
        SecretKind::Ca { common_name } => (common_name, None),
        SecretKind::Certificate { common_name, organization, .. } => (common_name, organization.as_ref()),
        SecretKind::Letters { .. } | SecretKind::Key => (&spec.name, None),
    };
    Ok(Subject { common_name: render(common_name)?, organization: organization.map(render).transpose()? })
}

/// Whether this is the file's content instead of its name, as a workflow gives it that mistook the variable's
/// meaning: no folder holds a name of several lines, or of more than 255 bytes.
fn holds_content(path: &Path) -> bool {
    let parts = || path.components().map(|part| part.as_os_str().as_encoded_bytes());
    parts().any(|part| part.len() > 255 || part.contains(&b'\n'))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Secret>> {
    let source = SourceText::from_bytes(path.display().to_string(), bytes)?;
    // The parser's message could quote the line, and the line is a secret.
    let table: toml::Table = source.text.parse().map_err(|e: toml::de::Error| -> DocumentError {
        let error = source.error(e.span().map_or(0, |s| s.start), "not valid TOML");
        error.hinting("restore the file from a backup")
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
        // Written again, it must need no quotes.
        let bare = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        let legal_key = !name.is_empty() && name.bytes().all(bare);
        match value {
            toml::Value::Table(inner) if legal_key => flatten(path, &key, inner, values)?,
            toml::Value::String(text) if legal_key && is_legal(text) => {
                values.insert(key, Secret::new(text.trim().replace('\r', "")));
            }
            _ => {
                return Err(SecretsError::Entry {
                    path: path.to_path_buf(),
                    key: key.escape_debug().to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Letters and digits, or one block of PEM: nothing that TOML would want escaped.
fn is_legal(text: &str) -> bool {
    let text = text.trim();
    let pem = |b: u8| b.is_ascii_alphanumeric() || b"+/=- \r\n".contains(&b);
    if text.starts_with("-----BEGIN ") {
        text.bytes().all(pem)
    } else {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
    }
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
    use crate::secrets::Alphabet;

    fn located(text: &str) -> Located<String> {
        Located { value: text.into(), at: 0 }
    }

    fn spec(name: &str, kind: SecretKind, per_node: bool) -> SecretSpec {
        SecretSpec { name: located(name), kind, per_node }
    }

    /// One of each kind; the certificate before its issuer.
    fn specs() -> Vec<SecretSpec> {
        let admin = SecretKind::Certificate {
            issuer: located("ca"),
            common_name: located("admin"),
            organization: Some(located("masters")),
        };
        vec![
            spec("admin", admin, false),
            spec("token", SecretKind::Letters { alphabet: Alphabet::Hex, length: 8 }, false),
            spec("own", SecretKind::Letters { alphabet: Alphabet::Alphanumeric, length: 8 }, true),
            spec("ca", SecretKind::Ca { common_name: located("the ca") }, false),
            spec("zz", SecretKind::Key, false),
        ]
    }

    fn made(store: &mut Store, overlay: &str, node: Option<&str>) -> Result<BTreeMap<String, SecretValue>> {
        let source = SourceText::new("overlay.toml", "");
        let render = |written: &Located<String>, _: bool| Ok(written.value.clone());
        store.get_or_make(&Wanted { overlay, source: &source, specs: &specs(), node, render: &render })
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.secrets.toml");
        (dir, path)
    }

    /// What is said to a file with `text` in it.
    fn complaint(text: &str) -> String {
        let (_dir, path) = file();
        private::write(&path, text.as_bytes()).unwrap();
        let outcome = Store::open(&path, false).and_then(|mut store| made(&mut store, "k3s", Some("caspar")));
        let message = outcome.unwrap_err().to_string();
        message.replace(&path.display().to_string(), "file")
    }

    /// A whole file, as it is saved.
    fn saved() -> String {
        let (_dir, path) = file();
        let mut store = Store::open(&path, false).unwrap();
        made(&mut store, "k3s", Some("caspar")).unwrap();
        store.save().unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn secrets_are_made_once_kept_private_and_never_printed() {
        let (_dir, path) = file();
        let mut store = Store::open(&path, false).unwrap();
        let first = made(&mut store, "k3s", Some("caspar")).unwrap();
        assert_eq!(first.len(), 5);
        assert_eq!(format!("{:?}", first["token"]), "Text(Secret(***))");
        store.save().unwrap();

        let mut again = Store::open(&path, false).unwrap();
        assert_eq!(made(&mut again, "k3s", Some("caspar")).unwrap(), first);
        assert!(!again.has_grown());
        // Without a node there is only what all share; another node's own are made, the rest is the same.
        assert!(!made(&mut again, "k3s", None).unwrap().contains_key("own"));
        let other = made(&mut again, "k3s", Some("melchior")).unwrap();
        assert!(other["own"] != first["own"] && other["admin"] == first["admin"] && again.has_grown());
        assert_ne!(made(&mut again, "x", Some("caspar")).unwrap()["zz"], first["zz"]);
    }

    #[test]
    fn of_two_that_add_to_one_file_the_second_is_told_to_try_again() {
        let (_dir, path) = file();
        let mut first = Store::open(&path, false).unwrap();
        made(&mut first, "k3s", Some("caspar")).unwrap();
        first.save().unwrap();
        let (mut one, mut other) = (Store::open(&path, false).unwrap(), Store::open(&path, false).unwrap());
        made(&mut one, "k3s", Some("melchior")).unwrap();
        made(&mut other, "k3s", Some("balthazar")).unwrap();
        one.save().unwrap();
        let message = other.save().unwrap_err().to_string();
        assert!(message.starts_with("another build has just written"), "{message}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("melchior"));
    }

    #[test]
    fn every_table_is_written_once_and_windows_line_ends_are_none() {
        let text = saved();
        assert_eq!(text.matches("[k3s]").count(), 1, "{text}");
        let (_dir, path) = file();
        private::write(&path, text.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut store = Store::open(&path, false).unwrap();
        let SecretValue::Pair { crt, .. } = &made(&mut store, "k3s", Some("caspar")).unwrap()["ca"] else {
            panic!()
        };
        let crt = crt.as_ref().unwrap().reveal();
        assert!(!store.has_grown() && !crt.contains('\r') && crt.ends_with("CERTIFICATE-----"), "{crt}");
    }

    #[test]
    fn what_a_person_wrote_is_refused_by_its_key_without_quoting_it() {
        let cases = [
            ("k3s = \"abcdef01\"", "`file`: `k3s` stands where `k3s.token` should be"),
            ("[k3s.token]\na = \"abcdef01\"", "`file`: `k3s.token.a` stands where `k3s.token` should be"),
            ("[k3s]\ntoken = \"abcdef0\"", "`file`: `k3s.token` must be 8 letters of 0-9 and a-f"),
            ("[k3s]\ntoken = \"abcdefgh\"", "`file`: `k3s.token` must be 8 letters of 0-9 and a-f"),
            ("[k3s]\ntoken = \"abc def\"", "`file` has an entry of the wrong form: `k3s.token`"),
            ("[k3s]\ntoken = 12345678", "`file` has an entry of the wrong form: `k3s.token`"),
            ("[k3s]\nca = \"abc\"", "`file`: `k3s.ca` stands where `k3s.ca.key` should be"),
            ("[k3s.ca]\nkey = \"abc\"", "`file`: `k3s.ca.crt` is missing"),
            ("[k3s.ca]\ncrt = \"abc\"", "`file`: `k3s.ca.key` is missing"),
            (
                "[k3s.zz]\nkey = \"abc\"",
                "`file`: `k3s.zz.key` isn't a private key on P-256 in PEM (`EC PRIVATE KEY`)",
            ),
            (
                "[k3s.zz]\nkey = \"\"\"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\"\"\"",
                "`file`: `k3s.zz.key` isn't a private key on P-256 in PEM (`EC PRIVATE KEY`)",
            ),
            ("[\"k3 s\"]\ntoken = \"abc\"", "`file` has an entry of the wrong form: `k3 s`"),
            ("[k3s]\ntoken = \"abc", "`file` line 2: not valid TOML"),
        ];
        for (text, message) in cases {
            assert_eq!(complaint(text), message, "{text}");
        }
    }

    #[test]
    fn certificates_belong_to_their_key_and_their_issuer() {
        let (one, other) = (saved(), saved());
        // Puts `table` of the one file in the place of the other's.
        let table = |text: &str, name: &str| {
            let start = text.find(&format!("[k3s.{name}]")).unwrap();
            let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end);
            text[start..end].to_owned()
        };
        let swapped = |name: &str| other.replace(&table(&other, name), &table(&one, name));
        assert_eq!(complaint(&swapped("ca")), "`file`: `k3s.admin.crt` isn't signed by `k3s.ca.crt`");
        assert_eq!(complaint(&swapped("admin")), "`file`: `k3s.admin.crt` isn't signed by `k3s.ca.crt`");
        let without = |text: &str, name: &str| text.replace(&table(text, name), "");
        let orphan = without(&one, "ca");
        assert_eq!(complaint(&orphan), "`file`: `k3s.admin.crt` isn't signed by `k3s.ca.crt`");
        // The one's certificates with the other's keys.
        let key_of = |text: &str, name: &str| {
            let table = table(text, name);
            table[table.find("key = ").unwrap()..].to_owned()
        };
        let mixed = one.replace(&key_of(&one, "ca"), &key_of(&other, "ca"));
        assert_eq!(complaint(&mixed), "`file`: `k3s.ca.crt` doesn't belong to `k3s.ca.key`");
        // A client's certificate is no CA.
        let leaf = table(&one, "admin").replace("[k3s.admin]", "[k3s.ca]");
        let leaf = one.replace(&table(&one, "ca"), &leaf);
        assert_eq!(complaint(&leaf), "`file`: `k3s.ca.crt` isn't a CA that signs itself");
    }

    #[cfg(unix)]
    #[test]
    fn an_open_file_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path) = file();
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(Store::open(&path, false).unwrap_err().to_string().contains("other users (mode 644)"));
    }
}

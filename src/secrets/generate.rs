//! Secrets for an overlay: those of the store, checked, and new ones for those that are missing.

use std::collections::BTreeMap;

use super::pki::{self, Entry, PrivateKey, Subject};
use super::{
    Alphabet, Secret, SecretFlaw, SecretKind, SecretSpec, SecretStore, SecretValue, SecretsError, random,
};
use crate::document::{Located, SourceText};
use crate::error::Result;

/// What an overlay declares, and how its templates are rendered.
pub(crate) struct SecretsRequest<'a> {
    pub(crate) overlay: &'a str,
    /// `overlay.toml`, for messages.
    pub(crate) source: &'a SourceText,
    pub(crate) specs: &'a [SecretSpec],
    /// Without a node, only secrets that all nodes share.
    pub(crate) node: Option<&'a str>,
    /// Renders a name in a certificate; the flag says whether the certificate is a node's own.
    pub(crate) render: &'a dyn Fn(&Located<String>, bool) -> Result<String>,
}

impl SecretStore {
    /// An overlay's secrets by name. Missing ones are made.
    pub(crate) fn get_or_make(
        &mut self,
        request: &SecretsRequest<'_>,
    ) -> Result<BTreeMap<String, SecretValue>> {
        let mut values = BTreeMap::new();
        // Issuers come before the certificates that they sign.
        let (signed, others): (Vec<_>, Vec<_>) =
            request.specs.iter().partition(|s| matches!(s.kind, SecretKind::Certificate { .. }));
        for spec in others.into_iter().chain(signed) {
            let name = &spec.name.value;
            let key = match (spec.per_node, request.node) {
                (false, _) => format!("{}.{name}", request.overlay),
                (true, Some(node)) => format!("{}.{name}.{node}", request.overlay),
                (true, None) => continue,
            };
            let value = match &spec.kind {
                SecretKind::Letters { alphabet, length } => {
                    SecretValue::Text(self.letters(&key, *alphabet, *length)?)
                }
                SecretKind::Key => {
                    SecretValue::Pair { crt: None, key: self.private_key(&format!("{key}.key"))?.1 }
                }
                SecretKind::Ca { .. } | SecretKind::Certificate { .. } => self.pair(&key, spec, request)?,
            };
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    fn letters(&mut self, key: &str, alphabet: Alphabet, length: usize) -> Result<Secret, SecretsError> {
        let secret = self.get_or_insert(key, || random::letters(alphabet, length))?;
        if secret.reveal().len() == length && alphabet.allows(secret.reveal()) {
            return Ok(secret);
        }
        Err(self.flawed(key, SecretFlaw::Letters { alphabet, length }))
    }

    /// A private key and its text.
    fn private_key(&mut self, key: &str) -> Result<(PrivateKey, Secret), SecretsError> {
        let text = self.get_or_insert(key, || PrivateKey::generate()?.to_pem())?;
        let parsed = PrivateKey::from_pem(&text).ok_or_else(|| self.flawed(key, SecretFlaw::NotAKey))?;
        Ok((parsed, text))
    }

    /// A certificate with its key: the store has both or neither.
    fn pair(&mut self, name: &str, spec: &SecretSpec, request: &SecretsRequest<'_>) -> Result<SecretValue> {
        let (crt_key, key_key) = (format!("{name}.crt"), format!("{name}.key"));
        match (self.get(&crt_key).is_some(), self.get(&key_key).is_some()) {
            (true, false) => return Err(self.flawed(&key_key, SecretFlaw::Missing).into()),
            (false, true) => return Err(self.flawed(&crt_key, SecretFlaw::Missing).into()),
            _ => {}
        }
        let (private, key) = self.private_key(&key_key)?;
        let issuer = match &spec.kind {
            SecretKind::Certificate { issuer, .. } => Some(format!("{}.{}", request.overlay, issuer.value)),
            _ => None,
        };
        let ca = issuer.as_ref().map(|issuer| self.issuer_certificate(issuer)).transpose()?;
        if self.get(&crt_key).is_none() {
            let subject = subject(spec, request)?;
            let made = match issuer.zip(ca.as_ref()) {
                Some((issuer, (_, ca))) => {
                    let (ca_key, _) = self.private_key(&format!("{issuer}.key"))?;
                    pki::client_certificate(&subject, &private, ca, &ca_key)?
                }
                None => pki::ca_certificate(&subject, &private)?,
            };
            self.insert(&crt_key, made)?;
        }
        let crt = self.required(&crt_key)?;
        let private = Entry { key: &key_key, value: &private };
        let ca = ca.as_ref().map(|(key, value)| Entry { key, value });
        pki::check_certificate(&crt, &private, ca.as_ref()).map_err(|flaw| self.flawed(&crt_key, flaw))?;
        Ok(SecretValue::Pair { crt: Some(crt), key })
    }

    fn issuer_certificate(&self, issuer: &str) -> Result<(String, Secret), SecretsError> {
        let key = format!("{issuer}.crt");
        let crt = self.required(&key)?;
        Ok((key, crt))
    }

    fn required(&self, key: &str) -> Result<Secret, SecretsError> {
        self.get(key).cloned().ok_or_else(|| self.flawed(key, SecretFlaw::Missing))
    }

    fn get_or_insert(
        &mut self,
        key: &str,
        make: impl FnOnce() -> Result<Secret, SecretsError>,
    ) -> Result<Secret, SecretsError> {
        if let Some(secret) = self.get(key) {
            return Ok(secret.clone());
        }
        let secret = make()?;
        self.insert(key, secret.clone())?;
        Ok(secret)
    }
}

fn subject(spec: &SecretSpec, request: &SecretsRequest<'_>) -> Result<Subject> {
    let render = |written: &Located<String>| -> Result<String> {
        let name = (request.render)(written, spec.per_node)?;
        match pki::check_name(&name) {
            Ok(()) => Ok(name),
            Err(flaw) => {
                let (file, line) = (request.source.name.clone(), request.source.line(written.at));
                Err(SecretsError::CertificateName { file, line, name, flaw }.into())
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::files::private;

    fn located(text: &str) -> Located<String> {
        Located { value: text.into(), at: 0 }
    }

    fn spec(name: &str, kind: SecretKind, per_node: bool) -> SecretSpec {
        SecretSpec { name: located(name), kind, per_node }
    }

    /// Each kind once; the certificate is declared before its issuer.
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

    fn made(
        store: &mut SecretStore,
        overlay: &str,
        node: Option<&str>,
    ) -> Result<BTreeMap<String, SecretValue>> {
        let source = SourceText::new("overlay.toml", "");
        let render = |written: &Located<String>, _: bool| Ok(written.value.clone());
        store.get_or_make(&SecretsRequest {
            overlay,
            source: &source,
            specs: &specs(),
            node,
            render: &render,
        })
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magi.secrets.toml");
        (dir, path)
    }

    /// The error about a file with `text`.
    fn error(text: &str) -> String {
        let (_dir, path) = file();
        private::write(&path, text.as_bytes()).unwrap();
        let outcome =
            SecretStore::open(&path, false).and_then(|mut store| made(&mut store, "k3s", Some("caspar")));
        let message = outcome.unwrap_err().to_string();
        message.replace(&path.display().to_string(), "file")
    }

    /// The text of a new file with all secrets.
    fn saved() -> String {
        let (_dir, path) = file();
        let mut store = SecretStore::open(&path, false).unwrap();
        made(&mut store, "k3s", Some("caspar")).unwrap();
        store.save().unwrap();
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn secrets_are_made_once_and_not_printed() {
        let (_dir, path) = file();
        let mut store = SecretStore::open(&path, false).unwrap();
        let first = made(&mut store, "k3s", Some("caspar")).unwrap();
        assert_eq!(first.len(), 5);
        assert_eq!(format!("{:?}", first["token"]), "Text(Secret(***))");
        store.save().unwrap();

        let mut again = SecretStore::open(&path, false).unwrap();
        assert_eq!(made(&mut again, "k3s", Some("caspar")).unwrap(), first);
        assert!(!again.has_grown());
        // Without a node only shared secrets; another node has its own.
        assert!(!made(&mut again, "k3s", None).unwrap().contains_key("own"));
        let other = made(&mut again, "k3s", Some("melchior")).unwrap();
        assert!(other["own"] != first["own"] && other["admin"] == first["admin"] && again.has_grown());
        assert_ne!(made(&mut again, "x", Some("caspar")).unwrap()["zz"], first["zz"]);
    }

    #[test]
    fn concurrent_save_is_refused() {
        let (_dir, path) = file();
        let mut first = SecretStore::open(&path, false).unwrap();
        made(&mut first, "k3s", Some("caspar")).unwrap();
        first.save().unwrap();
        let (mut one, mut other) =
            (SecretStore::open(&path, false).unwrap(), SecretStore::open(&path, false).unwrap());
        made(&mut one, "k3s", Some("melchior")).unwrap();
        made(&mut other, "k3s", Some("balthazar")).unwrap();
        one.save().unwrap();
        let message = other.save().unwrap_err().to_string();
        assert!(message.starts_with("another build has just written"), "{message}");
        assert!(std::fs::read_to_string(&path).unwrap().contains("melchior"));
    }

    #[test]
    fn tables_are_written_once_and_windows_line_ends_are_removed() {
        let text = saved();
        assert_eq!(text.matches("[k3s]").count(), 1, "{text}");
        let (_dir, path) = file();
        private::write(&path, text.replace('\n', "\r\n").as_bytes()).unwrap();
        let mut store = SecretStore::open(&path, false).unwrap();
        let SecretValue::Pair { crt, .. } = &made(&mut store, "k3s", Some("caspar")).unwrap()["ca"] else {
            panic!()
        };
        let crt = crt.as_ref().unwrap().reveal();
        assert!(!store.has_grown() && !crt.contains('\r') && crt.ends_with("CERTIFICATE-----"), "{crt}");
    }

    #[test]
    fn flawed_entries_are_named_but_not_quoted() {
        let cases = [
            ("k3s = \"abcdef01\"", "`file`: `k3s` must be a table"),
            ("[k3s.token]\na = \"abcdef01\"", "`file`: `k3s.token` must be a string"),
            ("[k3s]\ntoken = \"abcdef0\"", "`file`: `k3s.token` must be 8 characters of 0-9 and a-f"),
            ("[k3s]\ntoken = \"abcdefgh\"", "`file`: `k3s.token` must be 8 characters of 0-9 and a-f"),
            ("[k3s]\ntoken = \"abc def\"", "`file`: `k3s.token` is not a valid entry of a secrets file"),
            ("[k3s]\ntoken = 12345678", "`file`: `k3s.token` is not a valid entry of a secrets file"),
            ("[k3s]\nca = \"abc\"", "`file`: `k3s.ca` must be a table"),
            ("[k3s.ca]\nkey = \"abc\"", "`file`: `k3s.ca.crt` is missing"),
            ("[k3s.ca]\ncrt = \"abc\"", "`file`: `k3s.ca.key` is missing"),
            (
                "[k3s.zz]\nkey = \"abc\"",
                "`file`: `k3s.zz.key` is not a P-256 private key in PEM (`EC PRIVATE KEY`)",
            ),
            (
                "[k3s.zz]\nkey = \"\"\"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\"\"\"",
                "`file`: `k3s.zz.key` is not a P-256 private key in PEM (`EC PRIVATE KEY`)",
            ),
            ("[\"k3 s\"]\ntoken = \"abc\"", "`file`: `k3 s` is not a valid entry of a secrets file"),
            ("[k3s]\ntoken = \"abc", "`file` line 2: not valid TOML"),
        ];
        for (text, message) in cases {
            assert_eq!(error(text), message, "{text}");
        }
    }

    #[test]
    fn certificates_must_match_key_and_issuer() {
        let (one, other) = (saved(), saved());
        // `swapped` replaces a table of one file with that of the other.
        let table = |text: &str, name: &str| {
            let start = text.find(&format!("[k3s.{name}]")).unwrap();
            let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end);
            text[start..end].to_owned()
        };
        let swapped = |name: &str| other.replace(&table(&other, name), &table(&one, name));
        assert_eq!(error(&swapped("ca")), "`file`: `k3s.admin.crt` is not signed by `k3s.ca.crt`");
        assert_eq!(error(&swapped("admin")), "`file`: `k3s.admin.crt` is not signed by `k3s.ca.crt`");
        let without = |text: &str, name: &str| text.replace(&table(text, name), "");
        let orphan = without(&one, "ca");
        assert_eq!(error(&orphan), "`file`: `k3s.admin.crt` is not signed by `k3s.ca.crt`");
        // The certificate of one file with the key of the other.
        let key_of = |text: &str, name: &str| {
            let table = table(text, name);
            table[table.find("key = ").unwrap()..].to_owned()
        };
        let mixed = one.replace(&key_of(&one, "ca"), &key_of(&other, "ca"));
        assert_eq!(error(&mixed), "`file`: `k3s.ca.crt` does not belong to the key `k3s.ca.key`");
        // A client certificate is not a CA.
        let leaf = table(&one, "admin").replace("[k3s.admin]", "[k3s.ca]");
        let leaf = one.replace(&table(&one, "ca"), &leaf);
        assert_eq!(error(&leaf), "`file`: `k3s.ca.crt` is not a self-signed CA certificate");
    }
}

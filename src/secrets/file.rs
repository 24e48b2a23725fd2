//! The TOML and the permissions of a secrets file.

use std::collections::BTreeMap;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Secret, SecretFlaw, SecretsError};
use crate::document::{DocumentError, SourceText};
use crate::error::{FileError, Result};
use crate::text::escaped;

/// Secrets by dotted key: `k3s.token`, `k3s.node_password.caspar`, `k3s.server_ca.crt`.
pub(super) type SecretsByKey = BTreeMap<String, Secret>;

/// Whether `path` is the content of a secrets file, set by mistake where its path belongs: no file name has
/// several lines or more than 255 bytes.
pub(super) fn is_content(path: &Path) -> bool {
    let mut parts = path.components().map(|part| part.as_os_str().as_encoded_bytes());
    parts.any(|part| part.len() > 255 || part.contains(&b'\n'))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<SecretsByKey> {
    let source = SourceText::from_bytes(path.display().to_string(), bytes)?;
    // The parser's message could quote a secret.
    let table: toml::Table = source.text.parse().map_err(|e: toml::de::Error| -> DocumentError {
        let error = source.error(e.span().map_or(0, |s| s.start), "not valid TOML");
        error.hinting("restore the file from a backup")
    })?;
    let mut values = SecretsByKey::new();
    flatten(path, "", &table, &mut values)?;
    Ok(values)
}

fn flatten(
    path: &Path,
    prefix: &str,
    table: &toml::Table,
    values: &mut SecretsByKey,
) -> Result<(), SecretsError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) if is_bare_key(name) => flatten(path, &key, inner, values)?,
            toml::Value::String(text) if is_bare_key(name) && needs_no_escapes(text) => {
                values.insert(key, Secret::new(text.trim().replace('\r', "")));
            }
            _ => {
                let key = escaped(&key);
                return Err(SecretsError::Flawed { path: path.into(), key, flaw: SecretFlaw::Entry });
            }
        }
    }
    Ok(())
}

/// TOML's keys that need no quotes.
fn is_bare_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Letters and digits, or one block of PEM.
fn needs_no_escapes(text: &str) -> bool {
    let text = text.trim();
    let is_pem = |b: u8| b.is_ascii_alphanumeric() || b"+/=- \r\n".contains(&b);
    if text.starts_with("-----BEGIN ") {
        text.bytes().all(is_pem)
    } else {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
    }
}

pub(super) fn to_toml(values: &SecretsByKey) -> Zeroizing<String> {
    let mut tables: BTreeMap<&str, Vec<(&str, &Secret)>> = BTreeMap::new();
    for (key, secret) in values {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        tables.entry(table).or_default().push((name, secret));
    }
    // A string that grows leaves copies in memory, so the capacity is an upper bound.
    let capacity: usize = values.iter().map(|(key, s)| 2 * key.len() + s.reveal().len() + 16).sum();
    let mut text = Zeroizing::new(String::with_capacity(capacity + 256));
    text.push_str(
        "# The cluster's secrets, made by magi-image. Keep this file safe and out of version control:\n\
         # a node that is built again needs the same ones.\n",
    );
    for (table, secrets) in tables {
        if !table.is_empty() {
            text.push_str(&format!("\n[{table}]\n"));
        }
        for (name, secret) in secrets {
            // See `needs_no_escapes`.
            let quotes = if secret.reveal().contains('\n') { ("\"\"\"\n", "\n\"\"\"") } else { ("\"", "\"") };
            for part in [name, " = ", quotes.0, secret.reveal(), quotes.1, "\n"] {
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(unix)]
pub(super) fn refuse_readable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(FileError::new("read", path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(SecretsError::Readable { path: path.to_path_buf(), mode }.into())
    }
}

#[cfg(not(unix))]
pub(super) fn refuse_readable(_: &Path) -> Result<()> {
    Ok(())
}

//! The ssh keys that may log in as root: literal, from files, the user's own, or a new pair.

use std::fs;
use std::path::{Path, PathBuf};

use ssh_key::authorized_keys::Entry;
use ssh_key::private::{Ed25519Keypair, PrivateKey};

use super::NewKeys;
use crate::base::sysconf;
use crate::document::DocumentError;
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::private;
use crate::profile::Profile;
use crate::progress::Progress;

/// The name of a generated private key, beside the profile.
pub(crate) const GENERATED: &str = "magi_ed25519";

/// What can be wrong with a key that isn't written in the profile itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    /// A file without a usable key.
    #[error("`{}` holds no ssh public key: {why}", crate::text::printable(path))]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Making a pair failed.
    #[error("cannot make an ssh key pair: {0}")]
    Generate(String),
}

impl Explain for SshError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoKey { .. } => Some("give the `.pub` file, as `~/.ssh/id_ed25519.pub`".into()),
            Self::Generate(_) => Some("name a key in `ssh.authorized_keys`".into()),
        }
    }
}

/// The lines that may log in, each a valid `authorized_keys` entry; never empty. Without any key, a pair is
/// made; it is kept only if `keep` says so, for what is only shown must leave nothing behind.
pub(crate) fn authorized_keys(
    profile: &Profile,
    instead: Option<&Path>,
    new_keys: NewKeys,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    if let Some(file) = instead {
        return from_file(file);
    }
    let mut keys: Vec<String> = Vec::new();
    for written in &profile.authorized_keys {
        if looks_literal(&written.value) {
            let line = valid(&written.value).map_err(|why| literal_error(profile, written.at, &why))?;
            keys.push(line);
        } else {
            keys.extend(from_file(&profile.resolve(&written.value))?);
        }
    }
    if keys.is_empty() {
        keys = users_own();
    }
    if keys.is_empty() {
        keys.push(generated(&profile.folder, new_keys, progress)?);
    }
    let mut once: Vec<String> = Vec::new();
    for key in keys {
        if !once.contains(&key) {
            once.push(key);
        }
    }
    Ok(once)
}

/// A key has a type and a blob; a path has neither.
fn looks_literal(text: &str) -> bool {
    // A private key isn't a path either, and must not be shown as one.
    ["ssh-", "ecdsa-", " AAAA", "PRIVATE KEY", "\n"].iter().any(|mark| text.contains(mark))
}

fn literal_error(profile: &Profile, at: usize, why: &str) -> DocumentError {
    profile
        .source
        .error(at, format!("`ssh.authorized_keys` has an entry that isn't an ssh public key: {why}"))
        .hinting("a key is one line: `ssh-ed25519 AAAA… comment`")
}

/// One line that OpenSSH would take, without surrounding blanks.
fn valid(line: &str) -> Result<String, String> {
    let line = line.trim();
    if line.contains("PRIVATE KEY") {
        return Err("this is a private key; use its `.pub`".into());
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err("it has more than one line".into());
    }
    line.parse::<Entry>().map_err(|e| e.to_string())?;
    // sysconf's parser cuts there: in a comment that does no harm, in an option it would.
    if sysconf::for_sysconf(line).parse::<Entry>().is_err() {
        return Err("it has a `#` before its comment, which `sysconf.txt` can't carry".into());
    }
    Ok(line.to_owned())
}

fn from_file(path: &Path) -> Result<Vec<String>> {
    let text = fs::read(path).map_err(FileError::named(path))?;
    let no_key = |why: String| SshError::NoKey { path: path.to_path_buf(), why };
    let text = String::from_utf8(text).map_err(|_| no_key("it isn't text".into()))?;
    if text.contains("PRIVATE KEY") {
        return Err(no_key("it is a private key".into()).into());
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys = lines.map(valid).collect::<Result<Vec<_>, _>>().map_err(no_key)?;
    if keys.is_empty() {
        return Err(no_key("it is empty".into()).into());
    }
    Ok(keys)
}

/// `~/.ssh/*.pub`, in name order; a file that isn't a plain key (a certificate, say) is passed over.
fn users_own() -> Vec<String> {
    let Some(home) = std::env::home_dir() else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        fs::read_dir(home.join(".ssh")).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "pub"))
        .filter_map(|f| from_file(f).ok())
        .flatten()
        .collect()
}

/// The pair beside the profile, made the first time.
fn generated(folder: &Path, new_keys: NewKeys, progress: &dyn Progress) -> Result<String> {
    let private = folder.join(GENERATED);
    let public = private.with_extension("pub");
    if public.exists() {
        return Ok(from_file(&public)?.swap_remove(0));
    }
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(|e| SshError::Generate(e.to_string()))?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment("magi-image");
    let failed = |e: ssh_key::Error| SshError::Generate(e.to_string());
    let text = key.to_openssh(ssh_key::LineEnding::LF).map_err(failed)?;
    let line = key.public_key().to_openssh().map_err(failed)?;
    if new_keys == NewKeys::Discard {
        progress.note("no ssh key given and none in `~/.ssh`: `build` will make a new pair");
        return Ok(line);
    }
    private::write(&private, text.as_bytes())?;
    private::write(&public, format!("{line}\n").as_bytes())?;
    progress.note(&format!(
        "no ssh key given and none in `~/.ssh`: made a new pair, `{}`; log in with `ssh -i {} root@NODE`",
        private.display(),
        private.display()
    ));
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me # home";

    #[test]
    fn keys_are_checked_but_kept_as_written() {
        assert_eq!(valid(&format!("  {KEY}\n")).unwrap(), KEY);
        assert!(valid("ssh-ed25519 AAAAnonsense").is_err());
        assert!(valid("-----BEGIN OPENSSH PRIVATE KEY-----").unwrap_err().contains("private"));
        assert!(valid(&format!("environment=\"A=#\" {KEY}")).unwrap_err().contains("before its comment"));
        assert!(!looks_literal("~/.ssh/id_ed25519.pub"));
        assert!(looks_literal(KEY));
    }
}

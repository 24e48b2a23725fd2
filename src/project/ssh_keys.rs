//! The ssh keys that may log in as root: from the profile, from `~/.ssh`, or a new pair.

use std::collections::HashSet;
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
use crate::text::printable;

/// File name of a generated private key, beside the profile.
const GENERATED: &str = "magi_ed25519";

#[derive(Debug, thiserror::Error)]
enum SshKeyError {
    #[error("`{}` holds no ssh public key: it isn't UTF-8", printable(.0))]
    NotUtf8(PathBuf),
    #[error("`{}` holds no ssh public key: it is empty", printable(.0))]
    Empty(PathBuf),
    #[error("`{}` holds no ssh public key: {error}", printable(path))]
    Invalid { path: PathBuf, error: InvalidKey },
    #[error("cannot generate an ssh key pair: no random bytes")]
    Random(#[source] getrandom::Error),
    #[error("cannot generate an ssh key pair")]
    Generate(#[source] ssh_key::Error),
}

/// Why a line isn't a public key, without the line: it may be a private key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidKey {
    #[error("it is a private key")]
    PrivateKey,
    #[error("it has more than one line")]
    SeveralLines,
    #[error("{0}")]
    Malformed(ssh_key::Error),
    #[error("its options have a `#`, which `sysconf.txt` can't hold")]
    HashInOptions,
}

impl Explain for SshKeyError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotUtf8(_) | Self::Empty(_) | Self::Invalid { .. } => {
                Some("give the `.pub` file, such as `~/.ssh/id_ed25519.pub`".into())
            }
            Self::Random(_) | Self::Generate(_) => Some("name a key in `ssh.authorized_keys`".into()),
        }
    }
}

/// Valid lines for `authorized_keys`, at least one, without duplicates. `file` replaces the profile's keys.
/// Without any key a pair is generated.
pub(super) fn authorized_keys(
    profile: &Profile,
    file: Option<&Path>,
    new_keys: NewKeys,
    progress: &dyn Progress,
) -> Result<Vec<String>> {
    if let Some(file) = file {
        return from_file(file);
    }
    let mut keys: Vec<String> = Vec::new();
    for written in &profile.authorized_keys {
        if looks_literal(&written.value) {
            let line = valid(&written.value).map_err(|e| literal_error(profile, written.at, &e))?;
            keys.push(line);
        } else {
            keys.extend(from_file(&profile.resolve(&written.value))?);
        }
    }
    if keys.is_empty() {
        keys = keys_of_user();
    }
    if keys.is_empty() {
        keys.push(generated_key(&profile.folder, new_keys, progress)?);
    }
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Ok(keys)
}

/// Whether an entry of the profile is a key, not a path. A private key counts as a key: its text must not be
/// shown as a path in an error.
fn looks_literal(text: &str) -> bool {
    ["ssh-", "ecdsa-", " AAAA", "PRIVATE KEY", "\n"].iter().any(|mark| text.contains(mark))
}

fn literal_error(profile: &Profile, at: usize, error: &InvalidKey) -> DocumentError {
    profile
        .source
        .error(at, format!("`ssh.authorized_keys` has an entry that isn't an ssh public key: {error}"))
        .hinting("give the one line of the `.pub` file: `ssh-ed25519 AAAA… comment`")
}

/// A line that OpenSSH accepts, without surrounding blanks.
fn valid(line: &str) -> Result<String, InvalidKey> {
    let line = line.trim();
    if line.contains("PRIVATE KEY") {
        return Err(InvalidKey::PrivateKey);
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err(InvalidKey::SeveralLines);
    }
    line.parse::<Entry>().map_err(InvalidKey::Malformed)?;
    // The parser of `sysconf.txt` cuts the line at `#`: harmless in the comment, not in the options.
    if sysconf::for_sysconf(line).parse::<Entry>().is_err() {
        return Err(InvalidKey::HashInOptions);
    }
    Ok(line.to_owned())
}

fn from_file(path: &Path) -> Result<Vec<String>> {
    let text = fs::read(path).map_err(FileError::named(path))?;
    let invalid = |error| SshKeyError::Invalid { path: path.to_path_buf(), error };
    let text = String::from_utf8(text).map_err(|_| SshKeyError::NotUtf8(path.to_path_buf()))?;
    if text.contains("PRIVATE KEY") {
        return Err(invalid(InvalidKey::PrivateKey).into());
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys = lines.map(valid).collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    if keys.is_empty() {
        return Err(SshKeyError::Empty(path.to_path_buf()).into());
    }
    Ok(keys)
}

/// The keys of `~/.ssh/*.pub`, in name order. Other files, such as certificates, are skipped.
fn keys_of_user() -> Vec<String> {
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

/// The public key of the pair beside the profile. The first call generates the pair.
fn generated_key(folder: &Path, new_keys: NewKeys, progress: &dyn Progress) -> Result<String> {
    let private = folder.join(GENERATED);
    let public = private.with_extension("pub");
    if public.exists() {
        return Ok(from_file(&public)?.swap_remove(0));
    }
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(SshKeyError::Random)?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment("magi-image");
    let text = key.to_openssh(ssh_key::LineEnding::LF).map_err(SshKeyError::Generate)?;
    let line = key.public_key().to_openssh().map_err(SshKeyError::Generate)?;
    if new_keys == NewKeys::Discard {
        progress.note("no ssh key in the profile and none in `~/.ssh`: `build` will generate a pair");
        return Ok(line);
    }
    private::write(&private, text.as_bytes())?;
    private::write(&public, format!("{line}\n").as_bytes())?;
    let private = private.display();
    progress.note(&format!(
        "no ssh key in the profile and none in `~/.ssh`: generated the pair `{private}`; log in with \
         `ssh -i {private} root@NODE`"
    ));
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::testing::Recorder;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me # home";

    #[test]
    fn valid_keys_are_kept_verbatim() {
        assert_eq!(valid(&format!("  {KEY}\n")).unwrap(), KEY);
        assert!(valid("ssh-ed25519 AAAAnonsense").is_err());
        assert_eq!(valid("-----BEGIN OPENSSH PRIVATE KEY-----"), Err(InvalidKey::PrivateKey));
        assert_eq!(valid(&format!("environment=\"A=#\" {KEY}")), Err(InvalidKey::HashInOptions));
        assert!(!looks_literal("~/.ssh/id_ed25519.pub"));
        assert!(looks_literal(KEY));
    }

    #[test]
    fn generated_pair_is_saved_once_and_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let generate = |new_keys| {
            let recorder = Recorder::default();
            (generated_key(dir.path(), new_keys, &recorder).unwrap(), recorder.notes())
        };
        let (_, notes) = generate(NewKeys::Discard);
        assert!(notes[0].contains("will generate a pair") && !dir.path().join(GENERATED).exists());
        let (line, notes) = generate(NewKeys::Keep);
        assert!(notes[0].contains("generated the pair"), "{notes:?}");
        assert_eq!(generate(NewKeys::Keep), (line, Vec::new()));
    }
}

//! The ssh keys that may log in as root: from the profile, from `~/.ssh`, or a new pair.

mod error;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use ssh_key::private::{Ed25519Keypair, PrivateKey};

use super::NewKeys;
use crate::document::{DocumentError, Located};
use crate::error::{FileError, Result};
use crate::files::private;
use crate::profile::Profile;
use crate::profile::ssh_key::{AuthorizedKey, KeyLineError, looks_like_key};
use crate::progress::Progress;
use error::SshKeyError;

/// File name of a generated private key, beside the profile.
const GENERATED: &str = "magi_ed25519";

/// The keys that may log in, at least one, without duplicates. `file` replaces the profile's keys. Without any key a
/// pair is generated.
pub(super) fn authorized_keys(
    profile: &Profile,
    file: Option<&Path>,
    new_keys: NewKeys,
    progress: &dyn Progress,
) -> Result<Vec<AuthorizedKey>> {
    let mut keys: Vec<AuthorizedKey> = Vec::new();
    if let Some(file) = file {
        keys = from_file(file)?;
    } else {
        for written in &profile.authorized_keys {
            keys.extend(of_entry(profile, written)?);
        }
    }
    if keys.is_empty() {
        keys = keys_of_user(progress)?;
    }
    if keys.is_empty() {
        keys.push(generated_key(&profile.folder, new_keys, progress)?);
    }
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    Ok(keys)
}

/// The keys of one entry of the profile: a key, or a file, whatever its name.
fn of_entry(profile: &Profile, written: &Located<String>) -> Result<Vec<AuthorizedKey>> {
    if written.value.trim().is_empty() {
        return Err(literal_error(profile, written.at, &KeyLineError::Empty).into());
    }
    let path = profile.resolve(&written.value);
    if looks_like_key(&written.value) && !path.is_file() {
        let key = AuthorizedKey::parse(written.value.as_bytes());
        return Ok(vec![key.map_err(|error| literal_error(profile, written.at, &error))?]);
    }
    from_file(&path)
}

fn literal_error(profile: &Profile, at: usize, error: &KeyLineError) -> DocumentError {
    profile
        .source
        .error(at, format!("`ssh.authorized_keys` has an entry that isn't an ssh public key: {error}"))
        .hinting(error.hint())
}

/// The keys of a file, which has at least one. Empty lines and comments are skipped.
fn from_file(path: &Path) -> Result<Vec<AuthorizedKey>> {
    let bytes = fs::read(path).map_err(FileError::named(path))?;
    if let Some(encoding) = byte_order_mark(&bytes) {
        return Err(SshKeyError::Encoding { path: path.to_path_buf(), encoding }.into());
    }
    let mut keys = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let invalid = |error| SshKeyError::Invalid { path: path.to_path_buf(), line: index + 1, error };
        keys.push(AuthorizedKey::parse(line).map_err(invalid)?);
    }
    if keys.is_empty() {
        return Err(SshKeyError::Empty(path.to_path_buf()).into());
    }
    Ok(keys)
}

/// The encoding of a text that OpenSSH can't read; Windows PowerShell writes such files.
fn byte_order_mark(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        [0xEF, 0xBB, 0xBF, ..] => Some("UTF-8 with a byte order mark"),
        _ => None,
    }
}

/// The keys of `~/.ssh/*.pub`, in name order, without certificates. A file that can't be used is named; if all are
/// unusable, the first is an error.
fn keys_of_user(progress: &dyn Progress) -> Result<Vec<AuthorizedKey>> {
    let Some(home) = std::env::home_dir() else { return Ok(Vec::new()) };
    let is_key = |file: &PathBuf| {
        let is_certificate = file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-cert"));
        file.extension().is_some_and(|extension| extension == "pub") && !is_certificate
    };
    let mut files: Vec<PathBuf> = fs::read_dir(home.join(".ssh"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(is_key)
        .collect();
    files.sort();
    let (mut keys, mut unusable) = (Vec::new(), None);
    for file in files {
        match from_file(&file) {
            Ok(found) => keys.extend(found),
            Err(error) => {
                progress.note(&format!("a file in `~/.ssh` was skipped: {error}"));
                unusable.get_or_insert(error);
            }
        }
    }
    match unusable {
        Some(error) if keys.is_empty() => Err(error),
        _ => Ok(keys),
    }
}

/// The public key of the pair beside the profile. The first call generates the pair.
fn generated_key(folder: &Path, new_keys: NewKeys, progress: &dyn Progress) -> Result<AuthorizedKey> {
    let private = folder.join(GENERATED);
    let public = private.with_extension("pub");
    if public.exists() {
        return Ok(from_file(&public)?.swap_remove(0));
    }
    // Nodes that were built earlier have the public half of this key.
    if private.exists() {
        return Err(SshKeyError::NoPublicKey { private, public }.into());
    }
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    getrandom::fill(seed.as_mut()).map_err(SshKeyError::Random)?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment("magi-image");
    let text = key.to_openssh(ssh_key::LineEnding::LF).map_err(SshKeyError::Generate)?;
    let line = key.public_key().to_openssh().map_err(SshKeyError::Generate)?;
    let authorized = AuthorizedKey::parse(line.as_bytes()).map_err(SshKeyError::Generated)?;
    if new_keys == NewKeys::Discard {
        progress.note("no ssh key in the profile and none in `~/.ssh`: `build` will generate a pair");
        return Ok(authorized);
    }
    private::write(&private, text.as_bytes())?;
    private::write(&public, format!("{line}\n").as_bytes())?;
    let private = private.display();
    progress.note(&format!(
        "no ssh key in the profile and none in `~/.ssh`: generated the pair `{private}`; log in with \
         `ssh -i {private} root@NODE`"
    ));
    Ok(authorized)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::testing::Recorder;

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

//! `init`: a profile, an overlays folder and a cluster's secrets to start from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::builtin;
use crate::error::{Exit, Explain, FileError, Result};
use crate::ignored;
use crate::profile::DEFAULT_PATH;
use crate::progress::Progress;
use crate::project::{Options, Project};

const IGNORED: &str = "\
# images, and what must not be published
/out
*.secrets.toml
*.old
*.old.*
magi_ed25519
magi_ed25519.pub
";

const OVERLAYS: &str = "\
# Your overlays

A folder here with an `overlay.toml` is an overlay: name it in `overlays.use` of the profile. One with
the name of a built-in overlay takes its place.
";

/// A profile is there already.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is there already", .0.display())]
struct Exists(PathBuf);

impl Explain for Exists {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("edit it, choose another folder, or put it aside and begin anew with `--force`".into())
    }
}

/// Writes the files into `dir` and gives their paths; `secrets` is where the secrets go instead of beside the
/// profile. Nothing that exists is changed; with `force` an old profile and its secrets are put aside.
pub fn init(
    dir: &Path,
    secrets: Option<&Path>,
    force: bool,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let profile = dir.join(DEFAULT_PATH);
    if profile.exists() && !force {
        return Err(Exists(profile).into());
    }
    let secrets = secrets.map_or_else(|| profile.with_extension("secrets.toml"), Path::to_path_buf);
    if force {
        for old in [&profile, &secrets] {
            put_aside(old, progress)?;
        }
    }
    let text = builtin::file(DEFAULT_PATH).unwrap_or_default();
    let files = [
        (profile.clone(), text),
        (dir.join("overlays/README.md"), OVERLAYS.as_bytes()),
        (dir.join(".gitignore"), IGNORED.as_bytes()),
    ];
    let mut written = Vec::new();
    for (path, content) in files {
        if path.exists() {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(FileError::new("create", folder))?;
        }
        fs::write(&path, content).map_err(FileError::new("write", &path))?;
        written.push(path);
    }
    warn_of_publishing(&dir.join(".gitignore"), progress);
    if secrets.exists() {
        progress.note(&format!("`{}` is there already and stays as it is", secrets.display()));
        return Ok(written);
    }
    let options = Options { profile: Some(profile), secrets: Some(secrets.clone()), ..Options::default() };
    Project::without_keys(options, progress)?.all_secrets()?;
    written.push(secrets);
    Ok(written)
}

/// Renames `path` to the first of `….old`, `….old.2`, … that is free: what was secret once isn't lost.
fn put_aside(path: &Path, progress: &dyn Progress) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let named = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut old = named(".old");
    for number in 2.. {
        if !old.exists() {
            break;
        }
        old = named(&format!(".old.{number}"));
    }
    fs::rename(path, &old).map_err(FileError::new("rename", path))?;
    progress.note(&format!("`{}` is now `{}`", path.display(), old.display()));
    Ok(())
}

/// A `.gitignore` that was there is its owner's.
fn warn_of_publishing(path: &Path, progress: &dyn Progress) {
    if !ignored::names_them(path) {
        progress.note(&format!("add `{}`, `*.old` and `out/` to `{}`", ignored::SECRETS, path.display()));
    }
}

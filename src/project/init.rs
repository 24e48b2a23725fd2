//! `init`: a profile, an overlays folder and a cluster's secrets to start from.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Options, Project, gitignore};
use crate::builtin;
use crate::error::{Exit, Explain, FileError, Result};
use crate::profile::DEFAULT_PATH;
use crate::progress::Progress;

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
/// profile. Nothing that exists is changed; with `force` an old profile and its secrets are put aside. If
/// anything fails, all is as it was.
pub(crate) fn init(
    dir: &Path,
    secrets: Option<&Path>,
    force: bool,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let profile = dir.join(DEFAULT_PATH);
    let secrets = secrets.map_or_else(|| profile.with_extension("secrets.toml"), Path::to_path_buf);
    if profile.exists() && secrets.exists() && !force {
        return Err(Exists(profile).into());
    }
    let mut changes = Changes::default();
    if force {
        for old in [&profile, &secrets] {
            changes.put_aside(old, progress)?;
        }
    }
    let text = builtin::file(DEFAULT_PATH).unwrap_or_default();
    changes.write(&profile, text)?;
    changes.write(&dir.join("overlays/README.md"), OVERLAYS.as_bytes())?;
    changes.write(&dir.join(".gitignore"), IGNORED.as_bytes())?;
    warn_of_publishing(&dir.join(".gitignore"), progress);
    if secrets.exists() {
        progress.note(&format!("`{}` is there already and stays as it is", secrets.display()));
    } else {
        let options =
            Options { profile: Some(profile), secrets: Some(secrets.clone()), ..Options::default() };
        Project::without_ssh_keys(options, progress)?.make_secrets()?;
        changes.written.push(secrets);
    }
    Ok(changes.keep())
}

/// What was done so far; undone when it is dropped.
#[derive(Default)]
struct Changes {
    renamed: Vec<(PathBuf, PathBuf)>,
    folders: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

impl Changes {
    /// Writes a file that isn't there yet, and the folders it lies in.
    fn write(&mut self, path: &Path, content: &[u8]) -> Result<()> {
        if path.exists() {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        self.folders.extend(missing.map(Path::to_path_buf).collect::<Vec<_>>().into_iter().rev());
        fs::create_dir_all(folder).map_err(FileError::new("create", folder))?;
        self.written.push(path.to_path_buf());
        Ok(fs::write(path, content).map_err(FileError::new("write", path))?)
    }

    /// Renames `path` to the first of `….old`, `….old.2`, … that is free: what was secret once isn't lost.
    fn put_aside(&mut self, path: &Path, progress: &dyn Progress) -> Result<()> {
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
        self.renamed.push((path.to_path_buf(), old));
        Ok(())
    }

    /// It stays; gives what was written.
    fn keep(mut self) -> Vec<PathBuf> {
        self.renamed.clear();
        self.folders.clear();
        std::mem::take(&mut self.written)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // Best effort: the error that brought us here is the one to be told.
        for path in &self.written {
            let _ = fs::remove_file(path);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
        for (path, old) in &self.renamed {
            let _ = fs::rename(old, path);
        }
    }
}

/// A `.gitignore` that was there is its owner's.
fn warn_of_publishing(path: &Path, progress: &dyn Progress) {
    if !gitignore::names_them(path) {
        progress.note(&format!("add `{}`, `*.old` and `out/` to `{}`", gitignore::SECRETS, path.display()));
    }
}

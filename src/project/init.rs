//! `init`: writes a profile, an overlays folder and a cluster's secrets to start from.

use std::fs;
use std::path::{Path, PathBuf};

use super::gitignore::{self, SECRETS_RULE};
use super::{Options, Project};
use crate::error::{Exit, Explain, FileError, Result};
use crate::profile::DEFAULT_PATH;
use crate::progress::Progress;

const PROFILE: &[u8] = include_bytes!("../../profiles/magi.toml");

const GITIGNORE: &str = "\
# images, and files that must not be published
/out
*.secrets.toml
*.old
*.old.*
magi_ed25519
magi_ed25519.pub
";

const OVERLAYS_README: &str = "\
# Your overlays

A folder here with an `overlay.toml` is an overlay: name it in `overlays.use` of the profile. An overlay with
the name of a built-in one replaces it.
";

#[derive(Debug, thiserror::Error)]
#[error("`{}` already exists", .0.display())]
struct ProfileExists(PathBuf);

impl Explain for ProfileExists {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("edit this profile, choose another folder, or start a new cluster with `--force`".into())
    }
}

/// Writes the files into `dir` and returns their paths. `secrets` is a path for the secrets instead of the one
/// beside the profile. Existing files stay unchanged; with `force` an existing profile and its secrets are
/// renamed first. An error undoes all changes.
pub(crate) fn init(
    dir: &Path,
    secrets: Option<&Path>,
    force: bool,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let profile = dir.join(DEFAULT_PATH);
    let secrets = secrets.map_or_else(|| profile.with_extension("secrets.toml"), Path::to_path_buf);
    if profile.exists() && secrets.exists() && !force {
        return Err(ProfileExists(profile).into());
    }
    let mut changes = FileChanges::default();
    if force {
        for old in [&profile, &secrets] {
            changes.rename_to_old(old, progress)?;
        }
    }
    changes.write(&profile, PROFILE)?;
    changes.write(&dir.join("overlays/README.md"), OVERLAYS_README.as_bytes())?;
    changes.write(&dir.join(".gitignore"), GITIGNORE.as_bytes())?;
    // An existing `.gitignore` is not changed.
    if !gitignore::is_ignored(dir, &profile.with_extension("secrets.toml")) {
        let file = dir.join(".gitignore");
        let file = file.display();
        progress.note(&format!("add `{SECRETS_RULE}`, `*.old` and `out/` to `{file}`"));
    }
    if secrets.exists() {
        progress.note(&format!("`{}` already exists and was not changed", secrets.display()));
    } else {
        let options =
            Options { profile: Some(profile), secrets: Some(secrets.clone()), ..Options::default() };
        Project::without_ssh_keys(options, progress)?.create_secrets()?;
        changes.written.push(secrets);
    }
    Ok(changes.keep())
}

/// Changes to the file system. A drop without [`FileChanges::keep`] undoes them.
#[derive(Default)]
struct FileChanges {
    renamed: Vec<(PathBuf, PathBuf)>,
    folders: Vec<PathBuf>,
    written: Vec<PathBuf>,
}

impl FileChanges {
    /// Creates a file and its folders. An existing file stays unchanged.
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

    /// Renames `path` to the first free name of `….old`, `….old.2` and so on: no old secret is overwritten.
    fn rename_to_old(&mut self, path: &Path, progress: &dyn Progress) -> Result<()> {
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
        progress.note(&format!("renamed `{}` to `{}`", path.display(), old.display()));
        self.renamed.push((path.to_path_buf(), old));
        Ok(())
    }

    /// Makes the changes permanent and returns the written files.
    fn keep(mut self) -> Vec<PathBuf> {
        self.renamed.clear();
        self.folders.clear();
        std::mem::take(&mut self.written)
    }
}

impl Drop for FileChanges {
    fn drop(&mut self) {
        // Errors are ignored: the error that caused the undo is the one to report.
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

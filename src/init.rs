//! `init`: a profile and an overlays folder to start from. Secrets come with the first build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::builtin;
use crate::error::{Exit, Explain, FileError, Result};
use crate::profile::DEFAULT_PATH;

const IGNORED: &str = "\
# images, and what must not be published
/out
*.secrets.toml
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
        Some("choose another folder, or edit the profile that is there".into())
    }
}

/// Writes the files into `dir` and gives their paths. Nothing that exists is changed.
pub fn init(dir: &Path) -> Result<Vec<PathBuf>> {
    let profile = dir.join(DEFAULT_PATH);
    if profile.exists() {
        return Err(Exists(profile).into());
    }
    let text = builtin::file(DEFAULT_PATH).unwrap_or_default();
    let files = [
        (profile, text),
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
    Ok(written)
}

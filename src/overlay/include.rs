//! The user's own files that an overlay takes in: read once, before any plan is made.

use std::path::{Path, PathBuf};

use super::Overlay;
use super::settings::{Value, Values};
use crate::error::{Exit, Explain, FileError, Result};
use crate::plan::{Asset, Content};

/// A file of the user's.
#[derive(Debug, Clone)]
pub struct Included {
    /// The setting that named it.
    pub setting: String,
    /// Its path below the named file's folder, or below the named folder.
    pub name: String,
    /// What it holds; a large file is only hashed here and copied later.
    pub content: Content,
}

/// A file that can't be taken in.
#[derive(Debug, thiserror::Error)]
pub enum IncludeError {
    /// Another ending than the overlay takes.
    #[error("`{}` ends in none of {endings}", path.display())]
    Ending {
        /// Which.
        path: PathBuf,
        /// What would do.
        endings: String,
    },
    /// Not a name to use in an image.
    #[error("`{}` has a name that isn't UTF-8", .0.display())]
    Name(PathBuf),
}

impl Explain for IncludeError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Up to this many bytes are kept in memory.
const SMALL: u64 = 1 << 20;

/// Reads every file that `values` names for the includes of `overlay`, in name order.
pub fn gather(overlay: &Overlay, values: &Values) -> Result<Vec<Included>> {
    let mut found = Vec::new();
    for include in &overlay.spec.includes {
        let setting = &include.setting.value;
        let paths = match values.get(setting) {
            Some(Value::Text(one)) if !one.is_empty() => vec![one.clone()],
            Some(Value::List(list)) => list.clone(),
            _ => Vec::new(),
        };
        for path in paths {
            let path = PathBuf::from(path);
            if path.is_dir() {
                folder(setting, &path, &path, &include.extensions, &mut found)?;
            } else if !has_ending(&path, &include.extensions) {
                let endings = crate::document::listed(include.extensions.iter());
                return Err(IncludeError::Ending { path, endings }.into());
            } else {
                let top = path.parent().map(Path::to_path_buf).unwrap_or_default();
                found.push(file(setting, &top, &path)?);
            }
        }
    }
    Ok(found)
}

fn folder(
    setting: &str,
    top: &Path,
    folder_path: &Path,
    extensions: &[String],
    found: &mut Vec<Included>,
) -> Result<()> {
    let entries = std::fs::read_dir(folder_path).map_err(FileError::new("read", folder_path))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        let meta = std::fs::symlink_metadata(&path).map_err(FileError::new("read", &path))?;
        if meta.is_dir() {
            folder(setting, top, &path, extensions, found)?;
        } else if meta.is_file() && has_ending(&path, extensions) {
            found.push(file(setting, top, &path)?);
        }
    }
    Ok(())
}

fn file(setting: &str, top: &Path, path: &Path) -> Result<Included> {
    let name =
        path.strip_prefix(top).ok().and_then(Path::to_str).ok_or_else(|| IncludeError::Name(path.into()))?;
    let size = std::fs::metadata(path).map_err(FileError::new("read", path))?.len();
    let content = if size <= SMALL {
        Content::Inline(std::fs::read(path).map_err(FileError::new("read", path))?.into())
    } else {
        Content::Fetched(Asset::local(path)?)
    };
    Ok(Included { setting: setting.to_owned(), name: name.replace('\\', "/"), content })
}

fn has_ending(path: &Path, extensions: &[String]) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    extensions.is_empty() || extensions.iter().any(|e| e.eq_ignore_ascii_case(ending))
}

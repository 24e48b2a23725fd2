//! The files of an overlay, read from a folder or from the binary, with their place in the image.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::builtin;
use crate::error::{Exit, Explain, FileError, Result};
use crate::plan::Area;
use crate::text::printable;

/// The runner executes the steps in this folder at first boot.
const FIRSTBOOT_FOLDER: &str = "/usr/local/lib/magi/firstboot.d";

/// Limit on a file, in bytes. Larger files belong into `[[fetch]]`.
const MAX_SIZE: u64 = 64 << 20;

/// A file for the image.
#[derive(Debug, Clone)]
pub(crate) struct OverlayFile {
    pub(crate) area: Area,
    /// Absolute, without `.j2`.
    pub(crate) path: String,
    pub(crate) template: bool,
    pub(crate) bytes: Arc<[u8]>,
    /// Its name in messages.
    pub(crate) shown: String,
}

/// `client/NAME.j2`: a template for the user's own machine, never part of an image.
#[derive(Debug, Clone)]
pub(crate) struct ClientFile {
    pub(crate) name: String,
    pub(crate) bytes: Arc<[u8]>,
    /// Its name in messages.
    pub(crate) shown: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct OverlayFiles {
    pub(super) image: Vec<OverlayFile>,
    pub(super) client: Vec<ClientFile>,
}

/// A file that an overlay must not have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OverlayFileError {
    #[error("`{}` is a symlink", printable(.0))]
    Symlink(PathBuf),
    #[error("`{}` is neither a file nor a folder", printable(.0))]
    Special(PathBuf),
    #[error("the name of `{}` is not UTF-8 without control characters", printable(.0))]
    Name(PathBuf),
    #[error("`{}` looks like a temporary file of an editor", printable(.0))]
    EditorFile(PathBuf),
    #[error("`{}` has {size} bytes, more than the limit of {MAX_SIZE}", printable(path))]
    Size { path: PathBuf, size: u64 },
    #[error("`{0}` is not in `files/`, `boot/`, `firstboot/` or `client/`")]
    UnknownFolder(String),
    #[error("`{0}` is not a valid name of a first-boot step")]
    StepName(String),
    #[error("`{0}` is not a template directly in `client/`")]
    ClientName(String),
}

impl Explain for OverlayFileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Symlink(_) => "declare it in `overlay.toml` as `[[link]]`",
            Self::Special(_) | Self::EditorFile(_) => "remove it",
            Self::Name(_) => "rename it",
            Self::Size { .. } => "declare it in `overlay.toml` as `[[fetch]]` with a `local` file",
            Self::UnknownFolder(_) => "move it into one of them, or out of the overlay",
            Self::StepName(_) => "use two digits, `-` and a name, such as `30-database`",
            Self::ClientName(_) => "rename it to `client/NAME.j2`",
        };
        Some(hint.to_owned())
    }
}

pub(super) fn built_in(name: &str) -> Result<OverlayFiles> {
    let folder = format!("overlays/{name}/");
    let mut files = OverlayFiles::default();
    for (path, bytes) in builtin::below(&folder) {
        files.add(path, Arc::from(bytes), format!("built-in {folder}{path}"))?;
    }
    Ok(files)
}

pub(super) fn from_folder(folder: &Path) -> Result<OverlayFiles> {
    let mut files = OverlayFiles::default();
    walk(folder, folder, &mut files)?;
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut OverlayFiles) -> Result<()> {
    for path in super::sorted_entries(folder).map_err(FileError::new("read", folder))? {
        let meta = std::fs::symlink_metadata(&path).map_err(FileError::new("read", &path))?;
        let Some(inside) = super::name_below(top, &path) else {
            return Err(OverlayFileError::Name(path).into());
        };
        if meta.is_dir() {
            walk(top, &path, files)?;
        } else {
            check_file(&path, &inside, &meta)?;
            let bytes = std::fs::read(&path).map_err(FileError::new("read", &path))?;
            files.add(&inside, bytes.into(), path.display().to_string())?;
        }
    }
    Ok(())
}

fn check_file(path: &Path, inside: &str, meta: &Metadata) -> Result<(), OverlayFileError> {
    if meta.is_symlink() {
        Err(OverlayFileError::Symlink(path.into()))
    } else if !meta.is_file() {
        Err(OverlayFileError::Special(path.into()))
    } else if is_editor_file(inside) {
        Err(OverlayFileError::EditorFile(path.into()))
    } else if meta.len() > MAX_SIZE {
        Err(OverlayFileError::Size { path: path.into(), size: meta.len() })
    } else {
        Ok(())
    }
}

fn is_editor_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let swap = Path::new(name).extension().is_some_and(|e| e == "swp");
    swap || name.ends_with('~') || name.starts_with(".#") || name == ".DS_Store"
}

impl OverlayFiles {
    /// Adds the file at `inside` of the overlay's folder. Files beside `overlay.toml` are documentation.
    fn add(&mut self, inside: &str, bytes: Arc<[u8]>, shown: String) -> Result<(), OverlayFileError> {
        let Some((top, rest)) = inside.split_once('/') else { return Ok(()) };
        let (rest, template) = match rest.strip_suffix(".j2") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (area, path) = match top {
            "files" => (Area::Root, format!("/{rest}")),
            "boot" => (Area::Boot, format!("/{rest}")),
            "firstboot" if is_step(rest) => (Area::Root, format!("{FIRSTBOOT_FOLDER}/{rest}")),
            "firstboot" => return Err(OverlayFileError::StepName(shown)),
            "client" if template && !rest.contains('/') => {
                self.client.push(ClientFile { name: rest.to_owned(), bytes, shown });
                return Ok(());
            }
            "client" => return Err(OverlayFileError::ClientName(shown)),
            _ => return Err(OverlayFileError::UnknownFolder(shown)),
        };
        self.image.push(OverlayFile { area, path, template, bytes, shown });
        Ok(())
    }
}

/// `NN-name`, with characters that shell globs and `run-parts` accept.
fn is_step(name: &str) -> bool {
    let b = name.as_bytes();
    b.len() > 3
        && b[..2].iter().all(u8::is_ascii_digit)
        && b[2] == b'-'
        && b[3..].iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_in_image_follows_folder() {
        let placed = |inside: &str| {
            let mut files = OverlayFiles::default();
            files.add(inside, Arc::from(&b""[..]), inside.into())?;
            Ok::<_, OverlayFileError>(files.image.pop().map(|f| (f.area, f.path, f.template)))
        };
        assert_eq!(placed("README.md").unwrap(), None);
        assert_eq!(placed("files/etc/x.conf.j2").unwrap(), Some((Area::Root, "/etc/x.conf".into(), true)));
        assert_eq!(placed("boot/a.txt").unwrap(), Some((Area::Boot, "/a.txt".into(), false)));
        let step = placed("firstboot/30-db.j2").unwrap().unwrap();
        assert_eq!(step.1, format!("{FIRSTBOOT_FOLDER}/30-db"));
        assert!(placed("firstboot/db").is_err());
        assert!(placed("etc/hosts").is_err());
        assert_eq!(placed("client/kubeconfig.j2").unwrap(), None);
        assert!(placed("client/kubeconfig").is_err() && placed("client/a/b.j2").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_and_editor_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files/etc");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("a~"), "").unwrap();
        assert!(from_folder(dir.path()).unwrap_err().to_string().contains("temporary file"));
        std::fs::remove_file(files.join("a~")).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", files.join("b")).unwrap();
        assert!(from_folder(dir.path()).unwrap_err().to_string().contains("symlink"));
    }
}

//! The files of an overlay: read from a folder or from the binary, sorted by where they go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::builtin;
use crate::error::{Exit, Explain, FileError, Result};
use crate::plan::Area;
use crate::text::printable;

/// Where first-boot steps go; the runner looks there.
pub(crate) const FIRSTBOOT_FOLDER: &str = "/usr/local/lib/magi/firstboot.d";

/// What no overlay should need: 64 MiB. Larger things are fetched.
const LARGEST: u64 = 64 << 20;

/// A file of an overlay, with the suffix `.j2` already taken off.
#[derive(Debug, Clone)]
pub(crate) struct OverlayFile {
    /// Where it goes.
    pub(crate) area: Area,
    /// Its absolute path there.
    pub(crate) path: String,
    /// Whether it is rendered.
    pub(crate) template: bool,
    /// What it holds.
    pub(crate) bytes: Arc<[u8]>,
    /// How messages name it.
    pub(crate) shown: String,
}

/// A file for the user's own machine, never part of an image: `client/NAME`.
#[derive(Debug, Clone)]
pub(crate) struct ClientFile {
    /// Its name, with the suffix `.j2` already taken off.
    pub(crate) name: String,
    /// Its template.
    pub(crate) bytes: Arc<[u8]>,
    /// How messages name it.
    pub(crate) shown: String,
}

/// All files of an overlay's folder that mean something.
#[derive(Debug, Clone, Default)]
pub(super) struct OverlayFiles {
    pub(super) image: Vec<OverlayFile>,
    pub(super) client: Vec<ClientFile>,
}

/// A file that an overlay can't have.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// A symlink could lead anywhere.
    #[error("`{}` is a symlink", printable(.0))]
    Symlink(PathBuf),
    /// A fifo, a socket, a device.
    #[error("`{}` is neither a file nor a folder", printable(.0))]
    Special(PathBuf),
    /// Names that Linux or the manifest can't carry.
    #[error("`{}` has a name that isn't plain UTF-8 without control characters", printable(.0))]
    Name(PathBuf),
    /// An editor's leftovers.
    #[error("`{}` looks like an editor's leftover", printable(.0))]
    Leftover(PathBuf),
    /// See [`LARGEST`].
    #[error("`{}` has {size} bytes, more than the {LARGEST} that an overlay file may have", printable(path))]
    Large {
        /// Which.
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
    /// A folder at the top that means nothing.
    #[error("`{}` is none of `files/`, `boot/`, `firstboot/`, `client/`", printable(.0))]
    Stray(PathBuf),
    /// A first-boot step without a number.
    #[error("`{0}` isn't named like a first-boot step")]
    Step(String),
    /// Not a template right below `client/`.
    #[error("`{0}` isn't named like a client file")]
    Client(String),
}

impl Explain for FilesError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Symlink(_) => "declare it in `overlay.toml` as `[[link]]`".into(),
            Self::Special(_) | Self::Leftover(_) => "remove it".into(),
            Self::Name(_) => "rename it".into(),
            Self::Large { .. } => "declare it in `overlay.toml` as `[[fetch]]` with a `local` file".into(),
            Self::Stray(_) => "move it into one of them, or outside the overlay".into(),
            Self::Client(_) => "`client/NAME.j2`, in no folder of its own".into(),
            Self::Step(_) => "two digits, `-` and a name, as in `30-database`".into(),
        })
    }
}

/// The files built in for overlay `name`.
pub(super) fn built_in(name: &str) -> Result<OverlayFiles> {
    let folder = format!("overlays/{name}/");
    let mut files = OverlayFiles::default();
    for (path, bytes) in builtin::below(&folder) {
        files.place(path, Arc::from(bytes), format!("built-in {folder}{path}"))?;
    }
    Ok(files)
}

/// The files of an overlay's folder on disk.
pub(super) fn from_folder(folder: &Path) -> Result<OverlayFiles> {
    let mut files = OverlayFiles::default();
    walk(folder, folder, &mut files)?;
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut OverlayFiles) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(FileError::new("read", folder))?;
    let mut paths = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(FileError::new("read", folder))?;
    paths.sort();
    for path in paths {
        let meta = std::fs::symlink_metadata(&path).map_err(FileError::new("read", &path))?;
        let inside = path.strip_prefix(top).ok().and_then(Path::to_str).map(|p| p.replace('\\', "/"));
        let Some(inside) = inside.filter(|p| !p.chars().any(char::is_control)) else {
            return Err(FilesError::Name(path).into());
        };
        if meta.is_symlink() {
            return Err(FilesError::Symlink(path).into());
        } else if meta.is_dir() {
            walk(top, &path, files)?;
        } else if !meta.is_file() {
            return Err(FilesError::Special(path).into());
        } else if is_leftover(&inside) {
            return Err(FilesError::Leftover(path).into());
        } else if meta.len() > LARGEST {
            return Err(FilesError::Large { path, size: meta.len() }.into());
        } else {
            let bytes = std::fs::read(&path).map_err(FileError::new("read", &path))?;
            files.place(&inside, bytes.into(), path.display().to_string())?;
        }
    }
    Ok(())
}

fn is_leftover(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let swap = Path::new(name).extension().is_some_and(|e| e == "swp");
    swap || name.ends_with('~') || name.starts_with(".#") || name == ".DS_Store"
}

impl OverlayFiles {
    /// Sorts a file by its first folder; what lies beside `overlay.toml` is documentation.
    fn place(&mut self, inside: &str, bytes: Arc<[u8]>, shown: String) -> Result<(), FilesError> {
        let Some((top, rest)) = inside.split_once('/') else { return Ok(()) };
        let (rest, template) = match rest.strip_suffix(".j2") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (area, path) = match top {
            "files" => (Area::Root, format!("/{rest}")),
            "boot" => (Area::Boot, format!("/{rest}")),
            "firstboot" if is_step(rest) => (Area::Root, format!("{FIRSTBOOT_FOLDER}/{rest}")),
            "firstboot" => return Err(FilesError::Step(shown)),
            "client" if template && !rest.contains('/') => {
                self.client.push(ClientFile { name: rest.to_owned(), bytes, shown });
                return Ok(());
            }
            "client" => return Err(FilesError::Client(shown)),
            _ => return Err(FilesError::Stray(shown.into())),
        };
        self.image.push(OverlayFile { area, path, template, bytes, shown });
        Ok(())
    }
}

/// `NN-name`, of letters that any shell glob and `run-parts` would take.
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
    fn files_go_where_their_folder_says() {
        let placed = |inside: &str| {
            let mut files = OverlayFiles::default();
            files.place(inside, Arc::from(&b""[..]), inside.into())?;
            Ok::<_, FilesError>(files.image.pop().map(|f| (f.area, f.path, f.template)))
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
    fn symlinks_and_leftovers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files/etc");
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("a~"), "").unwrap();
        assert!(from_folder(dir.path()).unwrap_err().to_string().contains("leftover"));
        std::fs::remove_file(files.join("a~")).unwrap();
        std::os::unix::fs::symlink("/etc/shadow", files.join("b")).unwrap();
        assert!(from_folder(dir.path()).unwrap_err().to_string().contains("symlink"));
    }
}

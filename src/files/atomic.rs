//! Files that are complete or absent: written under a hidden name beside their target, then renamed.
//!
//! The hidden file is removed when its [`Staged`] is dropped, also by an error or a panic. A killed process leaves
//! the file behind; the next process that stages the same target removes it. Large outputs are not flushed to the
//! disk: flushing gigabytes would slow down every build, and after a power cut the checksum shows the loss.
//! [`write()`] flushes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Explain, FileError};
use crate::interrupt::{self, Interrupted};

const SUFFIX: &str = ".partial";
const RANDOM_CHARS: usize = 8;
/// Another process can remove a new file before it is locked, which is unlikely even twice in a row.
const TRIES: usize = 8;

/// Why an output could not be put in its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagedError {
    /// The target ends in `..` or `/`.
    #[error("`{}` does not name a file", crate::text::printable(.0))]
    NoName(PathBuf),
    #[error("`{}` is a folder, not a file", crate::text::printable(.0))]
    IsFolder(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for StagedError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoName(_) => Some("give the path of a file".into()),
            Self::IsFolder(_) => Some("remove it, or choose another folder".into()),
            Self::File(e) => e.hint(),
            Self::Interrupted(_) => None,
        }
    }
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner only (0600), from the first byte.
    Private,
    /// As the umask allows.
    Shared,
}

/// A file that is not yet renamed to its target.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    target: PathBuf,
}

impl Staged {
    /// Creates an empty file in the target's folder, which must exist, and removes stale partial files of the
    /// same target.
    pub(crate) fn create(target: &Path, access: Access) -> Result<Self, StagedError> {
        let name = target.file_name().ok_or_else(|| StagedError::NoName(target.to_path_buf()))?;
        let folder = folder_of(target);
        remove_stale(folder, Some(name));
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let file = create_locked(folder, &prefix, access);
        let file = file.map_err(|e| FileError::new("create", target)(without_partial_name(e)))?;
        Ok(Self { file, target: target.to_path_buf() })
    }

    /// The open file, readable and writable.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// The hidden file.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    fn rename(self) -> Result<PathBuf, FileError> {
        match self.file.persist(&self.target) {
            Ok(_) => Ok(self.target),
            Err(e) => Err(FileError::new("create", &self.target)(e.error)),
        }
    }

    /// Renames to the target; an existing file there is an error.
    fn rename_new(self) -> Result<(), FileError> {
        let placed = self.file.persist_noclobber(&self.target);
        placed.map(drop).map_err(|e| FileError::new("create", &self.target)(e.error))
    }
}

/// What happens to an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Refuse,
}

/// Writes a small file atomically and flushes it to the disk: a power cut leaves the old content or the new
/// content.
pub(crate) fn write(
    path: &Path,
    bytes: &[u8],
    access: Access,
    existing: Existing,
) -> Result<(), StagedError> {
    let staged = Staged::create(path, access)?;
    let mut file = staged.file();
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(FileError::new("write", path))?;
    match existing {
        Existing::Replace => Ok(staged.rename().map(drop)?),
        Existing::Refuse => Ok(staged.rename_new()?),
    }
}

/// Renames files that belong together to their targets; the image comes last. Existing targets are removed first,
/// the image before the others, so that an image never lies beside the checksum or manifest of another image. If
/// one rename fails, the files already renamed are removed.
pub(crate) fn commit_all(files: Vec<Staged>) -> Result<(), StagedError> {
    interrupt::check()?;
    if let Some(folder) = files.iter().find(|f| f.target.is_dir()) {
        return Err(StagedError::IsFolder(folder.target.clone()));
    }
    let _lock = files.last().and_then(|f| lock_folder(folder_of(&f.target)));
    // A single file is replaced by its rename alone.
    if files.len() > 1 {
        for file in files.iter().rev() {
            remove(&file.target).map_err(FileError::new("replace", &file.target))?;
        }
    }
    let mut placed = Vec::new();
    for file in files {
        match file.rename() {
            Ok(target) => placed.push(target),
            Err(error) => {
                for target in placed {
                    let _ = remove(&target);
                }
                return Err(error.into());
            }
        }
    }
    Ok(())
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// Prevents two builds that end at the same time from mixing their files. Not every file system can lock a folder;
/// there, builds go without the lock.
fn lock_folder(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

fn create_locked(folder: &Path, prefix: &OsStr, access: Access) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(SUFFIX).rand_bytes(RANDOM_CHARS);
    // The default of tempfile is 0600.
    #[cfg(unix)]
    if access == Access::Shared {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    for _ in 0..TRIES {
        let file = builder.tempfile_in(folder)?;
        if lock(file.as_file()) && file.path().exists() {
            return Ok(file);
        }
    }
    Err(io::Error::other("another process keeps removing the file"))
}

/// Locks a file against removal as stale. Also true on a file system without locks, where nothing is removed.
#[cfg(unix)]
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// On Windows, a lock would exclude the other handles of this process.
#[cfg(not(unix))]
fn lock(_: &File) -> bool {
    true
}

/// Removes stale partial files of `target`.
pub(crate) fn sweep(target: &Path) {
    if let Some(name) = target.file_name() {
        remove_stale(folder_of(target), Some(name));
    }
}

/// Removes all stale partial files in `folder`.
pub(crate) fn sweep_folder(folder: &Path) {
    remove_stale(folder, None);
}

/// Removes partial files of the target `name`, or of any target, that no process has locked. Errors are ignored: a
/// stale file must not fail a build.
fn remove_stale(folder: &Path, name: Option<&OsStr>) {
    if !cfg!(unix) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Opening a pipe could block.
        if is_partial(&entry.file_name(), name) && entry.file_type().is_ok_and(|t| t.is_file()) {
            let path = entry.path();
            if let Ok(file) = File::open(&path)
                && file.try_lock().is_ok()
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Whether `candidate` is `.NAME.RANDOM.partial`, for the target `name` or for any target.
fn is_partial(candidate: &OsStr, name: Option<&OsStr>) -> bool {
    let inner = candidate.as_encoded_bytes().strip_prefix(b".");
    let Some(inner) = inner.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes())) else { return false };
    let Some(dot) = inner.iter().rposition(|b| *b == b'.') else { return false };
    let (stem, random) = (&inner[..dot], &inner[dot + 1..]);
    random.len() == RANDOM_CHARS
        && random.iter().all(u8::is_ascii_alphanumeric)
        && name.is_none_or(|name| stem == name.as_encoded_bytes())
}

/// Removes tempfile's text, which names the partial file instead of the target.
fn without_partial_name(error: io::Error) -> io::Error {
    use ErrorKind as K;
    match error.kind() {
        kind @ (K::NotFound
        | K::PermissionDenied
        | K::NotADirectory
        | K::ReadOnlyFilesystem
        | K::StorageFull
        | K::QuotaExceeded) => kind.into(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(target: &Path, text: &str) -> Staged {
        let staged = Staged::create(target, Access::Private).unwrap();
        staged.file().write_all(text.as_bytes()).unwrap();
        staged
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn commit_replaces_target_and_drop_removes_partial() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.img");
        fs::write(&target, "old").unwrap();
        let dropped = stage(&target, "never");
        assert_eq!(names(dir.path()).len(), 2);
        drop(dropped);
        let panicking = target.clone();
        let _ = std::thread::spawn(move || {
            let _staged = stage(&panicking, "never");
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .join();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        commit_all(vec![stage(&target, "new")]).unwrap();
        assert_eq!(names(dir.path()), ["a.img"]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn private_file_has_mode_0600_before_and_after_commit() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.img");
        let staged = Staged::create(&target, Access::Private).unwrap();
        assert_eq!(staged.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        commit_all(vec![staged]).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn commit_of_several_files_is_all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let group = |text: &str| vec![stage(&at("a.manifest.json"), text), stage(&at("a.img"), text)];
        commit_all(group("1")).unwrap();
        commit_all(group("2")).unwrap();
        assert_eq!(names(dir.path()), ["a.img", "a.manifest.json"]);
        assert_eq!(fs::read_to_string(at("a.img")).unwrap(), "2");
        assert_eq!(fs::read_to_string(at("a.manifest.json")).unwrap(), "2");

        let broken = group("3");
        fs::remove_file(broken[1].path()).unwrap();
        let error = commit_all(broken).unwrap_err();
        assert!(error.to_string().starts_with("cannot create `") && error.to_string().ends_with("a.img`"));
        assert_eq!(names(dir.path()), Vec::<String>::new());
    }

    #[test]
    fn commit_onto_a_folder_keeps_existing_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a.sha256")).unwrap();
        fs::write(dir.path().join("a.img"), "old").unwrap();
        let group = ["a.sha256", "a.img"].map(|n| stage(&dir.path().join(n), "new"));
        let error = commit_all(group.into()).unwrap_err();
        assert!(matches!(error, StagedError::IsFolder(_)), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("a.img")).unwrap(), "old");
        assert_eq!(names(dir.path()), ["a.img", "a.sha256"]);
    }

    #[cfg(unix)]
    #[test]
    fn sweep_removes_stale_partials_and_keeps_locked_ones() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.img");
        let locked = stage(&target, "locked");
        for name in [".a.img.0123abcd.partial", ".a.img.xz.0123abcd.partial", ".a.img.short.partial"] {
            fs::write(dir.path().join(name), "stale").unwrap();
        }
        let own = Staged::create(&target, Access::Private).unwrap();
        let left = names(dir.path());
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(locked.path().exists() && own.path().exists());
        assert!(!left.contains(&".a.img.0123abcd.partial".into()));
    }

    #[test]
    fn errors_name_the_target_and_have_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let error = Staged::create(&dir.path().join("no/a.img"), Access::Private).unwrap_err();
        let chain = crate::Error::from(error);
        assert_eq!(chain.hint().as_deref(), Some("check the path"));
        assert!(chain.to_string().ends_with("no/a.img`: entity not found"), "{chain}");
        assert!(matches!(Staged::create(Path::new("a/.."), Access::Private), Err(StagedError::NoName(_))));
    }
}

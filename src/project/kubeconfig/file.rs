//! The user's kubeconfig file, and the lock that kubectl takes on it.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::KubeconfigError;
use super::config::{FormatError, Kubeconfig};
use crate::error::{FileError, Result};
use crate::files::private;

/// Five seconds in all, longer than a write takes. kubectl itself doesn't wait.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The file that kubectl would write: the first of `KUBECONFIG`, else `~/.kube/config`.
pub(super) fn users_path() -> Result<PathBuf, KubeconfigError> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let first = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
    let in_home = || std::env::home_dir().filter(|h| h.is_absolute()).map(|h| h.join(".kube/config"));
    first.or_else(in_home).ok_or(KubeconfigError::NoPath)
}

/// Merges `added` into the file at `path`, as a whole or not at all. A missing file is created. A symlink
/// stays, and its target changes.
pub(super) fn merge_into(path: &Path, added: &Kubeconfig, force: bool) -> Result<()> {
    let target = private::followed(path).map_err(FileError::named(path))?;
    check_writable(&target, path)?;
    create_folder(&target)?;
    let _lock = KubectlLock::take(&target)?;
    let config = read(&target, path)?;
    let merged = config
        .merge(added, force)
        .map_err(|conflict| KubeconfigError::Conflict { path: path.to_owned(), conflict })?;
    let text = merged.to_yaml()?;
    Ok(private::write(&target, text.as_bytes())?)
}

/// Runs before the file is opened: opening a fifo would block forever, and a device would be replaced.
fn check_writable(target: &Path, named: &Path) -> Result<(), KubeconfigError> {
    match target.metadata() {
        Ok(meta) if !meta.is_file() => Err(KubeconfigError::NotRegular(named.to_owned())),
        Ok(meta) if meta.permissions().readonly() => Err(KubeconfigError::ReadOnly(named.to_owned())),
        // `read` reports what can't be opened.
        _ => Ok(()),
    }
}

/// The kubeconfig in the file; an empty one if there is no file. Errors name the path that the user gave.
fn read(target: &Path, named: &Path) -> Result<Kubeconfig> {
    let refused = |error| KubeconfigError::File { path: named.to_owned(), error };
    let text = match fs::read_to_string(target) {
        Ok(text) => Zeroizing::new(text),
        Err(e) if e.kind() == ErrorKind::NotFound => Zeroizing::default(),
        Err(e) if e.kind() == ErrorKind::InvalidData => return Err(refused(FormatError::NotUtf8).into()),
        Err(e) => return Err(FileError::named(named)(e).into()),
    };
    Ok(Kubeconfig::parse(&text).map_err(refused)?)
}

fn create_folder(file: &Path) -> Result<(), FileError> {
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(FileError::new("create", folder))
}

/// `config.lock` beside the file, which kubectl creates before it writes: no writer loses another's changes.
struct KubectlLock(PathBuf);

impl KubectlLock {
    fn take(target: &Path) -> Result<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        for _ in 0..LOCK_TRIES {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => thread::sleep(LOCK_PAUSE),
                Err(e) => return Err(FileError::new("create", &lock)(e).into()),
            }
        }
        Err(KubeconfigError::Locked(lock).into())
    }
}

impl Drop for KubectlLock {
    fn drop(&mut self) {
        // A lock that can't be removed is reported by the next writer.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::CLUSTERS;
    use super::super::merge::tests::{added, named};
    use super::*;

    #[cfg(unix)]
    #[test]
    fn new_files_and_folders_are_private_and_symlinks_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (link, file) = (dir.path().join("link"), dir.path().join("kube/config"));
        symlink("kube/config", &link).unwrap();
        merge_into(&link, &added(), false).unwrap();
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert!(link.is_symlink() && !file.is_symlink());
        let text = "a: [s3cr3t";
        fs::write(&file, text).unwrap();
        merge_into(&link, &added(), true).unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        fs::remove_file(&link).unwrap();
        symlink("link", &link).unwrap();
        let error = merge_into(&link, &added(), false).unwrap_err();
        assert!(error.to_string().contains("too many levels of symlinks"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn special_and_read_only_files_are_refused_before_opening() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let error = merge_into(path, &added(), true).unwrap_err();
            assert_eq!(error.exit(), crate::error::Exit::Usage);
            error.to_string().replace(&dir.path().display().to_string(), "")
        };
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(&socket), "`/socket` isn't a regular file");
        assert_eq!(refused(Path::new("/dev/null")), "`/dev/null` isn't a regular file");
        let file = dir.path().join("config");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(refused(&file), "`/config` is read-only");
        assert_eq!(fs::read(&file).unwrap(), b"");
    }

    #[test]
    fn concurrent_merges_and_kubectl_are_serialised_by_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                let config = named(&format!("c{number}"), "https://10.0.0.100:6443");
                scope.spawn(move || merge_into(file, &config, false).unwrap());
            }
        });
        let merged = Kubeconfig::parse(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(merged.names(CLUSTERS).count(), 8);
        let lock = dir.path().join("config.lock");
        fs::write(&lock, "").unwrap();
        let refused = merge_into(&file, &added(), false).unwrap_err();
        assert!(refused.to_string().contains("another program is writing"), "{refused}");
        assert!(refused.hint().unwrap().contains("remove it"));
        assert!(lock.exists());
    }
}

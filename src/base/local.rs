//! A base in a local file. The cache keeps its hash until the file's metadata changes.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};

use super::{BaseError, catalog};
use crate::digest::Sha256;
use crate::error::{FileError, Result};
use crate::fetch::cache::Cache;
use crate::files::home;
use crate::interrupt;
use crate::progress::Progress;

/// Resolves `source` to a path: relative to `relative_to`, with `~/` for the home folder.
pub(super) fn resolve(source: &str, relative_to: &Path) -> Result<PathBuf> {
    let path = home::resolve(source, relative_to);
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_file() => Ok(path),
        Ok(_) => Err(BaseError::NotAFile(path).into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // A similar name is suggested only for a name, not for a path.
            let is_path = source.contains(['/', '\\']) || source.starts_with('~');
            let nearest = if is_path { None } else { catalog::nearest(source) };
            Err(BaseError::Unknown { source_text: source.into(), nearest }.into())
        }
        Err(e) => Err(FileError::new("read", &path)(e).into()),
    }
}

/// Hash and size in bytes of a file. Reading it takes seconds, so the cache keeps the hash by the file's
/// metadata.
pub(super) fn hash(path: &Path, cache: &Cache, progress: &dyn Progress) -> Result<(Sha256, u64)> {
    let failed = || FileError::new("read", path);
    let file = File::open(path).map_err(failed())?;
    let before = file.metadata().map_err(failed())?;
    if let Some(hash) = identity(&before).and_then(|identity| cache.remembered(&identity)) {
        return Ok((hash, before.len()));
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let task = progress.start(&format!("checking {name}"), Some(before.len()));
    let hashed = Sha256::of_reader(Counted { file: &file, task: &*task });
    interrupt::check()?;
    let (hash, size) = hashed.map_err(failed())?;
    task.finish();
    let after = file.metadata().map_err(failed())?;
    if let Some(identity) = identity(&before).filter(|_| is_settled(&before))
        && Some(&identity) == self::identity(&after).as_ref()
    {
        // The remembered hash only saves time, so an error is ignored.
        let _ = cache.remember_file(&identity, hash);
    }
    Ok((hash, size))
}

struct Counted<'a> {
    file: &'a File,
    task: &'a dyn crate::progress::Task,
}

impl std::io::Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.task.advance(read as u64);
        Ok(read)
    }
}

/// Metadata that changes whenever the content does. The ctime is included because, unlike the mtime, a writer
/// of the file can't set it back.
#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other platforms return `None`")]
fn identity(meta: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (dev, ino, size) = (meta.dev(), meta.ino(), meta.size());
    let [mtime, ctime] = [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())]
        .map(|(s, n)| format!("{s}.{n:09}"));
    Some(format!("{dev} {ino} {size} {mtime} {ctime}"))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<String> {
    None
}

/// Whether the last change is old enough that a further change would get another timestamp.
#[cfg(unix)]
fn is_settled(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let changed = u64::try_from(meta.ctime().max(meta.mtime())).unwrap_or(u64::MAX);
    now.is_ok_and(|now| changed.saturating_add(2) <= now.as_secs())
}

#[cfg(not(unix))]
fn is_settled(_: &Metadata) -> bool {
    false
}

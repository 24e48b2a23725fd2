//! Reads ext4 through ext4-view, which checks what the writer wrote.

use std::error::Error as StdError;

use ext4_view::{Ext4, Ext4Read, FileType, Metadata};

use super::{Ext4Cause, Ext4Error, FileKind, Stat, Superblock};
use crate::disk::window::Window;
use crate::guard;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// A file system opened for reading.
pub(crate) struct Reader {
    fs: Ext4,
    superblock: Superblock,
}

struct WindowInput(Window);

impl Ext4Read for WindowInput {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync + 'static>> {
        Ok(self.0.read_exact_at(start, into)?)
    }
}

impl Reader {
    /// Opens the file system in `window`. A journal that needs recovery is replayed in memory only.
    pub(crate) fn open(window: &Window) -> Result<Self, Ext4Error> {
        let superblock = Superblock::read(window)?;
        let input = Box::new(WindowInput(window.reopen()));
        let fs = guarded(|| Ext4::load(input)).map_err(Ext4Error::Open)?;
        Ok(Self { fs, superblock })
    }

    pub(crate) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The inode at `path`, without following a symlink there; `None` if it doesn't exist.
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Stat>, Ext4Error> {
        let found = self.find(path)?;
        if found.is_none() && !path.is_ascii() && self.superblock.has_unsigned_hash() {
            self.require_signed_hashes(path)?;
        }
        Ok(found)
    }

    /// Refuses a path with a name outside ASCII in a folder that may be indexed: one of more than a block.
    fn require_signed_hashes(&self, path: &str) -> Result<(), Ext4Error> {
        for (at, _) in path.match_indices('/') {
            let name = path[at + 1..].split('/').next().unwrap_or_default();
            let folder = if at == 0 { "/" } else { &path[..at] };
            let Some(stat) = self.find(folder)? else { break };
            if !name.is_ascii() && stat.size > self.superblock.block_size.into() {
                let (path, folder) = (path.to_owned(), folder.to_owned());
                return Err(Ext4Error::UnsignedHash { path, folder });
            }
        }
        Ok(())
    }

    fn find(&self, path: &str) -> Result<Option<Stat>, Ext4Error> {
        use ext4_view::Ext4Error as E;
        let found = call(path, || match self.fs.symlink_metadata(path) {
            Err(E::NotFound | E::NotADirectory) => Ok(None),
            other => other.map(Some),
        })?;
        Ok(found.as_ref().map(stat))
    }

    /// The content of a file of at most `limit` bytes. Symlinks are followed.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Ext4Error> {
        let mut content = Vec::new();
        self.read_with(path, limit, &mut |piece| content.extend_from_slice(piece))?;
        Ok(content)
    }

    /// Passes a file of at most `limit` bytes to `take` in pieces of up to 1 MiB; returns its size.
    pub(crate) fn read_with(
        &self,
        path: &str,
        limit: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, Ext4Error> {
        let mut file = call(path, || self.fs.open(path))?;
        let size = file.metadata().len();
        if size > limit {
            return Err(Ext4Error::TooLarge { path: path.to_owned(), size, limit });
        }
        let mut buffer = vec![0; CHUNK];
        let mut total = 0;
        loop {
            let count = call(path, || file.read_bytes(&mut buffer))?;
            if count == 0 || total > size {
                return Ok(total);
            }
            total += count as u64;
            take(&buffer[..count]);
        }
    }

    /// The target of a symlink.
    pub(crate) fn read_link(&self, path: &str) -> Result<String, Ext4Error> {
        Ok(call(path, || self.fs.read_link(path))?.display().to_string())
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, ext4_view::Ext4Error>) -> Result<T, Ext4Cause> {
    Ok(guard::catch("ext4-view", work)??)
}

fn call<T>(path: &str, work: impl FnOnce() -> Result<T, ext4_view::Ext4Error>) -> Result<T, Ext4Error> {
    guarded(work).map_err(|cause| {
        let path = path.to_owned();
        match cause {
            Ext4Cause::View(ext4_view::Ext4Error::Incompatible(_)) => Ext4Error::Incompatible { path, cause },
            cause => Ext4Error::Damaged { path, cause },
        }
    })
}

fn stat(metadata: &Metadata) -> Stat {
    let kind = match metadata.file_type() {
        FileType::Regular => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Special,
    };
    Stat {
        kind,
        size: metadata.len(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: metadata.modified().seconds(),
    }
}

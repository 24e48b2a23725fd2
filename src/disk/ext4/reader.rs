//! Reads ext4 through ext4-view: the judge of what the writer wrote.

use std::error::Error as StdError;

use ext4_view::{Ext4, Ext4Read, FileType, Metadata};

use super::{Ext4Error, FileKind, Stat, Superblock};
use crate::disk::window::Window;
use crate::guard;

/// A file system opened for reading.
pub(crate) struct Reader {
    fs: Ext4,
    superblock: Superblock,
}

struct Input(Window);

impl Ext4Read for Input {
    fn read(&mut self, start: u64, into: &mut [u8]) -> Result<(), Box<dyn StdError + Send + Sync + 'static>> {
        Ok(self.0.read_exact_at(start, into)?)
    }
}

impl Reader {
    /// Opens the file system in `window`. A dirty journal is looked through in memory, nothing is written.
    pub(crate) fn open(window: &Window) -> Result<Self, Ext4Error> {
        let superblock = Superblock::read(window)?;
        let input = Box::new(Input(window.reopen()));
        let fs = guard::catch("ext4-view", || Ext4::load(input))
            .map_err(|e| Ext4Error::NotExt4(e.to_string()))?
            .map_err(|e| Ext4Error::NotExt4(e.to_string()))?;
        Ok(Self { fs, superblock })
    }

    /// What the superblock says.
    pub(crate) fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The inode at `path` itself, without following a link at its end; `None` if there is nothing.
    pub(crate) fn stat(&self, path: &str) -> Result<Option<Stat>, Ext4Error> {
        use ext4_view::Ext4Error as E;
        match self.call(path, |fs| fs.symlink_metadata(path))? {
            Ok(metadata) => Ok(Some(stat(&metadata))),
            Err(E::NotFound | E::NotADirectory) => Ok(None),
            Err(e) => Err(damaged(path, &e)),
        }
    }

    /// The whole file, if it has no more than `limit` bytes. Links are followed.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Ext4Error> {
        let mut content = Vec::new();
        self.read_with(path, limit, &mut |piece| content.extend_from_slice(piece))?;
        Ok(content)
    }

    /// The file in pieces of up to 1 MiB, if it has no more than `limit` bytes.
    pub(crate) fn read_with(
        &self,
        path: &str,
        limit: u64,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, Ext4Error> {
        let whole = |fs: &Ext4| -> Result<Result<u64, u64>, ext4_view::Ext4Error> {
            let mut file = fs.open(path)?;
            let size = file.metadata().len();
            if size > limit {
                return Ok(Err(size));
            }
            let mut buffer = vec![0; 1 << 20];
            let mut total = 0;
            loop {
                let count = file.read_bytes(&mut buffer)?;
                if count == 0 || total > size {
                    break;
                }
                total += count as u64;
                take(&buffer[..count]);
            }
            Ok(Ok(total))
        };
        match self.call(path, whole)? {
            Ok(Ok(total)) => Ok(total),
            Ok(Err(size)) => Err(Ext4Error::TooLarge { path: path.to_owned(), size, limit }),
            Err(e) => Err(Ext4Error::Damaged { path: path.to_owned(), why: e.to_string() }),
        }
    }

    /// Where a symlink points to.
    pub(crate) fn read_link(&self, path: &str) -> Result<String, Ext4Error> {
        let target = self.call(path, |fs| fs.read_link(path))?.map_err(|e| damaged(path, &e))?;
        Ok(target.display().to_string())
    }

    fn call<T>(&self, path: &str, work: impl FnOnce(&Ext4) -> T) -> Result<T, Ext4Error> {
        guard::catch("ext4-view", || work(&self.fs))
            .map_err(|e| Ext4Error::Damaged { path: path.to_owned(), why: e.to_string() })
    }
}

fn damaged(path: &str, error: &ext4_view::Ext4Error) -> Ext4Error {
    Ext4Error::Damaged { path: path.to_owned(), why: error.to_string() }
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

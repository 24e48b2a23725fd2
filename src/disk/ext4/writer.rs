//! Writes ext4 through rust-fs-ext4. No other file uses that crate, so that another writer can replace it.
//!
//! rust-fs-ext4 writes file data through the journal. The journal then has copies of the data, secrets included,
//! so [`Writer::finish`] zeroes all of its blocks but its superblock. A transaction must fit the journal, so
//! content is written in pieces.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fs_ext4::block_io::BlockDevice;
use fs_ext4::runtime::Runtime;
use fs_ext4::{Error as FsError, Filesystem};

use super::{Ext4Error, FileKind, Superblock};
use crate::disk::window::Window;
use crate::guard;
use crate::plan::Attributes;

/// Fits the smallest journal of `mkfs.ext4`: 4 MiB, of which a transaction may take a quarter.
const PIECE: usize = 512 << 10;
const JOURNAL_INODE: u32 = 8;
const HAS_JOURNAL: u32 = 0x4;
/// The generation of the first new inode. It is arbitrary, but constant: equal inputs give equal bytes.
const FIRST_GENERATION: u32 = 0x6d61_6769;

/// A file system opened for writing. It is complete only when [`Writer::finish`] has returned.
pub(crate) struct Writer {
    fs: Filesystem,
    window: Arc<Window>,
    stamp: i64,
}

struct WindowDevice(Arc<Window>);

impl BlockDevice for WindowDevice {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> fs_ext4::Result<()> {
        Ok(self.0.read_exact_at(offset, buf)?)
    }
    fn write_at(&self, offset: u64, buf: &[u8]) -> fs_ext4::Result<()> {
        Ok(self.0.write_all_at(offset, buf)?)
    }
    fn size_bytes(&self) -> u64 {
        self.0.len()
    }
    fn is_writable(&self) -> bool {
        self.0.is_writable()
    }
}

/// A fixed clock and counted inode generations: equal inputs give equal bytes.
struct FixedRuntime {
    seconds: i64,
    generation: AtomicU32,
}

impl Runtime for FixedRuntime {
    fn now_unix_seconds(&self) -> i64 {
        self.seconds
    }
    fn next_inode_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }
}

type Result<T> = std::result::Result<T, Ext4Error>;

impl Writer {
    /// Opens a clean file system; `stamp`, in seconds since 1970, becomes the time of everything written.
    pub(crate) fn open(window: Window, stamp: i64) -> Result<Self> {
        Superblock::read(&window)?.require_clean()?;
        let window = Arc::new(window);
        let device = Arc::new(WindowDevice(Arc::clone(&window)));
        let generation = AtomicU32::new(FIRST_GENERATION);
        let runtime = Arc::new(FixedRuntime { seconds: stamp, generation });
        let fs = call("/", || Filesystem::mount_with_runtime(device, runtime))?;
        Ok(Self { fs, window, stamp })
    }

    /// Creates a directory, or sets the attributes of an existing one.
    pub(crate) fn directory(&self, path: &str, attributes: Attributes) -> Result<()> {
        let inode = match self.lookup(path)? {
            Some((inode, FileKind::Directory)) => inode,
            Some(_) => return Err(Ext4Error::OtherType(path.to_owned())),
            None => call(path, || self.fs.apply_mkdir(path, attributes.mode))?,
        };
        self.set_attributes(path, inode, attributes)
    }

    /// Creates a file of `length` bytes from `source`. An existing file is unlinked first, so that its other
    /// hard links keep their content.
    pub(crate) fn file(
        &self,
        path: &str,
        attributes: Attributes,
        source: &mut dyn Read,
        length: u64,
    ) -> Result<()> {
        match self.lookup(path)? {
            None => {}
            Some((_, FileKind::File)) => call(path, || self.fs.apply_unlink(path))?,
            Some(_) => return Err(Ext4Error::OtherType(path.to_owned())),
        }
        let inode = call(path, || self.fs.apply_create(path, attributes.mode))?;
        let mut piece = vec![0; PIECE.min(usize::try_from(length).unwrap_or(PIECE)).max(1)];
        let mut offset = 0;
        while offset < length {
            let count = piece.len().min(usize::try_from(length - offset).unwrap_or(usize::MAX));
            source
                .read_exact(&mut piece[..count])
                .map_err(|source| Ext4Error::Input { path: path.to_owned(), source })?;
            call(path, || self.fs.apply_pwrite_ino(inode, offset, &piece[..count]))?;
            offset += count as u64;
        }
        self.set_attributes(path, inode, attributes)
    }

    /// Creates a symlink; an existing symlink or file is unlinked first.
    pub(crate) fn symlink(&self, path: &str, target: &str) -> Result<()> {
        match self.lookup(path)? {
            None => {}
            Some((_, FileKind::Symlink | FileKind::File)) => call(path, || self.fs.apply_unlink(path))?,
            Some(_) => return Err(Ext4Error::OtherType(path.to_owned())),
        }
        call(path, || self.fs.apply_symlink(target, path)).map(drop)
    }

    /// Writes what is still in memory and clears the journal.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { fs, window, .. } = self;
        let journal = journal_blocks(&fs)?;
        let block_size = fs.sb.block_size();
        call("/", || fs.finish())?;
        zero_blocks(&window, &journal, block_size).map_err(Ext4Error::Journal)
    }

    fn lookup(&self, path: &str) -> Result<Option<(u32, FileKind)>> {
        let found = call(path, || match self.fs.lookup_path_bytes(path.as_bytes()) {
            Err(FsError::NotFound | FsError::NotADirectory) => Ok(None),
            other => other.map(Some),
        })?;
        let Some(inode) = found else { return Ok(None) };
        let stat = call(path, || self.fs.stat_ino(inode))?;
        let kind = if stat.is_dir() {
            FileKind::Directory
        } else if stat.is_file() {
            FileKind::File
        } else if stat.is_symlink() {
            FileKind::Symlink
        } else {
            FileKind::Special
        };
        Ok(Some((inode, kind)))
    }

    fn set_attributes(&self, path: &str, inode: u32, attributes: Attributes) -> Result<()> {
        let Attributes { mode, uid, gid } = attributes;
        // chown clears the set-id bits, as Linux does, so chmod comes second.
        call(path, || self.fs.apply_chown_ino(inode, uid, gid))?;
        call(path, || self.fs.apply_chmod_ino(inode, mode))?;
        call(path, || self.fs.apply_utimens_ino(inode, self.stamp, 0, self.stamp, 0))
    }
}

/// The journal's blocks without the first one, its superblock.
fn journal_blocks(fs: &Filesystem) -> Result<Vec<u64>> {
    let path = "<journal inode>";
    if fs.sb.feature_compat & HAS_JOURNAL == 0 {
        return Ok(Vec::new());
    }
    // `stat_ino` refuses reserved inodes.
    let (inode, _) = call(path, || fs.read_inode_verified(JOURNAL_INODE))?;
    let blocks = inode.size / u64::from(fs.sb.block_size());
    if blocks > fs.sb.blocks_count {
        return Err(Ext4Error::JournalSize);
    }
    let mut found = Vec::new();
    for logical in 1..blocks {
        found.extend(call(path, || fs.map_inode_logical(&inode, logical))?);
    }
    Ok(found)
}

/// Zeroes blocks. Blocks of zeros aren't written: they may be holes of a sparse image.
fn zero_blocks(window: &Window, blocks: &[u64], block_size: u32) -> io::Result<()> {
    let (mut content, zeros) = (vec![0; block_size as usize], vec![0; block_size as usize]);
    for block in blocks {
        let at = block.saturating_mul(block_size.into());
        window.read_exact_at(at, &mut content)?;
        if content != zeros {
            window.write_all_at(at, &zeros)?;
        }
    }
    Ok(())
}

/// Calls rust-fs-ext4; a panic counts as damage of the file system.
fn call<T>(path: &str, work: impl FnOnce() -> fs_ext4::Result<T>) -> Result<T> {
    let path = || path.to_owned();
    guard::catch("rust-fs-ext4", work)
        .map_err(|panicked| Ext4Error::Damaged { path: path(), cause: panicked.into() })?
        .map_err(|error| Ext4Error::Write { path: path(), cause: error.into() })
}

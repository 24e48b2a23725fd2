//! Writes ext4 through rust-fs-ext4, the one door to it: another writer would stand here.
//!
//! Two of its habits are dealt with: file data goes through the journal, which keeps copies (of secrets
//! too), so the journal is wiped behind its own superblock at the end; and a replacement in one
//! transaction must fit the journal, so content is written in pieces.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fs_ext4::block_io::BlockDevice;
use fs_ext4::runtime::Runtime;
use fs_ext4::{Error as FsError, Filesystem};

use super::{Ext4Error, FileKind, Superblock};
use crate::disk::window::Window;
use crate::guard;
use crate::plan::Attributes;

/// Small enough for the smallest journal that `mkfs.ext4` makes (4 MiB, of which a transaction may take a
/// quarter).
const PIECE: usize = 512 << 10;
const JOURNAL_INODE: u32 = 8;
const HAS_JOURNAL: u32 = 0x4;
/// The first number given to new inodes; any will do, as long as it is always the same.
const FIRST_GENERATION: u32 = 0x6d61_6769;

/// A file system opened for writing. Nothing counts until [`Writer::finish`] has returned.
pub(crate) struct Writer {
    fs: Filesystem,
    window: Arc<Window>,
    stamp: i64,
}

struct Device(Arc<Window>);

impl BlockDevice for Device {
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

/// Neither clock nor randomness: the same image gives the same bytes.
struct Still {
    seconds: i64,
    generation: AtomicU32,
}

impl Runtime for Still {
    fn now_unix_seconds(&self) -> i64 {
        self.seconds
    }
    fn next_inode_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }
}

type Result<T> = std::result::Result<T, Ext4Error>;

impl Writer {
    /// Opens a clean file system; `stamp` is the time given to all that is written, in seconds since 1970.
    pub(crate) fn open(window: Window, stamp: i64) -> Result<Self> {
        Superblock::read(&window)?.require_clean()?;
        let window = Arc::new(window);
        let device = Arc::new(Device(Arc::clone(&window)));
        let still = Arc::new(Still { seconds: stamp, generation: AtomicU32::new(FIRST_GENERATION) });
        let fs = call("/", || Filesystem::mount_with_runtime(device, still))?;
        Ok(Self { fs, window, stamp })
    }

    /// A folder; an existing one gets the attributes.
    pub(crate) fn directory(&self, path: &str, attributes: Attributes) -> Result<()> {
        let inode = match self.lookup(path)? {
            Some((inode, FileKind::Directory)) => inode,
            Some(_) => return Err(in_the_way(path)),
            None => call(path, || self.fs.apply_mkdir(path, attributes.mode))?,
        };
        self.dress(path, inode, attributes)
    }

    /// A file of `length` bytes from `source`, in the place of an existing one. A file is replaced rather
    /// than rewritten, so that another name of the old one (a hard link) keeps its content.
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
            Some(_) => return Err(in_the_way(path)),
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
        self.dress(path, inode, attributes)
    }

    /// A symlink, in the place of an existing one or of a file.
    pub(crate) fn symlink(&self, path: &str, target: &str) -> Result<()> {
        match self.lookup(path)? {
            None => {}
            Some((_, FileKind::Symlink | FileKind::File)) => call(path, || self.fs.apply_unlink(path))?,
            Some(_) => return Err(in_the_way(path)),
        }
        call(path, || self.fs.apply_symlink(target, path)).map(drop)
    }

    /// Makes it all count and leaves no copy in the journal.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { fs, window, .. } = self;
        let journal = journal_blocks(&fs)?;
        let block_size = u64::from(fs.sb.block_size());
        call("/", || fs.finish())?;
        wipe(&window, &journal, block_size)
    }

    fn lookup(&self, path: &str) -> Result<Option<(u32, FileKind)>> {
        let found = guarded(path, || self.fs.lookup_path_bytes(path.as_bytes()))?;
        let inode = match found {
            Ok(inode) => inode,
            Err(FsError::NotFound | FsError::NotADirectory) => return Ok(None),
            Err(e) => return Err(failed(path, &e)),
        };
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

    fn dress(&self, path: &str, inode: u32, attributes: Attributes) -> Result<()> {
        let Attributes { mode, uid, gid } = attributes;
        // chown first: it drops the set-id bits, as Linux does.
        call(path, || self.fs.apply_chown_ino(inode, uid, gid))?;
        call(path, || self.fs.apply_chmod_ino(inode, mode))?;
        call(path, || self.fs.apply_utimens_ino(inode, self.stamp, 0, self.stamp, 0))
    }
}

/// Where the journal lies, its first block (its superblock) left out.
fn journal_blocks(fs: &Filesystem) -> Result<Vec<u64>> {
    let path = "the journal";
    if fs.sb.feature_compat & HAS_JOURNAL == 0 {
        return Ok(Vec::new());
    }
    // Not `stat_ino`: for that, a reserved inode isn't there.
    let (inode, _) = call(path, || fs.read_inode_verified(JOURNAL_INODE))?;
    let blocks = inode.size / u64::from(fs.sb.block_size());
    if blocks > fs.sb.blocks_count {
        return Err(Ext4Error::Damaged {
            path: path.into(),
            why: "it is larger than the file system".into(),
        });
    }
    let mut found = Vec::new();
    for logical in 1..blocks {
        found.extend(call(path, || fs.map_inode_logical(&inode, logical))?);
    }
    Ok(found)
}

/// Zeroes blocks that aren't zero; those that are may be holes and stay so.
fn wipe(window: &Window, blocks: &[u64], block_size: u64) -> Result<()> {
    let failed = |e: std::io::Error| Ext4Error::Write { path: "the journal".into(), why: e.to_string() };
    let size = usize::try_from(block_size).unwrap_or(4096);
    let (mut content, zeros) = (vec![0; size], vec![0; size]);
    for block in blocks {
        let at = block.saturating_mul(block_size);
        window.read_exact_at(at, &mut content).map_err(failed)?;
        if content != zeros {
            window.write_all_at(at, &zeros).map_err(failed)?;
        }
    }
    Ok(())
}

fn guarded<T>(path: &str, work: impl FnOnce() -> T) -> Result<T> {
    guard::catch("rust-fs-ext4", work)
        .map_err(|e| Ext4Error::Damaged { path: path.to_owned(), why: e.to_string() })
}

fn call<T>(path: &str, work: impl FnOnce() -> fs_ext4::Result<T>) -> Result<T> {
    guarded(path, work)?.map_err(|e| failed(path, &e))
}

fn failed(path: &str, error: &FsError) -> Ext4Error {
    Ext4Error::Write { path: path.to_owned(), why: error.to_string() }
}

fn in_the_way(path: &str) -> Ext4Error {
    Ext4Error::Write { path: path.to_owned(), why: "something of another kind is in the way".into() }
}

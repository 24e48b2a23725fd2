//! Compressed images, made of independent blocks: several threads pack one image, and the packed blocks of
//! the base are cached from one build to the next (a node's image differs from the base in a few blocks).
//! Blocks that differ from the base may hold secrets; they are never cached.

mod blocks;
mod cache;
mod xz;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::digest::{Sha256, Sha256Hasher};
use crate::error::Explain;
use crate::progress::Task;

use blocks::ImageBlocks;
use cache::BlockCache;

/// Bytes of raw image in a block. Larger blocks compress better; smaller ones leave more of the base
/// unchanged.
const BLOCK: usize = 4 << 20;
/// Measured on a base of 2.6 GB: level 6 takes five times as long and saves a tenth.
const XZ_LEVEL: u32 = 1;
/// Faster than a card can be written, and a tenth smaller than level 3.
const ZSTD_LEVEL: i32 = 9;
/// gzip's own default.
const GZIP_LEVEL: u32 = 6;

/// The file format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageFormat {
    Raw,
    /// One xz stream of many blocks, as `xz -T0` writes it.
    Xz,
    /// Zstandard frames.
    Zst,
    /// gzip members.
    Gz,
}

/// Size and hash of a compressed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compressed {
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// How many blocks were compressed; the others came from the cache.
    pub(crate) fresh: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot compress the image")]
pub(crate) struct CompressError(#[from] io::Error);

impl Explain for CompressError {
    fn hint(&self) -> Option<String> {
        let full = self.0.kind() == io::ErrorKind::StorageFull;
        full.then(|| "free some space, or choose another folder with `--out-dir`".into())
    }
}

impl ImageFormat {
    /// The file extension after `.img`, without a dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Raw => "",
            Self::Xz => "xz",
            Self::Zst => "zst",
            Self::Gz => "gz",
        }
    }

    /// Names everything that decides the packed bytes, so that a new version never finds old blocks.
    fn recipe(self) -> String {
        let level = match self {
            Self::Raw => 0,
            Self::Xz => i64::from(XZ_LEVEL),
            Self::Zst => i64::from(ZSTD_LEVEL),
            Self::Gz => i64::from(GZIP_LEVEL),
        };
        format!("{}-{level}-{BLOCK}-1", self.extension())
    }

    /// Compresses one block into a complete stream, frame or member.
    fn pack(self, raw: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Raw => Ok(raw.to_vec()),
            Self::Xz => xz::pack(raw, XZ_LEVEL),
            Self::Zst => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                compressor.compress(raw)
            }
            Self::Gz => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), level);
                encoder.write_all(raw)?;
                encoder.finish()
            }
        }
    }
}

/// The base that an image was cloned from, whose packed blocks may be cached.
pub(crate) struct BaseBlocks<'a> {
    /// The raw base.
    pub(crate) file: &'a File,
    /// The hash of the raw base.
    pub(crate) sha256: Sha256,
    pub(crate) cache_folder: &'a Path,
}

/// Compresses all of `from` into `to` with `jobs` threads. The bytes depend neither on `jobs` nor on the cache.
/// `task` advances by raw bytes.
pub(crate) fn compress(
    from: &File,
    to: &File,
    format: ImageFormat,
    jobs: usize,
    base: &BaseBlocks<'_>,
    task: &dyn Task,
) -> Result<Compressed, CompressError> {
    let cache = BlockCache::open(base.cache_folder, &base.sha256, &format.recipe());
    let length = from.metadata()?.len();
    let blocks = ImageBlocks { file: from, length, format, base: base.file, cache: &cache };
    let mut output = CompressedFile {
        file: BufWriter::with_capacity(1 << 20, to),
        hash: Sha256Hasher::default(),
        size: 0,
    };
    let mut joined = xz::JoinedStream::default();
    let fresh = blocks.each(jobs, |packed, raw_length| {
        match format {
            ImageFormat::Xz => joined.add(packed, &mut output)?,
            _ => output.write_all(packed)?,
        }
        task.advance(raw_length);
        Ok(())
    })?;
    if format == ImageFormat::Xz {
        joined.finish(&mut output)?;
    }
    output.flush()?;
    Ok(Compressed { size: output.size, sha256: output.hash.finish(), fresh })
}

/// Counts and hashes the bytes that are written.
struct CompressedFile<'a> {
    file: BufWriter<&'a File>,
    hash: Sha256Hasher,
    size: u64,
}

impl Write for CompressedFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;

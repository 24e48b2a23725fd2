//! Recognises compressions, tars and disks by their first bytes.

use std::fmt;

use super::error::NotAnImage;

/// How many bytes the functions here look at.
pub(super) const HEAD: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Xz,
    Gzip,
    Zstd,
}

impl Compression {
    /// Whether `head` starts another stream, member or frame of this format.
    pub(super) fn starts(self, head: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Xz => head.starts_with(b"\xfd7zXZ\0"),
            Self::Gzip => head.starts_with(b"\x1f\x8b"),
            // RFC 8878: a frame, or one of 16 kinds of skippable ones.
            Self::Zstd => match head {
                [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
                [kind, 0x2a, 0x4d, 0x18, ..] => kind & 0xf0 == 0x50,
                _ => false,
            },
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "raw",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A format that users give by mistake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    magic: &'static [u8],
    /// With an article.
    pub(super) name: &'static str,
    pub(super) hint: &'static str,
}

const fn unsupported(magic: &'static [u8], name: &'static str, hint: &'static str) -> Unsupported {
    Unsupported { magic, name, hint }
}

const UNPACK: &str = "unpack it and give the .img inside";
const CONVERT: &str = "convert it with `qemu-img convert -O raw`";
const PAGE: &str = "open the URL in a browser: it may lead to a page in front of the download";

static UNSUPPORTED: [Unsupported; 10] = [
    unsupported(b"PK\x03\x04", "a zip archive, which is not supported", UNPACK),
    unsupported(b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not supported", UNPACK),
    unsupported(b"BZh", "bzip2 data, which is not supported", UNPACK),
    unsupported(b"\x5d\0\0", "data of the old lzma format, which is not supported", UNPACK),
    unsupported(b"\x04\x22\x4d\x18", "lz4 data, which is not supported", UNPACK),
    unsupported(b"QFI\xfb", "a qcow2 image", CONVERT),
    unsupported(b"KDMV", "a VMDK image", CONVERT),
    unsupported(b"vhdxfile", "a VHDX image", CONVERT),
    unsupported(b"<", "a web page", PAGE),
    unsupported(b"\x7fELF", "a program", "give the base's file, not a program"),
];

/// The compression of a file that starts with `head`.
pub(super) fn compression(head: &[u8]) -> Result<Compression, NotAnImage> {
    if head.is_empty() {
        return Err(NotAnImage::Empty);
    }
    let known = [Compression::Xz, Compression::Gzip, Compression::Zstd];
    if let Some(compression) = known.into_iter().find(|c| c.starts(head)) {
        return Ok(compression);
    }
    match UNSUPPORTED.iter().find(|format| head.starts_with(format.magic)) {
        Some(format) if !is_disk(head) => Err(NotAnImage::Unsupported { format, is_packed: false }),
        _ => Ok(Compression::None),
    }
}

/// Whether decompressed content that starts with `head` is a tar (true) or a disk (false).
pub(super) fn is_tar(head: &[u8]) -> Result<bool, NotAnImage> {
    // POSIX and GNU: the magic's offset in the first header.
    if head.get(257..262) == Some(b"ustar") {
        return Ok(true);
    }
    if is_disk(head) {
        return Ok(false);
    }
    Err(match compression(head) {
        Ok(Compression::None) | Err(NotAnImage::Empty) => no_partition_table(head),
        Ok(compression) => NotAnImage::PackedTwice(compression),
        Err(NotAnImage::Unsupported { format, .. }) => NotAnImage::Unsupported { format, is_packed: true },
        Err(other) => other,
    })
}

/// Why `head` doesn't start a disk.
pub(super) fn no_partition_table(head: &[u8]) -> NotAnImage {
    if head.len() < 512 { NotAnImage::TooShort(head.len()) } else { NotAnImage::NoPartitionTable }
}

/// Whether the first sector has the signature of MBR and GPT disks.
pub(super) fn is_disk(head: &[u8]) -> bool {
    head.get(510..512) == Some(&[0x55, 0xaa])
}

//! What something is, by its first bytes.

/// So many of them are looked at.
pub(super) const HEAD: usize = 1024;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outer {
    /// Not: a disk image or a tar.
    Plain,
    Xz,
    Gzip,
    Zstd,
}

impl Outer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "raw",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether `head` starts another stream, member or frame of this format.
    pub(super) fn starts(self, head: &[u8]) -> bool {
        match self {
            Self::Plain => false,
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

/// Something that isn't a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) what: String,
    pub(super) hint: Option<&'static str>,
}

impl Other {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None }
    }

    pub(super) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

const UNPACK: &str = "unpack it and give the .img inside";
const CONVERT: &str = "convert it with `qemu-img convert -O raw`";
const PAGE: &str = "open the URL in a browser: it may lead to a page in front of the download";

/// What people give instead of a base.
const UNSUPPORTED: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive, which is not supported", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which is not supported", UNPACK),
    (b"BZh", "bzip2 data, which is not supported", UNPACK),
    (b"\x5d\0\0", "lzma data of the old kind, which is not supported", UNPACK),
    (b"\x04\x22\x4d\x18", "lz4 data, which is not supported", UNPACK),
    (b"QFI\xfb", "a qcow2 image", CONVERT),
    (b"KDMV", "a VMDK image", CONVERT),
    (b"vhdxfile", "a VHDX image", CONVERT),
    (b"<", "a web page", PAGE),
    (b"\x7fELF", "a program", "give the base's file, not a program"),
];

/// How the file with these first bytes is packed.
pub(super) fn outer(head: &[u8]) -> Result<Outer, Other> {
    if head.is_empty() {
        return Err(Other::new("it is empty"));
    }
    if let Some(outer) = [Outer::Xz, Outer::Gzip, Outer::Zstd].into_iter().find(|outer| outer.starts(head)) {
        return Ok(outer);
    }
    match UNSUPPORTED.iter().find(|(magic, ..)| head.starts_with(magic)) {
        Some((_, what, hint)) if !is_disk(head) => Err(Other::new(format!("it is {what}")).hint(hint)),
        _ => Ok(Outer::Plain),
    }
}

/// Whether unpacked content with these first bytes is a tar (true) or a disk (false).
pub(super) fn inner(head: &[u8]) -> Result<bool, Other> {
    if is_tar(head) {
        return Ok(true);
    }
    if is_disk(head) {
        return Ok(false);
    }
    match outer(head) {
        _ if head.is_empty() => Err(no_table(head)),
        Ok(Outer::Plain) => Err(no_table(head)),
        Ok(outer) => Err(Other::new(format!("it holds {} data once more", outer.name())).hint(UNPACK)),
        Err(other) => Err(Other { what: other.what.replacen("it is", "it holds", 1), ..other }),
    }
}

/// For a disk that isn't one.
pub(super) fn no_table(head: &[u8]) -> Other {
    if head.len() < 512 {
        return Other::new(format!("it has only {} bytes", head.len()));
    }
    Other::new("its first sector has no partition table (0x55 0xAA at byte 510)")
}

/// The signature that ends the first sector of MBR and GPT disks.
pub(super) fn is_disk(head: &[u8]) -> bool {
    head.get(510..512) == Some(&[0x55, 0xaa])
}

/// POSIX and GNU tar; 257 is the offset of the magic in its first header.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

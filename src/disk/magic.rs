//! Recognises the format of a range of bytes by the magic numbers that `file` and `blkid` use.

use std::io;

use serde::Serialize;

use super::window::Window;

/// A format recognised by its magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Magic {
    Xz,
    Gzip,
    Zstd,
    Bzip2,
    Zip,
    Tar,
    /// A QEMU disk image.
    Qcow2,
    Iso9660,
    /// FAT12, FAT16 or FAT32.
    Fat,
    ExFat,
    Ntfs,
    /// ext2, ext3 or ext4.
    Ext,
    Swap,
    Btrfs,
    Xfs,
    F2fs,
    Squashfs,
    Luks,
    Lvm,
    /// A web page, which captive portals and some error pages send instead of a download.
    Html,
    /// Only zeros in the bytes that were read.
    Zeros,
}

/// Offset in bytes, the bytes there, and the format. The first bytes of a partition can be left over from an
/// earlier use, so larger offsets come first.
const MAGICS: &[(usize, &[u8], Magic)] = &[
    (0x10040, b"_BHRfS_M", Magic::Btrfs),
    (0x8001, b"CD001", Magic::Iso9660),
    (4086, b"SWAPSPACE2", Magic::Swap),
    (0x438, b"\x53\xef", Magic::Ext),
    (0x400, b"\x10\x20\xf5\xf2", Magic::F2fs),
    (0x218, b"LVM2 001", Magic::Lvm),
    (257, b"ustar", Magic::Tar),
    (0, b"XFSB", Magic::Xfs),
    (0, b"hsqs", Magic::Squashfs),
    (0, b"LUKS\xba\xbe", Magic::Luks),
    (3, b"NTFS    ", Magic::Ntfs),
    (3, b"EXFAT   ", Magic::ExFat),
    (0, b"\xfd7zXZ\0", Magic::Xz),
    (0, b"\x1f\x8b", Magic::Gzip),
    (0, b"\x28\xb5\x2f\xfd", Magic::Zstd),
    (0, b"BZh", Magic::Bzip2),
    (0, b"PK\x03\x04", Magic::Zip),
    (0, b"QFI\xfb", Magic::Qcow2),
    (0, b"<!DOCTYPE", Magic::Html),
    (0, b"<!doctype", Magic::Html),
    (0, b"<html", Magic::Html),
];

/// The end of the farthest magic number, in bytes.
const REACH: u64 = 0x10048;

impl Magic {
    /// Reads the first 64 KiB of a window.
    pub(crate) fn find(window: &Window) -> io::Result<Option<Self>> {
        let mut head = vec![0; usize::try_from(window.len().min(REACH)).map_err(io::Error::other)?];
        window.read_exact_at(0, &mut head)?;
        Ok(Self::of(&head))
    }

    fn of(head: &[u8]) -> Option<Self> {
        let at = |offset: usize, bytes: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
        if at(510, b"\x55\xaa") && has_fat_parameters(head) {
            return Some(Self::Fat);
        }
        let known = MAGICS.iter().find(|(offset, bytes, _)| at(*offset, bytes)).map(|&(_, _, magic)| magic);
        known.or_else(|| head.iter().all(|&byte| byte == 0).then_some(Self::Zeros))
    }

    /// The format with an article, as in "it looks like …".
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Xz => "an xz-compressed file",
            Self::Gzip => "a gzip-compressed file",
            Self::Zstd => "a zstd-compressed file",
            Self::Bzip2 => "a bzip2-compressed file",
            Self::Zip => "a zip archive",
            Self::Tar => "a tar archive",
            Self::Qcow2 => "a qcow2 disk image",
            Self::Iso9660 => "an ISO 9660 CD image",
            Self::Fat => "a FAT file system",
            Self::ExFat => "an exFAT file system",
            Self::Ntfs => "an NTFS file system",
            Self::Ext => "an ext2, ext3 or ext4 file system",
            Self::Swap => "swap space",
            Self::Btrfs => "a btrfs file system",
            Self::Xfs => "an XFS file system",
            Self::F2fs => "an F2FS file system",
            Self::Squashfs => "a SquashFS file system",
            Self::Luks => "an encrypted LUKS container",
            Self::Lvm => "an LVM physical volume",
            Self::Html => "a web page",
            Self::Zeros => "nothing but zeros",
        }
    }
}

/// Whether a boot sector has plausible BIOS parameters; an MBR has code or zeros there.
fn has_fat_parameters(head: &[u8]) -> bool {
    let sector_bytes = u16::from_le_bytes([head[11], head[12]]);
    let (cluster_sectors, reserved, fats, media) = (head[13], head[14] | head[15], head[16], head[21]);
    matches!(head[0], 0xEB | 0xE9)
        && matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
        && cluster_sectors.is_power_of_two()
        && reserved != 0
        && matches!(fats, 1 | 2)
        && media >= 0xF0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_is_found_and_short_ranges_do_not_panic() {
        let mut bytes = vec![0; 70_000];
        assert_eq!(Magic::of(&bytes), Some(Magic::Zeros));
        bytes[0x438..0x43a].copy_from_slice(b"\x53\xef");
        assert_eq!(Magic::of(&bytes), Some(Magic::Ext));
        assert_eq!(Magic::of(&bytes[..0x439]), None);
        assert_eq!(Magic::of(b"\x1f\x8b\x08"), Some(Magic::Gzip));
        assert_eq!(Magic::of(b""), Some(Magic::Zeros));
        assert_eq!(Magic::of(b"some text"), None);
        let deepest = MAGICS.iter().map(|(offset, bytes, _)| offset + bytes.len()).max();
        assert_eq!(deepest.map(|end| end as u64), Some(REACH));
    }
}

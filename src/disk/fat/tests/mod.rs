mod corruption;
mod reading;
mod writing;

use super::Reader;
use crate::disk::testing::{TestImage, outcome, run};

const MIB: u64 = 1 << 20;

/// A volume by mkfs.vfat, as in the images of raspi.debian.net but smaller. FAT32 has small clusters, since it needs
/// at least 65,525 of them.
fn volume(bits: u8) -> Option<TestImage> {
    let image = TestImage::empty(40 * MIB);
    let (bits, sectors) = (bits.to_string(), if bits == 16 { "16" } else { "1" });
    let path = image.arg();
    let named = ["-n", "RASPIFIRM", "-i", "1234abcd", "--mbr=n"];
    run("mkfs.vfat", &[&["-F", &bits, "-s", sectors, "-a"], &named[..], &[&path]].concat(), "")?;
    Some(image)
}

/// A volume with files and folders by mtools.
fn filled(bits: u8) -> Option<TestImage> {
    let image = volume(bits)?;
    let path = image.arg();
    let copy = |content: &[u8], name: &str| {
        let source = image.beside("source", content);
        run("mcopy", &["-i", &path, &source, &format!("::{name}")], "")
    };
    run("mmd", &["-i", &path, "::overlays", "::overlays/deeper", "::EFI"], "")?;
    copy(b"# hostname=rpi\n", "sysconf.txt")?;
    copy(b"CAPS", "CONFIG.TXT")?;
    copy(b"", "empty")?;
    copy(&pattern(100_000), "overlays/a rather long name with spaces.dtbo")?;
    copy(&pattern(8192), "overlays/deeper/vmlinuz-6.1.0-13-arm64")?;
    // The first name has a short name in mtools' code page, the second needs a long name.
    copy(b"1", "caf\u{e9}.txt")?;
    copy(b"2", "caf\u{e9} \u{2615}.txt")?;
    // Deleted files leave holes, so that the next file is fragmented.
    for index in 0..6 {
        copy(&pattern(20_000), &format!("hole-{index}.bin"))?;
    }
    run("mdel", &["-i", &path, "::hole-0.bin", "::hole-2.bin", "::hole-4.bin"], "")?;
    copy(&pattern(200_000), "fragments.bin")?;
    Some(image)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| u8::try_from((index * 7 + index / 251) % 251).unwrap_or(0)).collect()
}

fn open(image: &TestImage) -> Reader {
    Reader::open(image.window()).expect("a FAT")
}

/// The verdict of fsck.vfat; `None` if it is not installed.
fn fsck(image: &TestImage) -> Option<Result<(), String>> {
    let (success, text) = outcome("fsck.vfat", &["-n", "-v", &image.arg()], "")?;
    Some(if success { Ok(()) } else { Err(text) })
}

mod lies;
mod reading;
mod writing;

use super::Reader;
use crate::disk::testing::{Image, outcome, run};

const MIB: u64 = 1 << 20;

/// A volume by mkfs.vfat, as in the images of raspi.debian.net but smaller; FAT32 with small clusters, since
/// it takes 65,525 of them.
fn volume(bits: u8) -> Option<Image> {
    let image = Image::empty(40 * MIB);
    let (bits, sectors) = (bits.to_string(), if bits == 16 { "16" } else { "1" });
    let path = image.arg();
    let named = ["-n", "RASPIFIRM", "-i", "1234abcd", "--mbr=n"];
    run("mkfs.vfat", &[&["-F", &bits, "-s", sectors, "-a"], &named[..], &[&path]].concat(), "")?;
    Some(image)
}

/// The same with files and folders by mtools.
fn filled(bits: u8) -> Option<Image> {
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
    // The first fits a short name in mtools' code page, the second fits none.
    copy(b"1", "caf\u{e9}.txt")?;
    copy(b"2", "caf\u{e9} \u{2615}.txt")?;
    // What was deleted leaves holes, so that files get fragments.
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

fn open(image: &Image) -> Reader {
    Reader::open(image.window()).expect("a FAT")
}

/// What fsck.vfat finds.
fn fsck(image: &Image) -> Option<Result<(), String>> {
    let (success, text) = outcome("fsck.vfat", &["-n", "-v", &image.arg()], "")?;
    Some(if success { Ok(()) } else { Err(text) })
}

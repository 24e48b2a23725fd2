use super::*;
use crate::disk::testing::{TestImage, run};
use crate::error::Explain;

const MIB: u64 = 1 << 20;
/// Sizes and places of the partitions below, in MiB.
const BOOT: (u64, u64) = (1, 40);
const ROOT: (u64, u64) = (41, 16);

/// A FAT16 with these files.
fn fat(files: &[(&str, &str)]) -> Option<TestImage> {
    let image = TestImage::empty(BOOT.1 * MIB);
    let path = image.arg();
    run("mkfs.vfat", &["-F", "16", "-s", "16", "-n", "RASPIFIRM", &path], "")?;
    for (name, content) in files {
        let source = image.beside("source", content.as_bytes());
        run("mcopy", &["-i", &path, &source, &format!("::{name}")], "")?;
    }
    Some(image)
}

fn ext(version: &str, label: &str) -> Option<TestImage> {
    let image = TestImage::empty(ROOT.1 * MIB);
    run("mkfs.ext4", &["-q", "-t", version, "-L", label, &image.arg()], "")?;
    Some(image)
}

/// A disk with these at the two places, in an MBR or a GPT; in the latter the boot partition is number 15.
fn disk(gpt: bool, boot: &TestImage, root: &TestImage) -> Option<TestImage> {
    let image = TestImage::empty(60 * MIB);
    if gpt {
        let args = ["-n", "15:1M:+40M", "-t", "15:0700", "-n", "1:41M:+16M", "-h", "15:1:EE", &image.arg()];
        run("sgdisk", &args, "")?;
    } else {
        let script = "label: dos\nstart=1MiB, size=40MiB, type=83\nstart=41MiB, size=16MiB, type=c\n";
        run("sfdisk", &["--quiet", &image.arg()], script)?;
    }
    image.insert(&boot.path(), BOOT.0 * MIB);
    image.insert(&root.path(), ROOT.0 * MIB);
    Some(image)
}

fn find_in(image: &TestImage) -> Result<Layout, LayoutError> {
    find(&image.file(), image.len())
}

#[test]
fn boot_and_root_are_found_by_what_they_hold() {
    let parts = fat(&[("SYSCONF.TXT", "# hostname=\n"), ("config.txt", "")]).zip(ext("ext4", "RASPIROOT"));
    let Some((boot, root)) = parts else { return };
    for gpt in [false, true] {
        // The types in the MBR are the wrong way round on purpose.
        let Some(image) = disk(gpt, &boot, &root) else { return };
        let layout = find_in(&image).expect("a layout");
        assert_eq!(layout.family, Family::Sysconf);
        assert_eq!(layout.boot().number, if gpt { 15 } else { 1 });
        assert_eq!(layout.parts[layout.boot].content.to_string(), "FAT16 `RASPIFIRM`");
        assert_eq!(layout.parts[layout.root].content.to_string(), "ext4 `RASPIROOT`");
        assert_eq!(layout.root().start(), 41 * MIB);
    }
}

#[test]
fn an_image_of_another_family_is_named() {
    let Some(root) = ext("ext4", "rootfs") else { return };
    let said = |gpt: bool, files: &[(&str, &str)]| {
        let image = disk(gpt, &fat(files)?, &root)?;
        let error = find_in(&image).expect_err("it has none");
        assert!(error.hint().is_some_and(|hint| hint.contains("raspi.debian.net")));
        Some((find_any(&image.file(), image.len()).expect("a layout").family, error.to_string()))
    };
    let Some((family, text)) = said(false, &[("config.txt", ""), ("user-data", "#cloud-config")]) else {
        return;
    };
    assert_eq!(family, Family::RaspberryPiOs);
    assert!(
        text.ends_with(
            "has no `sysconf.txt`: this looks like Raspberry Pi OS, which is set up by cloud-init"
        )
    );
    let issue = ("issue.txt", "Raspberry Pi reference 2023-12-05\n");
    assert_eq!(said(false, &[("cmdline.txt", ""), issue]).map(|found| found.0), Some(Family::RaspberryPiOs));
    let Some((family, text)) = said(true, &[("config.txt", "")]) else { return };
    assert_eq!(family, Family::DebianCloud);
    assert!(text.ends_with("Debian's cloud image for the Pi (GPT with a hybrid MBR)"), "{text}");
    assert_eq!(said(false, &[("config.txt", "")]).map(|found| found.0), Some(Family::Other));
}

#[test]
fn what_is_missing_is_said_with_what_is_there() {
    let parts = fat(&[("sysconf.txt", "")]).zip(fat(&[("readme.txt", "")]));
    let Some(((boot, plain), (root, old))) = parts.zip(ext("ext4", "root").zip(ext("ext3", "old"))) else {
        return;
    };
    let said = |boot: &TestImage, root: &TestImage| {
        let error = find_in(&disk(false, boot, root)?).expect_err("no base");
        assert!(error.hint().is_some());
        Some(error.to_string())
    };
    let Some(text) = said(&TestImage::empty(MIB), &root) else { return };
    assert_eq!(
        text,
        "the image has no FAT16 or FAT32 partition to boot from; it has partition 1: nothing but zeros, \
         partition 2: ext4 `root`"
    );
    let Some(text) = said(&boot, &old) else { return };
    assert!(text.ends_with("it has partition 1: FAT16 `RASPIFIRM`, partition 2: ext3 `old`"), "{text}");
    let Some(text) = said(&plain, &root) else { return };
    assert!(
        text.starts_with("no FAT in the image has `sysconf.txt` or the Raspberry Pi's firmware"),
        "{text}"
    );
    // A FAT whose boot sector claims more than its partition has.
    boot.window().write_all_at(32, &u32::MAX.to_le_bytes()).expect("written");
    boot.window().write_all_at(19, &[0; 2]).expect("written");
    let Some(text) = said(&boot, &root) else { return };
    assert!(
        text.contains("partition 1: an unusable FAT (the FAT's boot sector is damaged: the volume has"),
        "{text}"
    );
}

#[test]
fn two_roots_of_one_size_are_not_guessed_between() {
    let Some((boot, root)) = fat(&[("sysconf.txt", "")]).zip(ext("ext4", "root")) else { return };
    let Some(image) = disk(false, &boot, &root) else { return };
    // The same once more, over the end of the disk.
    let longer = image.len() + 16 * MIB;
    image.file().set_len(longer).expect("longer");
    let script = "start=57MiB, size=16MiB, type=83\n";
    if run("sfdisk", &["--quiet", "--append", &image.arg()], script).is_none() {
        return;
    }
    image.insert(&root.path(), 57 * MIB);
    assert!(matches!(find_in(&image), Err(LayoutError::SeveralRoots(2, 3))));
    let grown = "start=57MiB, size=17MiB, type=83\n";
    image.file().set_len(longer + 4 * MIB).expect("longer");
    run("sfdisk", &["--quiet", "--no-reread", "-N", "3", &image.arg()], grown);
    assert_eq!(find_in(&image).expect("the larger one").root().number, 3);
}

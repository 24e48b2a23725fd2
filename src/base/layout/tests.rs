use super::*;
use crate::disk::testing::{TestImage, run};
use crate::error::Explain;

const MIB: u64 = 1 << 20;
/// Start and size of the partitions, in MiB.
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

/// An ext4 of `size` MiB, with a system on it or without.
fn ext4(label: &str, size: u64, has_system: bool) -> Option<TestImage> {
    let image = TestImage::empty(size * MIB);
    let tree = tempfile::tempdir().expect("a folder");
    if has_system {
        std::fs::create_dir(tree.path().join("etc")).expect("a folder");
        std::fs::write(tree.path().join("etc/os-release"), "ID=debian\n").expect("a file");
    }
    let tree = tree.path().to_str().expect("an ordinary path");
    run("mkfs.ext4", &["-q", "-L", label, "-d", tree, &image.arg()], "")?;
    Some(image)
}

/// A disk with both partitions, in an MBR or a GPT; in the GPT the boot partition is number 15.
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

/// An MBR disk with the boot FAT, the root and a larger data partition as number 3.
fn disk_with_data(boot: &TestImage, root: &TestImage, data: &TestImage) -> Option<TestImage> {
    let image = disk(false, boot, root)?;
    image.file().set_len((57 + data.len() / MIB + 1) * MIB).expect("longer");
    let script = format!("start=57MiB, size={}MiB, type=83\n", data.len() / MIB);
    run("sfdisk", &["--quiet", "--no-reread", "--append", &image.arg()], &script)?;
    image.insert(&data.path(), 57 * MIB);
    Some(image)
}

fn find_in(image: &TestImage) -> Result<Layout, LayoutError> {
    find(&image.file(), image.len())
}

#[test]
fn boot_and_root_are_found_by_content() {
    let parts = fat(&[("SYSCONF.TXT", "# hostname=\n"), ("config.txt", "")]);
    let Some((boot, root)) = parts.zip(ext4("RASPIROOT", ROOT.1, true)) else { return };
    for gpt in [false, true] {
        // The types in the MBR are swapped on purpose.
        let Some(image) = disk(gpt, &boot, &root) else { return };
        let layout = find_in(&image).expect("a layout");
        assert_eq!(layout.boot().number, if gpt { 15 } else { 1 });
        assert_eq!(layout.parts[layout.boot].content.to_string(), "FAT16 `RASPIFIRM`");
        assert_eq!(layout.parts[layout.root].content.to_string(), "ext4 `RASPIROOT`");
        assert_eq!(layout.root().start(), 41 * MIB);
    }
}

#[test]
fn root_parameter_wins_over_larger_data_partition() {
    let Some((root, data)) = ext4("RASPIROOT", ROOT.1, true).zip(ext4("data", 24, false)) else { return };
    for name in ["LABEL=RASPIROOT", "/dev/mmcblk0p2"] {
        let Some(boot) = fat(&[("cmdline.txt", &format!("console=tty1 root={name} rootwait\n"))]) else {
            return;
        };
        let Some(image) = disk_with_data(&boot, &root, &data) else { return };
        assert_eq!(find_in(&image).expect("a layout").root().number, 2, "{name}");
    }
    // Without a command line, the ext4 with a system is the root.
    let Some(boot) = fat(&[("config.txt", "")]) else { return };
    let Some(image) = disk_with_data(&boot, &root, &data) else { return };
    assert_eq!(find_in(&image).expect("a layout").root().number, 2);
}

#[test]
fn missing_or_ambiguous_root_is_refused() {
    let Some((root, data)) = ext4("root", ROOT.1, true).zip(ext4("data", 24, false)) else { return };
    let refused = |words: &str, root: &TestImage, data: &TestImage| {
        let boot = fat(&[("cmdline.txt", words)])?;
        Some(find_in(&disk_with_data(&boot, root, data)?).expect_err("no root").to_string())
    };
    let Some(text) = refused("root=LABEL=none", &root, &data) else { return };
    assert!(
        text.starts_with(
            "`cmdline.txt` names the root file system `LABEL=none`, which the image doesn't have"
        )
    );
    assert!(text.ends_with("partition 2: ext4 `root`, partition 3: ext4 `data`"), "{text}");
    let Some(text) = refused("root=LABEL=data", &root, &data) else { return };
    assert_eq!(
        text,
        "partition 3, the root file system `LABEL=data` of `cmdline.txt`, has no `/etc/os-release`"
    );
    let Some(text) = refused("root=/dev/mmcblk0p1", &root, &data) else { return };
    assert!(text.ends_with("but partition 1 holds FAT16 `RASPIFIRM`, not ext4"), "{text}");
    let Some(text) = refused("root=LABEL=root", &root, &root) else { return };
    assert!(text.ends_with("partitions 2 and 3 have that name"), "{text}");
    let Some(text) = refused("quiet", &root, &root) else { return };
    assert_eq!(text, "partitions 2 and 3 each hold a system: any of them could be the root file system");
}

#[test]
fn error_for_missing_partition_lists_present_partitions() {
    let parts = fat(&[("sysconf.txt", "")]).zip(fat(&[("readme.txt", "")]));
    let old = || {
        let image = TestImage::empty(ROOT.1 * MIB);
        run("mkfs.ext4", &["-q", "-t", "ext3", "-L", "old", &image.arg()], "")?;
        Some(image)
    };
    let Some(((boot, plain), (root, old))) = parts.zip(ext4("root", ROOT.1, true).zip(old())) else { return };
    let refused = |boot: &TestImage, root: &TestImage| {
        let error = find_in(&disk(false, boot, root)?).expect_err("no base");
        assert!(error.hint().is_some());
        Some(error.to_string())
    };
    let Some(text) = refused(&TestImage::empty(MIB), &root) else { return };
    assert_eq!(
        text,
        "the image has no FAT16 or FAT32 partition to boot from; it has partition 1: nothing but zeros, \
         partition 2: ext4 `root`"
    );
    let Some(text) = refused(&boot, &old) else { return };
    assert!(text.ends_with("it has partition 1: FAT16 `RASPIFIRM`, partition 2: ext3 `old`"), "{text}");
    let Some(text) = refused(&plain, &root) else { return };
    assert!(
        text.starts_with("no FAT in the image has `cmdline.txt`, `config.txt` or `sysconf.txt`"),
        "{text}"
    );
    // A FAT whose boot sector claims more sectors than its partition has.
    boot.window().write_all_at(32, &u32::MAX.to_le_bytes()).expect("written");
    boot.window().write_all_at(19, &[0; 2]).expect("written");
    let Some(text) = refused(&boot, &root) else { return };
    assert!(text.contains("partition 1: an unusable FAT"), "{text}");
}

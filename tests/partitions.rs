//! The boot FAT and the root file system among several partitions, logical ones included: builds write to the
//! right ones, and stop where the right one can't be told.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::bases::{Base, MAKERS, sha256};
use common::image::{JUDGES, copy_sparse};
use common::tools::{arg, command, have, output, run, said};
use common::{Profile, Sandbox};

const MIB: u64 = 1 << 20;
/// First MiB and size of the partitions of [`Card`]: recovery FAT, settings, boot FAT, root, data. The extended
/// partition begins at 20.
const RECOVERY: (u64, u64) = (1, 16);
const SETTINGS: (u64, u64) = (21, 4);
const BOOT: (u64, u64) = (26, 32);
const ROOT: (u64, u64) = (59, 32);
const DATA: (u64, u64) = (92, 48);

/// A card with NOOBS or PINN: a FAT with the recovery system, and in an extended partition the settings (5), the
/// boot FAT (6), the root (7) and a data partition larger than the root (8).
struct Card {
    /// Content of `cmdline.txt` on the boot FAT; `None`: no such file.
    words: Option<String>,
    /// More files on the recovery FAT.
    recovery: Vec<(&'static str, &'static str)>,
    /// Offset and magic number of another file system in place of the root.
    other_root: Option<(u64, &'static [u8])>,
    /// Whether the data partition holds a copy of the root file system.
    second_system: bool,
}

impl Card {
    fn with_words(words: &str) -> Self {
        Self { words: Some(words.to_owned()), recovery: Vec::new(), other_root: None, second_system: false }
    }

    fn make(&self, sandbox: &Sandbox) -> PathBuf {
        let folder = sandbox.path("card");
        fs::create_dir(&folder).expect("create the folder");
        let plain = self.system().make(&folder, "plain.img");
        let card = sandbox.work("base.img");
        let card_file = File::create(&card).expect("create the card");
        card_file.set_len(142 * MIB).expect("set the length");
        partition(&card);
        let put = |(at, size): (u64, u64), file: &Path, from: u64| {
            copy_sparse(&File::open(file).expect("open"), from, &card_file, at * MIB, size * MIB);
        };
        put(RECOVERY, &self.make_recovery(&folder), 0);
        put(SETTINGS, &made(&folder, SETTINGS.1, &["mkfs.ext4", "-q", "-L", "SETTINGS"]), 0);
        put(BOOT, &plain, MIB);
        put(ROOT, &plain, 33 * MIB);
        if let Some((at, magic)) = self.other_root {
            let mut other = vec![0; 1 << 20];
            other[at as usize..][..magic.len()].copy_from_slice(magic);
            card_file.write_all_at(&other, ROOT.0 * MIB).expect("write the other file system");
        }
        if self.second_system {
            put((DATA.0, ROOT.1), &plain, 33 * MIB);
        } else {
            put(DATA, &made(&folder, DATA.1, &["mkfs.ext4", "-q", "-L", "data"]), 0);
        }
        fs::write(sandbox.work("base.img.sha256"), format!("{}  base.img\n", sha256(&card))).expect("write");
        card
    }

    /// The boot FAT and the root, as Raspberry Pi OS has them; without `cmdline.txt`, as Debian's `sysconf.txt`
    /// family has them.
    fn system(&self) -> Base {
        let ext4 = vec!["-b", "4096", "-U", "6d616769-0000-4000-8000-00000000abcd"];
        let mut base = Base { ext4, ..Base::default() };
        if let Some(words) = &self.words {
            base.sysconf = None;
            base.on_fat.push(("cmdline.txt".to_owned(), words.clone().into_bytes()));
            base.on_ext4.push(("/etc/rpi-issue", b"Raspberry Pi reference 2026-10-01\n".to_vec()));
        }
        base
    }

    fn make_recovery(&self, folder: &Path) -> PathBuf {
        let fat =
            made(folder, RECOVERY.1, &["mkfs.vfat", "--invariant", "-F", "16", "-s", "4", "-n", "RECOVERY"]);
        let shipped = [
            ("recovery.cmdline", "runinstaller quiet ramdisk_size=32768 root=/dev/ram0 init=/init\n"),
            ("recovery.elf", "elf"),
            ("recovery.img", "img"),
            ("recovery.rfs", "rfs"),
            ("riscos-boot.bin", "bin"),
            ("bootcode.bin", "bin"),
        ];
        for (name, content) in shipped.iter().chain(&self.recovery) {
            let file = folder.join(name);
            fs::write(&file, content).expect("write the file");
            run("mcopy", &["-i", arg(&fat), arg(&file), "::"]);
        }
        fat
    }
}

/// A file system of `size` MiB, made by a program.
fn made(folder: &Path, size: u64, tool: &[&str]) -> PathBuf {
    let path = folder.join("part");
    let _ = fs::remove_file(&path);
    File::create(&path).expect("create the file").set_len(size * MIB).expect("set the length");
    run(tool[0], &[&tool[1..], &[arg(&path)]].concat());
    path
}

/// The table of the card. The chain of logical partitions isn't in the order of their positions.
fn partition(card: &Path) {
    let line = |number: u32, (at, size): (u64, u64), kind: &str| {
        format!("disk{number}: start={}, size={}, type={kind}\n", at * 2048, size * 2048)
    };
    let script = [
        "label: dos\nlabel-id: 0x6d616769\n".to_owned(),
        line(1, RECOVERY, "e"),
        line(2, (20, 121), "5"),
        line(5, SETTINGS, "83"),
        line(6, BOOT, "c"),
        line(7, ROOT, "83"),
        line(8, DATA, "83"),
    ]
    .concat();
    let mut sfdisk = command("sfdisk");
    let sfdisk = sfdisk.args(["--quiet", arg(card)]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = sfdisk.spawn().expect("start sfdisk");
    child.stdin.take().expect("stdin is piped").write_all(script.as_bytes()).expect("write the script");
    assert!(child.wait().expect("its end").success(), "sfdisk refused:\n{script}");
}

const BUILD: [&str; 4] = ["build", "--all", "-p", "magi.toml"];

/// A sandbox with the card as `base.img` and a profile; `None` if tools are missing.
fn sandbox_with(card: &Card) -> Option<Sandbox> {
    if !(have(&MAKERS) && have(&JUDGES)) {
        return None;
    }
    let sandbox = Sandbox::alone();
    card.make(&sandbox);
    Profile::small(&["common"]).base("base.img").write(&sandbox);
    Some(sandbox)
}

/// The hostname on the root partition of the built image.
fn built_hostname(sandbox: &Sandbox) -> String {
    let root = format!("{}?offset={}", arg(&sandbox.work("out/magi-caspar.img")), ROOT.0 * MIB);
    run("debugfs", &["-R", "cat /etc/hostname", &root])
}

/// Builds, and checks that the node is on partitions 6 and 7 and that all others are unchanged.
#[track_caller]
fn assert_builds(card: &Card) {
    let Some(sandbox) = sandbox_with(card) else { return };
    sandbox.run(&BUILD).ok();
    assert_eq!(built_hostname(&sandbox), "caspar\n");
    let built = sandbox.work("out/magi-caspar.img");
    let sysconf = run("mtype", &["-i", &format!("{}@@{}M", arg(&built), BOOT.0), "::sysconf.txt"]);
    assert!(sysconf.contains("\nhostname=caspar\n"), "{sysconf}");
    let found = output("e2fsck", &["-fn", &format!("{}?offset={}", arg(&built), ROOT.0 * MIB)]);
    assert!(found.status.success(), "{}", said(&found));
    let (built, base) = (fs::read(built).expect("read"), fs::read(sandbox.work("base.img")).expect("read"));
    for (first, size) in [(0, 1), RECOVERY, (20, 1), SETTINGS, (25, 1), (58, 1), (91, 1), DATA] {
        let range = (first * MIB) as usize..((first + size) * MIB) as usize;
        assert!(built[range.clone()] == base[range], "{size} MiB from MiB {first} have changed");
    }
    sandbox.run(&["verify", "out/magi-caspar.img"]).ok();
}

/// The message of a build that must fail before an image is made.
#[track_caller]
fn refused(card: &Card) -> String {
    let Some(sandbox) = sandbox_with(card) else { return String::new() };
    let message = sandbox.run(&BUILD).failed(1);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    message
}

#[test]
fn node_lands_on_logical_partitions() {
    assert_builds(&Card::with_words("console=tty1 root=/dev/mmcblk0p7 rootfstype=ext4 rootwait\n"));
}

#[test]
fn recovery_system_with_boot_files_of_its_own_is_not_the_boot_partition() {
    let mut card = Card::with_words("console=tty1 root=PARTUUID=6d616769-07 rootfstype=ext4 rootwait\n");
    card.recovery = vec![("config.txt", "gpu_mem=16\n"), ("cmdline.txt", "runinstaller root=/dev/ram0\n")];
    assert_builds(&card);
}

#[test]
fn logical_partitions_are_listed() {
    let Some(sandbox) = sandbox_with(&Card::with_words("root=/dev/mmcblk0p7\n")) else { return };
    let shown = sandbox.run(&["inspect", "base.img"]).ok().stdout;
    for line in
        ["extended partition", "ext4 `SETTINGS`", "FAT16 `RASPIFIRM`", "ext4 `RASPIROOT`", "ext4 `data`"]
    {
        assert!(shown.contains(line), "{line} in:\n{shown}");
    }
    let boxes = shown.lines().find(|line| line.starts_with("  |")).expect("the partitions to scale");
    let numbers: Vec<&str> = boxes.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).collect();
    assert_eq!(numbers, ["1", "5", "6", "7", "8"]);
    let json = sandbox.run(&["base", "show", "base.img", "--json"]).ok().json();
    let partitions = json["image"]["partitions"].as_array().expect("a list");
    let uuids: Vec<_> = partitions.iter().map(|part| part["uuid"].as_str().expect("text")).collect();
    assert_eq!(uuids[2..], ["6d616769-05", "6d616769-06", "6d616769-07", "6d616769-08"]);
    assert_eq!(json["facts"]["family"], "raspberry-pi-os");
}

#[test]
fn every_form_of_the_root_parameter_is_understood() {
    let Some(sandbox) = sandbox_with(&Card::with_words("")) else { return };
    fs::remove_file(sandbox.work("base.img.sha256")).expect("remove the checksum");
    let fat = format!("{}@@{}M", arg(&sandbox.work("base.img")), BOOT.0);
    for root in [
        "LABEL=RASPIROOT",
        "LABEL=\"RASPIROOT\"",
        "\"LABEL=RASPIROOT\"",
        "UUID=6d616769-0000-4000-8000-00000000ABCD",
        "PARTUUID=6d616769-07",
        "PARTUUID=6D616769-07",
        "/dev/mmcblk0p7",
        "/dev/nvme0n1p7",
        "/dev/sda7",
        "/dev/disk/by-label/RASPIROOT",
        "/dev/disk/by-partuuid/6d616769-07",
    ] {
        // The second line is not part of the command line.
        let words = format!("console=tty1 root=/dev/sda8 root={root} rootwait\nroot=/dev/sda8\n");
        let file = sandbox.write("cmdline.txt", words);
        run("mcopy", &["-o", "-i", &fat, arg(&file), "::"]);
        sandbox.run(&[&BUILD[..], &["--insecure-no-checksum"]].concat()).ok();
        assert_eq!(built_hostname(&sandbox), "caspar\n", "{root}");
    }
}

#[test]
fn without_root_parameter_the_only_system_is_the_root() {
    assert_builds(&Card::with_words("console=tty1 rootwait\n"));
    assert_builds(&Card { words: None, ..Card::with_words("") });
}

#[test]
fn wrong_root_parameter_is_refused_with_the_partitions() {
    insta::assert_snapshot!(refused(&Card::with_words("root=LABEL=data\n")), @"
    error: looking into the base `base.img`
      caused by: partition 8, the root file system `LABEL=data` of `cmdline.txt`, has no `/etc/os-release`
    hint: use the image as its publisher made it, or correct `root=` in `cmdline.txt` of the base image
    ");
    insta::assert_snapshot!(refused(&Card::with_words("root=/dev/mmcblk0p2\n")), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `/dev/mmcblk0p2`, but partition 2 holds an extended partition, not ext4
    hint: only ext4 can be written: use a base image with an ext4 root
    ");
    insta::assert_snapshot!(refused(&Card::with_words("root=/dev/mmcblk0p9\n")), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `/dev/mmcblk0p9`, which the image doesn't have; it has partition 1: FAT16 `RECOVERY`, partition 2: an extended partition, partition 5: ext4 `SETTINGS`, partition 6: FAT16 `RASPIFIRM`, partition 7: ext4 `RASPIROOT`, partition 8: ext4 `data`
    hint: use the image as its publisher made it, or correct `root=` in `cmdline.txt` of the base image
    ");
    insta::assert_snapshot!(refused(&Card::with_words("root=/dev/nfs\n")), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `/dev/nfs`, which the image doesn't have; it has partition 1: FAT16 `RECOVERY`, partition 2: an extended partition, partition 5: ext4 `SETTINGS`, partition 6: FAT16 `RASPIFIRM`, partition 7: ext4 `RASPIROOT`, partition 8: ext4 `data`
    hint: use the image as its publisher made it, or correct `root=` in `cmdline.txt` of the base image
    ");
    let btrfs = Card {
        other_root: Some((0x10040, b"_BHRfS_M")),
        ..Card::with_words("root=/dev/sda7 rootfstype=btrfs\n")
    };
    insta::assert_snapshot!(refused(&btrfs), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `/dev/sda7`, but partition 7 holds a btrfs file system, not ext4
    hint: only ext4 can be written: use a base image with an ext4 root
    ");
    let f2fs = Card {
        other_root: Some((0x400, b"\x10\x20\xf5\xf2")),
        ..Card::with_words("root=PARTUUID=6d616769-07\n")
    };
    insta::assert_snapshot!(refused(&f2fs), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `PARTUUID=6d616769-07`, but partition 7 holds an F2FS file system, not ext4
    hint: only ext4 can be written: use a base image with an ext4 root
    ");
}

#[test]
fn several_or_no_systems_are_refused_with_the_partitions() {
    let two = |words| Card { second_system: true, ..Card::with_words(words) };
    insta::assert_snapshot!(refused(&two("rootwait\n")), @"
    error: looking into the base `base.img`
      caused by: partitions 7 and 8 each hold a system: any of them could be the root file system
    hint: name the root file system with `root=` in `cmdline.txt` of the base image
    ");
    insta::assert_snapshot!(refused(&two("root=LABEL=RASPIROOT\n")), @"
    error: looking into the base `base.img`
      caused by: `cmdline.txt` names the root file system `LABEL=RASPIROOT`: partitions 7 and 8 have that name
    hint: use the image as its publisher made it, or correct `root=` in `cmdline.txt` of the base image
    ");
    assert_builds(&two("root=/dev/mmcblk0p7\n"));
    let none = Card { other_root: Some((0, b"")), ..Card::with_words("rootwait\n") };
    insta::assert_snapshot!(refused(&none), @"
    error: looking into the base `base.img`
      caused by: none of the ext4 partitions has an `/etc/os-release`; the image has partition 1: FAT16 `RECOVERY`, partition 2: an extended partition, partition 5: ext4 `SETTINGS`, partition 6: FAT16 `RASPIFIRM`, partition 7: nothing but zeros, partition 8: ext4 `data`
    hint: use the image as its publisher made it
    ");
}

#[test]
fn several_boot_partitions_are_refused_by_number() {
    let with = |name, content, words: Option<&str>| Card {
        recovery: vec![(name, content)],
        words: words.map(str::to_owned),
        ..Card::with_words("")
    };
    insta::assert_snapshot!(refused(&with("cmdline.txt", "root=/dev/sda8\n", Some("root=/dev/sda7\n"))), @"
    error: looking into the base `base.img`
      caused by: partitions 1 and 6 each hold a `cmdline.txt`: any of them could be the boot partition
    hint: use a base image with one system, or remove the boot files of the others
    ");
    insta::assert_snapshot!(refused(&with("cmdline.txt", "quiet\n", Some("rootwait\n"))), @"
    error: looking into the base `base.img`
      caused by: partitions 1 and 6 each hold a `cmdline.txt`: any of them could be the boot partition
    hint: use a base image with one system, or remove the boot files of the others
    ");
    insta::assert_snapshot!(refused(&with("config.txt", "gpu_mem=16\n", None)), @"
    error: looking into the base `base.img`
      caused by: partitions 1 and 6 each hold a `config.txt`: any of them could be the boot partition
    hint: use a base image with one system, or remove the boot files of the others
    ");
}

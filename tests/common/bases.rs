//! Test base images, made with sfdisk, sgdisk, mkfs and mtools.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::image::copy_sparse;
use super::tools::{arg, command, output, run, said};

/// The programs that [`Base::make`] needs.
pub const MAKERS: [&str; 6] = ["sfdisk", "sgdisk", "mkfs.vfat", "mcopy", "mkfs.ext4", "debugfs"];

const MIB: u64 = 1 << 20;

/// The partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// MBR, as on images of raspi.debian.net.
    Mbr,
    /// GPT with a protective MBR.
    Gpt,
    /// GPT with a hybrid MBR, as on Debian's cloud images.
    HybridGpt,
}

/// Description of a base image; the default is a small image of the raspi.debian.net family.
#[derive(Debug, Clone)]
pub struct Base {
    /// The partition table.
    pub table: Table,
    /// Partition numbers of boot and root.
    pub numbers: (u32, u32),
    /// Whether the root partition is before the boot partition.
    pub root_first: bool,
    /// Options of mkfs.vfat.
    pub fat: Vec<&'static str>,
    /// Size of the FAT in MiB.
    pub fat_size: u64,
    /// Options of mkfs.ext4.
    pub ext4: Vec<&'static str>,
    /// Programs with arguments that change the ext4 after mkfs.ext4; e2fsck may exit with 1.
    pub tune: Vec<&'static [&'static str]>,
    /// Size of the ext4 in MiB.
    pub ext4_size: u64,
    /// Content of `sysconf.txt`; `None`: no such file.
    pub sysconf: Option<&'static str>,
    /// Additional files on the FAT.
    pub on_fat: Vec<(String, Vec<u8>)>,
    /// Additional files on the ext4, by path.
    pub on_ext4: Vec<(&'static str, Vec<u8>)>,
}

/// `sysconf.txt` as shipped: every setting is commented out.
pub const SYSCONF: &str = "\
# Settings for the first boot.
#root_pw=
#root_authorized_key=
# the name in the network
#hostname=rpi
";

impl Default for Base {
    fn default() -> Self {
        Self {
            table: Table::Mbr,
            numbers: (1, 2),
            root_first: false,
            fat: vec!["-F", "16", "-s", "4"],
            fat_size: 32,
            ext4: vec!["-b", "4096"],
            tune: Vec::new(),
            ext4_size: 32,
            sysconf: Some(SYSCONF),
            on_fat: vec![("config.txt".into(), b"arm_64bit=1\n".to_vec())],
            on_ext4: Vec::new(),
        }
    }
}

impl Base {
    /// Makes the raw image `name` in `folder`.
    pub fn make(&self, folder: &Path, name: &str) -> PathBuf {
        let work = tempfile::tempdir().expect("create a temporary folder");
        let (fat, ext4) = (work.path().join("fat"), work.path().join("ext4"));
        self.make_fat(&fat);
        self.make_ext4(&ext4, &work.path().join("tree"));
        let image = folder.join(name);
        let length = (self.fat_size + self.ext4_size + 3) * MIB;
        File::create(&image).expect("create the image").set_len(length).expect("set the length");
        let (fat_at, ext4_at) = if self.root_first {
            ((1 + self.ext4_size) * MIB, MIB)
        } else {
            (MIB, (1 + self.fat_size) * MIB)
        };
        match self.table {
            Table::Mbr => self.write_mbr(&image, fat_at, ext4_at),
            Table::Gpt | Table::HybridGpt => self.write_gpt(&image, fat_at, ext4_at),
        }
        let disk = File::options().write(true).open(&image).expect("open the image");
        for (part, at) in [(&fat, fat_at), (&ext4, ext4_at)] {
            let part = File::open(part).expect("open the partition");
            copy_sparse(&part, 0, &disk, at, part.metadata().expect("read the metadata").len());
        }
        image
    }

    fn write_mbr(&self, image: &Path, fat_at: u64, ext4_at: u64) {
        let line = |number: u32, at: u64, size: u64, kind: &str| {
            format!("disk{number} : start={}, size={}, type={kind}\n", at / 512, size * MIB / 512)
        };
        let fat = line(self.numbers.0, fat_at, self.fat_size, "c");
        let ext4 = line(self.numbers.1, ext4_at, self.ext4_size, "83");
        let script = format!("label: dos\nlabel-id: 0x6d616769\n{fat}{ext4}");
        let mut sfdisk = command("sfdisk");
        let sfdisk = sfdisk.args(["--quiet", arg(image)]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = sfdisk.spawn().expect("start sfdisk");
        child.stdin.take().expect("stdin is piped").write_all(script.as_bytes()).expect("write the script");
        assert!(child.wait().expect("its end").success(), "sfdisk refused:\n{script}");
    }

    fn write_gpt(&self, image: &Path, fat_at: u64, ext4_at: u64) {
        let (boot, root) = self.numbers;
        let new = |number: u32, at: u64, size: u64| format!("{number}:{}:+{}", at / 512, size * MIB / 512);
        let mut args = vec![
            "--set-alignment=1".to_owned(),
            format!("--new={}", new(boot, fat_at, self.fat_size)),
            format!("--typecode={boot}:ef00"),
            format!("--new={}", new(root, ext4_at, self.ext4_size)),
            format!("--typecode={root}:8305"),
        ];
        if self.table == Table::HybridGpt {
            args.push(format!("--hybrid={boot}"));
        }
        args.push(arg(image).to_owned());
        run("sgdisk", &args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn make_fat(&self, path: &Path) {
        File::create(path).expect("create the FAT").set_len(self.fat_size * MIB).expect("set the length");
        let options = ["--invariant", "-n", "RASPIFIRM"].iter().chain(&self.fat).copied();
        run("mkfs.vfat", &options.chain([arg(path)]).collect::<Vec<_>>());
        let files = tempfile::tempdir().expect("create a temporary folder");
        let sysconf = self.sysconf.map(|text| ("sysconf.txt".to_owned(), text.as_bytes().to_vec()));
        for (name, content) in self.on_fat.iter().cloned().chain(sysconf) {
            fs::write(files.path().join(name), content).expect("write the file");
        }
        let mut names: Vec<String> = super::sandbox::names(files.path());
        names.iter_mut().for_each(|name| *name = arg(&files.path().join(&*name)).to_owned());
        let mut args = vec!["-i", arg(path), "-m"];
        args.extend(names.iter().map(String::as_str));
        args.push("::");
        run("mcopy", &args);
    }

    fn make_ext4(&self, path: &Path, tree: &Path) {
        self.make_tree(tree);
        File::create(path).expect("create the ext4").set_len(self.ext4_size * MIB).expect("set the length");
        let fixed = ["-q", "-L", "RASPIROOT", "-E", "root_owner=0:0,lazy_itable_init=0", "-d", arg(tree)];
        run("mkfs.ext4", &self.ext4.iter().copied().chain(fixed).chain([arg(path)]).collect::<Vec<_>>());
        for tool in &self.tune {
            let ran = output(tool[0], &[&tool[1..], &[arg(path)]].concat());
            assert!(matches!(ran.status.code(), Some(0 | 1)), "{tool:?}: {}", said(&ran));
        }
    }

    /// A minimal Debian tree: merged `/usr`, accounts, network configuration, dpkg status.
    fn make_tree(&self, tree: &Path) {
        let folders = [
            "usr/bin",
            "usr/sbin",
            "usr/lib/systemd/system",
            "usr/local/bin",
            "boot/firmware",
            "dev",
            "proc",
            "sys",
            "run",
            "tmp",
            "root",
            "etc/network/interfaces.d",
            "etc/ssh/sshd_config.d",
            "etc/default",
            "etc/apt",
            "etc/systemd/system/multi-user.target.wants",
            "etc/systemd/system/sysinit.target.wants",
            "var/lib/dpkg",
            "var/log",
            "usr/share/zoneinfo/Etc",
        ];
        for folder in folders {
            fs::create_dir_all(tree.join(folder)).expect("create the folder");
        }
        for name in ["bin", "sbin", "lib"] {
            symlink(format!("usr/{name}"), tree.join(name)).expect("create the symlink");
        }
        symlink("../usr/lib/os-release", tree.join("etc/os-release")).expect("create the symlink");
        let files: [(&str, &str); 7] = [
            (
                "usr/lib/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\n",
            ),
            ("etc/hostname", "rpi\n"),
            ("etc/hosts", "127.0.0.1\tlocalhost\n"),
            ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
            ("etc/shadow", "root::19670:0:99999:7:::\ndaemon:*:19670:0:99999:7:::\n"),
            ("etc/network/interfaces.d/eth0", "auto eth0\niface eth0 inet dhcp\n"),
            ("var/lib/dpkg/status", "Package: apt\nStatus: install ok installed\nArchitecture: arm64\n\n"),
        ];
        for (path, content) in files {
            fs::write(tree.join(path), content).expect("write the file");
        }
        for (path, content) in &self.on_ext4 {
            let path = tree.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("path has a parent folder")).expect("create the folder");
            fs::write(path, content).expect("write the file");
        }
    }
}

/// Compresses `image` into the same folder.
///
/// `how` is one of `xz`, `xz-blocks`, `xz-streams`, `gz`, `gz-members`, `zst`, `tar.xz`.
pub fn pack(image: &Path, how: &str) -> PathBuf {
    let ending = how.split_once('-').map_or(how, |(ending, _)| ending);
    let packed = if how == "tar.xz" { "base.tar.xz".to_owned() } else { format!("{how}.img.{ending}") };
    let packed = image.with_file_name(packed);
    let name = image.file_name().and_then(|n| n.to_str()).expect("file name is UTF-8");
    let pipeline = match how {
        "xz" => "xz -1 -T1 -c NAME",
        "xz-blocks" => "xz -1 -T1 --block-size=4MiB -c NAME",
        "xz-streams" => "head -c 20971520 NAME | xz -1 -c; tail -c +20971521 NAME | xz -1 -c",
        "gz" => "gzip -1 -c NAME",
        "gz-members" => "head -c 20971520 NAME | gzip -1 -c; tail -c +20971521 NAME | gzip -1 -c",
        "zst" => "zstd -q -1 -c NAME",
        "tar.xz" => "tar -c --transform s/NAME/disk.raw/ NAME | xz -1 -c",
        _ => panic!("unknown compression {how}"),
    };
    let script = format!("set -e; ({}) > \"$1\"", pipeline.replace("NAME", name));
    let mut shell = command("sh");
    shell
        .args(["-c", &script, "sh", arg(&packed)])
        .current_dir(image.parent().expect("path has a parent folder"));
    assert!(shell.status().expect("sh").success(), "{script}");
    packed
}

/// The SHA-256 of a file, computed by coreutils.
pub fn sha256(path: &Path) -> String {
    run("sha256sum", &[arg(path)])[..64].to_owned()
}

/// Writes the correct checksum of `file` beside it, as publishers do.
pub fn write_checksum(file: &Path) {
    let name = file.file_name().and_then(|n| n.to_str()).expect("file name is UTF-8");
    let list = file.with_file_name(format!("{name}.sha256"));
    fs::write(list, format!("{}  {name}\n", sha256(file))).expect("write the checksum");
}

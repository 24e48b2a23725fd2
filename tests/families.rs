//! Base families without a `sysconf.txt`: other programs check the files of a node.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use common::bases::{Base, MAKERS, Table, write_checksum};
use common::image::{Image, JUDGES};
use common::tools::{arg, have, run};
use common::{Profile, Sandbox};

const BOOT_FILES: [(&str, &str); 2] =
    [("cmdline.txt", "console=tty0 root=LABEL=RASPIROOT\n"), ("config.txt", "arm_64bit=1\n")];

/// Debian's cloud image: hybrid GPT, FAT on partition 15, no account with a password, no sshd.
fn debian_cloud() -> Base {
    Base {
        table: Table::HybridGpt,
        numbers: (15, 1),
        on_ext4: vec![
            ("/etc/cloud-release", b"ID=raspi\nVERSION=\"20261101-1\"\n".to_vec()),
            ("/etc/shadow", b"root:!unprovisioned:20600:0:99999:7:::\n".to_vec()),
        ],
        ..raspberry_pi_os()
    }
}

fn raspberry_pi_os() -> Base {
    Base {
        sysconf: None,
        on_fat: BOOT_FILES.map(|(name, text)| (name.to_owned(), text.into())).to_vec(),
        on_ext4: vec![("/etc/rpi-issue", b"Raspberry Pi reference 2026-10-01\n".to_vec())],
        ..Base::default()
    }
}

/// Builds caspar with a static address on `base`.
fn built(base: &Base) -> Option<(Sandbox, Image)> {
    if !(have(&MAKERS) && have(&JUDGES)) {
        return None;
    }
    let sandbox = Sandbox::alone();
    write_checksum(&base.make(&sandbox.path("work"), "base.img"));
    let fixed = Profile::fixed().nodes(&["name = \"caspar\"\naddress = \"10.0.0.13/24\""]);
    fixed.uses(&["common"]).base("base.img").write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
    let image = Image::open(&sandbox.work("out/magi-caspar.img"));
    image.judge();
    Some((sandbox, image))
}

/// Checks that hold for every family.
fn check_identity(image: &Image) {
    assert!(image.on_fat("sysconf.txt").contains("\nhostname=caspar\n"));
    assert_eq!(image.cat("/etc/hostname"), "caspar\n");
    assert!(image.cat("/etc/shadow").starts_with("root:*:"));
    // `magi-sysconf.service` applies `sysconf.txt`, because the base has no service for it.
    let wants = "/etc/systemd/system/sysinit.target.wants/magi-sysconf.service";
    assert_eq!(image.link(wants), "/etc/systemd/system/magi-sysconf.service");
    assert_eq!(image.stat("/usr/local/sbin/magi-sysconf").mode, "0755");
}

#[test]
fn debian_cloud_node_has_netplan_and_grow_root_step() {
    let Some((sandbox, image)) = built(&debian_cloud()) else { return };
    check_identity(&image);
    let netplan = image.cat("/etc/netplan/90-default.yaml");
    assert!(netplan.contains("addresses: [\"10.0.0.13/24\"]"), "{netplan}");
    assert_eq!(image.stat("/etc/netplan/90-default.yaml").mode, "0600");
    // `raspi-extra-cmdline` keeps `net.ifnames=0` when a kernel update rewrites `cmdline.txt`.
    assert_eq!(image.on_fat("cmdline.txt"), "console=tty0 root=LABEL=RASPIROOT net.ifnames=0\n");
    assert_eq!(image.cat("/etc/default/raspi-extra-cmdline"), "net.ifnames=0\n");
    assert!(
        image.cat("/etc/magi/packages").lines().next().is_some_and(|line| line.contains("openssh-server"))
    );
    assert!(image.has("/usr/local/lib/magi/firstboot.d/05-grow-root"));
    let table = run("sgdisk", &["-v", arg(&sandbox.work("out/magi-caspar.img"))]);
    assert!(table.contains("No problems found"), "{table}");
    let again = sandbox.run(&["base", "show", "out/magi-caspar.img"]).ok().stdout;
    assert!(again.contains("family    debian-cloud\nbuild     possible\n"), "{again}");
}

#[test]
fn raspberry_pi_os_node_has_networkmanager_and_no_user_setup() {
    let Some((_sandbox, image)) = built(&raspberry_pi_os()) else { return };
    check_identity(&image);
    assert!(!image.has("/etc/default/raspi-extra-cmdline"));
    let connection = "/etc/NetworkManager/system-connections/magi-wired.nmconnection";
    assert!(image.cat(connection).contains("10.0.0.13/24"));
    assert_eq!(image.stat(connection).mode, "0600");
    assert_eq!(image.link("/etc/systemd/system/userconfig.service"), "/dev/null");
    let ssh = "/etc/systemd/system/multi-user.target.wants/ssh.service";
    assert_eq!(image.link(ssh), "/usr/lib/systemd/system/ssh.service");
    assert!(image.has("/etc/cloud/cloud-init.disabled"));
    assert!(!image.has("/usr/local/lib/magi/firstboot.d/05-grow-root"));
}

/// `cmdline.txt`, `config.txt`, and the files that Debian regenerates them from; `None` without such a file.
fn boot_settings(image: &Image) -> [Option<String>; 4] {
    let on_root = |path: &str| image.has(path).then(|| image.cat(path));
    let [words, lines] =
        ["raspi-extra-cmdline", "raspi-firmware-custom"].map(|name| format!("/etc/default/{name}"));
    [Some(image.on_fat("cmdline.txt")), Some(image.on_fat("config.txt")), on_root(&words), on_root(&lines)]
}

#[test]
fn kernel_words_and_firmware_lines_of_overlays_are_written_where_they_last() {
    if !have(&JUDGES) {
        return;
    }
    let overlay = "summary = \"x\"\n[[kernel]]\nwords = [\"panic=5\", \"{{ '' }}\"]\n\
                   [[firmware]]\nlines = [\"dtoverlay=disable-wifi\"]\n\
                   [[firmware]]\nlines = [\"never=1\"]\nwhen = \"false\"\n";
    for (sample, is_regenerated) in [("sample", true), ("sample-b", true), ("sample-c", false)] {
        let sandbox = Sandbox::new();
        sandbox.write("work/overlays/board/overlay.toml", overlay);
        Profile::small(&["board"]).base(sample).write(&sandbox);
        sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
        let image = Image::open(&sandbox.work("out/magi-caspar.img"));
        image.judge();
        let [cmdline, config, words, lines] = boot_settings(&image).map(Option::unwrap_or_default);
        assert!(cmdline.lines().next().is_some_and(|line| line.ends_with(" panic=5")), "{sample}: {cmdline}");
        assert!(config.ends_with("\ndtoverlay=disable-wifi\n"), "{sample}: {config}");
        assert!(!config.contains("never"));
        assert_eq!(words.contains("panic=5"), is_regenerated, "{sample}: {words}");
        assert_eq!(lines, if is_regenerated { "dtoverlay=disable-wifi\n" } else { "" }, "{sample}");
    }
}

#[test]
fn memory_cgroup_is_enabled_where_the_kernel_leaves_it_off() {
    for (sample, is_off) in [("sample", false), ("sample-b", false), ("sample-c", true)] {
        let sandbox = Sandbox::new();
        Profile::small(&["k3s"]).base(sample).write(&sandbox);
        let plan = sandbox.run(&["plan", "--all", "-p", "magi.toml", "--json"]).ok().stdout;
        assert_eq!(plan.contains("cgroup_memory=1 cgroup_enable=memory"), is_off, "{sample}");
    }
}

/// Bookworm's first boot grows the root from an init of its own, and it has no cloud-init.
#[test]
fn raspberry_pi_os_bookworm_keeps_its_init_that_grows_the_root() {
    let words = "console=tty1 root=PARTUUID=6d616769-02 rootfstype=ext4 fsck.repair=yes rootwait quiet \
                 init=/usr/lib/raspberrypi-sys-mods/firstboot";
    let mut bookworm = raspberry_pi_os();
    bookworm.on_fat[0].1 = format!("{words}\n").into_bytes();
    let os =
        b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n".to_vec();
    bookworm.on_ext4.push(("/usr/lib/os-release", os));
    let Some((_sandbox, image)) = built(&bookworm) else { return };
    check_identity(&image);
    assert_eq!(image.on_fat("cmdline.txt"), format!("{words}\n"));
    assert!(!image.has("/usr/local/lib/magi/firstboot.d/05-grow-root"));
    assert_eq!(image.link("/etc/systemd/system/userconfig.service"), "/dev/null");
    let units = image.debugfs("ls -p /etc/systemd/system")
        + &image.debugfs("ls -p /etc/systemd/system/multi-user.target.wants");
    assert!(!units.contains("cloud-"), "units of cloud-init don't exist there: {units}");
}

#[test]
fn kernel_words_without_cmdline_txt_are_refused() {
    if !have(&MAKERS) {
        return;
    }
    let sandbox = Sandbox::alone();
    let mut base = raspberry_pi_os();
    base.on_fat.remove(0);
    base.make(&sandbox.path("work"), "base.img");
    sandbox.write("work/overlays/board/overlay.toml", "summary = \"x\"\n[[kernel]]\nwords = [\"panic=5\"]\n");
    Profile::small(&["board"]).base("base.img").write(&sandbox);
    let ran = sandbox.run(&["build", "--all", "-p", "magi.toml", "-q", "--insecure-no-checksum"]);
    insta::assert_snapshot!(ran.failed(2), @"
    error: building the image of `caspar`
      caused by: the base has no `cmdline.txt` for the words that `board` adds to the kernel's command line
    hint: use a base image with a `cmdline.txt` on its boot partition
    ");
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn samples_of_all_families_build_and_are_recognised() {
    if !have(&JUDGES) {
        return;
    }
    for (sample, family) in
        [("sample", "raspi-debian"), ("sample-b", "debian-cloud"), ("sample-c", "raspberry-pi-os")]
    {
        let sandbox = Sandbox::new();
        let shown = sandbox.run(&["base", "show", sample, "--json"]).ok().json();
        assert_eq!(shown["facts"]["family"], family, "{shown}");
        Profile::small(&["common"]).base(sample).write(&sandbox);
        sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
        for image in sandbox.out().iter().filter(|name| name.ends_with(".img")) {
            Image::open(&sandbox.work("out").join(image)).judge();
        }
    }
}

//! Base families without a `sysconf.txt`: other programs check the files of a node.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;

use common::bases::{Base, MAKERS, Table, sha256};
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
    let raw = base.make(&sandbox.path("work"), "base.img");
    fs::write(sandbox.work("base.img.sha256"), format!("{}  base.img\n", sha256(&raw)))
        .expect("write the checksum");
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
    let again = sandbox.run(&["base", "show", "out/magi-caspar.img", "--insecure-no-checksum"]).ok().stdout;
    assert!(again.contains("debian-cloud: builds can use it"), "{again}");
}

#[test]
fn raspberry_pi_os_node_has_networkmanager_and_no_user_setup() {
    let Some((_sandbox, image)) = built(&raspberry_pi_os()) else { return };
    check_identity(&image);
    let words = image.on_fat("cmdline.txt");
    assert!(words.ends_with("cgroup_memory=1 cgroup_enable=memory\n"), "{words}");
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
    assert_eq!(image.on_fat("cmdline.txt"), format!("{words} cgroup_memory=1 cgroup_enable=memory\n"));
    assert!(!image.has("/usr/local/lib/magi/firstboot.d/05-grow-root"));
    assert_eq!(image.link("/etc/systemd/system/userconfig.service"), "/dev/null");
    let units = image.debugfs("ls -p /etc/systemd/system")
        + &image.debugfs("ls -p /etc/systemd/system/multi-user.target.wants");
    assert!(!units.contains("cloud-"), "units of cloud-init don't exist there: {units}");
}

#[test]
fn raspberry_pi_os_without_command_line_is_refused() {
    if !have(&MAKERS) {
        return;
    }
    let sandbox = Sandbox::alone();
    let mut base = raspberry_pi_os();
    base.on_fat.remove(0);
    base.make(&sandbox.path("work"), "base.img");
    Profile::small(&["common"]).base("base.img").write(&sandbox);
    let ran = sandbox.run(&["build", "--all", "-p", "magi.toml", "-q", "--insecure-no-checksum"]);
    insta::assert_snapshot!(ran.failed(2), @"
    error: building the image of `caspar`
      caused by: the base has no `cmdline.txt` for the words that `base` adds to the kernel's command line
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

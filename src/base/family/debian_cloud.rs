//! Family B: Debian's cloud image `raspi` (Debian 13 and later). No cloud-init and no sshd: systemd-firstboot asks
//! for time zone and root password, netplan and systemd-networkd configure the network, nothing grows the root
//! partition.

use super::{Driver, Evidence};
use crate::plan::{BaseFacts, BaseNetwork, BaseSsh};

pub(super) const DRIVER: Driver = Driver {
    title: "Debian's cloud image `raspi`",
    marks: "`ID=raspi` in `/etc/cloud-release`",
    recognises: |evidence| evidence.os("ID") == "debian" && evidence.cloud("ID") == "raspi",
    refuses: |_| None,
    facts,
};

fn facts(evidence: &Evidence) -> BaseFacts {
    let ssh = if evidence.has_package("openssh-server") { BaseSsh::Enabled } else { BaseSsh::Missing };
    BaseFacts {
        family: "debian-cloud",
        codename: evidence.os("VERSION_CODENAME").to_owned(),
        arch: evidence.architecture().to_owned(),
        sample: evidence.sample,
        boot_mount: "/boot/firmware",
        network: BaseNetwork::Netplan,
        ssh,
        applies_sysconf: false,
        grows_root: false,
        growth_words: &[],
        first_boot_after: &["systemd-firstboot.service", "boot-firmware.mount"],
        packages: if ssh == BaseSsh::Missing { &["openssh-server"] } else { &[] },
        // The first update of kernel or firmware rewrites `cmdline.txt` with this word, which renames the wired
        // port: with the word from the start, the port keeps one name.
        kernel_words: &["net.ifnames=0"],
        kernel_words_file: Some("/etc/default/raspi-extra-cmdline"),
        firmware_lines_file: Some("/etc/default/raspi-firmware-custom"),
        masked_units: &[],
        enabled_units: &[],
    }
}

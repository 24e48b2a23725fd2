//! Family A: Debian's images of raspi.debian.net. `rpi-set-sysconf` applies `sysconf.txt` at each boot, ifupdown
//! configures the network, the initramfs grows the root partition.

use super::{Driver, Evidence};
use crate::plan::{BaseFacts, BaseNetwork, BaseSsh};

pub(super) const DRIVER: Driver = Driver {
    title: "Debian of raspi.debian.net",
    marks: "a `sysconf.txt` on its boot partition",
    recognises: |evidence| evidence.os("ID") == "debian" && evidence.boots_with("sysconf.txt"),
    refuses: |_| None,
    facts,
};

fn facts(evidence: &Evidence) -> BaseFacts {
    BaseFacts {
        family: "raspi-debian",
        codename: evidence.os("VERSION_CODENAME").to_owned(),
        arch: evidence.architecture().to_owned(),
        sample: evidence.sample,
        boot_mount: "/boot/firmware",
        network: BaseNetwork::Ifupdown,
        ssh: BaseSsh::Enabled,
        applies_sysconf: true,
        grows_root: true,
        growth_words: &[],
        first_boot_after: &["rpi-set-sysconf.service", "rpi-generate-ssh-host-keys.service"],
        packages: &[],
        kernel_words: &[],
        // `rpi-reconfigure-raspi-firmware` regenerates `cmdline.txt` at first boot.
        kernel_words_file: Some("/etc/default/raspi-extra-cmdline"),
        firmware_lines_file: Some("/etc/default/raspi-firmware-custom"),
        masked_units: &[],
        enabled_units: &[],
    }
}

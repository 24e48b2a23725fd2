//! Family C: Raspberry Pi OS Lite (bookworm and trixie, arm64). `NetworkManager` configures the network, the word
//! `resize` on the kernel's command line grows the root partition, sshd is installed and disabled, a dialogue asks
//! for the first user. cloud-init (trixie) would set the hostname again at each boot.

use super::{Driver, Evidence, Refusal};
use crate::plan::{BaseFacts, BaseNetwork, BaseSsh};

pub(super) const DRIVER: Driver = Driver {
    title: "Raspberry Pi OS",
    marks: "an `/etc/rpi-issue`",
    recognises: |evidence| evidence.has("/etc/rpi-issue"),
    refuses,
    facts,
};

/// Packages that only images with a desktop have.
const DESKTOP: [&str; 4] = ["lightdm", "raspberrypi-ui-mods", "rpd-wayland-core", "rpd-x-core"];

fn refuses(evidence: &Evidence) -> Option<Refusal> {
    let lite = "use the Lite image for 64 bit, `raspios-13`";
    if DESKTOP.iter().any(|package| evidence.has_package(package)) {
        return Some(Refusal { what: "Raspberry Pi OS with a desktop", hint: lite });
    }
    if evidence.architecture() == "armhf" {
        return Some(Refusal { what: "Raspberry Pi OS for 32 bit", hint: lite });
    }
    None
}

fn facts(evidence: &Evidence) -> BaseFacts {
    BaseFacts {
        family: "raspberry-pi-os",
        codename: evidence.os("VERSION_CODENAME").to_owned(),
        arch: evidence.architecture().to_owned(),
        sample: evidence.sample,
        boot_mount: "/boot/firmware",
        network: BaseNetwork::NetworkManager,
        ssh: BaseSsh::Disabled,
        applies_sysconf: false,
        grows_root: true,
        growth_words: &["resize"],
        first_boot_after: &["boot-firmware.mount", "regenerate_ssh_host_keys.service"],
        packages: &[],
        kernel_words: &[],
        // Neither `cmdline.txt` nor `config.txt` is regenerated here.
        kernel_words_file: None,
        firmware_lines_file: None,
        masked_units: &["userconfig.service"],
        enabled_units: &[("multi-user.target", "ssh.service")],
    }
}

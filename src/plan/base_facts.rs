//! What overlays and `compose` may know of the base.

use serde::Serialize;

/// Facts of a base image, by its family and by what it contains; templates see them under `base`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BaseFacts {
    /// The family of images that it belongs to.
    pub(crate) family: &'static str,
    /// Debian's name for its release, from `/etc/os-release`.
    pub(crate) codename: String,
    /// The architecture of the packages, such as `arm64`.
    pub(crate) arch: String,
    /// Whether it is a built-in sample.
    pub(crate) sample: bool,
    /// Where the running system mounts the FAT.
    pub(crate) boot_mount: &'static str,
    /// What configures the network.
    pub(crate) network: BaseNetwork,
    pub(crate) ssh: BaseSsh,
    /// Whether the base itself applies `sysconf.txt` at boot.
    pub(crate) applies_sysconf: bool,
    /// Whether the base itself grows the root partition to the card.
    pub(crate) grows_root: bool,
    /// Words on the kernel's command line that make the base grow its root partition.
    pub(crate) growth_words: &'static [&'static str],
    /// Units that first boot is ordered after.
    pub(crate) first_boot_after: &'static [&'static str],
    /// Packages that the base lacks and every node needs, installed before all others.
    pub(crate) packages: &'static [&'static str],
    /// Words that the kernel needs on this base.
    pub(crate) kernel_words: &'static [&'static str],
    /// The file on the root that kernel words must stand in as well, because the base regenerates `cmdline.txt`.
    pub(crate) kernel_words_file: Option<&'static str>,
    /// The same for lines of `config.txt`.
    pub(crate) firmware_lines_file: Option<&'static str>,
    /// Units that must not run.
    pub(crate) masked_units: &'static [&'static str],
    /// Units that must run, each with the target that wants it.
    pub(crate) enabled_units: &'static [(&'static str, &'static str)],
}

/// What configures the network of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BaseNetwork {
    Ifupdown,
    Netplan,
    NetworkManager,
}

/// Whether a base has an ssh server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BaseSsh {
    Enabled,
    /// Installed, but not started at boot.
    Disabled,
    /// Not installed.
    Missing,
}

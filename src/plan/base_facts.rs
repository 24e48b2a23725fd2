use serde::Serialize;

/// Facts about a base image; templates have them under `base`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BaseFacts {
    /// Such as `raspi-debian`.
    pub(crate) family: String,
    /// The codename of the Debian release, from `/etc/os-release`.
    pub(crate) codename: String,
    /// The architecture of the packages, such as `arm64`.
    pub(crate) arch: String,
    /// Whether the base is the built-in sample.
    pub(crate) sample: bool,
    /// The folder where the running system mounts the FAT.
    pub(crate) boot_mount: String,
}

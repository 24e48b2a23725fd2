//! What overlays may know of the base.

use serde::Serialize;

/// Facts read from a base image, as templates see them under `base`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct BaseFacts {
    /// The family of images it belongs to, as `raspi-debian`.
    pub(crate) family: String,
    /// Debian's name for its release, from `/etc/os-release`.
    pub(crate) codename: String,
    /// The architecture of its packages, as `arm64`.
    pub(crate) arch: String,
    /// Whether it is the built-in sample.
    pub(crate) sample: bool,
    /// Where the running system mounts the FAT.
    pub(crate) boot_mount: String,
}

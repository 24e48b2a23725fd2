//! What a base image says about itself: its layout, family, release and architecture.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::base::layout::{self, Layout};
use crate::disk::ext4;
use crate::error::{Context as _, FileError, Result};
use crate::plan::BaseFacts;

/// Where family A mounts its FAT.
const BOOT_MOUNT: &str = "/boot/firmware";
/// The raspi.debian.net family, known by its `sysconf.txt`.
pub(crate) const RASPI_DEBIAN: &str = "raspi-debian";

/// A base that was looked into.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// Its partitions.
    pub(crate) layout: Layout,
    /// What overlays may depend on.
    pub(crate) facts: BaseFacts,
    /// Bytes of the raw image.
    pub(crate) size: u64,
    /// The time given to all that is written: the base's own last write, in seconds since 1970.
    pub(crate) stamp: u32,
}

/// Looks into the raw image at `path`.
pub(crate) fn survey(path: &Path, sample: bool) -> Result<Survey> {
    let file = Arc::new(File::open(path).map_err(FileError::new("read", path))?);
    let looking = || format!("looking into the base `{}`", path.display());
    let size = file.metadata().map_err(FileError::new("read", path))?.len();
    let layout = layout::find(&file, size).while_doing(looking)?;
    let window = layout.root().read_only(&file).map_err(FileError::new("read", path))?;
    // An unclean one can't always be opened; that it is unclean is what the user should hear.
    ext4::Superblock::read(&window)
        .and_then(|s| s.require_clean().and_then(|()| s.require_known_features()))
        .while_doing(looking)?;
    let root = ext4::Reader::open(&window).while_doing(looking)?;
    let facts = BaseFacts {
        family: RASPI_DEBIAN.to_owned(),
        codename: os_release(&root, "VERSION_CODENAME").unwrap_or_default(),
        arch: architecture(&root).unwrap_or_default(),
        sample,
        boot_mount: BOOT_MOUNT.to_owned(),
    };
    Ok(Survey { stamp: root.superblock().written, size, layout, facts })
}

/// A value of `/etc/os-release`, unquoted.
pub(crate) fn os_release(root: &ext4::Reader, key: &str) -> Option<String> {
    let text = String::from_utf8(root.read("/etc/os-release", 64 << 10).ok()?).ok()?;
    text.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix('=')?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    })
}

/// The architecture of the installed packages, from dpkg's own list.
pub(crate) fn architecture(root: &ext4::Reader) -> Option<String> {
    let status = root.read("/var/lib/dpkg/status", 64 << 20).ok()?;
    let lines = status.split(|b| *b == b'\n');
    let mut named = lines.filter_map(|l| l.strip_prefix(b"Architecture: ")).filter(|a| *a != b"all");
    named.next().and_then(|a| String::from_utf8(a.trim_ascii().to_vec()).ok())
}

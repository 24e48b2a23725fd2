//! `inspect`: what is in an image, as far as it can be read. The image need not be one of magi-image's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::image_file::ImageFile;
use crate::base::InstalledSystem;
use crate::base::layout::{self, PartitionContent, Probed};
use crate::base::sysconf;
use crate::disk::ext4::{self, Superblock};
use crate::disk::fat;
use crate::disk::table::TableKind;
use crate::disk::window::Window;
use crate::error::{Context as _, FileError, Result};
use crate::output::manifest::Manifest;
use crate::plan::ExpectedDisk;
use crate::progress::Progress;
use crate::text;

/// What was found in an image.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    #[serde(serialize_with = "text::serialize_path")]
    pub(crate) file: PathBuf,
    /// Of the raw image, in bytes.
    pub(crate) size: u64,
    pub(crate) compressed: bool,
    pub(crate) table: TableKind,
    /// The disk's identifier in the partition table.
    pub(crate) id: String,
    pub(crate) partitions: Vec<InspectedPartition>,
    pub(crate) system: Option<OperatingSystem>,
    /// File names of the kernels on the boot partition.
    pub(crate) kernels: Vec<String>,
    /// The keys that `sysconf.txt` sets, as the parser on the Pi reads them.
    pub(crate) sysconf: Option<BTreeMap<String, String>>,
    /// From the manifest beside the image.
    pub(crate) manifest: Option<BuildInfo>,
}

#[derive(Debug, Serialize)]
pub(crate) struct InspectedPartition {
    #[serde(flatten)]
    pub(crate) probed: Probed,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ext4: Option<Superblock>,
    /// Why the file system couldn't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The operating system on the root file system. Texts that couldn't be read are empty.
#[derive(Debug, Serialize)]
pub(crate) struct OperatingSystem {
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub(crate) name: String,
    /// Debian's code name of the release.
    pub(crate) codename: String,
    /// As dpkg names it: `arm64`.
    pub(crate) architecture: String,
    /// `/etc/hostname`.
    pub(crate) hostname: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct BuildInfo {
    pub(crate) node: String,
    pub(crate) cluster: String,
    pub(crate) base: String,
    /// Whether the base was the built-in sample.
    pub(crate) sample: bool,
    /// Size and partition table when it was built.
    pub(crate) disk: Option<ExpectedDisk>,
}

/// Reads the image at `path`, raw or compressed.
pub(crate) fn inspect(path: &Path, progress: &dyn Progress) -> Result<Inspection> {
    let image = ImageFile::open(path, progress)?;
    let (table, id, parts) = layout::probe(&image.file, image.size)
        .while_doing(|| format!("reading the partitions of `{}`", path.display()))?;
    let mut inspection = Inspection {
        file: path.to_path_buf(),
        size: image.size,
        compressed: image.is_compressed,
        table,
        id,
        partitions: Vec::new(),
        system: None,
        kernels: Vec::new(),
        sysconf: None,
        manifest: build_info(path),
    };
    for probed in parts {
        let window = probed.partition.read_only(&image.file).map_err(FileError::new("read", path))?;
        let mut part = InspectedPartition { probed, ext4: None, problem: None };
        // A damaged file system is reported with its partition; the others are still shown.
        let read = match part.probed.content {
            PartitionContent::Fat(_) => inspection.read_boot(window),
            PartitionContent::Ext { .. } => inspection.read_root(&window, &mut part),
            _ => Ok(()),
        };
        part.problem = read.err().map(|e| e.to_string());
        inspection.partitions.push(part);
    }
    Ok(inspection)
}

impl Inspection {
    fn read_boot(&mut self, window: Window) -> Result<()> {
        let fat = fat::Reader::open(window)?;
        for entry in fat.list("/")? {
            if !entry.folder && (entry.name.starts_with("vmlinuz") || entry.name.starts_with("kernel")) {
                self.kernels.push(entry.name);
            }
        }
        self.kernels.sort();
        if fat.find("/sysconf.txt")?.is_some() {
            let mut values = sysconf::read(&fat.read("/sysconf.txt")?);
            // Masked: the image may be shown to others.
            values.entry("root_pw".into()).and_modify(|v| "***".clone_into(v));
            self.sysconf = Some(values);
        }
        Ok(())
    }

    fn read_root(&mut self, window: &Window, part: &mut InspectedPartition) -> Result<()> {
        part.ext4 = Some(Superblock::read(window)?);
        let root = ext4::Reader::open(window)?;
        let system = InstalledSystem::read(&root);
        let name = system.os("PRETTY_NAME");
        if !name.is_empty() {
            let hostname = root.read("/etc/hostname", 1024).unwrap_or_default();
            self.system = Some(OperatingSystem {
                name: name.to_owned(),
                codename: system.os("VERSION_CODENAME").to_owned(),
                architecture: system.architecture().to_owned(),
                hostname: String::from_utf8_lossy(&hostname).trim().to_owned(),
            });
        }
        Ok(())
    }
}

fn build_info(image: &Path) -> Option<BuildInfo> {
    let manifest = Manifest::beside(image).ok()?;
    Some(BuildInfo {
        node: manifest.node,
        cluster: manifest.cluster,
        base: manifest.base.name,
        sample: manifest.sample,
        disk: manifest.disk,
    })
}

//! `inspect`: what is in an image, any image, as far as it can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base;
use crate::base::layout::{self, PartitionContent, Probed};
use crate::base::sysconf;
use crate::disk::ext4::{self, Superblock};
use crate::disk::fat;
use crate::disk::table::TableKind;
use crate::disk::window::Window;
use crate::error::{Context as _, FileError, Result};
use crate::image::opened;
use crate::output::manifest::Manifest;
use crate::progress::Progress;
use crate::text;

/// What was found in an image.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    /// The file that was named.
    #[serde(serialize_with = "text::serialize_path")]
    pub(crate) file: PathBuf,
    /// The raw image, in bytes.
    pub(crate) size: u64,
    /// Whether the file is compressed.
    pub(crate) compressed: bool,
    /// The kind of its partition table.
    pub(crate) table: TableKind,
    /// The disk's id.
    pub(crate) id: String,
    /// Its partitions.
    pub(crate) partitions: Vec<Part>,
    /// The system on its root file system.
    pub(crate) system: Option<System>,
    /// Kernels on the boot partition, by file name.
    pub(crate) kernels: Vec<String>,
    /// The keys that `sysconf.txt` sets, as its parser reads them.
    pub(crate) sysconf: Option<BTreeMap<String, String>>,
    /// What the manifest beside the image says it is.
    pub(crate) manifest: Option<BuildInfo>,
}

/// A partition and what it holds.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    /// Its place and its content.
    #[serde(flatten)]
    pub(crate) probed: Probed,
    /// Sizes of an ext4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ext4: Option<Superblock>,
    /// Why no more is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// A root file system's operating system.
#[derive(Debug, Serialize)]
pub(crate) struct System {
    /// As it calls itself.
    pub(crate) name: String,
    /// Debian's name of the release.
    pub(crate) codename: String,
    /// Of its packages.
    pub(crate) architecture: String,
    /// `/etc/hostname`.
    pub(crate) hostname: String,
}

/// From the manifest.
#[derive(Debug, Serialize)]
pub(crate) struct BuildInfo {
    /// The node it was built for.
    pub(crate) node: String,
    /// The cluster it belongs to.
    pub(crate) cluster: String,
    /// The base it was built from.
    pub(crate) base: String,
    /// Whether that was the sample.
    pub(crate) sample: bool,
}

/// Looks into the image at `path`, raw or compressed.
pub(crate) fn inspect(path: &Path, progress: &dyn Progress) -> Result<Inspection> {
    let opened = opened::open(path, progress)?;
    let (table, id, parts) = layout::probe(&opened.file, opened.size)
        .while_doing(|| format!("reading the partitions of `{}`", path.display()))?;
    let mut inspection = Inspection {
        file: path.to_path_buf(),
        size: opened.size,
        compressed: !opened.raw,
        table,
        id,
        partitions: Vec::new(),
        system: None,
        kernels: Vec::new(),
        sysconf: None,
        manifest: origin(path),
    };
    for probed in parts {
        let window = probed.partition.read_only(&opened.file).map_err(FileError::new("read", path))?;
        let mut part = Part { probed, ext4: None, problem: None };
        // A broken file system is something to show, not a reason to show nothing.
        let looked = match part.probed.content {
            PartitionContent::Fat(_) => inspection.boot(window),
            PartitionContent::Ext { .. } => inspection.root(&window, &mut part),
            _ => Ok(()),
        };
        part.problem = looked.err().map(|e| e.to_string());
        inspection.partitions.push(part);
    }
    Ok(inspection)
}

impl Inspection {
    fn boot(&mut self, window: Window) -> Result<()> {
        let fat = fat::Reader::open(window)?;
        for entry in fat.list("/")? {
            if !entry.folder && (entry.name.starts_with("vmlinuz") || entry.name.starts_with("kernel")) {
                self.kernels.push(entry.name);
            }
        }
        self.kernels.sort();
        if fat.find("/sysconf.txt")?.is_some() {
            let mut values = sysconf::read(&fat.read("/sysconf.txt")?);
            // A password is a secret, whoever put it there.
            values.entry("root_pw".into()).and_modify(|v| "***".clone_into(v));
            self.sysconf = Some(values);
        }
        Ok(())
    }

    fn root(&mut self, window: &Window, part: &mut Part) -> Result<()> {
        part.ext4 = Some(Superblock::read(window)?);
        let root = ext4::Reader::open(window)?;
        if let Some(name) = base::os_release(&root, "PRETTY_NAME") {
            let hostname = root.read("/etc/hostname", 1024).unwrap_or_default();
            self.system = Some(System {
                name,
                codename: base::os_release(&root, "VERSION_CODENAME").unwrap_or_default(),
                architecture: base::architecture(&root).unwrap_or_default(),
                hostname: String::from_utf8_lossy(&hostname).trim().to_owned(),
            });
        }
        Ok(())
    }
}

fn origin(image: &Path) -> Option<BuildInfo> {
    let manifest = Manifest::beside(image).ok()?;
    Some(BuildInfo {
        node: manifest.node,
        cluster: manifest.cluster,
        base: manifest.base.name,
        sample: manifest.sample,
    })
}

//! `inspect`: what is in an image, any image, as far as it can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::facts;
use crate::disk::ext4::{self, Superblock};
use crate::disk::fat;
use crate::disk::layout::{self, Content, Probed};
use crate::disk::sysconf;
use crate::disk::table::TableKind;
use crate::disk::window::Window;
use crate::error::{Context as _, FileError, Result};
use crate::opened;
use crate::output::human;
use crate::output::manifest::Manifest;
use crate::progress::Progress;

/// What was found in an image.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The file that was named.
    #[serde(serialize_with = "human::path")]
    pub file: PathBuf,
    /// The raw image, in bytes.
    pub size: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
    /// The kind of its partition table.
    pub table: TableKind,
    /// The disk's id.
    pub id: String,
    /// Its partitions.
    pub partitions: Vec<Part>,
    /// The system on its root file system.
    pub system: Option<System>,
    /// Kernels on the boot partition, by file name.
    pub kernels: Vec<String>,
    /// The keys that `sysconf.txt` sets, as its parser reads them.
    pub sysconf: Option<BTreeMap<String, String>>,
    /// What the manifest beside the image says it is.
    pub manifest: Option<Origin>,
}

/// A partition and what it holds.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Its place and its content.
    #[serde(flatten)]
    pub probed: Probed,
    /// Sizes of an ext4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ext4: Option<Superblock>,
    /// Why no more is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A root file system's operating system.
#[derive(Debug, Serialize)]
pub struct System {
    /// As it calls itself.
    pub name: String,
    /// Debian's name of the release.
    pub codename: String,
    /// Of its packages.
    pub architecture: String,
    /// `/etc/hostname`.
    pub hostname: String,
}

/// From the manifest.
#[derive(Debug, Serialize)]
pub struct Origin {
    /// The node it was built for.
    pub node: String,
    /// The cluster it belongs to.
    pub cluster: String,
    /// The base it was built from.
    pub base: String,
    /// Whether that was the sample.
    pub sample: bool,
}

/// Looks into the image at `path`, raw or compressed.
pub fn inspect(path: &Path, progress: &dyn Progress) -> Result<Inspection> {
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
            Content::Fat(_) => inspection.boot(window),
            Content::Ext { .. } => inspection.root(&window, &mut part),
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
        if let Some(name) = facts::os_release(&root, "PRETTY_NAME") {
            let hostname = root.read("/etc/hostname", 1024).unwrap_or_default();
            self.system = Some(System {
                name,
                codename: facts::os_release(&root, "VERSION_CODENAME").unwrap_or_default(),
                architecture: facts::architecture(&root).unwrap_or_default(),
                hostname: String::from_utf8_lossy(&hostname).trim().to_owned(),
            });
        }
        Ok(())
    }
}

fn origin(image: &Path) -> Option<Origin> {
    let manifest = Manifest::beside(image).ok()?;
    Some(Origin {
        node: manifest.node,
        cluster: manifest.cluster,
        base: manifest.base.name,
        sample: manifest.sample,
    })
}

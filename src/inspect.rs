//! `inspect`: what is in an image, any image, as far as it can be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::base::facts;
use crate::disk::ext4::{self, Superblock};
use crate::disk::fat::{self, FatInfo};
use crate::disk::magic::Magic;
use crate::disk::sysconf;
use crate::disk::table::{self, Partition, Table};
use crate::disk::window::Window;
use crate::error::{Context as _, FileError, Result};
use crate::opened;
use crate::output::manifest::Manifest;
use crate::progress::Progress;

/// What was found in an image.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The file that was named.
    pub file: PathBuf,
    /// The raw image, in bytes.
    pub size: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
    /// Its partition table.
    pub table: Table,
    /// What each partition of the table holds, in the same order.
    pub contents: Vec<Contents>,
    /// The system on its root file system.
    pub system: Option<System>,
    /// Kernels on the boot partition, by file name.
    pub kernels: Vec<String>,
    /// The keys that `sysconf.txt` sets, as its parser reads them.
    pub sysconf: Option<BTreeMap<String, String>>,
    /// What the manifest beside the image says it is.
    pub manifest: Option<Origin>,
}

/// What a partition holds.
#[derive(Debug, Serialize)]
#[serde(tag = "content", rename_all = "lowercase")]
pub enum Contents {
    /// A FAT.
    Fat(FatInfo),
    /// An ext4.
    Ext4(Superblock),
    /// Something else, or something broken.
    Other {
        /// In words.
        what: String,
    },
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
    let table = table::read(&opened.file, opened.size)
        .while_doing(|| format!("reading the partition table of `{}`", path.display()))?;
    let mut inspection = Inspection {
        file: path.to_path_buf(),
        size: opened.size,
        compressed: !opened.raw,
        contents: Vec::new(),
        table,
        system: None,
        kernels: Vec::new(),
        sysconf: None,
        manifest: origin(path),
    };
    for partition in inspection.table.partitions.clone() {
        let window = Window::read_only(Arc::clone(&opened.file), partition.start(), partition.bytes())
            .map_err(FileError::new("read", path))?;
        let contents = inspection.look_into(&partition, &window);
        inspection.contents.push(contents);
    }
    Ok(inspection)
}

impl Inspection {
    /// A broken file system is something to show, not a reason to show nothing.
    fn look_into(&mut self, partition: &Partition, window: &Window) -> Contents {
        if partition.extended {
            return Contents::Other { what: "further partitions".into() };
        }
        let broken = |what: String| Contents::Other { what };
        match Magic::find(window).ok().flatten() {
            Some(Magic::Fat) => self.boot(window).unwrap_or_else(|e| broken(e.to_string())),
            Some(Magic::Ext) => self.root(window).unwrap_or_else(|e| broken(e.to_string())),
            Some(other) => broken(other.describe().to_owned()),
            None => broken("nothing that is known".to_owned()),
        }
    }

    fn boot(&mut self, window: &Window) -> Result<Contents> {
        let fat = fat::Reader::open(window.reopen())?;
        let info = fat.info()?;
        for entry in fat.list("/").unwrap_or_default() {
            if !entry.folder && (entry.name.starts_with("vmlinuz") || entry.name.starts_with("kernel")) {
                self.kernels.push(entry.name.clone());
            }
        }
        self.kernels.sort();
        if let Ok(text) = fat.read("/sysconf.txt") {
            let mut values = sysconf::read(&text);
            // A password is a secret, whoever put it there.
            values.entry("root_pw".into()).and_modify(|v| "***".clone_into(v));
            self.sysconf = Some(values);
        }
        Ok(Contents::Fat(info))
    }

    fn root(&mut self, window: &Window) -> Result<Contents> {
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
        Ok(Contents::Ext4(root.superblock().clone()))
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

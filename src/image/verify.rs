//! `verify`: does an image still hold what its manifest says.

use std::fmt;
use std::path::Path;

use crate::base::layout;
use crate::error::{Exit, FileError, Result};
use crate::files::hash;
use crate::image::Volumes;
use crate::image::opened::{self, Opened};
use crate::image::readback::{self, Difference, Differs};
use crate::output::manifest::Manifest;
use crate::progress::Progress;

/// What was found.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Verified {
    /// The node that the manifest names.
    pub(crate) node: String,
    /// Whether the raw image is, byte for byte, what the build left.
    pub(crate) unchanged: bool,
    /// How many planned paths were compared.
    pub(crate) checked: usize,
    /// Secrets, whose content the manifest can't vouch for unless the file is unchanged.
    pub(crate) secrets: usize,
    /// What differs.
    pub(crate) differences: Vec<Difference>,
}

impl Verified {
    /// An error if anything planned differs.
    pub(crate) fn require(self) -> Result<(), Differs> {
        if self.differences.is_empty() {
            return Ok(());
        }
        Err(Differs { differences: self.differences, checked: self.checked })
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, checked, secrets, .. } = self;
        if self.unchanged {
            return write!(f, "{node}: unchanged since the build; {checked} paths hold what was planned");
        }
        let differ = self.differences.len();
        write!(f, "{node}: the image has changed since the build; ")?;
        if differ == 0 {
            write!(f, "all {checked} planned paths still hold what was planned")?;
            if *secrets > 0 {
                write!(f, " (of {secrets} secret ones only mode, owner and size are known)")?;
            }
            return Ok(());
        }
        write!(f, "{differ} of {checked} planned paths differ")
    }
}

fn differences(opened: &Opened, manifest: &Manifest) -> Result<Vec<Difference>> {
    let layout = layout::find(&opened.file, opened.size)?;
    readback::compare(&Volumes::read_only(&opened.file, &layout)?, &manifest.edits)
}

/// Compares `image` with `manifest`, or with the manifest beside it.
pub(crate) fn verify(image: &Path, manifest: Option<&Path>, progress: &dyn Progress) -> Result<Verified> {
    let manifest = match manifest {
        Some(path) => Manifest::load(path)?,
        None => Manifest::beside(image)?,
    };
    let opened = opened::open(image, progress)?;
    let task = progress.start("hashing", Some(opened.size));
    let found = hash::of_sparse(&opened.file, &*task).map_err(FileError::new("read", image))?;
    task.finish();
    // The raw content counts, however the file at hand is compressed.
    let unchanged = found == manifest.image.sha256;
    let differences = match differences(&opened, &manifest) {
        // It could be read to its end, so it isn't what the build left.
        Err(e) if !unchanged => return Err(e.exiting(Exit::Verification, "copy it again, or build it again")),
        other => other?,
    };
    Ok(Verified {
        node: manifest.node,
        unchanged,
        checked: manifest.edits.len(),
        secrets: manifest.edits.iter().filter(|e| e.secret).count(),
        differences,
    })
}

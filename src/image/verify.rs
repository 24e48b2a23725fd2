//! `verify`: whether an image still holds what its manifest says.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::Volumes;
use super::disk_check::{self, DiskMismatch};
use super::image_file::ImageFile;
use super::readback::{self, Difference, DiskDiffers, ImageDiffers};
use crate::base::layout;
use crate::error::{Exit, FileError, Result};
use crate::files::hash;
use crate::output::manifest::Manifest;
use crate::progress::Progress;

#[derive(Debug, Serialize)]
pub(crate) struct Verification {
    /// The node that the manifest names.
    node: String,
    /// Whether the raw image has the hash that the manifest names.
    unchanged: bool,
    /// How many planned paths were compared.
    checked: usize,
    /// How many of them are secret: the manifest has no hash of their content.
    secrets: usize,
    differences: Vec<Difference>,
    /// How the partition table differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disk: Vec<DiskMismatch>,
}

impl Verification {
    /// An error if any planned path or the partition table differs.
    pub(crate) fn into_result(self) -> Result<()> {
        let Self { differences, checked, disk, .. } = self;
        if !differences.is_empty() {
            return Err(ImageDiffers { differences, checked }.into());
        }
        if disk.is_empty() { Ok(()) } else { Err(DiskDiffers { disk }.into()) }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, checked, secrets, .. } = self;
        match self.differences.len() {
            0 if !self.disk.is_empty() => {
                write!(
                    f,
                    "{node}: the partition table has changed since the build; all {checked} planned paths match"
                )
            }
            0 if self.unchanged => {
                write!(f, "{node}: unchanged since the build; all {checked} planned paths match")
            }
            0 => {
                write!(
                    f,
                    "{node}: the image has changed since the build; all {checked} planned paths match"
                )?;
                if *secrets > 0 {
                    write!(f, " (the content of {secrets} secret files can't be compared)")?;
                }
                Ok(())
            }
            differ => {
                write!(f, "{node}: the image has changed since the build; ")?;
                write!(f, "{differ} of {checked} planned paths differ")
            }
        }
    }
}

/// Compares `image` with `manifest`, or with the manifest beside it.
pub(crate) fn verify(image: &Path, manifest: Option<&Path>, progress: &dyn Progress) -> Result<Verification> {
    let manifest = match manifest {
        Some(path) => Manifest::load(path)?,
        None => Manifest::beside(image)?,
    };
    let opened = ImageFile::open(image, progress)?;
    let task = progress.start("hashing", Some(opened.size));
    let found = hash::of_sparse(&opened.file, &*task).map_err(FileError::new("read", image))?;
    task.finish();
    // The hash of the raw content: the image may have been compressed or unpacked since the build.
    let unchanged = found == manifest.image.sha256;
    let (differences, disk) = match compare(&opened, &manifest) {
        // The file was read to its end for the hash: the disk works, the content is damaged.
        Err(e) if !unchanged => return Err(e.exiting(Exit::Verification, "copy or build the image again")),
        other => other?,
    };
    Ok(Verification {
        node: manifest.node,
        unchanged,
        checked: manifest.edits.len(),
        secrets: manifest.edits.iter().filter(|e| e.secret).count(),
        differences,
        disk,
    })
}

fn compare(image: &ImageFile, manifest: &Manifest) -> Result<(Vec<Difference>, Vec<DiskMismatch>)> {
    let layout = layout::find(&image.file, image.size)?;
    let differences = readback::compare(&Volumes::read_only(&image.file, &layout)?, &manifest.edits)?;
    // Manifests of earlier versions don't record the disk.
    let Some(expected) = &manifest.disk else { return Ok((differences, Vec::new())) };
    Ok((differences, disk_check::compare(&image.file, image.size, expected)?))
}

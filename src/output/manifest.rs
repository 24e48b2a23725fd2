//! The manifest: what an image was made of and what it must hold, as JSON beside it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::error::{Exit, Explain, FileError, Result};
use crate::plan::ExpectedPath;

/// The version of this format.
pub(crate) const FORMAT: u32 = 1;

/// Everything about one image. Holds no secret, not even a hash of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of magi-image that made it.
    pub(crate) tool: String,
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The node's name.
    pub(crate) node: String,
    /// Whether it was made on the built-in sample, with placeholders for what would be downloaded.
    pub(crate) sample: bool,
    /// The base image.
    pub(crate) base: BaseRecord,
    /// The raw image.
    pub(crate) image: FileRecord,
    /// The compressed image, if that is what was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compressed: Option<FileRecord>,
    /// The overlays, in the order they were laid.
    pub(crate) overlays: Vec<String>,
    /// Every path that was written.
    pub(crate) edits: Vec<ExpectedPath>,
}

/// What the image started from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseRecord {
    /// Its name.
    pub(crate) name: String,
    /// Its URL or path.
    pub(crate) source: String,
    /// Of the source as published.
    pub(crate) sha256: Sha256,
    /// Of the source as published, in bytes.
    pub(crate) size: u64,
    /// Of its raw content.
    pub(crate) raw_sha256: Sha256,
    /// Of its raw content, in bytes.
    pub(crate) raw_size: u64,
}

/// A file that a build left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Its name, without folder.
    pub(crate) file: String,
    /// In bytes.
    pub(crate) size: u64,
    /// Lower-case hex.
    pub(crate) sha256: Sha256,
}

/// What can be wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// There is none.
    #[error(
        "`{}` has no manifest beside it: `{}` isn't there",
        crate::text::printable(image),
        crate::text::printable(manifest)
    )]
    Missing {
        /// The image.
        image: PathBuf,
        /// Where it was looked for.
        manifest: PathBuf,
    },
    /// A value that JSON can't hold.
    #[error("the manifest can't be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    /// It isn't one.
    #[error("`{}` isn't a manifest of magi-image: {why}", crate::text::printable(path))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The parser's words.
        why: String,
    },
}

impl Explain for ManifestError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("name it with `--manifest`; a build leaves it beside the image".into())
            }
            Self::Invalid { .. } => Some("build the image again".into()),
            Self::Unwritable(_) => None,
        }
    }
}

impl Manifest {
    /// As it is written: sorted by nature, ends in a newline.
    pub(crate) fn to_json(&self) -> Result<String, ManifestError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ManifestError::Unwritable)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads one.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(FileError::new("read", path))?;
        let invalid = |why: String| ManifestError::Invalid { path: path.to_path_buf(), why };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
        if manifest.format != FORMAT {
            return Err(
                invalid(format!("its format is {}, this version reads {FORMAT}", manifest.format)).into()
            );
        }
        Ok(manifest)
    }

    /// Where the manifest of `image` lies: `magi-caspar.manifest.json` for `magi-caspar.img.xz`.
    pub(crate) fn path_beside(image: &Path) -> PathBuf {
        let name = image.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let stem = name.split_once(".img").map_or(name, |(stem, _)| stem);
        image.with_file_name(format!("{stem}.manifest.json"))
    }

    /// Reads the manifest beside `image`.
    pub(crate) fn beside(image: &Path) -> Result<Self> {
        let manifest = Self::path_beside(image);
        if !manifest.exists() {
            return Err(ManifestError::Missing { image: image.to_path_buf(), manifest }.into());
        }
        Self::load(&manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_lies_beside_its_image_whatever_the_compression() {
        for image in ["out/magi-caspar.img", "out/magi-caspar.img.xz"] {
            assert_eq!(Manifest::path_beside(image.as_ref()), Path::new("out/magi-caspar.manifest.json"));
        }
    }
}

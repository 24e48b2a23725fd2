//! The manifest beside an image: its inputs and the paths that it must hold, as JSON.

use std::ffi::OsStr;
use std::iter::successors;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::error::{Explain, FileError, Result};
use crate::plan::{ExpectedDisk, ExpectedPath};
use crate::text::printable;

/// The version of this format.
pub(crate) const FORMAT: u32 = 1;

/// The inputs and the expected paths of one image. Holds no secret, not even a hash of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The version of magi-image.
    pub(crate) tool: String,
    pub(crate) cluster: String,
    pub(crate) node: String,
    /// Whether the base was the built-in sample, with placeholders instead of downloads.
    pub(crate) sample: bool,
    pub(crate) base: BaseRecord,
    /// The raw image.
    pub(crate) image: FileRecord,
    /// The compressed image, if one was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compressed: Option<FileRecord>,
    /// In the order they were applied.
    pub(crate) overlays: Vec<String>,
    /// Size and partition table of the raw image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<ExpectedDisk>,
    /// Every path that was written.
    pub(crate) edits: Vec<ExpectedPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseRecord {
    pub(crate) name: String,
    /// URL or path.
    pub(crate) source: String,
    /// Of the base as published.
    pub(crate) sha256: Sha256,
    /// Of the base as published, in bytes.
    pub(crate) size: u64,
    /// Of the unpacked base.
    pub(crate) raw_sha256: Sha256,
    /// Of the unpacked base, in bytes.
    pub(crate) raw_size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// The file name, without a folder.
    pub(crate) file: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("`{}` has no manifest beside it: `{}` is missing", printable(image), printable(manifest))]
    Missing { image: PathBuf, manifest: PathBuf },
    #[error("the manifest can't be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    #[error("`{}` isn't a manifest of magi-image: {error}", printable(path))]
    Invalid { path: PathBuf, error: serde_json::Error },
    #[error("`{}` has manifest format {found}; this version reads {FORMAT}", printable(path))]
    Version { path: PathBuf, found: u32 },
}

impl Explain for ManifestError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("name the manifest with `--manifest`; a build writes it beside the image".into())
            }
            Self::Invalid { .. } | Self::Version { .. } => Some("build the image again".into()),
            Self::Unwritable(_) => None,
        }
    }
}

impl Manifest {
    /// Indented, in the order of the fields, with a newline at the end.
    pub(crate) fn to_json(&self) -> Result<String, ManifestError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ManifestError::Unwritable)?;
        text.push('\n');
        Ok(text)
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(FileError::new("read", path))?;
        let path = || path.to_path_buf();
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| ManifestError::Invalid { path: path(), error })?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Version { path: path(), found: manifest.format }.into());
        }
        Ok(manifest)
    }

    /// `magi-caspar.manifest.json` for `magi-caspar.img` and `magi-caspar.img.xz`.
    fn path_beside(image: &Path) -> PathBuf {
        fn stem<'n>(name: &&'n OsStr) -> Option<&'n OsStr> {
            Path::new(*name).file_stem().filter(|stem| stem != name)
        }
        let name = image.file_name().unwrap_or(image.as_os_str());
        let raw = successors(Some(name), stem).find(|n| Path::new(n).extension() == Some("img".as_ref()));
        let mut manifest = raw.as_ref().and_then(stem).unwrap_or(name).to_owned();
        manifest.push(".manifest.json");
        image.with_file_name(manifest)
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
    fn manifest_name_does_not_depend_on_the_compression() {
        for image in ["out/magi-caspar.img", "out/magi-caspar.img.xz"] {
            assert_eq!(Manifest::path_beside(image.as_ref()), Path::new("out/magi-caspar.manifest.json"));
        }
        assert_eq!(Manifest::path_beside("other.raw".as_ref()), Path::new("other.raw.manifest.json"));
    }
}

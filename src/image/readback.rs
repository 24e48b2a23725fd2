//! Reads an image with other code than wrote it, and compares every path with its expected state.

use std::fs::File;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::Volumes;
use super::disk_check::{self, DiskMismatch};
use crate::digest::{Sha256, Sha256Hasher};
use crate::disk::ext4::{self, FileKind, Stat};
use crate::disk::fat;
use crate::error::{Exit, Explain, Result};
use crate::interrupt;
use crate::plan::{Area, Attributes, ExpectedDisk, ExpectedPath, PathState};

/// How many differences an error message lists.
const LISTED: usize = 5;

/// A path that isn't in its expected state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) area: Area,
    pub(crate) path: String,
    #[serde(rename = "what", serialize_with = "as_text")]
    pub(crate) mismatch: Mismatch,
}

/// What differs, as a predicate: "is missing", "has mode 0644, not 0600".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("is missing")]
    Missing,
    #[error("is of another kind")]
    Kind,
    #[error("points to `{found}`, not to `{expected}`")]
    Target { found: String, expected: String },
    #[error("has mode {found:04o}, not {expected:04o}")]
    Mode { found: u16, expected: u16 },
    #[error("belongs to {}:{}, not to {}:{}", found.uid, found.gid, expected.uid, expected.gid)]
    Owner { found: Attributes, expected: Attributes },
    #[error("has {found} bytes, not {expected}")]
    Size { found: u64, expected: u64 },
    #[error("has other content")]
    Content,
}

/// The partition table isn't what the plan says.
#[derive(Debug, thiserror::Error)]
#[error("the partition table differs: {}", disk.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub(crate) struct DiskDiffers {
    pub(super) disk: Vec<DiskMismatch>,
}

impl Explain for DiskDiffers {
    fn exit(&self) -> Exit {
        Exit::Verification
    }
}

/// The image isn't what the plan says.
#[derive(Debug, thiserror::Error)]
#[error("{} of {checked} planned paths differ: {}", differences.len(), listed(differences))]
pub(crate) struct ImageDiffers {
    pub(super) differences: Vec<Difference>,
    /// How many paths were compared.
    pub(super) checked: usize,
}

impl Explain for ImageDiffers {
    fn exit(&self) -> Exit {
        Exit::Verification
    }
}

fn listed(differences: &[Difference]) -> String {
    let shown = differences.iter().take(LISTED).map(|d| format!("`{}` {}", d.path, d.mismatch));
    let more = differences.len().checked_sub(LISTED).filter(|more| *more > 0);
    let more = more.map(|more| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join("; ")
}

fn as_text<S: Serializer>(mismatch: &Mismatch, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mismatch)
}

/// Every difference between the image and `expected`.
pub(super) fn compare(volumes: &Volumes, expected: &[ExpectedPath]) -> Result<Vec<Difference>> {
    let boot = fat::Reader::open(volumes.boot.reopen())?;
    let root = ext4::Reader::open(&volumes.root)?;
    let mut differences = Vec::new();
    for expected in expected {
        interrupt::check()?;
        let mismatch = match expected.area {
            Area::Boot => on_fat(&boot, expected)?,
            Area::Root => on_ext4(&root, expected)?,
        };
        if let Some(mismatch) = mismatch {
            differences.push(Difference { area: expected.area, path: expected.path.clone(), mismatch });
        }
    }
    Ok(differences)
}

/// The same, but any difference is an error.
pub(super) fn check(volumes: &Volumes, expected: &[ExpectedPath]) -> Result<()> {
    let differences = compare(volumes, expected)?;
    let checked = expected.len();
    if differences.is_empty() { Ok(()) } else { Err(ImageDiffers { differences, checked }.into()) }
}

/// Reads a rewritten partition table; any difference is an error.
pub(super) fn check_disk(image: &Arc<File>, expected: &ExpectedDisk) -> Result<()> {
    let disk = disk_check::compare_rewritten(image, expected.size, expected)?;
    if disk.is_empty() { Ok(()) } else { Err(DiskDiffers { disk }.into()) }
}

fn on_fat(fat: &fat::Reader, expected: &ExpectedPath) -> Result<Option<Mismatch>> {
    let Some(entry) = fat.find(&expected.path)? else { return Ok(Some(Mismatch::Missing)) };
    Ok(match (&expected.state, entry.folder) {
        (PathState::Directory { .. }, true) => None,
        (PathState::File { size, sha256, .. }, false) => {
            let mut hasher = Sha256Hasher::default();
            let content = fat.read(&expected.path)?;
            hasher.update(&content);
            content_mismatch((*size, *sha256), (content.len() as u64, hasher))
        }
        _ => Some(Mismatch::Kind),
    })
}

fn on_ext4(root: &ext4::Reader, expected: &ExpectedPath) -> Result<Option<Mismatch>> {
    let path = &expected.path;
    let Some(stat) = root.stat(path)? else { return Ok(Some(Mismatch::Missing)) };
    Ok(match (&expected.state, stat.kind) {
        (PathState::Directory { attributes }, FileKind::Directory) => attributes_mismatch(*attributes, &stat),
        (PathState::Symlink { target }, FileKind::Symlink) => {
            let found = root.read_link(path)?;
            let expected = target.clone();
            (found != expected).then_some(Mismatch::Target { found, expected })
        }
        (PathState::File { attributes, size, sha256, .. }, FileKind::File) => {
            if let Some(mismatch) = attributes_mismatch(*attributes, &stat) {
                return Ok(Some(mismatch));
            }
            let mut hasher = Sha256Hasher::default();
            let length = root.read_with(path, stat.size, &mut |piece| hasher.update(piece))?;
            content_mismatch((*size, *sha256), (length, hasher))
        }
        _ => Some(Mismatch::Kind),
    })
}

fn attributes_mismatch(expected: Option<Attributes>, stat: &Stat) -> Option<Mismatch> {
    let expected = expected?;
    let found = Attributes { mode: stat.mode, uid: stat.uid, gid: stat.gid };
    if expected.mode != found.mode {
        return Some(Mismatch::Mode { found: found.mode, expected: expected.mode });
    }
    (expected != found).then_some(Mismatch::Owner { found, expected })
}

/// Size and hash, expected and found. Without an expected hash only the size counts: the manifest has no
/// hash of a secret.
fn content_mismatch(
    (size, sha256): (u64, Option<Sha256>),
    (found_size, found): (u64, Sha256Hasher),
) -> Option<Mismatch> {
    if size != found_size {
        return Some(Mismatch::Size { found: found_size, expected: size });
    }
    (found.finish() != sha256?).then_some(Mismatch::Content)
}

//! Reads an image again, with other code than wrote it, and compares it with what it must be.

use super::Volumes;
use crate::digest::{Sha256, Sha256Hasher};
use crate::disk::ext4::{self, FileKind};
use crate::disk::fat;
use crate::error::{Exit, Explain, Result};
use crate::interrupt;
use crate::plan::Area;
use crate::plan::Attributes;
use crate::plan::{ExpectedPath, PathState};

/// One path that isn't what it must be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Difference {
    /// On which file system.
    pub(crate) area: Area,
    /// Which path.
    pub(crate) path: String,
    /// What differs: "is missing", "has mode 0644, not 0600".
    pub(crate) what: String,
}

/// The image isn't what the plan says.
#[derive(Debug, thiserror::Error)]
#[error("{} of {checked} planned paths differ: {}", differences.len(), listed(differences))]
pub(crate) struct Differs {
    /// All of them.
    pub(crate) differences: Vec<Difference>,
    /// How many were compared.
    pub(crate) checked: usize,
}

impl Explain for Differs {
    fn exit(&self) -> Exit {
        Exit::Verification
    }
}

fn listed(differences: &[Difference]) -> String {
    let mut text: Vec<String> =
        differences.iter().take(5).map(|d| format!("`{}` {}", d.path, d.what)).collect();
    if differences.len() > 5 {
        text.push(format!("and {} more", differences.len() - 5));
    }
    text.join("; ")
}

/// Every difference between the image and `expected`.
pub(crate) fn compare(volumes: &Volumes, expected: &[ExpectedPath]) -> Result<Vec<Difference>> {
    let boot = fat::Reader::open(volumes.boot.reopen())?;
    let root = ext4::Reader::open(&volumes.root)?;
    let mut differences = Vec::new();
    for expectation in expected {
        interrupt::check()?;
        let what = match expectation.area {
            Area::Boot => on_fat(&boot, expectation)?,
            Area::Root => on_ext4(&root, expectation)?,
        };
        if let Some(what) = what {
            differences.push(Difference { area: expectation.area, path: expectation.path.clone(), what });
        }
    }
    Ok(differences)
}

/// [`compare`] as a yes or an error.
pub(crate) fn require(volumes: &Volumes, expected: &[ExpectedPath]) -> Result<()> {
    let differences = compare(volumes, expected)?;
    if differences.is_empty() { Ok(()) } else { Err(Differs { differences, checked: expected.len() }.into()) }
}

fn on_fat(fat: &fat::Reader, expected: &ExpectedPath) -> Result<Option<String>> {
    let Some(entry) = fat.find(&expected.path)? else { return Ok(Some("is missing".into())) };
    Ok(match (&expected.state, entry.folder) {
        (PathState::Directory { .. }, true) => None,
        (PathState::File { size, sha256, .. }, false) => {
            let mut hasher = Sha256Hasher::default();
            let content = fat.read(&expected.path)?;
            hasher.update(&content);
            content_differs(*size, *sha256, content.len() as u64, hasher)
        }
        _ => Some("is of another kind".into()),
    })
}

fn on_ext4(root: &ext4::Reader, expected: &ExpectedPath) -> Result<Option<String>> {
    let path = &expected.path;
    let Some(stat) = root.stat(path)? else { return Ok(Some("is missing".into())) };
    let found = Attributes { mode: stat.mode, uid: stat.uid, gid: stat.gid };
    Ok(match (&expected.state, stat.kind) {
        (PathState::Directory { attributes }, FileKind::Directory) => attributes_differ(*attributes, found),
        (PathState::Symlink { target }, FileKind::Symlink) => {
            let found = root.read_link(path)?;
            (found != *target).then(|| format!("points to `{found}`, not to `{target}`"))
        }
        (PathState::File { attributes, size, sha256, .. }, FileKind::File) => {
            if let Some(what) = attributes_differ(*attributes, found) {
                return Ok(Some(what));
            }
            let mut hasher = Sha256Hasher::default();
            let length = root.read_with(path, stat.size, &mut |piece| hasher.update(piece))?;
            content_differs(*size, *sha256, length, hasher)
        }
        _ => Some("is of another kind".into()),
    })
}

fn attributes_differ(expected: Option<Attributes>, found: Attributes) -> Option<String> {
    let expected = expected?;
    if expected.mode != found.mode {
        return Some(format!("has mode {:04o}, not {:04o}", found.mode, expected.mode));
    }
    let owner = |a: Attributes| format!("{}:{}", a.uid, a.gid);
    (owner(expected) != owner(found))
        .then(|| format!("belongs to {}, not to {}", owner(found), owner(expected)))
}

fn content_differs(
    size: u64,
    sha256: Option<Sha256>,
    found_size: u64,
    found: Sha256Hasher,
) -> Option<String> {
    if size != found_size {
        return Some(format!("has {found_size} bytes, not {size}"));
    }
    // A secret's hash isn't in the manifest; `verify` then has only its size.
    let sha256 = sha256?;
    (found.finish() != sha256).then(|| "has other content".to_owned())
}

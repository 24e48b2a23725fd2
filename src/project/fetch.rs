//! `fetch`: downloads and verifies everything that a build needs.

use super::fetch_context::lock_path;
use super::{NewKeys, Options, Project};
use crate::digest::Sha256;
use crate::error::Result;
use crate::profile::Node;
use crate::progress::Progress;

#[derive(Debug, serde::Serialize)]
pub(crate) struct FetchSummary {
    /// The built-in name or the file name of the base.
    base: String,
    /// Of the base as published.
    sha256: Sha256,
    /// Path of the lock file.
    lock: String,
}

/// Downloads and verifies everything that `build --all` needs. With `update`, what is published now replaces
/// what the lock file names.
pub(crate) fn fetch(options: Options, update: bool, progress: &dyn Progress) -> Result<FetchSummary> {
    let project = Project::open(options, NewKeys::Discard, progress)?;
    let mut context = project.fetch_context()?;
    if update {
        context.lock = context.lock.for_update();
    }
    let base = project.base(&mut context)?;
    let nodes: Vec<&Node> = project.profile.nodes.iter().collect();
    project.assets(&base, &mut context, &nodes)?;
    let lock = lock_path(&project.profile.folder).display().to_string();
    Ok(FetchSummary { base: base.prepared.name, sha256: base.prepared.source_sha256, lock })
}

//! `fetch`: everything that a build needs, downloaded and verified.

use super::{NewKeys, Options, Project};
use crate::digest::Sha256;
use crate::error::Result;
use crate::profile::Node;
use crate::progress::Progress;

/// What `fetch` leaves in cache and lock.
#[derive(Debug, serde::Serialize)]
pub(crate) struct FetchSummary {
    /// The base's built-in name, or its file's.
    base: String,
    /// Of the base as published.
    sha256: Sha256,
    /// The lock file.
    lock: String,
}

/// Downloads and verifies everything that `build --all` needs; with `update`, what is published now instead of
/// what the lock says.
pub(crate) fn fetch(options: Options, update: bool, progress: &dyn Progress) -> Result<FetchSummary> {
    let project = Project::open(options, NewKeys::Discard, progress)?;
    let mut context = project.fetch_context()?;
    if update {
        context.lock = context.lock.for_update();
    }
    let base = project.base(&mut context)?;
    let nodes: Vec<&Node> = project.profile.nodes.iter().collect();
    project.assets(&base, &mut context, &nodes)?;
    let lock = project.lock_path().display().to_string();
    Ok(FetchSummary { base: base.prepared.name, sha256: base.prepared.source_sha256, lock })
}

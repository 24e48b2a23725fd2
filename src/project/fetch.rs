//! `fetch`: downloads and verifies everything that a build needs.

use super::fetch_context::lock_path;
use super::{NewKeys, Options, Project};
use crate::base::Prepared;
use crate::digest::Sha256;
use crate::error::Result;
use crate::fetch::lock::InputChange;
use crate::fetch::url::{file_name, shown};
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
    /// All inputs in the lock file, the base first, then sorted by URL.
    pub(crate) inputs: Vec<FetchedInput>,
}

/// One input in the lock file, and what this run changed.
#[derive(Debug, serde::Serialize)]
pub(crate) struct FetchedInput {
    /// The built-in name of the base, else the file's name.
    pub(crate) name: String,
    pub(crate) state: InputState,
    #[serde(flatten)]
    pub(crate) change: InputChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InputState {
    /// In the lock file since this run.
    Added,
    /// The publisher has another file than the lock file had.
    Changed,
    Unchanged,
    /// Locked, but not needed by the profile as it is now.
    NotNeeded,
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
    let Prepared { name, source, source_sha256: sha256, .. } = base.prepared;
    let mut inputs: Vec<FetchedInput> = context.lock.changes().into_iter().map(fetched_input).collect();
    if let Some(at) = inputs.iter().position(|input| input.change.url == source) {
        inputs[at].name.clone_from(&name);
        inputs[..=at].rotate_right(1);
    }
    Ok(FetchSummary { base: name, sha256, lock, inputs })
}

fn fetched_input(change: InputChange) -> FetchedInput {
    let state = match (&change.from, &change.to) {
        (_, None) => InputState::NotNeeded,
        (None, _) => InputState::Added,
        (from, to) if from == to => InputState::Unchanged,
        _ => InputState::Changed,
    };
    let name = file_name(&change.url);
    FetchedInput { name: if name.is_empty() { shown(&change.url) } else { name }, state, change }
}

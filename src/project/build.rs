//! `build`: one image for each node.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::node_image::{BuiltImage, NodeImages};
use super::{NewKeys, Options, Project};
use crate::compose;
use crate::error::{Context as _, FileError, Result};
use crate::output::compress::ImageFormat;
use crate::plan::Plan;
use crate::progress::Progress;

#[derive(Debug, Clone)]
pub(crate) struct BuildRequest {
    /// Names of nodes; empty for all nodes.
    pub(crate) nodes: Vec<String>,
    pub(crate) out_dir: PathBuf,
    pub(crate) format: ImageFormat,
    /// Threads for all nodes together; `None` for one for each processor.
    pub(crate) jobs: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct BuildSummary {
    /// In the profile's order.
    pub(crate) images: Vec<BuiltImage>,
    /// Whether the base was the built-in sample, whose images don't boot.
    pub(crate) sample: bool,
}

/// Builds the images of `request`. A failed image leaves no file.
pub(crate) fn build(
    options: Options,
    request: &BuildRequest,
    progress: &dyn Progress,
) -> Result<BuildSummary> {
    let project = Project::open(options, NewKeys::Keep, progress)?;
    let nodes = project.nodes(&request.nodes)?;
    let mut context = project.fetch_context()?;
    let base = project.base(&mut context)?;
    let assets = project.assets(&base, &mut context, &nodes)?;
    let secrets = project.saved_secrets(&nodes)?;
    let inputs = project.inputs(&base.survey.facts);
    let plans =
        nodes.iter().zip(&secrets).map(|(node, secrets)| compose::plan(&inputs, node, secrets, &assets));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    let images = NodeImages {
        base: &base,
        out_dir: &request.out_dir,
        format: request.format,
        block_cache: context.cache.blocks_dir(),
        cluster: &project.profile.cluster.name,
        overlays: project.overlay_names(),
        progress,
    };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let images = build_all(&images, &plans, request.jobs.unwrap_or_else(processors))?;
    Ok(BuildSummary { images, sample: base.prepared.sample })
}

/// Builds the images of all plans, several in parallel. After an error no further image is started.
fn build_all(images: &NodeImages<'_>, plans: &[Plan], jobs: usize) -> Result<Vec<BuiltImage>> {
    std::fs::create_dir_all(images.out_dir).map_err(FileError::new("create", images.out_dir))?;
    let workers = jobs.clamp(1, plans.len().max(1));
    let threads = (jobs / workers).max(1);
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, BuiltImage)>> {
        let mut built = Vec::new();
        while let Some((index, plan)) = take_next(plans, &next) {
            let doing = || format!("building the image of `{}`", plan.node);
            let outcome = images.build(plan, threads).while_doing(doing);
            if outcome.is_err() {
                // Stops the other workers after their current image.
                next.store(plans.len(), Ordering::Relaxed);
            }
            built.push((index, outcome?));
        }
        Ok(built)
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut built: Vec<_> = outcomes.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    built.sort_by_key(|(index, _)| *index);
    Ok(built.into_iter().map(|(_, built)| built).collect())
}

fn take_next<'p>(plans: &'p [Plan], next: &AtomicUsize) -> Option<(usize, &'p Plan)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    plans.get(index).map(|plan| (index, plan))
}

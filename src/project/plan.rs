//! `plan`: shows what `build` would write.

use std::fs::File;
use std::sync::Arc;

use super::{NewKeys, Options, Project};
use crate::compose;
use crate::error::{Context as _, FileError, Result};
use crate::image;
use crate::plan::Plan;
use crate::progress::Progress;

/// The plans of the nodes with these names, or of all nodes. A plan that doesn't fit the base is an error.
pub(crate) fn plan(options: Options, names: &[String], progress: &dyn Progress) -> Result<Vec<Plan>> {
    let project = Project::open(options, NewKeys::Discard, progress)?;
    let nodes = project.nodes(names)?;
    let mut context = project.fetch_context()?;
    let base = project.base(&mut context)?;
    let assets = project.assets(&base, &mut context, &nodes)?;
    let secrets = project.unsaved_secrets(&nodes)?;
    let path = &base.prepared.raw_path;
    let file = Arc::new(File::open(path).map_err(FileError::new("read", path))?);
    let mut plans = Vec::new();
    for (node, secrets) in nodes.iter().zip(&secrets) {
        let plan = compose::plan(&project.inputs(&base.survey.facts), node, secrets, &assets)?;
        let doing = || format!("planning the image of `{}`", plan.node);
        image::resolve(&file, &base.survey, &plan).while_doing(doing)?;
        plans.push(plan);
    }
    Ok(plans)
}

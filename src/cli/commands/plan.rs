//! `plan`

use super::options;
use crate::cli::args::{Nodes, Shared, SshKey, Trust};
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::plan::show;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(
    shared: &Shared,
    nodes: &Nodes,
    trust: &Trust,
    ssh: &SshKey,
    progress: &dyn Progress,
) -> Result<()> {
    let plans = project::plan(options(shared, Some(trust), Some(ssh)), &nodes.names, progress)?;
    if shared.json {
        return json(&plans.iter().map(show::json).collect::<Vec<_>>());
    }
    print(plans.iter().map(show::tree).collect::<Vec<_>>().join("\n"))
}

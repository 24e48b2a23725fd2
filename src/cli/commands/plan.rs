//! `plan`

use super::options;
use crate::cli::args::{NodeArgs, SharedOptions, SshArgs, TrustArgs};
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::plan::show;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(
    shared: &SharedOptions,
    nodes: &NodeArgs,
    trust: &TrustArgs,
    ssh: &SshArgs,
    progress: &dyn Progress,
) -> Result<()> {
    let plans = project::plan(options(shared, Some(trust), Some(ssh)), &nodes.names, progress)?;
    if shared.json {
        return json(&plans.iter().map(show::json).collect::<Vec<_>>());
    }
    print(plans.iter().map(show::tree).collect::<Vec<_>>().join("\n"))
}

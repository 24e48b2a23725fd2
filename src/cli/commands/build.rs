//! `build`

use super::options;
use crate::cli::args::{BuildArgs, SharedOptions};
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::progress::Progress;
use crate::project::{self, BuildRequest};
use crate::text;

pub(super) fn run(shared: &SharedOptions, args: &BuildArgs, progress: &dyn Progress) -> Result<()> {
    let request = BuildRequest {
        nodes: args.nodes.names.clone(),
        out_dir: shared.out_dir.clone(),
        format: args.format.into(),
        jobs: args.jobs.map(usize::from),
    };
    let built = project::build(options(shared, Some(&args.trust), Some(&args.ssh)), &request, progress)?;
    if shared.json {
        return json(&built.images);
    }
    if built.sample {
        progress.note("built on the built-in sample: to try the tool, not to flash");
    }
    let lines = built.images.iter().map(|i| format!("{}  {}\n", i.image.display(), text::size(i.size)));
    print(lines.collect::<String>())
}

//! `fetch`

use super::options;
use crate::cli::args::{SharedOptions, TrustArgs};
use crate::cli::output::json;
use crate::error::Result;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(
    shared: &SharedOptions,
    trust: &TrustArgs,
    update: bool,
    progress: &dyn Progress,
) -> Result<()> {
    let summary = project::fetch(options(shared, Some(trust), None), update, progress)?;
    progress.note("the cache holds everything that `build --all` needs; `build --offline` works now");
    if shared.json { json(&summary) } else { Ok(()) }
}

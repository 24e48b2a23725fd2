//! `fetch`

use super::options;
use crate::cli::args::{Shared, Trust};
use crate::cli::output::json;
use crate::error::Result;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(shared: &Shared, trust: &Trust, update: bool, progress: &dyn Progress) -> Result<()> {
    let summary = project::fetch(options(shared, Some(trust), None), update, progress)?;
    progress.note("everything that `build --all` needs is in the cache: `build --offline` works now");
    if shared.json { json(&summary) } else { Ok(()) }
}

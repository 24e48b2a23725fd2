//! `fetch`

use super::options;
use crate::cli::args::{SharedOptions, TrustArgs};
use crate::cli::output::{json, print};
use crate::cli::table::Table;
use crate::error::Result;
use crate::fetch::lock::LockedFile;
use crate::progress::Progress;
use crate::project::{self, FetchSummary, FetchedInput, InputState};
use crate::text;

pub(super) fn run(
    shared: &SharedOptions,
    trust: &TrustArgs,
    update: bool,
    progress: &dyn Progress,
) -> Result<()> {
    let summary = project::fetch(options(shared, Some(trust), None), update, progress)?;
    progress.note("the cache holds everything that `build --all` needs; `build --offline` works now");
    match (shared.json, update) {
        (true, _) => json(&summary),
        (false, true) if summary.inputs.is_empty() => {
            progress.note("nothing is downloaded for this profile");
            Ok(())
        }
        (false, true) => print(updates(&summary)),
        (false, false) => Ok(()),
    }
}

/// What `--update` changed, one row for each input.
fn updates(summary: &FetchSummary) -> String {
    let mut table = Table::new(["input", "from", "to"]);
    for FetchedInput { name, state, change } in &summary.inputs {
        let to = match state {
            InputState::Unchanged => "unchanged".to_owned(),
            InputState::NotNeeded => "not needed".to_owned(),
            InputState::Added | InputState::Changed => short(change.to.as_ref()),
        };
        table.row([name.clone(), short(change.from.as_ref()), to]);
    }
    table.to_string()
}

/// The start of the hash, and the size.
fn short(file: Option<&LockedFile>) -> String {
    file.map_or_else(|| "new".into(), |f| format!("{:.8} {}", f.sha256.to_string(), text::size(f.size)))
}

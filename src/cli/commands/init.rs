//! `init`

use std::path::Path;

use crate::cli::args::SharedOptions;
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::progress::Progress;
use crate::project;

pub(super) fn run(shared: &SharedOptions, dir: &Path, force: bool, progress: &dyn Progress) -> Result<()> {
    let written = project::init(dir, shared.secrets.as_deref(), force, progress)?;
    let paths: Vec<_> = written.iter().map(|path| path.display().to_string()).collect();
    if shared.json {
        return json(&paths);
    }
    print(paths.iter().flat_map(|path| [path.as_str(), "\n"]).collect::<String>())
}

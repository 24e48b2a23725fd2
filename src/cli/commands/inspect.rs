//! `inspect`

use std::path::Path;

use crate::cli::args::SharedOptions;
use crate::cli::drawing;
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::image::inspect::inspect;
use crate::progress::Progress;

pub(super) fn run(shared: &SharedOptions, image: &Path, progress: &dyn Progress) -> Result<()> {
    let inspection = inspect(image, progress)?;
    if shared.json { json(&inspection) } else { print(drawing::draw(&inspection, drawing::columns())) }
}

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
    if shared.json { json(&inspection) } else { print(drawing::draw(&inspection, columns())) }
}

/// Columns of the terminal, 80 without a terminal.
fn columns() -> usize {
    let columns = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    columns.unwrap_or(80).clamp(40, 160)
}

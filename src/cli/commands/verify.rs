//! `verify`

use std::path::Path;

use crate::cli::args::SharedOptions;
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::image::verify::verify;
use crate::progress::Progress;

pub(super) fn run(
    shared: &SharedOptions,
    image: &Path,
    manifest: Option<&Path>,
    progress: &dyn Progress,
) -> Result<()> {
    let verification = verify(image, manifest, progress)?;
    if shared.json {
        json(&verification)?;
    } else {
        print(format!("{verification}\n"))?;
    }
    verification.into_result()
}

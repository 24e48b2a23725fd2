//! Entry points for mutation tests, which would otherwise start a process for each input. Not part of the
//! tool's interface.

use std::path::Path;

use crate::progress::Silent;

/// Reads the image at `path`, as the command `inspect` does.
pub fn inspect(path: &Path) -> Result<(), String> {
    crate::image::inspect::inspect(path, &Silent).map(drop).map_err(|e| e.to_string())
}

/// Surveys the raw image at `path` as a base.
pub fn survey_base(path: &Path) -> Result<(), String> {
    crate::base::survey(path, false).map(drop).map_err(|e| e.to_string())
}

//! Expands `~/` in paths of profiles and overlays.

use std::path::{Path, PathBuf};

/// Resolves `written` against the home folder if it begins with `~/`, else against `folder`. Without a home
/// folder, `~` is an ordinary name.
pub(crate) fn resolve(written: &str, folder: &Path) -> PathBuf {
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match written.strip_prefix("~/").and_then(|rest| Some(home()?.join(rest))) {
        Some(path) => path,
        None => folder.join(written),
    }
}

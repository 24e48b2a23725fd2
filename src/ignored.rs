//! Whether git would take the secrets along.

use std::fs;
use std::path::{Path, PathBuf};

/// What must be in a `.gitignore` above the secrets.
pub(crate) const SECRETS: &str = "*.secrets.toml";

/// The `.gitignore` to be written or completed, if `secrets` lies in a git repository none of whose
/// `.gitignore` files names it.
pub(crate) fn missing(secrets: &Path) -> Option<PathBuf> {
    let secrets = std::path::absolute(secrets).ok()?;
    for folder in secrets.ancestors().skip(1) {
        let ignored = folder.join(".gitignore");
        if names_them(&ignored) {
            return None;
        }
        if folder.join(".git").exists() {
            return Some(ignored);
        }
    }
    None
}

/// Whether the `.gitignore` at `path` is there and names the secrets.
pub(crate) fn names_them(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.trim() == SECRETS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repository_that_would_take_them_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let (home, secrets) = (dir.path(), dir.path().join("profiles/magi.secrets.toml"));
        fs::create_dir_all(home.join("profiles")).unwrap();
        assert_eq!(missing(&secrets), None);
        fs::create_dir(home.join(".git")).unwrap();
        assert_eq!(missing(&secrets), Some(home.join(".gitignore")));
        fs::write(home.join(".gitignore"), "out/\n*.secrets.toml\n").unwrap();
        assert_eq!(missing(&secrets), None);
    }
}

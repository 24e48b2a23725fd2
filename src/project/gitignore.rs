//! Whether git would take the secrets along.

use std::fs;
use std::path::{Path, PathBuf};

/// What must be in a `.gitignore` above the secrets.
pub(crate) const SECRETS: &str = "*.secrets.toml";

/// The line that is missing and the `.gitignore` where it belongs, if `secrets` lies in a git repository none
/// of whose `.gitignore` files names it, by its name or by a folder's.
pub(crate) fn missing(secrets: &Path) -> Option<(String, PathBuf)> {
    let secrets = std::path::absolute(secrets).ok()?;
    let name = secrets.file_name()?.to_str()?.to_owned();
    let line = if name.ends_with(&SECRETS[1..]) { SECRETS.to_owned() } else { name };
    for folder in secrets.ancestors().skip(1) {
        let ignored = folder.join(".gitignore");
        let below = secrets.strip_prefix(folder).ok()?;
        let parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
        let anchored = parts.join("/");
        let named = |pattern: &str| {
            let pattern = pattern.trim().trim_end_matches('/');
            pattern == line
                || pattern.trim_start_matches('/') == anchored
                || parts.contains(&pattern.trim_start_matches('/'))
        };
        if fs::read_to_string(&ignored).is_ok_and(|text| text.lines().any(named)) {
            return None;
        }
        if folder.join(".git").exists() {
            return Some((line, ignored));
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
        let ignored = home.join(".gitignore");
        assert_eq!(missing(&secrets), Some((SECRETS.to_owned(), ignored.clone())));
        fs::write(&ignored, "out/\n*.secrets.toml\n").unwrap();
        assert_eq!(missing(&secrets), None);
        let other = home.join("private/ci.toml");
        assert_eq!(missing(&other), Some(("ci.toml".to_owned(), ignored.clone())));
        for line in ["ci.toml", "private/", "/private", "/private/ci.toml"] {
            fs::write(&ignored, line).unwrap();
            assert_eq!(missing(&other), None, "{line}");
        }
    }
}

//! Whether git ignores the secrets: a commit would publish them.

use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The rule for all secrets files.
pub(super) const SECRETS_RULE: &str = "*.secrets.toml";

/// A rule that a `.gitignore` lacks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MissingRule {
    pub(super) rule: String,
    pub(super) file: PathBuf,
}

/// The rule that is missing if `secrets` lies in a git repository and isn't ignored.
pub(super) fn missing_rule(secrets: &Path) -> Option<MissingRule> {
    let secrets = std::path::absolute(secrets).ok()?;
    let repository = secrets.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    if is_ignored(repository, &secrets) {
        return None;
    }
    let name = secrets.file_name()?.to_str()?;
    let rule = if name.ends_with(&SECRETS_RULE[1..]) { SECRETS_RULE } else { name };
    Some(MissingRule { rule: rule.to_owned(), file: repository.join(".gitignore") })
}

/// Whether git ignores `path` in a repository at `root`. Like git, reads the user's global excludes,
/// `.git/info/exclude` and every `.gitignore` on the way down; the last rule that matches wins, and nothing
/// below an ignored folder is included again.
pub(super) fn is_ignored(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let mut exclude = GitignoreBuilder::new(root);
    exclude.add(root.join(".git/info/exclude"));
    let mut rules = vec![GitignoreBuilder::new(root).build_global().0];
    rules.extend(exclude.build());
    let mut at = root.to_path_buf();
    below.iter().any(|part| {
        rules.push(Gitignore::new(at.join(".gitignore")).0);
        at.push(part);
        let is_folder = at != path;
        let found = rules.iter().rev().map(|rules| rules.matched(&at, is_folder)).find(|m| !m.is_none());
        found.is_some_and(|found| found.is_ignore())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_secrets_in_a_repository_need_a_rule() {
        let dir = tempfile::tempdir().unwrap();
        let (home, secrets) = (dir.path(), dir.path().join("profiles/magi.secrets.toml"));
        fs::create_dir_all(home.join("profiles")).unwrap();
        assert_eq!(missing_rule(&secrets), None);
        fs::create_dir(home.join(".git")).unwrap();
        let file = home.join(".gitignore");
        assert_eq!(
            missing_rule(&secrets),
            Some(MissingRule { rule: SECRETS_RULE.into(), file: file.clone() })
        );
        fs::write(&file, "out/\n*.secrets.toml\n").unwrap();
        assert_eq!(missing_rule(&secrets), None);
        let other = home.join("private/ci.toml");
        assert_eq!(missing_rule(&other), Some(MissingRule { rule: "ci.toml".into(), file }));
    }

    #[test]
    fn rules_mean_the_same_as_in_git() {
        let (root, nested, exclude) = (".gitignore", "private/.gitignore", ".git/info/exclude");
        let cases: [(&[(&str, &str)], bool); 14] = [
            (&[(root, "ci.toml")], true),
            (&[(root, "private/")], true),
            (&[(root, "/private")], true),
            (&[(root, "/private/ci.toml")], true),
            (&[(root, "*.toml")], true),
            (&[(root, "**/c?.toml")], true),
            (&[(root, "/ci.toml")], false),
            (&[(root, "# ci.toml")], false),
            (&[(root, "ci.toml/")], false),
            (&[(root, "*.toml\n!ci.toml")], false),
            (&[(root, "private/\n!private/ci.toml")], true),
            (&[(root, "ci.toml"), (nested, "!ci.toml")], false),
            (&[(nested, "/ci.toml")], true),
            (&[(exclude, "/private/ci.toml")], true),
        ];
        for (files, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("private/ci.toml");
            for folder in ["private", ".git/info"] {
                fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            for (name, rules) in files {
                fs::write(dir.path().join(name), rules).unwrap();
            }
            assert_eq!(is_ignored(dir.path(), &path), expected, "{files:?}");
            let git = |args: &[&str]| Command::new("git").current_dir(dir.path()).args(args).output();
            if git(&["init", "-q"]).is_ok_and(|output| output.status.success()) {
                let output = git(&["check-ignore", "-q", "private/ci.toml"]).unwrap();
                assert_eq!(output.status.success(), expected, "git itself: {files:?}");
            }
        }
    }
}

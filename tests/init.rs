//! `init`: which files it writes, keeps and backs up.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;

use common::Sandbox;
use common::sandbox::{mode, names, set_mode};
use common::tools::said;

#[test]
fn init_writes_what_build_needs_and_never_overwrites() {
    let sandbox = Sandbox::new();
    // `init` needs no ssh key.
    fs::remove_dir_all(sandbox.path("home/.ssh")).expect("remove the folder");
    let ran = sandbox.run(&["init", "home"]).ok();
    insta::assert_snapshot!(ran.stdout, @"
    home/profiles/magi.toml
    home/overlays/README.md
    home/.gitignore
    home/profiles/magi.secrets.toml
    ");
    insta::assert_snapshot!(ran.stderr, @"generated the cluster's secrets in `home/profiles/magi.secrets.toml`: keep this file, and keep it private");
    let secrets = sandbox.work("home/profiles/magi.secrets.toml");
    assert_eq!(mode(&secrets), 0o600);
    let ignored = fs::read_to_string(sandbox.work("home/.gitignore")).expect("read the file");
    for line in ["/out", "*.secrets.toml", "*.old", "magi_ed25519"] {
        assert!(ignored.lines().any(|l| l == line), "{line} in {ignored}");
    }
    let made = fs::read_to_string(&secrets).expect("read the secrets");
    for node in ["melchior", "balthazar", "caspar"] {
        assert!(made.contains(node), "{node}");
    }
    let before = fs::read(sandbox.work("home/profiles/magi.toml")).expect("read the profile");
    insta::assert_snapshot!(sandbox.run(&["init", "home"]).failed(2), @"
    error: `home/profiles/magi.toml` already exists
    hint: edit this profile, choose another folder, or start a new cluster with `--force`
    ");
    assert_eq!(fs::read(sandbox.work("home/profiles/magi.toml")).expect("a profile"), before);
    // A build works with these files and doesn't change the secrets.
    let mut build = sandbox.command(&["build", "--all", "--base", "sample", "-q"]);
    let output = build.current_dir(sandbox.work("home")).output().expect("run the binary");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read_to_string(&secrets).expect("secrets"), made);
}

#[test]
fn force_keeps_numbered_backups() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).ok();
    let read = |name: &str| fs::read_to_string(sandbox.work("profiles").join(name)).expect("read the file");
    sandbox.write("work/profiles/magi.toml", "# mine\n");
    let first = read("magi.secrets.toml");
    let ran = sandbox.run(&["init", "--force", "--json"]).ok();
    insta::assert_snapshot!(ran.stdout, @r#"
    [
      "./profiles/magi.toml",
      "./profiles/magi.secrets.toml"
    ]
    "#);
    assert_eq!((read("magi.toml.old"), read("magi.secrets.toml.old")), ("# mine\n".into(), first.clone()));
    let second = read("magi.secrets.toml");
    assert!(second != first && read("magi.toml") != "# mine\n");
    // A second `--force` keeps the backup of the first.
    sandbox.run(&["init", "--force"]).ok();
    assert_eq!((read("magi.secrets.toml.old"), read("magi.secrets.toml.old.2")), (first, second));
    for name in names(&sandbox.work("profiles")) {
        if name.contains("secrets") {
            assert_eq!(mode(&sandbox.work("profiles").join(&name)), 0o600, "{name}");
        }
    }
}

#[test]
fn existing_secrets_without_a_profile_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.gitignore", "mine\n");
    let secrets = sandbox.write("work/profiles/magi.secrets.toml", "[k3s]\n");
    set_mode(&secrets, 0o640);
    let ran = sandbox.run(&["init"]).ok();
    insta::assert_snapshot!(ran.stderr, @"
    add `*.secrets.toml`, `*.old` and `out/` to `./.gitignore`
    `./profiles/magi.secrets.toml` already exists and was not changed
    ");
    assert_eq!(fs::read_to_string(&secrets).expect("secrets"), "[k3s]\n");
    assert_eq!(mode(&secrets), 0o640);
    assert_eq!(fs::read_to_string(sandbox.work(".gitignore")).expect("text"), "mine\n");
}

#[test]
fn secrets_option_sets_the_secrets_path() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work("safe")).expect("create the folder");
    sandbox.run(&["init", "--secrets", "safe/cluster.toml"]).ok();
    assert_eq!(mode(&sandbox.work("safe/cluster.toml")), 0o600);
    assert_eq!(names(&sandbox.work("profiles")), ["magi.toml"]);
}

#[test]
fn missing_secrets_of_existing_profile_are_generated() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).ok();
    let profile = fs::read_to_string(sandbox.work("profiles/magi.toml")).expect("read the profile");
    let mine = sandbox.write("work/profiles/magi.toml", profile.replace("caspar", "gaspar"));
    fs::remove_file(sandbox.work("profiles/magi.secrets.toml")).expect("remove the secrets");
    let ran = sandbox.run(&["init"]).ok();
    assert_eq!(ran.stdout, "./profiles/magi.secrets.toml\n");
    assert!(fs::read_to_string(sandbox.work("profiles/magi.secrets.toml")).expect("text").contains("gaspar"));
    assert!(fs::read_to_string(mine).expect("text").contains("gaspar"));
    // Also at the path given by `--secrets`.
    sandbox.run(&["init", "--secrets", "ci.toml"]).ok();
    assert_eq!(mode(&sandbox.work("ci.toml")), 0o600);
}

#[test]
fn failed_init_changes_nothing() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["init", "new/home", "--secrets", "gone/s.toml"]).failed(1), @"
    error: cannot create `gone/s.toml`
      caused by: entity not found
    hint: check the path
    ");
    assert!(!sandbox.work("new").exists());
    sandbox.run(&["init"]).ok();
    let before: Vec<_> = ["magi.toml", "magi.secrets.toml"]
        .map(|name| fs::read(sandbox.work("profiles").join(name)).expect("read the file"))
        .into();
    sandbox.write("work/overlays/k3s/overlay.toml", "nonsense");
    sandbox.run(&["init", "--force"]).failed(2);
    assert_eq!(names(&sandbox.work("profiles")), ["magi.secrets.toml", "magi.toml"]);
    for (name, content) in ["magi.toml", "magi.secrets.toml"].iter().zip(before) {
        assert_eq!(fs::read(sandbox.work("profiles").join(name)).expect("a file"), content);
    }
}

//! Manifests and other user files that an overlay includes are checked before anything is downloaded.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::os::unix::fs::symlink;

use common::{Profile, Sandbox};

const SITE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: page\n";

/// A sandbox whose profile sets `manifests = ["apps/"]`, with `files` in that folder.
fn apps<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.work("apps")).expect("create the folder");
    for (path, content) in files {
        sandbox.write(&format!("work/apps/{path}"), content);
    }
    Profile::default().settings("k3s", "manifests = [\"apps/\"]").write(&sandbox);
    sandbox
}

/// The error message of `build`; asserts that `plan` prints the same.
#[track_caller]
fn refused_in(sandbox: &Sandbox) -> String {
    let message = sandbox.run(&["build", "--all", "-p", "magi.toml"]).failed(2);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    assert_eq!(sandbox.run(&["plan", "--all", "-p", "magi.toml"]).failed(2), message);
    message
}

#[track_caller]
fn refused(content: impl AsRef<[u8]>) -> String {
    refused_in(&apps(&[("site.yaml", content)]))
}

/// The manifests planned for `node`, relative to the manifest folder of k3s.
fn planned(sandbox: &Sandbox, node: &str) -> Vec<String> {
    let plan = sandbox.run(&["plan", "--node", node, "-p", "magi.toml", "--json"]).ok().json();
    let edits = plan[0]["edits"].as_array().expect("edits are a list").clone();
    let paths = edits.iter().map(|edit| edit["path"].as_str().expect("value is a string").to_owned());
    paths
        .filter_map(|p| p.strip_prefix("/var/lib/rancher/k3s/server/manifests/").map(str::to_owned))
        .collect()
}

#[test]
fn valid_manifests_go_to_the_init_node() {
    let secret = SITE.replace("ConfigMap", "Secret");
    let json = "{\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"metadata\": {\"generateName\": \"a-\"}}";
    let several =
        format!("# all of it\n---\n{secret}---\n# nothing\n---\napiVersion: v1\nkind: List\nitems: []\n");
    let sandbox = apps(&[
        ("README.md", "not taken"),
        (".site.yaml.swp", "\0"),
        (".hidden.yaml", "{"),
        ("shop/deep/web.yml", SITE),
        ("more.yaml", &several),
        ("pod.json", json),
    ]);
    sandbox.write("work/elsewhere.yaml", object("v1", "Namespace", "linked"));
    symlink("../elsewhere.yaml", sandbox.work("apps/link.yaml")).expect("create the symlink");
    symlink("nowhere", sandbox.work("apps/.#site.yaml")).expect("create the symlink");
    let found = planned(&sandbox, "melchior");
    assert_eq!(found, ["link.yaml", "more.yaml", "pod.json", "shop/deep/web.yml", "traefik-config.yaml"]);
    assert_eq!(planned(&sandbox, "caspar"), [] as [&str; 0]);
}

fn object(version: &str, kind: &str, name: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n")
}

#[test]
fn invalid_yaml_is_refused() {
    insta::assert_snapshot!(refused("kind: Pod\n  name: x\n"), @"error: `apps/site.yaml` line 2: not YAML: mapping values are not allowed in this context");
    insta::assert_snapshot!(refused("kind: Pod\n\tname: x\n"), @"error: `apps/site.yaml` line 1: not YAML: while scanning a plain scalar, found a tab");
    insta::assert_snapshot!(refused("a: 'b\n"), @"error: `apps/site.yaml` line 1: not YAML: unclosed quote");
    insta::assert_snapshot!(refused("{\"kind\": \"Pod\",\n}"), @"error: `apps/site.yaml` line 2: not JSON, although it begins with `{`: key must be a string");
    insta::assert_snapshot!(refused("kind: Pod\n{{- if .Values.more }}\nspec: {}\n"), @r#"
    error: `apps/site.yaml` line 2: not YAML: "-" is only valid inside a block
    hint: render templates first, for example with `helm template`
    "#);
    insta::assert_snapshot!(refused(b"kind: Pod\nname: \xff\n"), @"
    error: `apps/site.yaml` line 2: not UTF-8
    hint: save the file as UTF-8
    ");
    insta::assert_snapshot!(refused("kind: P\0d\n"), @"error: `apps/site.yaml` line 1: control character U+0000");
}

#[test]
fn yaml_without_a_kubernetes_object_is_refused() {
    insta::assert_snapshot!(refused("- a\n"), @"
    error: `apps/site.yaml` line 1: an object must be a mapping, not a list
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("# an object\n~\n"), @"
    error: `apps/site.yaml` line 2: an object must be a mapping, not null
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("just words\n"), @"
    error: `apps/site.yaml` line 1: an object must be a mapping, not text
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused(format!("{SITE}---\nkind: Service\nmetadata:\n  name: web\n")), @"
    error: `apps/site.yaml` line 6: the object has no `apiVersion`
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("apiVersion: v1\nmetadata:\n  name: web\n"), @"
    error: `apps/site.yaml` line 1: the object has no `kind`
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n"), @"
    error: `apps/site.yaml` line 4: the Pod has no `metadata.name`
    hint: every object needs a name
    ");
    insta::assert_snapshot!(refused("apiVersion: v1\nkind: Pod\nmetadata:\n"), @"
    error: `apps/site.yaml` line 1: the Pod has no `metadata.name`
    hint: every object needs a name
    ");
    insta::assert_snapshot!(refused("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"), @"
    error: `apps/site.yaml` line 1: the Kustomization has no `metadata.name`
    hint: include the output of `kubectl kustomize`, saved outside this folder
    ");
    insta::assert_snapshot!(refused(format!("{SITE}data:\n  a: b\n  a: c\n")), @"error: `apps/site.yaml` line 7: duplicate key `a`");
    insta::assert_snapshot!(refused(format!("{SITE}...\n{SITE}")), @"
    error: `apps/site.yaml` line 6: more than one document
    hint: put a line with only `---` between manifests; move other documents to files of their own
    ");
}

#[test]
fn invalid_object_names_are_refused() {
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "My_Page")), @"
    error: `apps/site.yaml` line 4: `My_Page` is not a valid name for a ConfigMap
    hint: at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends
    ");
    insta::assert_snapshot!(refused(object("v1", "Service", "web.site")), @"
    error: `apps/site.yaml` line 4: `web.site` is not a valid name for a Service
    hint: at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    ");
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "2024")), @"
    error: `apps/site.yaml` line 4: `name` must be text, not a number or boolean
    hint: put the value in quotes
    ");
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "on")), @"
    error: `apps/site.yaml` line 4: `name` must be text, not a number or boolean
    hint: put the value in quotes
    ");
    insta::assert_snapshot!(refused(object("rbac.authorization.k8s.io/v1", "ClusterRole", "a/b")), @"
    error: `apps/site.yaml` line 4: `a/b` is not a valid name for a ClusterRole
    hint: without `/` and `%`
    ");
    insta::assert_snapshot!(refused(object("v 1", "ConfigMap", "a")), @"
    error: `apps/site.yaml` line 1: `v 1` is not a valid `apiVersion`
    hint: write `v1`, or a group as in `apps/v1`
    ");
    insta::assert_snapshot!(refused(object("v1", "Config Map", "a")), @"
    error: `apps/site.yaml` line 2: `Config Map` is not a valid `kind`
    hint: write one word, such as `Deployment`
    ");
    insta::assert_snapshot!(refused(format!("{SITE}  namespace: My.Space\n")), @"
    error: `apps/site.yaml` line 5: `My.Space` is not a valid namespace
    hint: at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    ");
}

#[test]
fn duplicate_objects_are_refused() {
    let twice = apps(&[("one.yaml", SITE.to_owned()), ("two.yaml", format!("# again\n{SITE}"))]);
    insta::assert_snapshot!(refused_in(&twice), @"
    error: `apps/two.yaml` line 2: duplicate object: ConfigMap `page` is also in `apps/one.yaml` line 1
    hint: the object applied last would replace the other; rename or remove one
    ");
    let list = format!("{SITE}---\napiVersion: v1\nkind: List\nitems:\n- {}", SITE.replace('\n', "\n  "));
    insta::assert_snapshot!(refused(list), @"
    error: `apps/site.yaml` line 9: duplicate object: ConfigMap `page` is also in `apps/site.yaml` line 1
    hint: the object applied last would replace the other; rename or remove one
    ");
}

#[test]
fn invalid_file_names_are_refused() {
    let name = |name: &str| refused_in(&apps(&[(name, SITE)]));
    insta::assert_snapshot!(name("my_site.yaml"), @r"
    error: the name of `apps/my_site.yaml` does not match `^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[-.A-Za-z0-9]+$`
    hint: use lower-case letters, digits and `-` up to the first dot, for example `my-site.yaml`
    ");
    insta::assert_snapshot!(name("Site.yaml"), @r"
    error: the name of `apps/Site.yaml` does not match `^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[-.A-Za-z0-9]+$`
    hint: use lower-case letters, digits and `-` up to the first dot, for example `my-site.yaml`
    ");
    insta::assert_snapshot!(name("coredns.yaml"), @"
    error: `apps/coredns.yaml` has the reserved name `coredns`
    hint: choose another name, such as `my-coredns.yaml`
    ");
    insta::assert_snapshot!(name("traefik/site.yaml"), @"
    error: `apps/traefik/site.yaml` has the reserved name `traefik`
    hint: choose another name, such as `my-traefik`
    ");
    insta::assert_snapshot!(name("a\nerror: b.yaml"), @r"
    error: the name of `apps/a\nerror: b.yaml` is not UTF-8 without control characters
    hint: rename it
    ");
    let web = object("v1", "Service", "web");
    insta::assert_snapshot!(refused_in(&apps(&[("site.yaml", SITE), ("web/site.v2.yaml", &web)])), @"
    error: duplicate name: `apps/site.yaml` and `apps/web/site.v2.yaml` are equal up to the first dot
    hint: rename one of them
    ");
}

#[test]
fn dangling_symlinks_folder_symlinks_and_fifos_are_refused() {
    let sandbox = apps(&[("site.yaml", SITE)]);
    symlink("..", sandbox.work("apps/again")).expect("create the symlink");
    insta::assert_snapshot!(refused_in(&sandbox), @"
    error: `apps/again` is a symlink to a folder
    hint: name the target of the symlink in the profile instead
    ");
    let sandbox = apps(&[("site.yaml", SITE)]);
    symlink("nowhere", sandbox.work("apps/web.yaml")).expect("create the symlink");
    insta::assert_snapshot!(refused_in(&sandbox), @"
    error: `apps/web.yaml` is a dangling symlink
    hint: remove it, or replace it with a file
    ");
    if common::tools::have(&["mkfifo"]) {
        let sandbox = apps(&[("site.yaml", SITE)]);
        common::tools::run("mkfifo", &[common::tools::arg(&sandbox.work("apps/web.yaml"))]);
        insta::assert_snapshot!(refused_in(&sandbox), @"
        error: `apps/web.yaml` is a device, a pipe or a socket
        hint: remove it, or replace it with a file
        ");
    }
    // A symlink that the profile itself names is followed: the user chose it.
    let sandbox = apps(&[("site.yaml", SITE)]);
    std::fs::rename(sandbox.work("apps"), sandbox.work("real")).expect("rename the folder");
    symlink("real", sandbox.work("apps")).expect("create the symlink");
    sandbox.run(&["plan", "--all", "-p", "magi.toml"]).ok();
}

#[test]
fn oversized_or_deeply_nested_manifests_are_refused() {
    let mut billion_laughs = format!("{SITE}a0: &a0 [lol]\n");
    for i in 1..80 {
        billion_laughs.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    insta::assert_snapshot!(refused(billion_laughs), @"error: `apps/site.yaml` line 5: more than 1048576 values, counted with what aliases refer to");
    insta::assert_snapshot!(refused(format!("{SITE}a: {}", "[".repeat(100_000))), @"error: `apps/site.yaml` line 5: nested more than 255 levels deep");
    insta::assert_snapshot!(refused(format!("{SITE}a:\n{}", "- ".repeat(100_000))), @"error: `apps/site.yaml` line 6: nested more than 255 levels deep");
    insta::assert_snapshot!(refused("- a\n".repeat(2 << 20)), @"error: `apps/site.yaml` line 1048576: more than 1048576 values, counted with what aliases refer to");
    insta::assert_snapshot!(refused(vec![b'#'; (16 << 20) + 1]), @"
    error: `apps/site.yaml` has 16777217 bytes, more than the limit of 16777216
    hint: split it
    ");
}

#[test]
fn invalid_k3s_config_files_are_refused() {
    let config = |content: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("work/50-mine.yaml", content);
        Profile::default().settings("k3s", "config = [\"50-mine.yaml\"]").write(&sandbox);
        sandbox
    };
    config("# nothing yet\n").run(&["plan", "--all", "-p", "magi.toml"]).ok();
    config("node-label:\n- a=b\n").run(&["plan", "--all", "-p", "magi.toml"]).ok();
    insta::assert_snapshot!(refused_in(&config("- a\n")), @"error: `50-mine.yaml` line 1: the file must be a mapping, not a list");
    insta::assert_snapshot!(refused_in(&config("a: 1\n---\nb: 2\n")), @"
    error: `50-mine.yaml` line 3: more than one document
    hint: put a line with only `---` between manifests; move other documents to files of their own
    ");
    insta::assert_snapshot!(refused_in(&config("a: [1\n")), @"error: `50-mine.yaml` line 1: not YAML: unclosed bracket '['");
}

#[test]
fn invalid_include_in_overlay_toml_is_refused() {
    let include = |lines: &str| {
        let sandbox = Sandbox::new();
        let toml = format!(
            "summary = \"x\"\n[settings.apps]\ntype = \"paths\"\nhelp = \"x\"\ndefault = []\n\
             [[include]]\nsetting = \"apps\"\ninto = \"/srv\"\n{lines}\n"
        );
        sandbox.write("work/overlays/mine/overlay.toml", toml);
        Profile::small(&["mine"]).write(&sandbox);
        refused_in(&sandbox)
    };
    insta::assert_snapshot!(include("format = \"json\""), @"error: `overlays/mine/overlay.toml` line 9: `format` must be `kubernetes` or `yaml`");
    insta::assert_snapshot!(include("names = \"(\""), @"
    error: `overlays/mine/overlay.toml` line 9: `names` is not a regular expression: regex parse error:
        (
        ^
    error: unclosed group
    ");
}

#[test]
fn manifests_are_checked_before_downloads() {
    let sandbox = apps(&[("site.yaml", "- a\n")]);
    // No server listens on this port: a download would fail first.
    Profile::default()
        .base("https://127.0.0.1:9/base.img.xz")
        .settings("k3s", "manifests = [\"apps/\"]")
        .write(&sandbox);
    for command in ["build", "plan"] {
        let message = sandbox.run(&[command, "--all", "-p", "magi.toml"]).failed(2);
        assert!(message.starts_with("error: `apps/site.yaml` line 1: an object must be"), "{message}");
    }
}

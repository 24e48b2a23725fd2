//! Manifests and other files of the user's that an overlay takes in: checked before anything is fetched.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::os::unix::fs::symlink;

use common::{Profile, Sandbox};

const SITE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: page\n";

/// A sandbox whose profile names `apps/` as manifests, with these files in it.
fn apps<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.work("apps")).expect("a folder");
    for (path, content) in files {
        sandbox.write(&format!("work/apps/{path}"), content);
    }
    Profile::default().settings("k3s", "manifests = [\"apps/\"]").write(&sandbox);
    sandbox
}

/// What `build` says; the same that `plan` says.
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

/// Where in the image of `node` the manifests go.
fn planned(sandbox: &Sandbox, node: &str) -> Vec<String> {
    let plan = sandbox.run(&["plan", "--node", node, "-p", "magi.toml", "--json"]).ok().json();
    let edits = plan[0]["edits"].as_array().expect("edits").clone();
    let paths = edits.iter().map(|edit| edit["path"].as_str().expect("a path").to_owned());
    paths
        .filter_map(|p| p.strip_prefix("/var/lib/rancher/k3s/server/manifests/").map(str::to_owned))
        .collect()
}

#[test]
fn good_ones_go_onto_the_node_that_begins_the_cluster() {
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
    symlink("../elsewhere.yaml", sandbox.work("apps/link.yaml")).expect("a link");
    symlink("nowhere", sandbox.work("apps/.#site.yaml")).expect("a link");
    let found = planned(&sandbox, "melchior");
    assert_eq!(found, ["link.yaml", "more.yaml", "pod.json", "shop/deep/web.yml", "traefik-config.yaml"]);
    assert_eq!(planned(&sandbox, "caspar"), [] as [&str; 0]);
}

fn object(version: &str, kind: &str, name: &str) -> String {
    format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n")
}

#[test]
fn what_is_no_yaml() {
    insta::assert_snapshot!(refused("kind: Pod\n  name: x\n"), @"error: `apps/site.yaml` line 2: not YAML: mapping values are not allowed in this context");
    insta::assert_snapshot!(refused("kind: Pod\n\tname: x\n"), @"error: `apps/site.yaml` line 1: not YAML: while scanning a plain scalar, found a tab");
    insta::assert_snapshot!(refused("a: 'b\n"), @"error: `apps/site.yaml` line 1: not YAML: unclosed quote");
    insta::assert_snapshot!(refused("{\"kind\": \"Pod\",\n}"), @"error: `apps/site.yaml` line 2: not JSON, though it begins with `{`: key must be a string");
    insta::assert_snapshot!(refused("kind: Pod\n{{- if .Values.more }}\nspec: {}\n"), @r#"
    error: `apps/site.yaml` line 2: not YAML: "-" is only valid inside a block
    hint: templates aren't rendered here: give what `helm template` prints
    "#);
    insta::assert_snapshot!(refused(b"kind: Pod\nname: \xff\n"), @"
    error: `apps/site.yaml` line 2: not UTF-8
    hint: save the file as UTF-8
    ");
    insta::assert_snapshot!(refused("kind: P\0d\n"), @"error: `apps/site.yaml` line 1: not YAML: the control character U+0000 can't be in YAML");
}

#[test]
fn what_is_no_object() {
    insta::assert_snapshot!(refused("- a\n"), @"
    error: `apps/site.yaml` line 1: an object must be a mapping, not a list
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("# an object\n~\n"), @"
    error: `apps/site.yaml` line 2: an object must be a mapping, not nothing
    hint: a manifest begins with `apiVersion`, `kind` and `metadata`
    ");
    insta::assert_snapshot!(refused("just words\n"), @"
    error: `apps/site.yaml` line 1: an object must be a mapping, not a text
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
    hint: every object has a name
    ");
    insta::assert_snapshot!(refused("apiVersion: v1\nkind: Pod\nmetadata:\n"), @"
    error: `apps/site.yaml` line 1: the Pod has no `metadata.name`
    hint: every object has a name
    ");
    insta::assert_snapshot!(refused("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"), @"
    error: `apps/site.yaml` line 1: the Kustomization has no `metadata.name`
    hint: give what `kubectl kustomize` prints, outside this folder
    ");
    insta::assert_snapshot!(refused(format!("{SITE}data:\n  a: b\n  a: c\n")), @"error: `apps/site.yaml` line 7: not YAML: the key `a` is there already, in line 6");
    insta::assert_snapshot!(refused(format!("{SITE}...\n{SITE}")), @"
    error: `apps/site.yaml` line 6: a second document begins here, and nobody would read it
    hint: put a line `---` before it, alone; where one document is wanted, make another file of it
    ");
}

#[test]
fn names_that_kubernetes_would_refuse() {
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "My_Page")), @"
    error: `apps/site.yaml` line 4: `My_Page` can't be the name of a ConfigMap
    hint: at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends
    ");
    insta::assert_snapshot!(refused(object("v1", "Service", "web.site")), @"
    error: `apps/site.yaml` line 4: `web.site` can't be the name of a Service
    hint: at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    ");
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "2024")), @r#"
    error: `apps/site.yaml` line 4: `name` must be a text, not a number, true or false
    hint: put it in quotes: `"2024"`
    "#);
    insta::assert_snapshot!(refused(object("v1", "ConfigMap", "on")), @r#"
    error: `apps/site.yaml` line 4: `name` must be a text, not a number, true or false
    hint: put it in quotes: `"on"`
    "#);
    insta::assert_snapshot!(refused(object("rbac.authorization.k8s.io/v1", "ClusterRole", "a/b")), @"
    error: `apps/site.yaml` line 4: `a/b` can't be the name of a ClusterRole
    hint: without `/` and `%`
    ");
    insta::assert_snapshot!(refused(object("v 1", "ConfigMap", "a")), @"
    error: `apps/site.yaml` line 1: `v 1` can't be an `apiVersion`
    hint: it is `v1`, or as `apps/v1`
    ");
    insta::assert_snapshot!(refused(object("v1", "Config Map", "a")), @"
    error: `apps/site.yaml` line 2: `Config Map` can't be a `kind`
    hint: it is a word as `Deployment`
    ");
    insta::assert_snapshot!(refused(format!("{SITE}  namespace: My.Space\n")), @"
    error: `apps/site.yaml` line 5: the ConfigMap's namespace `My.Space` can't be one
    hint: at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    ");
}

#[test]
fn the_same_object_twice() {
    let twice = apps(&[("one.yaml", SITE.to_owned()), ("two.yaml", format!("# again\n{SITE}"))]);
    insta::assert_snapshot!(refused_in(&twice), @"
    error: `apps/two.yaml` line 2: the ConfigMap `page` is there already, in `apps/one.yaml` line 1
    hint: the one applied last would replace the other; rename or remove one
    ");
    let list = format!("{SITE}---\napiVersion: v1\nkind: List\nitems:\n- {}", SITE.replace('\n', "\n  "));
    insta::assert_snapshot!(refused(list), @"
    error: `apps/site.yaml` line 9: the ConfigMap `page` is there already, in `apps/site.yaml` line 1
    hint: the one applied last would replace the other; rename or remove one
    ");
}

#[test]
fn names_of_files_that_k3s_could_not_take() {
    let name = |name: &str| refused_in(&apps(&[(name, SITE)]));
    insta::assert_snapshot!(name("my_site.yaml"), @r"
    error: `apps/my_site.yaml` can't be taken: its name doesn't match `^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[-.A-Za-z0-9]+$`
    hint: lower-case letters, digits and `-` up to the first dot, as `my-site.yaml`
    ");
    insta::assert_snapshot!(name("Site.yaml"), @r"
    error: `apps/Site.yaml` can't be taken: its name doesn't match `^[a-z0-9]([-a-z0-9]*[a-z0-9])?\.[-.A-Za-z0-9]+$`
    hint: lower-case letters, digits and `-` up to the first dot, as `my-site.yaml`
    ");
    insta::assert_snapshot!(name("coredns.yaml"), @"
    error: `apps/coredns.yaml` can't be taken: its name has the reserved part `coredns`
    hint: choose another, as `my-coredns.yaml`
    ");
    insta::assert_snapshot!(name("traefik/site.yaml"), @"
    error: `apps/traefik/site.yaml` can't be taken: its name has the reserved part `traefik`
    hint: choose another, as `my-traefik`
    ");
    insta::assert_snapshot!(name("a\nerror: b.yaml"), @r"
    error: `apps/a\nerror: b.yaml` has a name that isn't plain UTF-8 without control characters
    hint: rename it
    ");
    let web = object("v1", "Service", "web");
    insta::assert_snapshot!(refused_in(&apps(&[("site.yaml", SITE), ("web/site.v2.yaml", &web)])), @"
    error: `apps/web/site.v2.yaml` can't be taken: its name begins as that of `apps/site.yaml`, up to the first dot
    hint: rename one: the folder doesn't tell them apart
    ");
}

#[test]
fn symlinks_and_special_files() {
    let sandbox = apps(&[("site.yaml", SITE)]);
    symlink("..", sandbox.work("apps/again")).expect("a link");
    insta::assert_snapshot!(refused_in(&sandbox), @"
    error: `apps/again` is a symlink to a folder
    hint: name the folder that it leads to in the profile instead
    ");
    let sandbox = apps(&[("site.yaml", SITE)]);
    symlink("nowhere", sandbox.work("apps/web.yaml")).expect("a link");
    insta::assert_snapshot!(refused_in(&sandbox), @"
    error: `apps/web.yaml` is a symlink that leads nowhere
    hint: remove it, or put a file in its place
    ");
    if common::tools::have(&["mkfifo"]) {
        let sandbox = apps(&[("site.yaml", SITE)]);
        common::tools::run("mkfifo", &[common::tools::arg(&sandbox.work("apps/web.yaml"))]);
        insta::assert_snapshot!(refused_in(&sandbox), @"
        error: `apps/web.yaml` is no file but a device or a fifo
        hint: remove it, or put a file in its place
        ");
    }
    // The profile may name a link: whoever wrote it knows it.
    let sandbox = apps(&[("site.yaml", SITE)]);
    std::fs::rename(sandbox.work("apps"), sandbox.work("real")).expect("renamed");
    symlink("real", sandbox.work("apps")).expect("a link");
    sandbox.run(&["plan", "--all", "-p", "magi.toml"]).ok();
}

#[test]
fn hostile_ones_are_refused_or_cost_little() {
    let mut laughs = format!("{SITE}a0: &a0 [lol]\n");
    for i in 1..80 {
        laughs.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    let sandbox = apps(&[("site.yaml", laughs)]);
    sandbox.run(&["plan", "--all", "-p", "magi.toml"]).ok();
    insta::assert_snapshot!(refused(format!("{SITE}a: {}", "[".repeat(100_000))), @"error: `apps/site.yaml` line 5: not YAML: it is nested too deeply");
    insta::assert_snapshot!(refused(format!("{SITE}a:\n{}", "- ".repeat(100_000))), @"error: `apps/site.yaml` line 6: not YAML: it is nested too deeply");
    insta::assert_snapshot!(refused("- a\n".repeat(2 << 20)), @"error: `apps/site.yaml` line 1048576: not YAML: more than 1048576 values are too many");
    insta::assert_snapshot!(refused(vec![b'#'; (16 << 20) + 1]), @"
    error: `apps/site.yaml` has 16777217 bytes; more than 16777216 aren't read
    hint: split it
    ");
}

#[test]
fn settings_of_k3s_in_yaml() {
    let config = |content: &str| {
        let sandbox = Sandbox::new();
        sandbox.write("work/50-mine.yaml", content);
        Profile::default().settings("k3s", "config = [\"50-mine.yaml\"]").write(&sandbox);
        sandbox
    };
    config("# nothing yet\n").run(&["plan", "--all", "-p", "magi.toml"]).ok();
    config("node-label:\n- a=b\n").run(&["plan", "--all", "-p", "magi.toml"]).ok();
    insta::assert_snapshot!(refused_in(&config("- a\n")), @"error: `50-mine.yaml` line 1: the file must hold keys with values, not a list");
    insta::assert_snapshot!(refused_in(&config("a: 1\n---\nb: 2\n")), @"
    error: `50-mine.yaml` line 3: a second document begins here, and nobody would read it
    hint: put a line `---` before it, alone; where one document is wanted, make another file of it
    ");
    insta::assert_snapshot!(refused_in(&config("a: [1\n")), @"error: `50-mine.yaml` line 1: not YAML: unclosed bracket '['");
}

#[test]
fn overlay_toml_with_slips() {
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
    error: `overlays/mine/overlay.toml` line 9: `names` isn't a regular expression: regex parse error:
        (
        ^
    error: unclosed group
    ");
}

#[test]
fn they_are_checked_before_anything_is_fetched() {
    let sandbox = apps(&[("site.yaml", "- a\n")]);
    // Nothing answers there.
    Profile::default()
        .base("https://127.0.0.1:9/base.img.xz")
        .settings("k3s", "manifests = [\"apps/\"]")
        .write(&sandbox);
    for command in ["build", "plan"] {
        let message = sandbox.run(&[command, "--all", "-p", "magi.toml"]).failed(2);
        assert!(message.starts_with("error: `apps/site.yaml` line 1: an object must be"), "{message}");
    }
}

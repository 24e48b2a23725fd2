//! Runs the commands that the README and the documentation show.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::path::Path;

use common::Sandbox;
use common::image::{Image, JUDGES};
use common::sandbox::{copy_folder, set_mode};
use common::tools::{arg, have, said};

/// Replaces cargo: runs the binary that is already built, and `cargo test` does nothing.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release -- "*) shift 3; exec "$BINARY" "$@" ;;
"test") ;;
"install --path .") [ -f Cargo.toml ] && cp "$BINARY" "$BIN/magi-image" ;;
*) echo "the README calls cargo in a new way: $*" >&2; exit 1 ;;
esac
"#;

/// Replaces the editor: sets the base to the sample, because the real base would be downloaded.
const EDITOR: &str = r#"#!/bin/sh
sed -i 's/^image = .*/image = "sample"/' "$1" && grep -q '^image = "sample"' "$1"
"#;

/// The files of a fresh clone that the commands read, with the replacements of cargo and the editor.
fn fresh_clone() -> Sandbox {
    let sandbox = Sandbox::new();
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["profiles", "overlays", "docs"] {
        copy_folder(&repo.join(folder), &sandbox.work(folder));
    }
    for file in ["Cargo.toml", "README.md"] {
        fs::copy(repo.join(file), sandbox.work(file)).expect("copy the file");
    }
    for (name, script) in [("cargo", CARGO), ("edit", EDITOR)] {
        set_mode(&sandbox.write(&format!("bin/{name}"), script), 0o755);
    }
    sandbox
}

/// Runs `script` in `folder` of the clone; its stdout.
#[track_caller]
fn run_script(sandbox: &Sandbox, folder: &str, script: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let clean = sandbox.command(&[]);
    let mut shell = assert_cmd::Command::new("sh");
    for (name, value) in clean.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell
        .args(["-e", "-c", script])
        .current_dir(sandbox.work(folder))
        .env("PATH", format!("{}:{path}", sandbox.path("bin").display()))
        .env("BIN", sandbox.path("bin"))
        .env("BINARY", clean.get_program())
        .env("EDITOR", "edit")
        .output()
        .expect("run sh");
    assert!(output.status.success(), "{script}\n{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The commands of every `console` block of a document.
fn blocks(document: &str) -> Vec<String> {
    let blocks =
        document.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let commands = |block: &str| {
        block.lines().filter_map(|line| line.strip_prefix("$ ")).map(|c| format!("{c}\n")).collect()
    };
    blocks.map(commands).collect()
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("read the README")
}

#[test]
fn every_command_of_the_readme_works() {
    let sandbox = fresh_clone();
    let blocks = blocks(&readme());
    assert!(blocks.len() >= 3, "{blocks:?}");
    for block in &blocks {
        run_script(&sandbox, "", block);
    }
    for folder in ["out", "home/out"] {
        for node in ["melchior", "balthazar", "caspar"] {
            assert!(sandbox.work(folder).join(format!("magi-{node}.img")).is_file(), "{folder} lacks {node}");
        }
    }
    // A lost card: the same image again, from the same secrets.
    let secrets = sandbox.work("home/profiles/magi.secrets.toml");
    let (made, image) = (
        fs::read(&secrets).expect("read the secrets"),
        fs::read(sandbox.work("home/out/magi-caspar.img.sha256")),
    );
    assert!(readme().contains("`magi-image build --node caspar`"));
    run_script(&sandbox, "home", "magi-image build --node caspar");
    assert_eq!(fs::read(&secrets).expect("secrets"), made);
    assert_eq!(fs::read(sandbox.work("home/out/magi-caspar.img.sha256")).ok(), image.ok());
}

#[test]
fn every_command_and_option_of_the_readme_exists() {
    let sandbox = Sandbox::new();
    let readme = readme();
    let table: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `magi-image ")).collect();
    assert!(table.len() >= 7, "{table:?}");
    let mut help = sandbox.run(&["--help"]).ok().stdout;
    for line in table {
        for call in line.split("`magi-image ").skip(1) {
            // A command, or a command and its subcommand, such as `base show NAME`.
            let words = call.split('`').next().unwrap_or_default().split(' ');
            let mut words: Vec<&str> =
                words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
            words.push("--help");
            help.push_str(&sandbox.run(&words).ok().stdout);
        }
    }
    for option in readme
        .split('`')
        .skip(1)
        .step_by(2)
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("--"))
    {
        let option = option.trim_end_matches(|c: char| !c.is_ascii_lowercase());
        let cargos = ["--release", "--path"].contains(&option);
        assert!(cargos || option.is_empty() || help.contains(option), "there is no {option}");
    }
    for variable in ["MAGI_IMAGE_SECRETS", "MAGI_IMAGE_PROFILE", "MAGI_IMAGE_CACHE_DIR"] {
        assert!(readme.contains(variable) && help.contains(variable), "{variable}");
    }
}

#[test]
fn every_link_of_the_readme_exists() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["README.md", "docs/overlays.md", "docs/first-boot.md"] {
        let path = repo.join(document);
        let text = fs::read_to_string(&path).expect("read the document");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = path.with_file_name(link.split('#').next().unwrap_or(link));
            assert!(target.exists(), "{document} links to {link}");
        }
    }
}

#[test]
fn example_overlay_does_what_the_docs_say() {
    let sandbox = fresh_clone();
    let docs = fs::read_to_string(sandbox.work("docs/overlays.md")).expect("read the docs");
    let shown: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("    magi-image ")).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    for command in shown {
        let plan = run_script(&sandbox, "", &format!("\"$BINARY\" {command}"));
        assert!(plan.contains("whoami.txt") && plan.contains("prometheus-node-exporter"), "{plan}");
    }
    let profile = "docs/example-overlay/magi.toml";
    sandbox.run(&["build", "--profile", profile, "--base", "sample", "--all"]).ok();
    if !have(&JUDGES) {
        return;
    }
    for node in ["melchior", "balthazar", "caspar"] {
        let image = Image::open(&sandbox.work(&format!("out/magi-{node}.img")));
        image.judge();
        let whoami = image.on_fat("whoami.txt");
        assert_eq!(whoami, format!("This card is {node}'s, of the cluster magi.\n"));
        let settings = image.cat("/etc/default/prometheus-node-exporter");
        assert!(settings.contains("9101"), "{settings}");
        let step = "/usr/local/lib/magi/firstboot.d/60-node-exporter";
        assert_eq!(image.stat(step).mode, "0755");
        assert!(image.cat(step).contains("9101"));
        assert!(image.cat("/etc/magi/packages").contains("prometheus-node-exporter"));
        assert!(image.cat("/etc/magi/services").contains("prometheus-node-exporter"));
    }
    sandbox.run(&["verify", arg(&sandbox.work("out/magi-caspar.img"))]).ok();
}

#[test]
fn example_site_is_applied_by_the_init_node() {
    let sandbox = fresh_clone();
    let docs = fs::read_to_string(sandbox.work("docs/example-site/README.md")).expect("read the docs");
    let shown: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("    magi-image ")).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    for command in shown {
        let plans = run_script(&sandbox, "", &format!("\"$BINARY\" {command} --json"));
        let plans: serde_json::Value = serde_json::from_str(&plans).expect("parse the JSON");
        let with_it = plans.as_array().expect("plans are a list").iter().filter(|plan| {
            let edits = plan["edits"].as_array().expect("edits are a list");
            edits.iter().any(|e| e["path"] == "/var/lib/rancher/k3s/server/manifests/site.yaml")
        });
        let nodes: Vec<_> = with_it.map(|plan| plan["node"].as_str().expect("value is a string")).collect();
        assert_eq!(nodes, ["melchior"]);
    }
    // The host name and the VIP in the README are those of the files.
    let site = fs::read_to_string(sandbox.work("docs/example-site/apps/site.yaml")).expect("read the site");
    let profile = fs::read_to_string(sandbox.work("docs/example-site/magi.toml")).expect("read the profile");
    assert!(site.contains("host: www.example.org\n") && profile.contains("vip = \"10.0.0.100\"\n"));
    assert!(docs.contains("--resolve www.example.org:80:10.0.0.100 http://www.example.org/"));
}

#[test]
fn table_of_bases_names_every_published_base_and_its_boards() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(repo.join("docs/bases.md")).expect("read the page");
    let heading = page.lines().find(|line| line.starts_with("| base |")).expect("the table");
    let bases = Sandbox::new().run(&["base", "list", "--json"]).ok().json();
    for base in bases.as_array().expect("a list").iter().filter(|base| base["boards"] != "none") {
        let name = format!("`{}`", base["name"].as_str().expect("a name"));
        let row = page.lines().find(|line| line.starts_with("| `") && line.contains(&name));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        for (board, cell) in heading.split('|').zip(row.split('|')).skip(2).take(4) {
            let number = board.trim().trim_start_matches("Pi ").trim_end_matches(" W");
            let is_listed = base["boards"].as_str().is_some_and(|boards| boards.contains(number));
            assert_eq!(cell.trim() == "yes", is_listed, "{name} on {board}");
        }
    }
}

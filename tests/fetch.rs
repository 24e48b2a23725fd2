//! `fetch --update`: what is locked moves to what is published, and the command says from what to what.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;

use common::bases::{Base, MAKERS, pack, sha256, write_checksum};
use common::server::{Reply, Server};
use common::tools::have;
use common::{Profile, Sandbox};

const OVERLAY: &str = "summary = \"a test\"\n\n[[fetch]]\npath = \"/usr/local/bin/tool\"\nmode = \"0755\"\n\
                       url = \"[server]/tool\"\nsums = \"[server]/sums\"\nsums_name = \"tool\"\n";

/// Serves `content` as `name`, with its checksum in the list `list`.
fn publish(sandbox: &Sandbox, server: &Server, name: &str, list: &str, content: &[u8]) -> String {
    let hash = sha256(&sandbox.write("served", content));
    server.on(name, Reply::Content(content.to_vec()));
    server.on(list, Reply::Content(format!("{hash}  {}\n", &name[1..]).into_bytes()));
    hash
}

/// The text with a constant for each short hash and each size.
fn constant(text: &str) -> String {
    let pattern = regex::Regex::new(r"[0-9a-f]{8} [0-9.]+ \w+").expect("compile the pattern");
    pattern.replace_all(text, "[hash] [size]").into_owned()
}

#[test]
fn update_shows_old_and_new_version_of_every_input() {
    if !(have(&MAKERS) && have(&["xz", "gzip"])) {
        return;
    }
    let (sandbox, server) = (Sandbox::alone(), Server::start());
    let raw = Base::default().make(&sandbox.path("work"), "base.img");
    let [first, second] = ["xz", "gz"].map(|how| fs::read(pack(&raw, how)).expect("read the base"));
    let (latest, latest_list) = ("/latest.img.xz", "/latest.img.xz.sha256");
    let old = publish(&sandbox, &server, latest, latest_list, &first);
    let tool = publish(&sandbox, &server, "/tool", "/sums", b"#!/bin/sh\n");
    sandbox.write("work/overlays/mine/overlay.toml", OVERLAY.replace("[server]", &server.url("")));
    let profile = Profile::small(&["mine"]).base(&server.url(latest));
    profile.write(&sandbox);
    let run = |args: &[&str]| sandbox.run(&[&["fetch", "-p", "magi.toml"], args].concat()).ok();
    insta::assert_snapshot!(constant(&run(&["--update"]).stdout), @"
    input          from  to
    latest.img.xz  new   [hash] [size]
    tool           new   [hash] [size]
    ");

    // The server moves on: without `--update`, the cached version of the lock stays.
    let new = publish(&sandbox, &server, latest, latest_list, &second);
    assert_eq!(run(&[]).stdout, "");
    insta::assert_snapshot!(constant(&run(&["--update"]).stdout), @"
    input          from               to
    latest.img.xz  [hash] [size]  [hash] [size]
    tool           [hash] [size]  unchanged
    ");
    let again = run(&["--update", "--json"]).json();
    assert_eq!(again["sha256"], new.as_str());
    assert_eq!(again["inputs"][0]["state"], "unchanged");

    // Back to the first version, in JSON.
    assert_eq!(publish(&sandbox, &server, latest, latest_list, &first), old);
    let inputs = run(&["--update", "--json"]).json()["inputs"].clone();
    assert_eq!(inputs[0]["state"], "changed");
    assert_eq!(inputs[0]["url"], server.url(latest));
    assert_eq!(inputs[0]["from"]["sha256"], new.as_str());
    assert_eq!(inputs[0]["to"]["sha256"], old.as_str());
    assert_eq!(inputs[0]["to"]["size"], first.len());
    assert_eq!(inputs[1]["name"], "tool");
    assert_eq!(inputs[1]["to"]["sha256"], tool.as_str());
    let lock = fs::read_to_string(sandbox.work("magi.lock")).expect("read the lock file");
    assert!(lock.contains(&old) && !lock.contains(&new), "{lock}");

    // An input that the profile doesn't use any more.
    profile.uses(&["common"]).write(&sandbox);
    insta::assert_snapshot!(constant(&run(&["--update"]).stdout), @"
    input          from               to
    latest.img.xz  [hash] [size]  unchanged
    tool           [hash] [size]  not needed
    ");
}

#[test]
fn replaced_file_of_an_overlay_is_refused_by_its_locked_size() {
    if !have(&MAKERS) {
        return;
    }
    let (sandbox, server) = (Sandbox::alone(), Server::start());
    publish(&sandbox, &server, "/tool", "/sums", b"#!/bin/sh\n");
    sandbox.write("work/overlays/mine/overlay.toml", OVERLAY.replace("[server]", &server.url("")));
    let raw = Base::default().make(&sandbox.path("work"), "base.img");
    write_checksum(&raw);
    Profile::small(&["mine"]).base("base.img").write(&sandbox);
    sandbox.run(&["fetch", "-p", "magi.toml", "-q"]).ok();
    fs::remove_dir_all(sandbox.cache()).expect("remove the cache");
    // Never sends its content: a wait for it would not end.
    server.on("/tool", Reply::Stall(b"#!/bin/sh\nexit 1\n".to_vec(), 0));
    insta::assert_snapshot!(sandbox.run(&["fetch", "-p", "magi.toml", "-q"]).failed(3), @"
    error: fetching `http://[server]/tool`
      caused by: cannot download `http://[server]/tool`: it has 17 bytes, but 10 were expected
    hint: the server has another version than `magi.lock` names: `magi-image fetch --update` takes it; for the locked version, use a mirror or a local file that has it
    ");
}

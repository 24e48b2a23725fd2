//! The arrows between the rooms of `src/` go in one direction (`docs/architecture.md`), and no overlay is known
//! by name in Rust.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down. A room may use what stands in a later row, never what stands in its own or an
/// earlier one.
const ROOMS: &[&[&str]] = &[
    &["main", "lib", "fuzzing"],
    &["cli"],
    &["project"],
    &["compose", "image"],
    &["output"],
    &["profile"],
    &["overlay"],
    &["secrets"],
    &["base"],
    &["packages"],
    &["fetch"],
    &["disk"],
    &["plan"],
    // The ground.
    &["files"],
    &["document"],
    &["guard", "progress"],
    &["digest"],
    &["interrupt"],
    &["builtin", "error"],
    &["text"],
];

/// Arrows that point down but must not exist: what is composed knows no disk.
const NEVER: &[(&str, &str)] =
    &[("compose", "disk"), ("profile", "disk"), ("overlay", "fetch"), ("overlay", "base")];

/// Folders of `overlays/` whose names are ordinary words in the code as well.
const ORDINARY_WORDS: &[&str] = &["common", "firewall", "firstboot", "vip"];

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The code of a file without comments and unit tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every file of `src/` that isn't a unit test, with its room.
fn rooms() -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_test = |path: &Path| {
        path.iter().any(|part| matches!(part.to_str(), Some("tests" | "tests.rs" | "testing.rs")))
    };
    let room_of = |path: &Path| {
        let first = path.strip_prefix(&src).expect("below src").iter().next().expect("a name");
        Path::new(first).file_stem().expect("a stem").to_str().expect("UTF-8").to_owned()
    };
    let files = source_files(&src).into_iter().filter(|path| !is_test(path));
    files
        .map(|path| {
            let room = room_of(&path);
            (path, room)
        })
        .collect()
}

/// The rooms that `code` names as `crate::room`.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let after = code.match_indices("crate::").map(|(at, found)| &code[at + found.len()..]);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    after.map(name).filter(|name| !name.is_empty()).collect()
}

fn row(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|row| row.contains(&room))
        .unwrap_or_else(|| panic!("`{room}` is missing in `ROOMS`"))
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut wrong = Vec::new();
    for (path, room) in rooms() {
        for used in used_rooms(&code(&path)) {
            let is_forbidden = NEVER.contains(&(room.as_str(), used.as_str()));
            if used != room && (row(&used) <= row(&room) || is_forbidden) {
                wrong.push(format!("{}: {room} -> {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that must not exist:\n{}", wrong.join("\n"));
}

#[test]
fn no_overlay_is_named_in_rust() {
    let overlays = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays");
    let names = fs::read_dir(overlays).expect("overlays").map(|e| e.expect("an entry").file_name());
    let names: Vec<String> = names.map(|n| n.into_string().expect("UTF-8")).collect();
    let names = names.iter().filter(|name| !ORDINARY_WORDS.contains(&name.as_str()));
    let mut wrong = Vec::new();
    for name in names {
        for (path, _) in rooms() {
            if code(&path).split(|c: char| !c.is_alphanumeric()).any(|word| word == name) {
                wrong.push(format!("{}: `{name}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "overlays are data, not code:\n{}", wrong.join("\n"));
}

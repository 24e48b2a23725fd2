//! Generates `builtin.rs`, which embeds the files of `overlays/` and `profiles/` into the binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut code = String::from("pub(crate) static FILES: &[(&str, &[u8])] = &[\n");
    for top in ["overlays", "profiles"] {
        println!("cargo:rerun-if-changed={top}");
        for file in files_below(&root.join(top)) {
            let name =
                file.strip_prefix(&root).expect("below root").to_str().expect("UTF-8").replace('\\', "/");
            let file = file.to_str().expect("UTF-8");
            writeln!(code, "    ({name:?}, include_bytes!({file:?})),").expect("writing to a String");
        }
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtin.rs");
    fs::write(out, code).expect("OUT_DIR is writable");
}

/// Every shipped file below `folder`, in name order.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if is_shipped(&path) {
            files.push(path);
        }
    }
    files
}

/// In `profiles/` only known names: secrets and keys may lie beside a profile.
fn is_shipped(path: &Path) -> bool {
    let in_profiles = path.parent().and_then(Path::file_name).is_some_and(|d| d == "profiles");
    !in_profiles || path.file_name().is_some_and(|n| n == "magi.toml" || n == "README.md")
}

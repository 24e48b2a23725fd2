//! A plan for people (a tree with sizes and modes) and for programs (JSON). Secrets show as such.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Action, Area, Edit, FileContent, Patch, Plan};
use crate::digest::Sha256;
use crate::text;

/// One edit for `plan --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    area: Area,
    path: &'a str,
    overlay: &'a str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    secret: bool,
}

/// The plan of one node for `plan --json`.
#[derive(Debug, Serialize)]
pub(crate) struct ShownPlan<'a> {
    node: &'a str,
    edits: Vec<Shown<'a>>,
}

/// As data.
pub(crate) fn json(plan: &Plan) -> ShownPlan<'_> {
    ShownPlan { node: &plan.node, edits: plan.edits.iter().map(shown).collect() }
}

fn shown(edit: &Edit) -> Shown<'_> {
    let (attributes, content) = match &edit.action {
        Action::Directory(attributes) => (Some(attributes), None),
        Action::File(content, attributes) => (Some(attributes), Some(content)),
        Action::Symlink { .. } | Action::Patch(_) => (None, None),
    };
    let attributes = attributes.filter(|_| edit.area == Area::Root);
    Shown {
        area: edit.area,
        path: &edit.path,
        overlay: &edit.overlay,
        action: name(&edit.action),
        mode: attributes.map(|a| format!("{:04o}", a.mode)),
        owner: attributes.map(|a| format!("{}:{}", a.uid, a.gid)),
        size: content.and_then(FileContent::size),
        sha256: content.filter(|_| !edit.secret).and_then(FileContent::sha256),
        origin: content.and_then(FileContent::origin),
        detail: detail(&edit.action),
        secret: edit.secret,
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Directory(_) => "directory",
        Action::File(..) => "file",
        Action::Symlink { .. } => "symlink",
        Action::Patch(_) => "patch",
    }
}

fn detail(action: &Action) -> Option<String> {
    match action {
        Action::Symlink { target } => Some(format!("-> {target}")),
        Action::Patch(Patch::Sysconf(values)) => {
            Some(values.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", "))
        }
        Action::Patch(Patch::KernelWords(words)) => Some(words.join(" ")),
        Action::Patch(Patch::Regex { pattern, replace, .. }) => Some(format!("{pattern} becomes {replace}")),
        Action::Directory(_) | Action::File(..) => None,
    }
}

/// As a tree: modes and sizes in front, so that narrow terminals cut only names.
pub(crate) fn tree(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.node);
    for (area, title) in [(Area::Boot, "boot (FAT)"), (Area::Root, "root (ext4)")] {
        let edits: Vec<&Edit> = plan.edits.iter().filter(|e| e.area == area).collect();
        if edits.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  {title}");
        let mut folder: Vec<&str> = Vec::new();
        for edit in edits {
            let parts: Vec<&str> = edit.path.trim_start_matches('/').split('/').collect();
            let (name, parents) = parts.split_last().unwrap_or((&"", &[]));
            let shared = folder.iter().zip(parents).take_while(|(a, b)| a == b).count();
            for (depth, parent) in parents.iter().enumerate().skip(shared) {
                let _ = writeln!(text, "  {:23}{}{parent}/", "", indent(depth));
            }
            folder = parents.to_vec();
            let _ = writeln!(text, "  {}{}{}", columns(edit), indent(parents.len()), leaf(edit, name));
            if matches!(edit.action, Action::Directory(_)) {
                folder.push(name);
            }
        }
    }
    text
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// Kind, mode and size in 23 columns.
fn columns(edit: &Edit) -> String {
    let shown = shown(edit);
    let mark = match edit.action {
        Action::Directory(_) => 'd',
        Action::File(..) => '-',
        Action::Symlink { .. } => 'l',
        Action::Patch(_) => '~',
    };
    let size = match &edit.action {
        Action::File(content, _) => content.size().map_or_else(|| "?".to_owned(), text::size),
        _ => String::new(),
    };
    format!("{mark} {:<6}{size:>12}   ", shown.mode.unwrap_or_default())
}

fn leaf(edit: &Edit, name: &str) -> String {
    let mut leaf = name.to_owned();
    match &edit.action {
        Action::Directory(_) => leaf.push('/'),
        Action::Symlink { target } => {
            let _ = write!(leaf, " -> {target}");
        }
        Action::Patch(Patch::Sysconf(values)) => {
            let keys: Vec<&str> = values.iter().map(|(key, _)| *key).collect();
            let _ = write!(leaf, "  {}", keys.join(", "));
        }
        Action::Patch(Patch::KernelWords(words)) => {
            let _ = write!(leaf, "  {}", words.join(" "));
        }
        Action::Patch(Patch::Regex { .. }) | Action::File(..) => {}
    }
    if edit.secret {
        leaf.push_str("  ***");
    }
    leaf
}

//! A plan as a tree with sizes and modes, and as JSON. Secrets are masked.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Action, Area, Attributes, DiskShape, Edit, FileContent, Patch, Plan};
use crate::digest::Sha256;
use crate::text;

/// One edit in `plan --json`.
#[derive(Debug, Serialize)]
struct EditJson<'a> {
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

/// The plan of one node in `plan --json`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanJson<'a> {
    node: &'a str,
    /// Where it differs from the base's disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<&'a DiskShape>,
    edits: Vec<EditJson<'a>>,
}

pub(crate) fn json(plan: &Plan) -> PlanJson<'_> {
    let disk = Some(&plan.shape).filter(|shape| !shape.is_as_base());
    PlanJson { node: &plan.node, disk, edits: plan.edits.iter().map(edit_json).collect() }
}

/// The mode and owner that an edit sets; a FAT has none.
fn attributes(edit: &Edit) -> Option<&Attributes> {
    match &edit.action {
        Action::Directory(attributes) | Action::File(_, attributes) if edit.area == Area::Root => {
            Some(attributes)
        }
        _ => None,
    }
}

fn edit_json(edit: &Edit) -> EditJson<'_> {
    let attributes = attributes(edit);
    let content = match &edit.action {
        Action::File(content, _) => Some(content),
        _ => None,
    };
    EditJson {
        area: edit.area,
        path: &edit.path,
        overlay: &edit.overlay,
        action: name(&edit.action),
        mode: attributes.map(octal_mode),
        owner: attributes.map(|a| format!("{}:{}", a.uid, a.gid)),
        size: content.and_then(FileContent::size),
        sha256: content.filter(|_| !edit.secret).and_then(FileContent::sha256),
        origin: content.and_then(FileContent::origin),
        detail: detail(&edit.action),
        secret: edit.secret,
    }
}

const PART_UUIDS: &str = "PARTUUIDs of the new table";

fn without(words: &[String]) -> String {
    format!("without {}", words.join(" "))
}

/// The shape of the disk in one line, where it differs from the base's.
fn shape(shape: &DiskShape) -> Option<String> {
    let size = |name: &str, bytes: Option<u64>| bytes.map(|bytes| format!("{name}{}", text::size(bytes)));
    let extra = shape.extra.as_ref().map(|extra| {
        let size = extra.size.map_or_else(|| "the rest".to_owned(), text::size);
        format!("partition `{}` {size}", extra.label)
    });
    let table = shape.as_mbr.then(|| "table MBR".to_owned());
    let parts = [size("", shape.size), table, size("root ", shape.root_size), extra];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
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
        Action::Patch(Patch::FirmwareLines(lines)) => Some(lines.join(", ")),
        Action::Patch(Patch::WithoutKernelWords(words)) => Some(without(words)),
        Action::Patch(Patch::PartUuids) => Some(PART_UUIDS.into()),
        Action::Patch(Patch::Regex { pattern, replace, .. }) => Some(format!("{pattern} becomes {replace}")),
        Action::Directory(_) | Action::File(..) => None,
    }
}

/// A tree with modes and sizes on the left, so that narrow terminals cut only names.
pub(crate) fn tree(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.node);
    if let Some(shape) = shape(&plan.shape) {
        let _ = writeln!(text, "  disk: {shape}");
    }
    for (area, title) in [(Area::Boot, "boot (FAT)"), (Area::Root, "root (ext4)")] {
        let edits: Vec<&Edit> = plan.edits.iter().filter(|e| e.area == area).collect();
        if edits.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  {title}");
        let mut folder: Vec<&str> = Vec::new();
        for edit in edits {
            let path = edit.path.trim_start_matches('/');
            let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parents: Vec<&str> = parents.split('/').filter(|part| !part.is_empty()).collect();
            let shared = folder.iter().zip(&parents).take_while(|(a, b)| a == b).count();
            for (depth, parent) in parents.iter().enumerate().skip(shared) {
                let _ = writeln!(text, "  {:23}{}{parent}/", "", indent(depth));
            }
            let _ = writeln!(text, "  {}{}{}", columns(edit), indent(parents.len()), leaf(edit, name));
            folder = parents;
            if matches!(edit.action, Action::Directory(_)) {
                folder.push(name);
            }
        }
    }
    text
}

fn octal_mode(attributes: &Attributes) -> String {
    format!("{:04o}", attributes.mode)
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// Type, mode and size in 23 columns.
fn columns(edit: &Edit) -> String {
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
    let mode = attributes(edit).map_or_else(String::new, octal_mode);
    format!("{mark} {mode:<6}{size:>12}   ")
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
        Action::Patch(Patch::Regex { .. }) | Action::File(..) => {}
        Action::Patch(_) => {
            let _ = write!(leaf, "  {}", detail(&edit.action).unwrap_or_default());
        }
    }
    if edit.secret {
        leaf.push_str("  ***");
    }
    leaf
}

//! Each path has one writer, and everything above a path is a directory.

use std::collections::BTreeMap;

use super::PlanError;
use crate::plan::{Action, Area, Edit};

/// Stands for the overlay of the tool's own edit of `sysconf.txt`.
pub(super) const SYSCONF: &str = "sysconf";

pub(super) fn same_directory(a: &Edit, b: &Edit) -> bool {
    a.key() == b.key()
        && matches!((&a.action, &b.action), (Action::Directory(one), Action::Directory(other)) if one == other)
}

type EditsByPath<'a> = BTreeMap<(Area, String), &'a Edit>;

pub(super) fn check(edits: &[Edit]) -> Result<(), PlanError> {
    let mut seen = EditsByPath::new();
    for edit in edits {
        if let Some(earlier) = seen.insert((edit.area, folded(edit.area, &edit.path)), edit) {
            let both_patch = matches!((&edit.action, &earlier.action), (Action::Patch(_), Action::Patch(_)));
            if !both_patch {
                return Err(conflict(earlier, edit));
            }
        }
    }
    edits.iter().try_for_each(|edit| check_ancestors(edit, &seen))
}

fn conflict(first: &Edit, second: &Edit) -> PlanError {
    let path = second.shown();
    match (first.overlay.as_str(), second.overlay.as_str()) {
        (SYSCONF, overlay) | (overlay, SYSCONF) => PlanError::Sysconf { overlay: overlay.to_owned(), path },
        (one, other) if one == other => PlanError::Twice { overlay: one.to_owned(), path },
        (one, other) => PlanError::Conflict { first: one.to_owned(), second: other.to_owned(), path },
    }
}

fn check_ancestors(edit: &Edit, edits: &EditsByPath<'_>) -> Result<(), PlanError> {
    let ancestors = edit.path.match_indices('/').skip(1).map(|(end, _)| &edit.path[..end]);
    for parent in ancestors {
        let key = (edit.area, folded(edit.area, parent));
        if let Some(other) = edits.get(&key).filter(|o| !matches!(o.action, Action::Directory(_))) {
            return Err(PlanError::ParentIsNoFolder {
                overlay: edit.overlay.clone(),
                path: edit.shown(),
                other: other.overlay.clone(),
                parent: edit.area.shown(parent),
            });
        }
    }
    Ok(())
}

/// FAT does not distinguish `A` and `a`.
fn folded(area: Area, path: &str) -> String {
    if area == Area::Boot { path.to_lowercase() } else { path.to_owned() }
}

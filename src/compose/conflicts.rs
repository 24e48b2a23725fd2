//! One writer for each path, and directories only where other edits need directories.

use std::collections::BTreeMap;

use super::PlanError;
use crate::plan::{Action, Area, Edit};

/// The owner of the tool's own edit of `sysconf.txt`.
pub(super) const SYSCONF: &str = "sysconf";

pub(super) fn same_directory(a: &Edit, b: &Edit) -> bool {
    a.key() == b.key()
        && matches!((&a.action, &b.action), (Action::Directory(one), Action::Directory(other)) if one == other)
}

/// Fails unless each path has one writer, and whatever lies above a path is a directory.
pub(super) fn refuse(edits: &[Edit]) -> Result<(), PlanError> {
    let mut seen: BTreeMap<(Area, String), &Edit> = BTreeMap::new();
    for edit in edits {
        if let Some(earlier) = seen.insert(identity(edit), edit) {
            let both_patch = matches!((&edit.action, &earlier.action), (Action::Patch(_), Action::Patch(_)));
            if !both_patch {
                let (first, second) = (earlier.overlay.clone(), edit.overlay.clone());
                return Err(PlanError::Conflict { first, second, path: edit.shown() });
            }
        }
    }
    for edit in edits {
        let ancestors = edit.path.match_indices('/').skip(1).map(|(end, _)| &edit.path[..end]);
        for parent in ancestors {
            let key = (edit.area, folded(edit.area, parent));
            if let Some(other) = seen.get(&key).filter(|o| !matches!(o.action, Action::Directory(_))) {
                return Err(PlanError::Inside {
                    overlay: edit.overlay.clone(),
                    path: edit.shown(),
                    other: other.overlay.clone(),
                    parent: edit.area.shown(parent),
                });
            }
        }
    }
    Ok(())
}

fn identity(edit: &Edit) -> (Area, String) {
    (edit.area, folded(edit.area, &edit.path))
}

/// FAT doesn't tell `A` from `a`.
fn folded(area: Area, path: &str) -> String {
    if area == Area::Boot { path.to_lowercase() } else { path.to_owned() }
}

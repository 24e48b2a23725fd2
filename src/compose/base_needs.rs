//! The edits that a node needs because of its base, whatever the overlays are.

use super::boot_settings;
use crate::plan::{Action, Area, BaseFacts, Edit};

/// The owner of these edits, in messages.
const BASE: &str = "base";

/// Kernel words where they last, and units that must or must not run.
pub(super) fn edits(base: &BaseFacts) -> Vec<Edit> {
    let words: Vec<String> = base.kernel_words.iter().map(|&word| word.to_owned()).collect();
    let mut edits = boot_settings::kernel_words(base, BASE, &words);
    for unit in base.masked_units {
        edits.push(link(format!("/etc/systemd/system/{unit}"), "/dev/null".into()));
    }
    for (target, unit) in base.enabled_units {
        let path = format!("/etc/systemd/system/{target}.wants/{unit}");
        edits.push(link(path, format!("/usr/lib/systemd/system/{unit}")));
    }
    edits
}

fn link(path: String, target: String) -> Edit {
    Edit { area: Area::Root, path, overlay: BASE.into(), action: Action::Symlink { target }, secret: false }
}

//! The edits that a node needs because of its base, whatever the overlays are.

use super::boot_settings;
use crate::plan::{Action, Area, BaseFacts, DiskShape, Edit, Patch};

/// The owner of these edits, in messages.
const BASE: &str = "base";

/// Kernel words where they last, and units that must or must not run.
pub(super) fn edits(base: &BaseFacts) -> Vec<Edit> {
    let words: Vec<String> = base.kernel_words.iter().map(|&word| word.to_owned()).collect();
    let mut edits = boot_settings::kernel_words(base, BASE, &words);
    for unit in base.masked_units {
        let action = Action::Symlink { target: "/dev/null".into() };
        edits.push(edit(Area::Root, format!("/etc/systemd/system/{unit}"), action));
    }
    for (target, unit) in base.enabled_units {
        let path = format!("/etc/systemd/system/{target}.wants/{unit}");
        let action = Action::Symlink { target: format!("/usr/lib/systemd/system/{unit}") };
        edits.push(edit(Area::Root, path, action));
    }
    edits
}

/// Files that name partitions by their PARTUUID.
const PART_UUID_FILES: [(Area, &str); 3] =
    [(Area::Boot, "/cmdline.txt"), (Area::Root, "/etc/fstab"), (Area::Root, "/etc/default/raspi-firmware")];

/// What must change for another partition table: PARTUUIDs, and what would grow a root partition of fixed size.
pub(super) fn for_shape(base: &BaseFacts, shape: &DiskShape) -> Vec<Edit> {
    let mut edits = Vec::new();
    if shape.as_mbr {
        let patch = |(area, path): (Area, &str)| edit(area, path.into(), Action::Patch(Patch::PartUuids));
        edits.extend(PART_UUID_FILES.map(patch));
    }
    if shape.fixes_root() && !base.growth_words.is_empty() {
        let words = base.growth_words.iter().map(|&word| word.to_owned()).collect();
        let action = Action::Patch(Patch::WithoutKernelWords(words));
        edits.push(edit(Area::Boot, "/cmdline.txt".into(), action));
    }
    edits
}

fn edit(area: Area, path: String, action: Action) -> Edit {
    Edit { area, path, overlay: BASE.into(), action, secret: false }
}

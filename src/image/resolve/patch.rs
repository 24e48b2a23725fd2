//! Patches: a file of the base, changed in memory.

use super::error::ResolveError;
use super::{BaseVolumes, path_write};
use crate::base::{firmware_config, kernel_words, part_uuids, sysconf};
use crate::digest::Sha256;
use crate::disk::ext4::FileKind;
use crate::error::Result;
use crate::image::path_write::{ContentSource, PathWrite};
use crate::plan::{Action, Area, Attributes, Edit, Patch, PathState};

/// Size limit of a patched file, in bytes: it is read into memory whole.
const MAX_SIZE: u64 = 16 << 20;

/// The file with all patches of one path applied, in their order.
pub(super) fn resolve(base: &BaseVolumes<'_>, first: &Edit, edits: &[Edit]) -> Result<Option<PathWrite>> {
    let patches = || {
        edits.iter().filter_map(|edit| match &edit.action {
            Action::Patch(patch) => Some((edit, patch)),
            _ => None,
        })
    };
    let Some((mut content, attributes)) = read(base, first)?.or_else(|| start(first, patches())) else {
        if patches()
            .all(|(_, patch)| matches!(patch, Patch::Regex { required: false, .. } | Patch::PartUuids))
        {
            return Ok(None);
        }
        let (overlay, path) = (first.overlay.clone(), first.shown());
        return Err(match &first.action {
            Action::Patch(Patch::KernelWords(_)) => ResolveError::NoCommandLine { overlay }.into(),
            _ => ResolveError::PatchOfNothing { overlay, path }.into(),
        });
    };
    for (edit, patch) in patches() {
        content = apply(base, edit, patch, content)?;
    }
    let state = PathState::File {
        attributes,
        size: content.len() as u64,
        sha256: Some(Sha256::of(&content)),
        origin: None,
    };
    Ok(Some(path_write(first, state, ContentSource::Memory(content.into()))))
}

/// What a file that the base lacks starts from, if one of its patches can make it.
fn start<'a>(
    edit: &Edit,
    mut patches: impl Iterator<Item = (&'a Edit, &'a Patch)>,
) -> Option<(Vec<u8>, Option<Attributes>)> {
    patches.find_map(|(_, patch)| match (patch, edit.area) {
        (Patch::Sysconf(_), _) => Some((sysconf::TEMPLATE.to_vec(), None)),
        (Patch::KernelWords(_) | Patch::FirmwareLines(_), Area::Root) => {
            Some((Vec::new(), Some(Attributes { mode: 0o644, uid: 0, gid: 0 })))
        }
        (Patch::FirmwareLines(_), Area::Boot) => Some((Vec::new(), None)),
        // Without its own `cmdline.txt` the base would boot with nothing but these words.
        (Patch::KernelWords(_), Area::Boot)
        | (Patch::Regex { .. } | Patch::WithoutKernelWords(_) | Patch::PartUuids, _) => None,
    })
}

/// The file's content and attributes in the base; `None` if there is no such file.
fn read(base: &BaseVolumes<'_>, edit: &Edit) -> Result<Option<(Vec<u8>, Option<Attributes>)>> {
    let (overlay, path) = (edit.overlay.clone(), edit.shown());
    match base.kind(edit.area, &edit.path)? {
        None => return Ok(None),
        Some(FileKind::File) => {}
        Some(FileKind::Symlink) => {
            let target = base.root.read_link(&edit.path)?;
            return Err(ResolveError::PatchOfSymlink { overlay, path, target }.into());
        }
        Some(found) => return Err(ResolveError::PatchOfOtherKind { overlay, path, found }.into()),
    }
    if edit.area == Area::Boot {
        return Ok(Some((base.boot.read(&edit.path)?, None)));
    }
    let content = base.root.read(&edit.path, MAX_SIZE)?;
    let stat = base.root.stat(&edit.path)?;
    let attributes = stat.map(|stat| Attributes { mode: stat.mode, uid: stat.uid, gid: stat.gid });
    Ok(Some((content, attributes)))
}

fn apply(
    base: &BaseVolumes<'_>,
    edit: &Edit,
    patch: &Patch,
    content: Vec<u8>,
) -> Result<Vec<u8>, ResolveError> {
    match patch {
        Patch::Sysconf(values) => {
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            sysconf::edit(&content, &values).map_err(ResolveError::Sysconf)
        }
        Patch::KernelWords(words) => Ok(kernel_words::add(&content, words)),
        Patch::FirmwareLines(lines) => Ok(firmware_config::add(&content, lines)),
        Patch::WithoutKernelWords(words) => Ok(kernel_words::remove(&content, words)),
        Patch::PartUuids => Ok(part_uuids::replace(&content, base.renamed)),
        Patch::Regex { pattern, replace, required } => {
            let (overlay, path) = (edit.overlay.clone(), edit.shown());
            let Ok(text) = String::from_utf8(content) else {
                return Err(ResolveError::PatchOfBinary { overlay, path });
            };
            if *required && !pattern.is_match(&text) {
                return Err(ResolveError::NoMatch { overlay, path, pattern: pattern.to_string() });
            }
            Ok(pattern.replace_all(&text, replace.as_str()).into_owned().into_bytes())
        }
    }
}

//! Resolves a plan against its base before a byte is written: patches become content, missing parents become
//! folders, and a path of the wrong kind or too little space is an error.

mod base_volumes;
pub(super) mod disk;
mod error;
mod patch;
mod space;

use std::collections::BTreeMap;

use super::path_write::{ContentSource, PathWrite};
use crate::digest::Sha256;
use crate::disk::ext4::FileKind;
use crate::error::Result;
use crate::plan::{
    Action, Area, Asset, Attributes, Edit, ExpectedPath, FileContent, NotFetched, PathState, Plan,
};
pub(super) use base_volumes::BaseVolumes;
use disk::ImageDisk;
use error::ResolveError;

/// What a plan makes of an image of its base.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) disk: ImageDisk,
    /// Parents first.
    pub(crate) writes: Vec<PathWrite>,
}

/// Everything that `plan` writes to `base`, parents first.
pub(super) fn resolve(plan: &Plan, base: &BaseVolumes<'_>) -> Result<Vec<PathWrite>> {
    let mut writes: BTreeMap<(Area, String), PathWrite> = BTreeMap::new();
    for edits in plan.edits.chunk_by(|a, b| a.key() == b.key()) {
        let Some(first) = edits.first() else { continue };
        let Some(write) = resolve_path(base, first, edits)? else { continue };
        for parent in missing_parents(base, first)? {
            let key = (first.area, parent.expected.path.clone());
            writes.entry(key).or_insert(parent);
        }
        writes.insert((first.area, first.path.clone()), write);
    }
    let writes: Vec<PathWrite> = writes.into_values().collect();
    space::check(base.root.superblock(), &writes)?;
    Ok(writes)
}

/// What the edits of one path come to; only patches can be several. `None` for optional patches of a file
/// that the base doesn't have.
fn resolve_path(base: &BaseVolumes<'_>, first: &Edit, edits: &[Edit]) -> Result<Option<PathWrite>> {
    let attributes = |given: &Attributes| (first.area == Area::Root).then_some(*given);
    let (kind, state, content) = match &first.action {
        Action::Directory(given) => {
            let state = PathState::Directory { attributes: attributes(given) };
            (FileKind::Directory, state, ContentSource::Empty)
        }
        Action::Symlink { target } => {
            let state = PathState::Symlink { target: target.clone() };
            (FileKind::Symlink, state, ContentSource::Empty)
        }
        Action::File(content, given) => {
            let (state, content) = file(content, attributes(given))?;
            (FileKind::File, state, content)
        }
        Action::Patch(_) => return patch::resolve(base, first, edits),
    };
    check_kind(base, first, kind)?;
    Ok(Some(path_write(first, state, content)))
}

/// Refuses to replace something of another kind. A symlink may replace a file, as with `ln -f`:
/// `/etc/localtime` may be either.
fn check_kind(base: &BaseVolumes<'_>, edit: &Edit, wanted: FileKind) -> Result<()> {
    match base.kind(edit.area, &edit.path)? {
        None => Ok(()),
        Some(found) if found == wanted || (found, wanted) == (FileKind::File, FileKind::Symlink) => Ok(()),
        Some(found) => {
            let (overlay, path) = (edit.overlay.clone(), edit.shown());
            Err(ResolveError::OtherKind { overlay, at: path.clone(), path, wanted, found }.into())
        }
    }
}

/// The parents that the base doesn't have, as folders of root with mode 0755. A parent that is a symlink or
/// a file is an error.
fn missing_parents(base: &BaseVolumes<'_>, edit: &Edit) -> Result<Vec<PathWrite>> {
    let mut missing = Vec::new();
    for (end, _) in edit.path.match_indices('/').skip(1) {
        let parent = &edit.path[..end];
        match base.kind(edit.area, parent)? {
            Some(FileKind::Directory) => {}
            Some(FileKind::Symlink) => {
                return Err(ResolveError::SymlinkParent {
                    overlay: edit.overlay.clone(),
                    path: edit.path.clone(),
                    link: parent.to_owned(),
                    target: base.root.read_link(parent)?,
                }
                .into());
            }
            Some(found) => {
                return Err(ResolveError::OtherKind {
                    overlay: edit.overlay.clone(),
                    path: edit.shown(),
                    wanted: FileKind::File,
                    at: edit.area.shown(parent),
                    found,
                }
                .into());
            }
            None => missing.push(parent_folder(edit, parent)),
        }
    }
    Ok(missing)
}

fn parent_folder(edit: &Edit, path: &str) -> PathWrite {
    let attributes = (edit.area == Area::Root).then_some(Attributes { mode: 0o755, uid: 0, gid: 0 });
    let mut folder = path_write(edit, PathState::Directory { attributes }, ContentSource::Empty);
    path.clone_into(&mut folder.expected.path);
    folder.expected.secret = false;
    folder
}

fn path_write(edit: &Edit, state: PathState, content: ContentSource) -> PathWrite {
    let expected = ExpectedPath {
        area: edit.area,
        path: edit.path.clone(),
        overlay: edit.overlay.clone(),
        secret: edit.secret,
        state,
    };
    PathWrite { expected, content }
}

fn file(
    content: &FileContent,
    attributes: Option<Attributes>,
) -> Result<(PathState, ContentSource), NotFetched> {
    let (size, sha256, origin, source) = match content {
        FileContent::Inline(bytes) => {
            (bytes.len() as u64, Sha256::of(bytes), None, ContentSource::Memory(bytes.clone()))
        }
        FileContent::Fetched(Asset { file, origin, size, sha256 }) => {
            (*size, *sha256, Some(origin.clone()), ContentSource::File(file.clone()))
        }
        FileContent::Pending { origin, .. } => return Err(NotFetched(origin.clone())),
    };
    Ok((PathState::File { attributes, size, sha256: Some(sha256), origin }, source))
}

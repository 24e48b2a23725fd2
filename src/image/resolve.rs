//! Holds a plan against the base it goes into: patches become content, missing parents become folders,
//! and whatever is in the way or doesn't fit is found before a byte is written.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::sysconf::{self, SysconfError};
use crate::digest::Sha256;
use crate::disk::ext4::{self, FileKind};
use crate::disk::fat;
use crate::error::{Exit, Explain, FileError, Result};
use crate::plan::{
    Action, Area, Asset, Attributes, Edit, ExpectedPath, FileContent, NotFetched, Patch, PathState, Plan,
};
use crate::text::escaped;

/// What a patched file may measure: configuration, not data.
const PATCHABLE: u64 = 16 << 20;

/// One path, ready to be written, and what must be read back.
#[derive(Debug)]
pub(crate) struct Step {
    /// What will be there.
    pub(crate) expected: ExpectedPath,
    /// A file's content.
    pub(crate) body: Body,
}

/// Where content comes from.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Not a file.
    None,
    /// Bytes in memory.
    Inline(Arc<[u8]>),
    /// A file of this machine.
    File(PathBuf),
}

/// Why a plan doesn't fit a base.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// A parent that is a link.
    #[error("overlay `{overlay}` writes `{path}`, but `{link}` is a symlink to `{target}` in the base")]
    Symlink {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// The parent.
        link: String,
        /// Where it leads.
        target: String,
    },
    /// Something of another kind.
    #[error("overlay `{overlay}` wants {wanted} at `{path}`, but `{at}` is {found} in the base")]
    Kind {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// What it should be.
        wanted: &'static str,
        /// The path or one of its parents.
        at: String,
        /// What is there.
        found: &'static str,
    },
    /// A patch for a file that isn't there.
    #[error("overlay `{overlay}` changes `{path}`, which the base doesn't have")]
    NothingToPatch {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
    /// A patch for something that isn't a file.
    #[error("overlay `{overlay}` changes `{path}`, which is {found} in the base")]
    NotAFile {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// What is there.
        found: String,
        /// Where a symlink leads.
        target: Option<String>,
    },
    /// A pattern that isn't found.
    #[error("overlay `{overlay}`: nothing in `{path}` matches `{pattern}`")]
    NoMatch {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// What was looked for.
        pattern: String,
    },
    /// A patch for something binary.
    #[error("overlay `{overlay}` changes `{path}`, which isn't text")]
    NotText {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
    /// `sysconf.txt`.
    #[error("`sysconf.txt` can't say that")]
    Sysconf(#[source] SysconfError),
    /// Too little room on the root file system.
    #[error("the root file system has no room: {needed} bytes are needed, {free} are free, {} are missing", needed - free)]
    NoSpace {
        /// In bytes.
        needed: u64,
        /// In bytes.
        free: u64,
    },
    /// Too few inodes.
    #[error("the root file system has too few inodes: {needed} are needed, {free} are free")]
    NoInodes {
        /// How many.
        needed: u64,
        /// How many.
        free: u64,
    },
}

impl Explain for ResolveError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSpace { .. } | Self::NoInodes { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Symlink { path, link, target, .. } => {
                Some(format!("write to `{}{}` instead", led(link, target), &path[link.len()..]))
            }
            Self::NotAFile { path, target: Some(target), .. } => {
                Some(format!("change `{}` instead", led(path, target)))
            }
            Self::NoMatch { .. } => Some("set `required = false` if it may be absent".into()),
            Self::Sysconf(error) => error.hint(),
            Self::NoSpace { .. } | Self::NoInodes { .. } => {
                Some("leave something out, or use a base with a larger root partition".into())
            }
            _ => None,
        }
    }
}

/// The base as it is before anything is written.
pub(crate) struct BaseVolumes<'a> {
    /// Its FAT.
    pub(crate) boot: &'a fat::Reader,
    /// Its ext4.
    pub(crate) root: &'a ext4::Reader,
}

/// Everything that `plan` writes, parents first.
pub(crate) fn resolve(plan: &Plan, ground: &BaseVolumes<'_>) -> Result<Vec<Step>> {
    let mut steps: BTreeMap<(Area, String), Step> = BTreeMap::new();
    for group in plan.edits.chunk_by(|a, b| a.key() == b.key()) {
        let Some(first) = group.first() else { continue };
        if let Some(step) = ground.step(first, group)? {
            for parent in ground.missing_parents(first)? {
                let key = (first.area, parent.expected.path.clone());
                steps.entry(key).or_insert(parent);
            }
            steps.insert((first.area, first.path.clone()), step);
        }
    }
    let steps: Vec<Step> = steps.into_values().collect();
    ground.enough_room(&steps)?;
    Ok(steps)
}

impl BaseVolumes<'_> {
    /// What `edit`, the first of a path's edits, comes to; several can only be patches. `None` for a patch of
    /// a file that may be absent and is.
    fn step(&self, edit: &Edit, group: &[Edit]) -> Result<Option<Step>> {
        let attributes = |given: &Attributes| (edit.area == Area::Root).then_some(*given);
        let (state, body, wanted) = match &edit.action {
            Action::Directory(given) => {
                (PathState::Directory { attributes: attributes(given) }, Body::None, "a folder")
            }
            Action::Symlink { target } => {
                (PathState::Symlink { target: target.clone() }, Body::None, "a symlink")
            }
            Action::File(content, given) => {
                let (state, body) = file(content, attributes(given))?;
                (state, body, "a file")
            }
            Action::Patch(_) => return self.patched(edit, group),
        };
        self.nothing_in_the_way(edit, wanted)?;
        Ok(Some(step(edit, state, body)))
    }

    fn nothing_in_the_way(&self, edit: &Edit, wanted: &'static str) -> Result<()> {
        let found = match edit.area {
            Area::Root => self.root.stat(&edit.path)?.map(|s| kind_name(s.kind)),
            Area::Boot => self.boot.find(&edit.path)?.map(|e| if e.folder { "a folder" } else { "a file" }),
        };
        match found {
            // A link takes the place of a file, as `ln -f` would: `/etc/localtime` may be either.
            Some("a file") if wanted == "a symlink" => Ok(()),
            Some(found) if found != wanted => Err(ResolveError::Kind {
                overlay: edit.overlay.clone(),
                path: edit.shown(),
                wanted,
                at: edit.shown(),
                found,
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// The file with all patches of one path applied.
    fn patched(&self, first: &Edit, group: &[Edit]) -> Result<Option<Step>> {
        let Some((mut content, attributes)) = self.existing(first)? else {
            let all_optional = group
                .iter()
                .all(|e| matches!(&e.action, Action::Patch(Patch::Regex { required: false, .. })));
            if all_optional {
                return Ok(None);
            }
            let (overlay, path) = (first.overlay.clone(), first.shown());
            return Err(ResolveError::NothingToPatch { overlay, path }.into());
        };
        for edit in group {
            if let Action::Patch(patch) = &edit.action {
                content = apply_patch(edit, patch, content)?;
            }
        }
        let state = PathState::File {
            attributes,
            size: content.len() as u64,
            sha256: Some(Sha256::of(&content)),
            origin: None,
        };
        Ok(Some(step(first, state, Body::Inline(content.into()))))
    }

    fn existing(&self, edit: &Edit) -> Result<Option<(Vec<u8>, Option<Attributes>)>> {
        match edit.area {
            Area::Boot => match self.boot.find(&edit.path)? {
                Some(entry) if entry.folder => Err(not_a_file(edit, FileKind::Directory, None).into()),
                Some(_) => Ok(Some((self.boot.read(&edit.path)?, None))),
                None => Ok(None),
            },
            Area::Root => match self.root.stat(&edit.path)? {
                Some(stat) if stat.kind == FileKind::File => {
                    let content = self.root.read(&edit.path, PATCHABLE)?;
                    let attributes = Attributes { mode: stat.mode, uid: stat.uid, gid: stat.gid };
                    Ok(Some((content, Some(attributes))))
                }
                Some(stat) => {
                    let target = (stat.kind == FileKind::Symlink).then(|| self.root.read_link(&edit.path));
                    Err(not_a_file(edit, stat.kind, target.transpose()?).into())
                }
                None => Ok(None),
            },
        }
    }

    /// Folders that neither the base nor the plan has yet, as root's and 0755; a link or a file among the
    /// parents is an error.
    fn missing_parents(&self, edit: &Edit) -> Result<Vec<Step>> {
        let mut missing = Vec::new();
        for (end, _) in edit.path.match_indices('/').skip(1) {
            let parent = &edit.path[..end];
            let found = match edit.area {
                Area::Boot => self
                    .boot
                    .find(parent)?
                    .map(|e| if e.folder { FileKind::Directory } else { FileKind::File }),
                Area::Root => self.root.stat(parent)?.map(|s| s.kind),
            };
            let (overlay, path) = (edit.overlay.clone(), edit.path.clone());
            match found {
                Some(FileKind::Directory) => {}
                Some(FileKind::Symlink) => {
                    let target = self.root.read_link(parent)?;
                    return Err(
                        ResolveError::Symlink { overlay, path, link: parent.to_owned(), target }.into()
                    );
                }
                Some(kind) => {
                    let (wanted, at, found) = ("a file", edit.area.shown(parent), kind_name(kind));
                    let path = edit.shown();
                    return Err(ResolveError::Kind { overlay, path, wanted, at, found }.into());
                }
                None => {
                    let attributes =
                        (edit.area == Area::Root).then_some(Attributes { mode: 0o755, uid: 0, gid: 0 });
                    let mut folder = step(edit, PathState::Directory { attributes }, Body::None);
                    parent.clone_into(&mut folder.expected.path);
                    folder.expected.secret = false;
                    missing.push(folder);
                }
            }
        }
        Ok(missing)
    }

    /// A cautious sum: every new path takes an inode and a block of its folder, every file its blocks and
    /// one for its extents.
    fn enough_room(&self, steps: &[Step]) -> Result<(), ResolveError> {
        let superblock = self.root.superblock();
        let block = u64::from(superblock.block_size);
        let (mut blocks, mut inodes) = (0u64, 0u64);
        for step in steps.iter().filter(|s| s.expected.area == Area::Root) {
            inodes += 1;
            blocks = blocks.saturating_add(match step.expected.state {
                PathState::File { size, .. } => size.div_ceil(block).saturating_add(2),
                PathState::Directory { .. } => 2,
                PathState::Symlink { .. } => 1,
            });
        }
        let (needed, free) = (blocks.saturating_mul(block), superblock.free_blocks.saturating_mul(block));
        if needed > free {
            return Err(ResolveError::NoSpace { needed, free });
        }
        let free = u64::from(superblock.free_inodes);
        if inodes > free { Err(ResolveError::NoInodes { needed: inodes, free }) } else { Ok(()) }
    }
}

fn step(edit: &Edit, state: PathState, body: Body) -> Step {
    let expected = ExpectedPath {
        area: edit.area,
        path: edit.path.clone(),
        overlay: edit.overlay.clone(),
        secret: edit.secret,
        state,
    };
    Step { expected, body }
}

/// State and body of a file with this content.
fn file(content: &FileContent, attributes: Option<Attributes>) -> Result<(PathState, Body), NotFetched> {
    let (size, sha256, origin, body) = match content {
        FileContent::Inline(bytes) => {
            (bytes.len() as u64, Sha256::of(bytes), None, Body::Inline(bytes.clone()))
        }
        FileContent::Fetched(Asset { file, origin, size, sha256 }) => {
            (*size, *sha256, Some(origin.clone()), Body::File(file.clone()))
        }
        FileContent::Pending { origin, .. } => return Err(NotFetched(origin.clone())),
    };
    Ok((PathState::File { attributes, size, sha256: Some(sha256), origin }, body))
}

fn apply_patch(edit: &Edit, patch: &Patch, content: Vec<u8>) -> Result<Vec<u8>> {
    let (overlay, path) = (edit.overlay.clone(), edit.shown());
    match patch {
        Patch::Sysconf(values) => {
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            Ok(sysconf::edit(&content, &values).map_err(ResolveError::Sysconf)?)
        }
        Patch::Regex { pattern, replace, required } => {
            let text = String::from_utf8(content)
                .map_err(|_| ResolveError::NotText { overlay: overlay.clone(), path: path.clone() })?;
            if *required && !pattern.is_match(&text) {
                return Err(ResolveError::NoMatch { overlay, path, pattern: pattern.to_string() }.into());
            }
            Ok(pattern.replace_all(&text, replace.as_str()).into_owned().into_bytes())
        }
    }
}

/// What a patch is told when there is no file but something else.
fn not_a_file(edit: &Edit, kind: FileKind, target: Option<String>) -> ResolveError {
    let found = match &target {
        Some(target) => format!("a symlink to `{}`", escaped(target)),
        None => kind_name(kind).to_owned(),
    };
    ResolveError::NotAFile { overlay: edit.overlay.clone(), path: edit.shown(), found, target }
}

/// Where the symlink `link` to `target` leads, as an absolute path.
fn led(link: &str, target: &str) -> String {
    let parent = link.rsplit_once('/').map_or("", |(parent, _)| parent);
    if target.starts_with('/') { target.to_owned() } else { format!("{parent}/{target}") }
}

fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "a file",
        FileKind::Directory => "a folder",
        FileKind::Symlink => "a symlink",
        FileKind::Special => "a device, a fifo or a socket",
    }
}

impl Body {
    /// A reader of the content and its length in bytes.
    pub(crate) fn open(&self) -> Result<(Box<dyn std::io::Read + '_>, u64), FileError> {
        match self {
            Self::None => Ok((Box::new(std::io::empty()), 0)),
            Self::Inline(bytes) => Ok((Box::new(&bytes[..]), bytes.len() as u64)),
            Self::File(path) => {
                let file = std::fs::File::open(path).map_err(FileError::new("read", path))?;
                let length = file.metadata().map_err(FileError::new("read", path))?.len();
                Ok((Box::new(file.take(length)), length))
            }
        }
    }
}

impl Step {
    /// Bytes to write.
    pub(crate) fn size(&self) -> u64 {
        if let PathState::File { size, .. } = self.expected.state { size } else { 0 }
    }
}

//! The user's own files that an overlay takes in: read and checked once, before any plan is made.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::Overlay;
use super::kubernetes::{self, Objects};
use super::settings::{SettingValue, Settings};
use super::spec::{Include, IncludeFormat};
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::hash;
use crate::plan::{Asset, FileContent};
use crate::text::{listed, printable};

/// A file of the user's.
#[derive(Debug, Clone)]
pub(crate) struct Included {
    /// The setting that named it.
    pub(crate) setting: String,
    /// Its path below the named file's folder, or below the named folder.
    pub(crate) name: String,
    /// What it holds; a large file is only hashed here and copied later.
    pub(crate) content: FileContent,
}

/// A file that can't be taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncludeError {
    /// Another ending than the overlay takes.
    #[error("`{}` ends in none of {endings}", printable(path))]
    Ending {
        /// Which.
        path: PathBuf,
        /// What would do.
        endings: String,
    },
    /// Not a name to use in an image.
    #[error("`{}` has a name that isn't plain UTF-8 without control characters", printable(.0))]
    Name(PathBuf),
    /// A fifo, a socket, a device, a link to nothing.
    #[error("`{}` is {what}", printable(path))]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A name that the overlay doesn't take.
    #[error("`{}` can't be taken: its name {what}", printable(path))]
    Named {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// More than anybody reads.
    #[error("`{}` has {size} bytes; more than {LARGEST} aren't read", printable(path))]
    Large {
        /// Which.
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
    /// Folders in folders without end.
    #[error("`{}` lies in more than {DEEPEST} folders", printable(.0))]
    Deep(PathBuf),
}

impl Explain for IncludeError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Ending { .. } | Self::Name(_) => Some("rename it".into()),
            Self::Special { what, .. } if *what == FOLDER_LINK => {
                Some("name the folder that it leads to in the profile instead".into())
            }
            Self::Special { .. } => Some("remove it, or put a file in its place".into()),
            Self::Named { hint, .. } => hint.clone(),
            Self::Large { .. } => Some("split it".into()),
            Self::Deep(_) => None,
        }
    }
}

/// Up to this many bytes are kept in memory.
const SMALL: u64 = 1 << 20;
/// What a file that is checked may have: 16 MiB, ten times what Kubernetes takes for an object.
const LARGEST: u64 = 16 << 20;
/// How many folders may lie in each other.
const DEEPEST: usize = 32;
const FOLDER_LINK: &str = "a symlink to a folder";

/// Reads every file that `values` names for the includes of `overlay`, in name order, and checks what the
/// overlay says of them.
pub(crate) fn gather(overlay: &Overlay, values: &Settings) -> Result<Vec<Included>> {
    let mut found = Vec::new();
    let mut objects = Objects::default();
    for include in &overlay.spec.includes {
        let paths = match values.get(&include.setting.value) {
            Some(SettingValue::Text(one)) if !one.is_empty() => vec![one.clone()],
            Some(SettingValue::List(list)) => list.clone(),
            _ => Vec::new(),
        };
        let mut gathering =
            Gathering { include, objects: &mut objects, stems: BTreeMap::new(), found: &mut found };
        for path in paths {
            gathering.named(Path::new(&path))?;
        }
    }
    Ok(found)
}

/// One `[[include]]` and what it came to.
struct Gathering<'a> {
    include: &'a Include,
    objects: &'a mut Objects,
    stems: BTreeMap<String, PathBuf>,
    found: &'a mut Vec<Included>,
}

impl Gathering<'_> {
    /// What the profile names, links followed: the user knows them.
    fn named(&mut self, path: &Path) -> Result<()> {
        let meta = std::fs::metadata(path).map_err(FileError::named(path))?;
        if meta.is_dir() {
            return self.folder(path, path, 0);
        }
        if !self.has_ending(path) {
            let endings = listed(self.include.extensions.iter());
            return Err(IncludeError::Ending { path: path.into(), endings }.into());
        }
        let top = path.parent().map(Path::to_path_buf).unwrap_or_default();
        self.file(&top, path, &meta)
    }

    fn folder(&mut self, top: &Path, folder: &Path, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Err(IncludeError::Deep(folder.into()).into());
        }
        let entries = std::fs::read_dir(folder).map_err(FileError::named(folder))?;
        let mut paths = entries
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(FileError::named(folder))?;
        paths.sort();
        for path in paths {
            // Editors' and git's own: `.git`, `.site.yaml.swp`, `.#site.yaml`.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            let meta = std::fs::symlink_metadata(&path).map_err(FileError::named(&path))?;
            if meta.is_dir() {
                self.folder(top, &path, depth + 1)?;
            } else if meta.is_symlink() {
                self.link(top, &path)?;
            } else if self.has_ending(&path) {
                self.file(top, &path, &meta)?;
            }
        }
        Ok(())
    }

    /// A link in a folder may lead to a file; to a folder it could lead in circles.
    fn link(&mut self, top: &Path, path: &Path) -> Result<()> {
        let special = |what| Err(IncludeError::Special { path: path.into(), what }.into());
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => special(FOLDER_LINK),
            _ if !self.has_ending(path) => Ok(()),
            Ok(meta) => self.file(top, path, &meta),
            Err(_) => special("a symlink that leads nowhere"),
        }
    }

    fn file(&mut self, top: &Path, path: &Path, meta: &Metadata) -> Result<()> {
        if !meta.is_file() {
            return Err(
                IncludeError::Special { path: path.into(), what: "no file but a device or a fifo" }.into()
            );
        }
        let name = path.strip_prefix(top).ok().and_then(Path::to_str).map(|n| n.replace('\\', "/"));
        let Some(name) = name.filter(|n| !n.chars().any(char::is_control)) else {
            return Err(IncludeError::Name(path.into()).into());
        };
        self.fitting(path, &name)?;
        let content = self.content(path, meta.len())?;
        self.found.push(Included { setting: self.include.setting.value.clone(), name, content });
        Ok(())
    }

    /// Fails unless the overlay takes a file of this name, a path below the folder that the profile names.
    fn fitting(&mut self, path: &Path, name: &str) -> Result<(), IncludeError> {
        let wrong = |what: String, hint| Err(IncludeError::Named { path: path.into(), what, hint });
        let own = name.rsplit('/').next().unwrap_or(name);
        if let Some(names) = self.include.names.as_ref().filter(|n| !n.is_match(own)) {
            let hint = self.include.names_hint.clone();
            return wrong(format!("doesn't match `{names}`"), hint);
        }
        let reserved = |part: &&str| self.include.reserved.iter().any(|r| r == stem(part));
        if let Some(part) = name.split('/').find(reserved) {
            let hint = format!("choose another, as `my-{part}`");
            return wrong(format!("has the reserved part `{}`", stem(part)), Some(hint));
        }
        if self.include.one_per_stem
            && let Some(other) = self.stems.insert(stem(own).to_owned(), path.into())
        {
            let what = format!("begins as that of `{}`, up to the first dot", printable(&other));
            return wrong(what, Some("rename one: the folder doesn't tell them apart".into()));
        }
        Ok(())
    }

    fn content(&mut self, path: &Path, size: u64) -> Result<FileContent> {
        let limit = if self.include.format.is_some() { LARGEST } else { SMALL };
        if size > limit {
            return match self.include.format {
                Some(_) => Err(IncludeError::Large { path: path.into(), size }.into()),
                None => Ok(FileContent::Fetched(Asset::local(path, hash::of_path(path)?))),
            };
        }
        let bytes = std::fs::read(path).map_err(FileError::named(path))?;
        let shown = printable(path);
        match self.include.format {
            Some(IncludeFormat::Kubernetes) => self.objects.add(&shown, &bytes)?,
            Some(IncludeFormat::Yaml) => kubernetes::one_mapping(&shown, &bytes)?,
            None => {}
        }
        Ok(FileContent::Inline(bytes.into()))
    }

    fn has_ending(&self, path: &Path) -> bool {
        let extensions = &self.include.extensions;
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        extensions.is_empty() || extensions.iter().any(|e| e.eq_ignore_ascii_case(ending))
    }
}

/// A name up to its first dot.
fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

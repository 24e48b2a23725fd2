//! The user's own files that `[[include]]` puts into an image, read and checked before plans are made.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::Overlay;
use super::kubernetes::{self, Objects};
use super::settings::{SettingValue, Settings};
use super::spec::{IncludeFormat, IncludeSpec};
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::hash;
use crate::plan::{Asset, FileContent};
use crate::text::{listed, printable};

#[derive(Debug, Clone)]
pub(crate) struct IncludedFile {
    /// The setting that names the file.
    pub(crate) setting: String,
    /// Its path below the folder that the setting names, or its file name.
    pub(crate) name: String,
    /// Large files are only hashed here, and copied later.
    pub(crate) content: FileContent,
}

/// A file that cannot be included.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncludeError {
    #[error("`{}` ends in none of {}", printable(path), listed(extensions.iter()))]
    Extension { path: PathBuf, extensions: Vec<String> },
    #[error("the name of `{}` is not UTF-8 without control characters", printable(.0))]
    Encoding(PathBuf),
    #[error("`{}` is a symlink to a folder", printable(.0))]
    FolderLink(PathBuf),
    #[error("`{}` is a dangling symlink", printable(.0))]
    DanglingLink(PathBuf),
    #[error("`{}` is a device, a pipe or a socket", printable(.0))]
    Special(PathBuf),
    #[error("the name of `{}` does not match `{pattern}`", printable(path))]
    Name { path: PathBuf, pattern: Regex, hint: Option<String> },
    #[error("`{}` has the reserved name `{}`", printable(path), stem(part))]
    Reserved { path: PathBuf, part: String },
    #[error(
        "duplicate name: `{}` and `{}` are equal up to the first dot",
        printable(first),
        printable(second)
    )]
    DuplicateStem { first: PathBuf, second: PathBuf },
    #[error("`{}` has {size} bytes, more than the limit of {MAX_CHECKED_SIZE}", printable(path))]
    Size { path: PathBuf, size: u64 },
    #[error("`{}` is in more than {MAX_DEPTH} folders", printable(.0))]
    Depth(PathBuf),
}

impl Explain for IncludeError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Extension { .. } | Self::Encoding(_) => Some("rename it".into()),
            Self::FolderLink(_) => Some("name the target of the symlink in the profile instead".into()),
            Self::DanglingLink(_) | Self::Special(_) => Some("remove it, or replace it with a file".into()),
            Self::Name { hint, .. } => hint.clone(),
            Self::Reserved { part, .. } => Some(format!("choose another name, such as `my-{part}`")),
            Self::DuplicateStem { .. } => Some("rename one of them".into()),
            Self::Size { .. } => Some("split it".into()),
            Self::Depth(_) => None,
        }
    }
}

/// Files up to this size are kept in memory, in bytes.
const MAX_INLINE_SIZE: u64 = 1 << 20;
/// Limit on files whose content is checked, in bytes: ten times what Kubernetes accepts for an object.
const MAX_CHECKED_SIZE: u64 = 16 << 20;
const MAX_DEPTH: usize = 32;

/// Reads and checks the files that `values` name for the includes of `overlay`, in name order.
pub(crate) fn read(overlay: &Overlay, values: &Settings) -> Result<Vec<IncludedFile>> {
    let mut files = Vec::new();
    let mut objects = Objects::default();
    for include in &overlay.spec.includes {
        let mut reader =
            IncludeReader { include, objects: &mut objects, stems: BTreeMap::new(), files: &mut files };
        match values.get(&include.setting.value) {
            Some(SettingValue::Text(path)) if !path.is_empty() => reader.add_named(Path::new(path))?,
            Some(SettingValue::List(paths)) => {
                paths.iter().try_for_each(|p| reader.add_named(Path::new(p)))?;
            }
            _ => {}
        }
    }
    Ok(files)
}

/// Collects the files of one `[[include]]`.
struct IncludeReader<'a> {
    include: &'a IncludeSpec,
    objects: &'a mut Objects,
    /// Files by their name up to the first dot.
    stems: BTreeMap<String, PathBuf>,
    files: &'a mut Vec<IncludedFile>,
}

impl IncludeReader<'_> {
    /// Adds a file or folder that the profile names; it may be a symlink.
    fn add_named(&mut self, path: &Path) -> Result<()> {
        let meta = std::fs::metadata(path).map_err(FileError::named(path))?;
        if meta.is_dir() {
            return self.add_folder(path, path, 0);
        }
        if !self.has_extension(path) {
            let extensions = self.include.extensions.clone();
            return Err(IncludeError::Extension { path: path.into(), extensions }.into());
        }
        self.add_file(path.parent().unwrap_or(Path::new("")), path, &meta)
    }

    fn add_folder(&mut self, top: &Path, folder: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(IncludeError::Depth(folder.into()).into());
        }
        for path in super::sorted_entries(folder).map_err(FileError::named(folder))? {
            // Files of editors and git: `.git`, `.site.yaml.swp`, `.#site.yaml`.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                continue;
            }
            let meta = std::fs::symlink_metadata(&path).map_err(FileError::named(&path))?;
            if meta.is_dir() {
                self.add_folder(top, &path, depth + 1)?;
            } else if meta.is_symlink() {
                self.add_link(top, &path)?;
            } else if self.has_extension(&path) {
                self.add_file(top, &path, &meta)?;
            }
        }
        Ok(())
    }

    /// Follows a symlink to a file; symlinks to folders could form a cycle.
    fn add_link(&mut self, top: &Path, path: &Path) -> Result<()> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Err(IncludeError::FolderLink(path.into()).into()),
            _ if !self.has_extension(path) => Ok(()),
            Ok(meta) => self.add_file(top, path, &meta),
            Err(_) => Err(IncludeError::DanglingLink(path.into()).into()),
        }
    }

    fn add_file(&mut self, top: &Path, path: &Path, meta: &Metadata) -> Result<()> {
        if !meta.is_file() {
            return Err(IncludeError::Special(path.into()).into());
        }
        let name = super::name_below(top, path).ok_or_else(|| IncludeError::Encoding(path.into()))?;
        self.check_name(path, &name)?;
        let content = self.content(path, meta.len())?;
        self.files.push(IncludedFile { setting: self.include.setting.value.clone(), name, content });
        Ok(())
    }

    /// Checks `name`, a path below the folder that the profile names.
    fn check_name(&mut self, path: &Path, name: &str) -> Result<(), IncludeError> {
        let file_name = name.rsplit('/').next().unwrap_or(name);
        if let Some(pattern) = self.include.names.as_ref().filter(|n| !n.is_match(file_name)) {
            let (pattern, hint) = (pattern.clone(), self.include.names_hint.clone());
            return Err(IncludeError::Name { path: path.into(), pattern, hint });
        }
        let is_reserved = |part: &&str| self.include.reserved.iter().any(|r| r == stem(part));
        if let Some(part) = name.split('/').find(is_reserved) {
            return Err(IncludeError::Reserved { path: path.into(), part: part.to_owned() });
        }
        if self.include.one_per_stem
            && let Some(first) = self.stems.insert(stem(file_name).to_owned(), path.into())
        {
            return Err(IncludeError::DuplicateStem { first, second: path.into() });
        }
        Ok(())
    }

    fn content(&mut self, path: &Path, size: u64) -> Result<FileContent> {
        if self.include.format.is_none() && size > MAX_INLINE_SIZE {
            return Ok(FileContent::Fetched(Asset::local(path, hash::of_path(path)?)));
        }
        if size > MAX_CHECKED_SIZE {
            return Err(IncludeError::Size { path: path.into(), size }.into());
        }
        let bytes = std::fs::read(path).map_err(FileError::named(path))?;
        let shown = printable(path);
        match self.include.format {
            Some(IncludeFormat::Kubernetes) => self.objects.add(&shown, &bytes)?,
            Some(IncludeFormat::Yaml) => kubernetes::check_one_mapping(&shown, &bytes)?,
            None => {}
        }
        Ok(FileContent::Inline(bytes.into()))
    }

    fn has_extension(&self, path: &Path) -> bool {
        let allowed = &self.include.extensions;
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        allowed.is_empty() || allowed.iter().any(|e| e.eq_ignore_ascii_case(extension))
    }
}

/// A name up to its first dot.
fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

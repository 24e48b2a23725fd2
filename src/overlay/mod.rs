//! Overlays: folders of data that say what goes into an image. This room knows their form, not their meaning.

mod files;
pub(crate) mod include;
mod kubernetes;
mod read;
pub(crate) mod settings;
pub(crate) mod spec;
mod yaml;

use std::path::{Path, PathBuf};

pub(crate) use files::{ClientFile, OverlayFile};
pub(crate) use spec::OverlaySpec;

use crate::builtin;
use crate::document::{DocumentError, Located, SourceText};
use crate::error::{FileError, Result};
use crate::text::{listed, nearest};

/// A folder with this file is an overlay.
const SPEC_FILE: &str = "overlay.toml";

/// An overlay that is read and checked, not yet rendered.
#[derive(Debug, Clone)]
pub(crate) struct Overlay {
    /// The name of its folder.
    pub(crate) name: String,
    /// `overlay.toml`, for messages that name a line.
    pub(crate) source: SourceText,
    pub(crate) spec: OverlaySpec,
    /// The files of `files/`, `boot/` and `firstboot/`, in path order.
    pub(crate) files: Vec<OverlayFile>,
    /// The files of `client/`.
    pub(crate) client: Vec<ClientFile>,
}

/// Overlays by name: the user's own first, then the built-in ones.
#[derive(Debug, Clone)]
pub(crate) struct OverlayLibrary {
    folders: Vec<PathBuf>,
}

impl OverlayLibrary {
    /// The library with `overlays/` in the profile's folder, and beside that folder if it is called `profiles`.
    pub(crate) fn beside(profile_folder: &Path) -> Self {
        let mut folders = vec![profile_folder.join("overlays")];
        if profile_folder.file_name().is_some_and(|name| name == "profiles") {
            folders.push(profile_folder.with_file_name("overlays"));
        }
        folders.retain(|f| f.is_dir());
        Self { folders }
    }

    /// All names, sorted.
    fn names(&self) -> Vec<String> {
        let built_in = builtin::below("overlays/")
            .filter_map(|(path, _)| path.strip_suffix(SPEC_FILE)?.strip_suffix('/'))
            .map(str::to_owned);
        let folders = self.folders.iter().filter_map(|f| std::fs::read_dir(f).ok()).flatten().flatten();
        let own = folders
            .filter(|e| e.path().join(SPEC_FILE).is_file())
            .filter_map(|e| e.file_name().into_string().ok());
        let mut names: Vec<String> = built_in.chain(own).collect();
        names.sort();
        names.dedup();
        names
    }

    fn load(&self, name: &str) -> Result<Option<Overlay>> {
        if let Some(folder) = self.folders.iter().map(|f| f.join(name)).find(|f| f.join(SPEC_FILE).is_file())
        {
            return from_folder(name, &folder).map(Some);
        }
        let Some(toml) = builtin::file(&format!("overlays/{name}/{SPEC_FILE}")) else { return Ok(None) };
        let source = SourceText::from_bytes(format!("built-in overlays/{name}/{SPEC_FILE}"), toml)?;
        let files = files::built_in(name)?;
        Ok(Some(overlay(name, source, files)?))
    }

    /// The overlays `uses` and those that they need, each after what it needs. `uses` is written in `source`.
    pub(crate) fn collect(&self, uses: &[Located<String>], source: &SourceText) -> Result<Vec<Overlay>> {
        let mut ordered: Vec<Overlay> = Vec::new();
        for wanted in uses {
            let missing = || self.missing(source, wanted);
            self.add(&wanted.value, &mut Vec::new(), &mut ordered, &missing)?;
        }
        Ok(ordered)
    }

    /// Adds `name` after its needs. `trail` are the overlays that led here, to detect cycles.
    fn add(
        &self,
        name: &str,
        trail: &mut Vec<String>,
        ordered: &mut Vec<Overlay>,
        missing: &dyn Fn() -> DocumentError,
    ) -> Result<()> {
        if ordered.iter().any(|o| o.name == name) {
            return Ok(());
        }
        // The name becomes a path and a TOML key.
        let found = if is_name(name) { self.load(name)? } else { None };
        let Some(overlay) = found else { return Err(missing().into()) };
        trail.push(name.to_owned());
        for need in &overlay.spec.needs {
            if trail.contains(&need.value) {
                let what = format!("cyclic `needs`: {} → {}", trail.join(" → "), need.value);
                return Err(overlay.source.error(need.at, what).into());
            }
            self.add(&need.value, trail, ordered, &|| self.missing(&overlay.source, need))?;
        }
        trail.pop();
        ordered.push(overlay);
        Ok(())
    }

    fn missing(&self, source: &SourceText, wanted: &Located<String>) -> DocumentError {
        let names = self.names();
        let error = source.error(wanted.at, format!("unknown overlay `{}`", wanted.value));
        error.hinting(match nearest(&wanted.value, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!(
                    "known overlays: {}; put your own into `overlays/{}/`",
                    listed(names.iter()),
                    wanted.value
                )
            }
        })
    }
}

/// Whether `name` can be the name of an overlay or a secret: a-z, 0-9, `-` and `_`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// The entries of a folder, sorted by name.
fn sorted_entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = std::fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// The name of `path` below `top` with `/`, if it is UTF-8 without control characters.
fn name_below(top: &Path, path: &Path) -> Option<String> {
    let name = path.strip_prefix(top).ok()?.to_str()?.replace('\\', "/");
    (!name.chars().any(char::is_control)).then_some(name)
}

fn from_folder(name: &str, folder: &Path) -> Result<Overlay> {
    let path = folder.join(SPEC_FILE);
    let bytes = std::fs::read(&path).map_err(FileError::new("read", &path))?;
    let source = SourceText::from_bytes(path.display().to_string(), &bytes)?;
    overlay(name, source, files::from_folder(folder)?)
}

fn overlay(name: &str, source: SourceText, files: files::OverlayFiles) -> Result<Overlay> {
    let spec = read::overlay_spec(&source)?;
    Ok(Overlay { name: name.to_owned(), source, spec, files: files.image, client: files.client })
}

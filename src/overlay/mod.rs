//! Overlays: folders of data that say what goes into an image. What any of them means is not known here.

pub mod files;
pub mod include;
mod kubernetes;
pub mod render;
pub mod settings;
pub mod spec;
mod yaml;

use std::path::{Path, PathBuf};

pub use files::{Area, ClientFile, OverlayFile};
pub use spec::Spec;

use crate::builtin;
use crate::document::{DocumentError, Located, Source, listed, nearest};
use crate::error::{FileError, Result};
use crate::profile::Profile;

/// The file that makes a folder an overlay.
pub const SPEC_FILE: &str = "overlay.toml";

/// One overlay, read and checked, not yet rendered.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// Its folder's name.
    pub name: String,
    /// `overlay.toml`, for messages about its lines.
    pub source: Source,
    /// What `overlay.toml` says.
    pub spec: Spec,
    /// What lies in `files/`, `boot/` and `firstboot/`, in path order.
    pub files: Vec<OverlayFile>,
    /// What lies in `client/`.
    pub client: Vec<ClientFile>,
}

/// Where overlays come from: the user's folder first, then the built-in ones.
#[derive(Debug, Clone)]
pub struct Shelf {
    folders: Vec<PathBuf>,
}

impl Shelf {
    /// `overlays/` beside the profile, or beside the folder `profiles/` that it lies in.
    pub fn beside(profile: &Profile) -> Self {
        let mut folders = vec![profile.folder.join("overlays")];
        if profile.folder.file_name().is_some_and(|name| name == "profiles") {
            folders.push(profile.folder.with_file_name("overlays"));
        }
        folders.retain(|f| f.is_dir());
        Self { folders }
    }

    /// Every overlay's name, sorted.
    pub fn names(&self) -> Vec<String> {
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

    /// Reads one; `None` if there is none of that name.
    pub fn load(&self, name: &str) -> Result<Option<Overlay>> {
        if let Some(folder) = self.folders.iter().map(|f| f.join(name)).find(|f| f.join(SPEC_FILE).is_file())
        {
            return from_folder(name, &folder).map(Some);
        }
        let Some(toml) = builtin::file(&format!("overlays/{name}/{SPEC_FILE}")) else { return Ok(None) };
        let source = Source::from_bytes(format!("built-in overlays/{name}/{SPEC_FILE}"), toml)?;
        let files = files::built_in(name)?;
        Ok(Some(overlay(name, source, files)?))
    }

    /// The overlays that `profile` uses and those they need, each after what it needs.
    pub fn collect(&self, profile: &Profile) -> Result<Vec<Overlay>> {
        let mut ordered: Vec<Overlay> = Vec::new();
        for wanted in &profile.uses {
            let missing = || self.missing(&profile.source, wanted);
            self.add(&wanted.value, &mut Vec::new(), &mut ordered, &missing)?;
        }
        for (name, settings) in &profile.settings {
            if !ordered.iter().any(|o| o.name == *name) {
                return Err(unused(profile, name, settings.at, &ordered).into());
            }
        }
        Ok(ordered)
    }

    /// Adds `name` after its needs; `trail` is who asked, to notice circles.
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
        // A name is a folder's and a TOML key: nothing that leads elsewhere or needs quotes.
        let found = if is_name(name) { self.load(name)? } else { None };
        let Some(overlay) = found else { return Err(missing().into()) };
        trail.push(name.to_owned());
        for need in &overlay.spec.needs {
            if trail.contains(&need.value) {
                let what =
                    format!("overlays need each other in a circle: {} → {}", trail.join(" → "), need.value);
                return Err(overlay.source.error(need.at, what).into());
            }
            self.add(&need.value, trail, ordered, &|| self.missing(&overlay.source, need))?;
        }
        trail.pop();
        ordered.push(overlay);
        Ok(())
    }

    fn missing(&self, source: &Source, wanted: &Located<String>) -> DocumentError {
        let names = self.names();
        let error = source.error(wanted.at, format!("there is no overlay `{}`", wanted.value));
        error.hinting(match nearest(&wanted.value, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("there are {}; your own goes into `overlays/{}/`", listed(names.iter()), wanted.value)
            }
        })
    }
}

fn unused(profile: &Profile, name: &str, at: usize, used: &[Overlay]) -> DocumentError {
    let what = format!("`[overlays.{name}]` sets an overlay that isn't used");
    let error = profile.source.error(at, what);
    match nearest(name, used.iter().map(|o| o.name.as_str())) {
        Some(near) => error.hinting(format!("did you mean `{near}`?")),
        None => error.hinting(format!("add `{name}` to `overlays.use`, or remove the table")),
    }
}

/// Whether an overlay or a secret can be called so: of a-z, 0-9, `-` and `_`.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

fn from_folder(name: &str, folder: &Path) -> Result<Overlay> {
    let path = folder.join(SPEC_FILE);
    let bytes = std::fs::read(&path).map_err(FileError::new("read", &path))?;
    let source = Source::from_bytes(path.display().to_string(), &bytes)?;
    overlay(name, source, files::from_folder(folder)?)
}

fn overlay(name: &str, source: Source, files: files::Files) -> Result<Overlay> {
    let spec = spec::read(&source)?;
    Ok(Overlay { name: name.to_owned(), source, spec, files: files.image, client: files.client })
}

//! The edits that one overlay makes on one node.

use std::sync::Arc;

use super::{OverlayOnNode, PlanError, Result, attributes};
use crate::overlay::OverlayFile;
use crate::overlay::include::IncludedFile;
use crate::overlay::spec::FileSpec;
use crate::plan::{Action, Area, Assets, Edit, FileContent, Patch, path};
use crate::text::{self, escaped};

impl OverlayOnNode<'_> {
    fn edit(&self, area: Area, path: &str, action: Action) -> Result<Edit> {
        let path = path::checked(path).map_err(|why| PlanError::Path {
            overlay: self.overlay.name.clone(),
            path: escaped(&area.shown(path)),
            why,
        })?;
        Ok(Edit { area, path: path.to_owned(), overlay: self.overlay.name.clone(), action, secret: false })
    }

    fn file_spec(&self, file: &OverlayFile) -> Option<&FileSpec> {
        self.overlay.spec.files.iter().find(|r| Area::split(&r.path.value) == (file.area, &file.path))
    }

    /// The files of `files/`, `boot/` and `firstboot/`.
    pub(super) fn files(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for file in &self.overlay.files {
            let spec = self.file_spec(file);
            if !self.scope.when(spec.and_then(|s| s.when.as_ref()))? {
                continue;
            }
            let (bytes, secret) = self.content(file)?;
            if spec.is_some_and(|s| s.skip_empty) && bytes.trim_ascii().is_empty() {
                continue;
            }
            let default_mode = if secret { 0o600 } else { default_mode(&bytes) };
            let attributes = attributes(spec.map(|s| s.attributes), default_mode);
            let action = Action::File(FileContent::Inline(bytes), attributes);
            let edit = Edit { secret, ..self.edit(file.area, &file.path, action)? };
            self.refuse_readable_secret(&edit, attributes.mode)?;
            edits.push(edit);
        }
        Ok(edits)
    }

    /// The content of a file, rendered if it is a template, and whether it holds a secret.
    fn content(&self, file: &OverlayFile) -> Result<(Arc<[u8]>, bool)> {
        if !file.template {
            return Ok((file.bytes.clone(), false));
        }
        let template = std::str::from_utf8(&file.bytes);
        let template = template.map_err(|_| PlanError::TemplateEncoding(file.shown.clone()))?;
        let rendered = self.scope.file(&file.shown, template)?;
        // ssh keys in it may have comments that aren't UTF-8.
        Ok((text::into_bytes(rendered.text).into(), rendered.secret))
    }

    fn refuse_readable_secret(&self, edit: &Edit, mode: u16) -> Result<()> {
        let (overlay, path) = (self.overlay.name.clone(), edit.shown());
        match (edit.secret, edit.area) {
            (true, Area::Boot) => Err(PlanError::SecretOnFat { overlay, path }),
            (true, Area::Root) if mode & 0o007 != 0 => Err(PlanError::ReadableSecret { overlay, path, mode }),
            _ => Ok(()),
        }
    }

    pub(super) fn fetched(&self, assets: &dyn Assets) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for fetch in &self.overlay.spec.fetches {
            if let Some(want) = self.want(fetch)? {
                let action = Action::File(assets.get(&want)?, want.attributes);
                edits.push(self.edit(Area::Root, &want.path, action)?);
            }
        }
        Ok(edits)
    }

    pub(super) fn included_files(&self, files: &[IncludedFile]) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for include in &self.overlay.spec.includes {
            if !self.scope.when(include.when.as_ref())? {
                continue;
            }
            let into = self.scope.text(&include.into)?;
            let attributes = attributes(Some(include.attributes), 0o644);
            for file in files.iter().filter(|f| f.setting == include.setting.value) {
                let action = Action::File(file.content.clone(), attributes);
                edits.push(self.edit(Area::Root, &format!("{into}/{}", file.name), action)?);
            }
        }
        Ok(edits)
    }

    pub(super) fn dirs_and_links(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for dir in &self.overlay.spec.dirs {
            if self.scope.when(dir.when.as_ref())? {
                let action = Action::Directory(attributes(Some(dir.attributes), 0o755));
                edits.push(self.edit(Area::Root, &self.scope.text(&dir.path)?, action)?);
            }
        }
        for link in &self.overlay.spec.links {
            if self.scope.when(link.when.as_ref())? {
                let target = self.scope.text(&link.target)?;
                if target.is_empty() || target.len() > 255 || target.chars().any(char::is_control) {
                    return Err(self
                        .scope
                        .error(link.target.at, "the target of the link is not a path")
                        .into());
                }
                edits.push(self.edit(
                    Area::Root,
                    &self.scope.text(&link.path)?,
                    Action::Symlink { target },
                )?);
            }
        }
        Ok(edits)
    }

    pub(super) fn patches(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for patch in &self.overlay.spec.patches {
            if self.scope.when(patch.when.as_ref())? {
                let action = Action::Patch(Patch::Regex {
                    pattern: patch.pattern.clone(),
                    replace: self.scope.text(&patch.replace)?,
                    required: patch.required,
                });
                let path = self.scope.text(&patch.path)?;
                let (area, path) = Area::split(&path);
                edits.push(self.edit(area, path, action)?);
            }
        }
        Ok(edits)
    }
}

/// Scripts are executable. The mode in the overlay's folder does not count: it depends on the user's system.
fn default_mode(bytes: &[u8]) -> u16 {
    if bytes.starts_with(b"#!") { 0o755 } else { 0o644 }
}

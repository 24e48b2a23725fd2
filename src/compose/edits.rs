//! The edits that one overlay makes on one node.

use super::{OverlayOnNode, PlanError, Result, attributes};
use crate::document::Located;
use crate::overlay::OverlayFile;
use crate::overlay::include::Included;
use crate::overlay::spec::FileRule;
use crate::plan::{Action, Area, Assets, Edit, FileContent, Patch, path};
use crate::text::escaped;

impl OverlayOnNode<'_> {
    fn edit(&self, area: Area, path: &str, action: Action) -> Result<Edit> {
        let path = path::checked(path).map_err(|why| PlanError::Path {
            overlay: self.overlay.name.clone(),
            path: escaped(&area.shown(path)),
            why,
        })?;
        Ok(Edit { area, path: path.to_owned(), overlay: self.overlay.name.clone(), action, secret: false })
    }

    fn rule(&self, file: &OverlayFile) -> Option<&FileRule> {
        self.overlay.spec.files.iter().find(|r| Area::split(&r.path.value) == (file.area, &file.path))
    }

    /// What lies in `files/`, `boot/` and `firstboot/`.
    pub(super) fn laid_files(&self) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for file in &self.overlay.files {
            let rule = self.rule(file);
            if !self.scope.when(rule.and_then(|r| r.when.as_ref()))? {
                continue;
            }
            let (bytes, secret) = if file.template {
                let text =
                    std::str::from_utf8(&file.bytes).map_err(|_| PlanError::NotText(file.shown.clone()))?;
                let rendered = self.scope.file(&file.shown, text)?;
                (rendered.text.into_bytes().into(), rendered.secret)
            } else {
                (file.bytes.clone(), false)
            };
            if rule.is_some_and(|r| r.skip_empty) && bytes.trim_ascii().is_empty() {
                continue;
            }
            let usual = if secret { 0o600 } else { usual_mode(&bytes) };
            let attributes = attributes(rule.map(|r| r.attributes), usual);
            let mut edit =
                self.edit(file.area, &file.path, Action::File(FileContent::Inline(bytes), attributes))?;
            edit.secret = secret;
            self.keep_secret(&edit, attributes.mode)?;
            edits.push(edit);
        }
        Ok(edits)
    }

    fn keep_secret(&self, edit: &Edit, mode: u16) -> Result<()> {
        let overlay = self.overlay.name.clone();
        match (edit.secret, edit.area) {
            (true, Area::Boot) => {
                Err(PlanError::SecretOnBoot { overlay, path: edit.path.trim_start_matches('/').to_owned() })
            }
            (true, Area::Root) if mode & 0o007 != 0 => {
                Err(PlanError::OpenSecret { overlay, path: edit.path.clone(), mode })
            }
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

    pub(super) fn included(&self, files: &[Included]) -> Result<Vec<Edit>> {
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
                    return Err(self.scope.complain(link.target.at, "the link's target is no path").into());
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
                let path: Located<String> =
                    Located { value: self.scope.text(&patch.path)?, at: patch.path.at };
                let (area, path) = Area::split(&path.value);
                edits.push(self.edit(area, path, action)?);
            }
        }
        Ok(edits)
    }
}

/// Scripts are executable; the host's own bits would differ from one system to the next.
fn usual_mode(bytes: &[u8]) -> u16 {
    if bytes.starts_with(b"#!") { 0o755 } else { 0o644 }
}

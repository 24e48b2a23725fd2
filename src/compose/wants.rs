//! What an overlay requires before its edits are made: its `[[check]]`s hold and its files are fetched.

use super::{OverlayOnNode, PlanError, Result, attributes};
use crate::digest::{NotAHash, Sha256};
use crate::error::Explain as _;
use crate::overlay::spec::{CheckSpec, FetchSpec};
use crate::plan::{Area, Proof, Want};

impl OverlayOnNode<'_> {
    pub(super) fn checks(&self) -> Result<()> {
        for check in self.overlay.spec.checks.iter().filter(|check| !check.warn) {
            if let Some(failed) = self.failed(check)? {
                return Err(failed);
            }
        }
        Ok(())
    }

    /// What the checks say that only warn.
    pub(super) fn warnings(&self) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for check in self.overlay.spec.checks.iter().filter(|check| check.warn) {
            if let Some(failed) = self.failed(check)? {
                let hint = failed.hint().map_or_else(String::new, |hint| format!("; {hint}"));
                warnings.push(format!("{failed}{hint}"));
            }
        }
        Ok(warnings)
    }

    fn failed(&self, check: &CheckSpec) -> Result<Option<PlanError>> {
        if self.scope.when(Some(&check.that))? {
            return Ok(None);
        }
        let hint = check.hint.as_ref().map(|h| self.scope.text(h)).transpose()?;
        let message = self.scope.text(&check.message)?;
        Ok(Some(PlanError::Check { overlay: self.overlay.name.clone(), message, hint }))
    }

    pub(super) fn file_specs_name_files(&self) -> Result<()> {
        for spec in &self.overlay.spec.files {
            let wanted = Area::split(&spec.path.value);
            if !self.overlay.files.iter().any(|f| (f.area, f.path.as_str()) == wanted) {
                let path = spec.path.value.clone();
                return Err(PlanError::NoSuchFile { overlay: self.overlay.name.clone(), path });
            }
        }
        Ok(())
    }

    pub(super) fn want(&self, fetch: &FetchSpec) -> Result<Option<Want>> {
        let scope = &self.scope;
        if !scope.when(fetch.when.as_ref())? {
            return Ok(None);
        }
        let local = Some(scope.string(fetch.local.as_ref())?).filter(|l| !l.is_empty());
        let proof = self.proof(fetch, local.is_some())?;
        let path = scope.text(&fetch.path)?;
        let attributes = attributes(Some(fetch.attributes), 0o644);
        let url = scope.text(&fetch.url)?;
        Ok(Some(Want { overlay: self.overlay.name.clone(), path, attributes, url, local, proof }))
    }

    /// How the file is verified: a hash in the profile counts more than one in the overlay.
    fn proof(&self, fetch: &FetchSpec, is_local: bool) -> Result<Proof> {
        if let Some(hash) = self.given_sha256(fetch)? {
            return Ok(Proof::Sha256(hash));
        }
        if is_local {
            return Ok(Proof::Local);
        }
        if let Some(fingerprint) = &fetch.fingerprint {
            return Ok(Proof::Fingerprint(fingerprint.clone()));
        }
        let key = self.scope.string(fetch.pin_key.as_ref())?;
        if let Some((_, hash)) = fetch.pins.iter().find(|(k, _)| *k == key) {
            return Ok(Proof::Sha256(*hash));
        }
        let Some(sums) = &fetch.sums else { return Ok(Proof::Nothing) };
        Ok(Proof::Sums { url: self.scope.text(&sums.url)?, name: sums.name.clone() })
    }

    /// The result of the expression `sha256`, usually a setting.
    fn given_sha256(&self, fetch: &FetchSpec) -> Result<Option<Sha256>> {
        let Some(expression) = &fetch.sha256 else { return Ok(None) };
        let text = self.scope.string(Some(expression))?;
        if text.is_empty() {
            return Ok(None);
        }
        let hash = text.parse().map_err(|e: NotAHash| self.scope.error(expression.at, e.to_string()))?;
        Ok(Some(hash))
    }
}

//! What an overlay requires before its edits are made: its `[[check]]`s hold, its files are fetched.

use super::{OverlayOnNode, PlanError, Result, attributes};
use crate::digest::{NotAHash, Sha256};
use crate::overlay::spec;
use crate::plan::{Area, Proof, Want};

impl OverlayOnNode<'_> {
    pub(super) fn checks(&self) -> Result<()> {
        for check in &self.overlay.spec.checks {
            if !self.scope.when(Some(&check.that))? {
                let hint = check.hint.as_ref().map(|h| self.scope.text(h)).transpose()?;
                let message = self.scope.text(&check.message)?;
                return Err(PlanError::Check { overlay: self.overlay.name.clone(), message, hint });
            }
        }
        Ok(())
    }

    pub(super) fn rules_have_files(&self) -> Result<()> {
        for rule in &self.overlay.spec.files {
            let wanted = Area::split(&rule.path.value);
            if !self.overlay.files.iter().any(|f| (f.area, f.path.as_str()) == wanted) {
                let path = rule.path.value.clone();
                return Err(PlanError::Stray { overlay: self.overlay.name.clone(), path });
            }
        }
        Ok(())
    }

    pub(super) fn want(&self, fetch: &spec::Fetch) -> Result<Option<Want>> {
        let scope = &self.scope;
        if !scope.when(fetch.when.as_ref())? {
            return Ok(None);
        }
        let local = Some(scope.string(fetch.local.as_ref())?).filter(|l| !l.is_empty());
        let pinned = || -> Result<Option<Sha256>> {
            let key = scope.string(fetch.pin_key.as_ref())?;
            Ok(fetch.pins.iter().find(|(k, _)| *k == key).map(|(_, hash)| *hash))
        };
        let proof = match (self.given_sha256(fetch)?, &fetch.fingerprint, &fetch.sums) {
            (Some(hash), _, _) => Proof::Sha256(hash),
            _ if local.is_some() => Proof::Local,
            (None, Some(fingerprint), _) => Proof::Fingerprint(fingerprint.clone()),
            (None, None, sums) => match (pinned()?, sums) {
                (Some(hash), _) => Proof::Sha256(hash),
                (None, Some(url)) => {
                    Proof::Sums { url: scope.text(url)?, name: fetch.sums_name.clone().unwrap_or_default() }
                }
                (None, None) => Proof::Nothing,
            },
        };
        let path = scope.text(&fetch.path)?;
        let attributes = attributes(Some(fetch.attributes), 0o644);
        let url = scope.text(&fetch.url)?;
        Ok(Some(Want { overlay: self.overlay.name.clone(), path, attributes, url, local, proof }))
    }

    /// The hash that the expression `sha256` gives, usually a setting's value.
    fn given_sha256(&self, fetch: &spec::Fetch) -> Result<Option<Sha256>> {
        let Some(expression) = &fetch.sha256 else { return Ok(None) };
        let text = self.scope.string(Some(expression))?;
        if text.is_empty() {
            return Ok(None);
        }
        let hash = text.parse().map_err(|e: NotAHash| self.scope.complain(expression.at, e.to_string()))?;
        Ok(Some(hash))
    }
}

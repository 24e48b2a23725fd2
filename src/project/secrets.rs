//! The secrets of the project's nodes, from the secrets file or new.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Project;
use super::gitignore::{self, MissingRule};
use crate::compose::render::TemplateScope;
use crate::compose::{NodeSecrets, context};
use crate::error::Result;
use crate::profile::Node;
use crate::secrets::{SecretStore, SecretsRequest};

impl Project<'_> {
    fn secrets_path(&self) -> PathBuf {
        let beside = || {
            let stem = self.profile.file.as_deref().and_then(Path::file_stem).and_then(|s| s.to_str());
            self.profile.folder.join(format!("{}.secrets.toml", stem.unwrap_or("magi")))
        };
        self.options.secrets.clone().unwrap_or_else(beside)
    }

    /// Opens the secrets file. A file that the user named must exist: with a misspelt name, new secrets would
    /// start another cluster.
    pub(super) fn secret_store(&self) -> Result<SecretStore> {
        SecretStore::open(&self.secrets_path(), self.options.secrets.is_some())
    }

    /// The secrets of `nodes`. New secrets are saved before an image is built with them.
    pub(super) fn saved_secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        let mut store = self.secret_store()?;
        let secrets = self.secrets_of_all(nodes, &mut store)?;
        self.save(&mut store)?;
        Ok(secrets)
    }

    /// The secrets of `nodes` without saving new ones: `plan` writes no file.
    pub(super) fn unsaved_secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        self.secrets_of_all(nodes, &mut self.secret_store()?)
    }

    /// The secrets that all nodes share. Generates and saves missing secrets of all nodes.
    pub(super) fn shared_secrets(&self) -> Result<NodeSecrets> {
        let mut store = self.secret_store()?;
        self.secrets_of_all(&self.profile.nodes, &mut store)?;
        let shared = self.secrets_of(None, &mut store)?;
        self.save(&mut store)?;
        Ok(shared)
    }

    /// Generates and saves missing secrets of all nodes. Creates the file if it doesn't exist.
    pub(super) fn create_secrets(&self) -> Result<()> {
        let mut store = SecretStore::open(&self.secrets_path(), false)?;
        self.secrets_of_all(&self.profile.nodes, &mut store)?;
        self.save(&mut store)
    }

    fn secrets_of_all(
        &self,
        nodes: &[impl Borrow<Node>],
        store: &mut SecretStore,
    ) -> Result<Vec<NodeSecrets>> {
        nodes.iter().map(|node| self.secrets_of(Some(node.borrow()), store)).collect()
    }

    /// Writes the file if `store` has new secrets, with a note to the user.
    fn save(&self, store: &mut SecretStore) -> Result<()> {
        if !store.has_grown() {
            return Ok(());
        }
        let is_new = store.is_new();
        store.save()?;
        let path = store.path().display();
        self.progress.note(&if is_new {
            format!("generated the cluster's secrets in `{path}`: keep this file, and keep it private")
        } else {
            format!("added new secrets to `{path}`: keep this file, and keep it private")
        });
        if let Some(MissingRule { rule, file }) = gitignore::missing_rule(store.path()) {
            let file = file.display();
            self.progress.note(&format!("git doesn't ignore the secrets: add `{rule}` to `{file}`"));
        }
        Ok(())
    }

    /// The secrets of a node; for `None`, those that all nodes share.
    pub(super) fn secrets_of(&self, node: Option<&Node>, store: &mut SecretStore) -> Result<NodeSecrets> {
        let mut secrets = NodeSecrets::new();
        for overlay in &self.overlays {
            // Names in certificates must not depend on the base: a secret outlives it. Only the names in a node's
            // own certificates depend on the node.
            let scope = |node: Option<&Node>| {
                let node = node.map(|node| ("node".to_owned(), context::of_node(node)));
                TemplateScope::new(overlay, self.cluster_values(overlay, node), BTreeMap::new())
            };
            let (shared, own) = (scope(None), scope(node));
            let made = store.get_or_make(&SecretsRequest {
                overlay: &overlay.name,
                source: &overlay.source,
                specs: &overlay.spec.secrets,
                node: node.map(|node| node.name.as_str()),
                render: &|written, per_node| Ok((if per_node { &own } else { &shared }).text(written)?),
            })?;
            secrets.insert(overlay.name.clone(), made);
        }
        Ok(secrets)
    }
}

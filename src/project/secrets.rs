//! The cluster's secrets for the nodes of a project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Project, gitignore};
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

    /// A file that was named must exist: a misspelt name would begin another cluster.
    pub(super) fn secret_store(&self) -> Result<SecretStore> {
        SecretStore::open(&self.secrets_path(), self.options.secrets.is_some())
    }

    /// The secrets of `nodes`; new ones are saved before anything is made with them.
    pub(super) fn saved_secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        self.saved_secrets_of(nodes.iter().copied().map(Some), self.secret_store()?)
    }

    /// The secrets of each of `whose`: of a node, or those that all nodes share.
    pub(super) fn saved_secrets_of<'n>(
        &self,
        whose: impl Iterator<Item = Option<&'n Node>>,
        mut store: SecretStore,
    ) -> Result<Vec<NodeSecrets>> {
        let secrets = whose.map(|node| self.secrets_of(node, &mut store)).collect::<Result<_>>()?;
        self.save(&mut store)?;
        Ok(secrets)
    }

    /// The secrets of `nodes` without saving new ones: for showing a plan.
    pub(super) fn unsaved_secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        let mut store = self.secret_store()?;
        nodes.iter().map(|node| self.secrets_of(Some(node), &mut store)).collect()
    }

    /// Makes and saves the secrets of all nodes as far as they don't exist, in a new file too.
    pub(super) fn make_secrets(&self) -> Result<()> {
        let store = SecretStore::open(&self.secrets_path(), false)?;
        self.saved_secrets_of(self.profile.nodes.iter().map(Some), store).map(drop)
    }

    /// Writes the new secrets of `store`, and says so.
    fn save(&self, store: &mut SecretStore) -> Result<()> {
        if !store.has_grown() {
            return Ok(());
        }
        let is_new = store.is_new();
        store.save()?;
        let path = store.path().display();
        let what = if is_new { "made" } else { "added to" };
        self.progress.note(&format!("{what} the cluster's secrets, `{path}`; keep it, and keep it private"));
        if let Some((line, path)) = gitignore::missing(store.path()) {
            let path = path.display();
            self.progress.note(&format!("git doesn't ignore the secrets yet: add `{line}` to `{path}`"));
        }
        Ok(())
    }

    /// The secrets of a node, or without one those that all nodes share.
    pub(super) fn secrets_of(&self, node: Option<&Node>, store: &mut SecretStore) -> Result<NodeSecrets> {
        let mut secrets = NodeSecrets::new();
        for overlay in &self.overlays {
            // Names in certificates don't depend on the base, which a secret outlives; only those of a node's
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

//! A profile with everything that it names: overlays, settings, secrets, lock file. `build`, `plan`, `fetch`,
//! `init` and `kubeconfig` are one call each. Nothing here knows the command line or the terminal.

mod base_commands;
mod build;
mod client;
mod fetch;
mod fetch_context;
mod gitignore;
mod init;
mod inputs;
mod kubeconfig;
mod node_image;
mod options;
mod plan;
mod secrets;
mod ssh_keys;

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};

pub(crate) use base_commands::{ShownBase, list_bases, show_base};
pub(crate) use build::{BuildRequest, build};
pub(crate) use fetch::{FetchSummary, FetchedInput, InputState, fetch};
pub(crate) use init::init;
pub(crate) use kubeconfig::{kubeconfig, merge_kubeconfig};
pub(crate) use options::Options;
pub(crate) use plan::plan;

use crate::base::expected_facts;
use crate::compose::{self, PlanInputs, context};
use crate::document::DocumentError;
use crate::error::Result;
use crate::overlay::include::{self, IncludedFile};
use crate::overlay::settings::{self, ProfileSettings, Settings};
use crate::overlay::{Overlay, OverlayLibrary};
use crate::plan::{BaseFacts, Unfetched};
use crate::profile::ssh_key::AuthorizedKey;
use crate::profile::{Node, Profile};
use crate::progress::Progress;
use crate::secrets::SecretStore;
use crate::text::nearest;

/// Everything that is read before the first download.
struct Project<'a> {
    profile: Profile,
    options: Options,
    overlays: Vec<Overlay>,
    settings: BTreeMap<String, Settings>,
    included: BTreeMap<String, Vec<IncludedFile>>,
    ssh_keys: Vec<AuthorizedKey>,
    progress: &'a dyn Progress,
}

/// What happens to a new ssh key pair. Commands that only show something write no files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewKeys {
    Keep,
    Discard,
}

impl<'a> Project<'a> {
    /// Reads and checks the profile, its overlays, their settings and templates, and the ssh keys.
    fn open(options: Options, new_keys: NewKeys, progress: &'a dyn Progress) -> Result<Self> {
        let mut project = Self::without_ssh_keys(options, progress)?;
        let file = project.options.ssh_key.as_deref();
        project.ssh_keys = ssh_keys::authorized_keys(&project.profile, file, new_keys, progress)?;
        project.rehearse()?;
        Ok(project)
    }

    /// The same without ssh keys and rehearsal: enough for the cluster's secrets and for client files.
    fn without_ssh_keys(options: Options, progress: &'a dyn Progress) -> Result<Self> {
        let profile = Profile::load(options.profile.as_deref())?;
        let library = OverlayLibrary::beside(&profile.folder);
        let overlays = library.collect(&profile.uses, &profile.source)?;
        check_overlay_tables(&profile, &overlays)?;
        let (mut settings, mut included) = (BTreeMap::new(), BTreeMap::new());
        for overlay in &overlays {
            let written = ProfileSettings {
                source: &profile.source,
                folder: &profile.folder,
                raw: profile.settings.get(&overlay.name),
            };
            let values = settings::check(overlay, written)?;
            included.insert(overlay.name.clone(), include::read(overlay, &values)?);
            settings.insert(overlay.name.clone(), values);
        }
        Ok(Self { profile, options, overlays, settings, included, ssh_keys: Vec::new(), progress })
    }

    /// Composes every plan with placeholders for base, secrets and downloads, so that an error in a template is
    /// found before the first download.
    fn rehearse(&self) -> Result<()> {
        let source = self.options.base.as_deref().unwrap_or(&self.profile.base.image);
        let facts = expected_facts(source);
        let mut store = SecretStore::ephemeral();
        let mut told = Vec::new();
        for node in &self.profile.nodes {
            let secrets = self.secrets_of(Some(node), &mut store)?;
            let inputs = self.inputs(&facts);
            inputs.wants(node)?;
            let plan = compose::plan(&inputs, node, &secrets, &Unfetched)?;
            for warning in plan.warnings {
                if !told.contains(&warning) {
                    self.progress.note(&format!("warning: {warning}"));
                    told.push(warning);
                }
            }
        }
        Ok(())
    }

    fn inputs<'b>(&'b self, base: &'b BaseFacts) -> PlanInputs<'b> {
        PlanInputs {
            profile: &self.profile,
            overlays: &self.overlays,
            settings: &self.settings,
            included: &self.included,
            ssh_keys: &self.ssh_keys,
            base,
        }
    }

    /// The nodes with these names; all nodes if `names` is empty.
    fn nodes(&self, names: &[String]) -> Result<Vec<&Node>> {
        Ok(self.profile.select(names)?)
    }

    /// In the order of application.
    fn overlay_names(&self) -> Vec<String> {
        self.overlays.iter().map(|o| o.name.clone()).collect()
    }

    /// The variables of a template that don't depend on a node.
    fn cluster_values(
        &self,
        overlay: &Overlay,
        more: impl IntoIterator<Item = (String, Value)>,
    ) -> BTreeMap<String, Value> {
        let settings = self.settings[&overlay.name].clone();
        let mut values = context::of_cluster(&self.profile);
        values.insert("settings".into(), Value::from(Serde(settings)));
        values.insert("uses".into(), Value::from(self.overlay_names()));
        values.extend(more);
        values
    }
}

/// Refuses `[overlays.NAME]` for an overlay that isn't in `overlays.use`.
fn check_overlay_tables(profile: &Profile, used: &[Overlay]) -> Result<(), DocumentError> {
    let names = || used.iter().map(|o| o.name.as_str());
    let Some((name, table)) = profile.settings.iter().find(|(name, _)| !names().any(|used| used == **name))
    else {
        return Ok(());
    };
    let error = profile
        .source
        .error(table.at, format!("`[overlays.{name}]` has settings for an overlay that isn't used"));
    Err(match nearest(name, names()) {
        Some(near) => error.hinting(format!("did you mean `{near}`?")),
        None => error.hinting(format!("add `{name}` to `overlays.use`, or remove the table")),
    })
}

//! A profile with everything that it names: opened, checked, with its secrets and its lock. `build`, `plan`,
//! `fetch`, `init` and `kubeconfig` are one call each; the command line only shows what they return.

mod base;
mod build;
mod client;
mod fetch;
mod gitignore;
mod init;
mod kubeconfig;
mod node_image;
mod options;
mod plan;
mod secrets;
mod ssh_keys;

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};

pub(crate) use build::{BuildRequest, build};
pub(crate) use fetch::fetch;
pub(crate) use init::init;
pub(crate) use kubeconfig::{kubeconfig, merge_kubeconfig};
pub(crate) use options::Options;
pub(crate) use plan::plan;

use crate::base::RASPI_DEBIAN;
use crate::compose::{self, PlanInputs, context};
use crate::document::DocumentError;
use crate::error::Result;
use crate::overlay::include::{self, IncludedFile};
use crate::overlay::settings::{self, ProfileSettings, Settings};
use crate::overlay::{Overlay, OverlayLibrary};
use crate::plan::{BaseFacts, Unfetched};
use crate::profile::{Node, Profile};
use crate::progress::Progress;
use crate::secrets::SecretStore;
use crate::text::nearest;

/// Everything that is read before anything is fetched.
pub(crate) struct Project<'a> {
    profile: Profile,
    options: Options,
    overlays: Vec<Overlay>,
    settings: BTreeMap<String, Settings>,
    included: BTreeMap<String, Vec<IncludedFile>>,
    ssh_keys: Vec<String>,
    progress: &'a dyn Progress,
}

/// Whether new ssh keys are written when there are none. What is only shown must not leave files behind.
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

    /// The same without ssh keys and plans: enough for the cluster's secrets and the client's files.
    fn without_ssh_keys(options: Options, progress: &'a dyn Progress) -> Result<Self> {
        let profile = Profile::load(options.profile.as_deref())?;
        let library = OverlayLibrary::beside(&profile.folder);
        let overlays = library.collect(&profile.uses, &profile.source)?;
        every_table_is_used(&profile, &overlays)?;
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

    /// Makes every plan once with stand-ins for what isn't known yet, so that an error in a template is found
    /// before a download, not after it.
    fn rehearse(&self) -> Result<()> {
        let facts = BaseFacts {
            family: RASPI_DEBIAN.into(),
            codename: "bookworm".into(),
            arch: "arm64".into(),
            sample: false,
            boot_mount: "/boot/firmware".into(),
        };
        let mut store = SecretStore::ephemeral();
        for node in &self.profile.nodes {
            let secrets = self.secrets_of(Some(node), &mut store)?;
            let inputs = self.inputs(&facts);
            inputs.wants(node)?;
            compose::plan(&inputs, node, &secrets, &Unfetched)?;
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

    /// The nodes called `names`, or all of them if there is no name.
    fn nodes(&self, names: &[String]) -> Result<Vec<&Node>> {
        Ok(self.profile.select(names)?)
    }

    /// The names of the overlays, in the order they are applied.
    fn overlay_names(&self) -> Vec<String> {
        self.overlays.iter().map(|o| o.name.clone()).collect()
    }

    /// What a template sees of the cluster alone.
    fn cluster_values(
        &self,
        overlay: &Overlay,
        more: impl IntoIterator<Item = (String, Value)>,
    ) -> BTreeMap<String, Value> {
        let settings = self.settings.get(&overlay.name).cloned().unwrap_or_default();
        let mut values = context::of_cluster(&self.profile);
        values.insert("settings".into(), Value::from(Serde(settings)));
        values.insert("uses".into(), Value::from(self.overlay_names()));
        values.extend(more);
        values
    }
}

/// Refuses `[overlays.NAME]` of an overlay that isn't used.
fn every_table_is_used(profile: &Profile, used: &[Overlay]) -> Result<(), DocumentError> {
    let names = || used.iter().map(|o| o.name.as_str());
    let Some((name, table)) = profile.settings.iter().find(|(name, _)| !names().any(|used| used == **name))
    else {
        return Ok(());
    };
    let error =
        profile.source.error(table.at, format!("`[overlays.{name}]` sets an overlay that isn't used"));
    Err(match nearest(name, names()) {
        Some(near) => error.hinting(format!("did you mean `{near}`?")),
        None => error.hinting(format!("add `{name}` to `overlays.use`, or remove the table")),
    })
}

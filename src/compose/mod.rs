//! Overlays × node × base facts × secrets → plan. Pure: the same inputs give the same plan, and nothing here
//! reads a file or knows disks.

mod base_needs;
mod boot_settings;
mod conflicts;
pub(crate) mod context;
mod edits;
mod error;
mod filters;
pub(crate) mod render;
mod secrets_variable;
mod wants;

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};

pub(crate) use error::PlanError;

use crate::base::sysconf;
use crate::overlay::Overlay;
use crate::overlay::include::IncludedFile;
use crate::overlay::settings::Settings;
use crate::overlay::spec::{AttributesSpec, NamesSpec};
use crate::plan::{Action, Area, Assets, Attributes, BaseFacts, Edit, Patch, Plan, Want};
use crate::profile::ssh_key::AuthorizedKey;
use crate::profile::{Node, Profile};
use crate::secrets::SecretValue;
use context::{OverlayVariable, Variables};
use render::TemplateScope;

/// What plans are made of, read and checked before.
#[derive(Clone, Copy)]
pub(crate) struct PlanInputs<'a> {
    pub(crate) profile: &'a Profile,
    /// Each after the overlays that it needs.
    pub(crate) overlays: &'a [Overlay],
    /// By overlay.
    pub(crate) settings: &'a BTreeMap<String, Settings>,
    /// The user's own files by overlay.
    pub(crate) included: &'a BTreeMap<String, Vec<IncludedFile>>,
    /// Those that log in as root; the first that `sysconf.txt` can hold is written there too.
    pub(crate) ssh_keys: &'a [AuthorizedKey],
    pub(crate) base: &'a BaseFacts,
}

/// A node's secrets by overlay and name.
pub(crate) type NodeSecrets = BTreeMap<String, BTreeMap<String, SecretValue>>;

type Result<T, E = PlanError> = std::result::Result<T, E>;

impl<'a> PlanInputs<'a> {
    /// What must be fetched for `node`, in the order of overlays. Evaluates every `[[check]]` too.
    pub(crate) fn wants(&self, node: &Node) -> Result<Vec<Want>> {
        let mut wants = Vec::new();
        for overlay in self.overlays_on(node, &NodeSecrets::new())? {
            overlay.checks()?;
            for fetch in &overlay.overlay.spec.fetches {
                wants.extend(overlay.want(fetch)?);
            }
        }
        Ok(wants)
    }

    fn overlays_on(&self, node: &Node, secrets: &NodeSecrets) -> Result<Vec<OverlayOnNode<'a>>> {
        let mut shared = context::of_all_overlays(self.profile, node, self.ssh_keys, self.base);
        let uses: Vec<String> = self.overlays.iter().map(|o| o.name.clone()).collect();
        shared.insert("uses".into(), Value::from(uses));
        let variables = self.overlay_variables(&mut shared)?;
        shared.insert("overlays".into(), Value::from(Serde(&variables)));
        let on_node = |overlay: &'a Overlay| {
            let own = secrets.get(&overlay.name).cloned().unwrap_or_default();
            OverlayOnNode { overlay, scope: self.scope(overlay, &shared, own) }
        };
        Ok(self.overlays.iter().map(on_node).collect())
    }

    /// The variable `overlays`. Conditions of packages and services may use other overlays' settings, so the
    /// settings are put into `shared` first.
    fn overlay_variables(&self, shared: &mut Variables) -> Result<BTreeMap<&'a str, OverlayVariable>> {
        let with_settings = |overlay: &'a Overlay| {
            let settings = self.settings_of(overlay);
            (overlay.name.as_str(), OverlayVariable { settings, packages: Vec::new(), services: Vec::new() })
        };
        let mut variables: BTreeMap<&str, _> = self.overlays.iter().map(with_settings).collect();
        shared.insert("overlays".into(), Value::from(Serde(&variables)));
        for overlay in self.overlays {
            let scope = self.scope(overlay, shared, BTreeMap::new());
            if let Some(variable) = variables.get_mut(overlay.name.as_str()) {
                variable.packages = names(&scope, &overlay.spec.packages)?;
                variable.services = names(&scope, &overlay.spec.services)?;
            }
        }
        Ok(variables)
    }

    fn scope(
        &self,
        overlay: &'a Overlay,
        shared: &Variables,
        secrets: BTreeMap<String, SecretValue>,
    ) -> TemplateScope<'a> {
        let mut variables = shared.clone();
        variables.insert("settings".into(), Value::from(Serde(self.settings_of(overlay))));
        TemplateScope::new(overlay, variables, secrets)
    }

    fn settings_of(&self, overlay: &Overlay) -> Settings {
        self.settings.get(&overlay.name).cloned().unwrap_or_default()
    }
}

pub(crate) fn plan(
    inputs: &PlanInputs<'_>,
    node: &Node,
    secrets: &NodeSecrets,
    assets: &dyn Assets,
) -> Result<Plan> {
    let mut edits = vec![sysconf_edit(node, inputs.ssh_keys)];
    let shape = inputs.profile.shape();
    edits.extend(base_needs::edits(inputs.base));
    edits.extend(base_needs::for_shape(inputs.base, &shape));
    let mut warnings = Vec::new();
    for overlay in inputs.overlays_on(node, secrets)? {
        let included = inputs.included.get(&overlay.overlay.name).map_or(&[][..], Vec::as_slice);
        overlay.checks()?;
        warnings.extend(overlay.warnings()?);
        overlay.file_specs_name_files()?;
        edits.extend(overlay.files()?);
        edits.extend(overlay.fetched(assets)?);
        edits.extend(overlay.included_files(included)?);
        edits.extend(overlay.dirs_and_links()?);
        edits.extend(overlay.patches()?);
        edits.extend(overlay.boot_settings(inputs.base)?);
    }
    edits.sort_by(|a, b| a.key().cmp(&b.key()));
    edits.dedup_by(|later, earlier| conflicts::same_directory(later, earlier));
    conflicts::check(&edits)?;
    Ok(Plan { node: node.name.clone(), shape, edits, warnings })
}

/// Hostname and key go through `sysconf.txt`, which the base's `rpi-set-sysconf` or our `magi-sysconf` applies at boot.
fn sysconf_edit(node: &Node, keys: &[AuthorizedKey]) -> Edit {
    let mut values = vec![("hostname", node.name.clone())];
    let for_sysconf = |key: &AuthorizedKey| sysconf::for_sysconf(key.without_comment(), key.comment());
    if let Some(key) = keys.iter().find_map(for_sysconf) {
        values.push((sysconf::ROOT_KEY, key));
    }
    Edit {
        area: Area::Boot,
        path: "/sysconf.txt".into(),
        overlay: conflicts::SYSCONF.into(),
        action: Action::Patch(Patch::Sysconf(values)),
        secret: false,
    }
}

fn names(scope: &TemplateScope<'_>, groups: &[NamesSpec]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for group in groups {
        if scope.when(group.when.as_ref())? {
            names.extend(scope.strings(group.from.as_ref())?);
            for name in &group.names {
                // A template may render to no name or to several.
                names.extend(scope.text(name)?.split_whitespace().map(str::to_owned));
            }
        }
    }
    Ok(names)
}

/// One overlay on one node.
struct OverlayOnNode<'a> {
    overlay: &'a Overlay,
    scope: TemplateScope<'a>,
}

fn attributes(given: Option<AttributesSpec>, default_mode: u16) -> Attributes {
    let (uid, gid) = given.map_or((0, 0), |a| a.owner);
    Attributes { mode: given.and_then(|a| a.mode).unwrap_or(default_mode), uid, gid }
}

//! Overlays × node × base facts × secrets → plan. Pure: the same inputs give the same plan, and nothing here
//! reads a file or knows a disk.

mod base_needs;
mod conflicts;
pub(crate) mod context;
mod edits;
mod error;
pub(crate) mod render;
mod wants;

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};

pub(crate) use error::PlanError;

use crate::base::sysconf;
use crate::overlay::Overlay;
use crate::overlay::include::Included;
use crate::overlay::settings::Settings;
use crate::overlay::spec::{self, Names};
use crate::plan::{Action, Area, Assets, Attributes, BaseFacts, Edit, Patch, Plan, Want};
use crate::profile::{Node, Profile};
use crate::secrets::SecretValue;
use context::Neighbour;
use render::Scope;

/// What a plan is made of; all of it read and checked before.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// The profile.
    pub(crate) profile: &'a Profile,
    /// Its overlays, each after what it needs.
    pub(crate) overlays: &'a [Overlay],
    /// Their settings by overlay.
    pub(crate) settings: &'a BTreeMap<String, Settings>,
    /// The user's own files by overlay.
    pub(crate) included: &'a BTreeMap<String, Vec<Included>>,
    /// The lines that may log in; the first also goes to sysconf.
    pub(crate) ssh_keys: &'a [String],
    /// What the base says about itself.
    pub(crate) base: &'a BaseFacts,
}

/// A node's secrets by overlay and name.
pub(crate) type NodeSecrets = BTreeMap<String, BTreeMap<String, SecretValue>>;

type Result<T, E = PlanError> = std::result::Result<T, E>;

impl<'a> Inputs<'a> {
    /// What must be fetched for `node`, in the order of overlays. Evaluates every `[[check]]` on the way.
    pub(crate) fn wants(&self, node: &Node) -> Result<Vec<Want>> {
        let mut wants = Vec::new();
        for scope in self.scopes(node, &NodeSecrets::new())? {
            scope.checks()?;
            for fetch in &scope.overlay.spec.fetches {
                wants.extend(scope.want(fetch)?);
            }
        }
        Ok(wants)
    }

    fn scopes(&self, node: &Node, secrets: &NodeSecrets) -> Result<Vec<OverlayOnNode<'a>>> {
        let mut shared = context::shared(self.profile, node, self.ssh_keys, self.base);
        let uses: Vec<String> = self.overlays.iter().map(|o| o.name.clone()).collect();
        shared.insert("uses".into(), Value::from(uses));
        let mut neighbours: BTreeMap<&str, Neighbour> = self
            .overlays
            .iter()
            .map(|o| {
                (o.name.as_str(), Neighbour { settings: self.values(o), packages: vec![], services: vec![] })
            })
            .collect();
        // Conditions of packages may look at others' settings, so these come first.
        shared.insert("overlays".into(), Value::from(Serde(&neighbours)));
        for overlay in self.overlays {
            let scope = self.scope(overlay, &shared, &BTreeMap::new());
            let packages = names(&scope, &overlay.spec.packages)?;
            let services = names(&scope, &overlay.spec.services)?;
            neighbours
                .insert(&overlay.name, Neighbour { settings: self.values(overlay), packages, services });
        }
        shared.insert("overlays".into(), Value::from(Serde(&neighbours)));
        let none = BTreeMap::new();
        Ok(self
            .overlays
            .iter()
            .map(|overlay| {
                let own = secrets.get(&overlay.name).unwrap_or(&none);
                OverlayOnNode { overlay, scope: self.scope(overlay, &shared, own) }
            })
            .collect())
    }

    fn scope(
        &self,
        overlay: &'a Overlay,
        shared: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, SecretValue>,
    ) -> Scope<'a> {
        let mut values = shared.clone();
        values.insert("settings".into(), Value::from(Serde(self.values(overlay))));
        Scope::new(overlay, values, secrets.clone())
    }

    fn values(&self, overlay: &Overlay) -> Settings {
        self.settings.get(&overlay.name).cloned().unwrap_or_default()
    }
}

/// Makes the plan of `node`.
pub(crate) fn plan(
    inputs: &Inputs<'_>,
    node: &Node,
    secrets: &NodeSecrets,
    assets: &dyn Assets,
) -> Result<Plan> {
    let mut edits = vec![sysconf_edit(node, inputs.ssh_keys)];
    edits.extend(base_needs::edits(inputs.base));
    for work in inputs.scopes(node, secrets)? {
        let included = inputs.included.get(&work.overlay.name).map_or(&[][..], Vec::as_slice);
        work.checks()?;
        work.rules_have_files()?;
        edits.extend(work.laid_files()?);
        edits.extend(work.fetched(assets)?);
        edits.extend(work.included(included)?);
        edits.extend(work.dirs_and_links()?);
        edits.extend(work.patches()?);
    }
    edits.sort_by(|a, b| a.key().cmp(&b.key()));
    edits.dedup_by(|later, earlier| conflicts::same_directory(later, earlier));
    conflicts::refuse(&edits)?;
    Ok(Plan { node: node.name.clone(), edits })
}

/// Hostname and key go through `sysconf.txt`, which `rpi-set-sysconf` of the base applies at boot.
fn sysconf_edit(node: &Node, keys: &[String]) -> Edit {
    let mut values = vec![("hostname", node.name.clone())];
    if let Some(first) = keys.first() {
        values.push(("root_authorized_key", sysconf::for_sysconf(first)));
    }
    Edit {
        area: Area::Boot,
        path: "/sysconf.txt".into(),
        overlay: conflicts::SYSCONF.into(),
        action: Action::Patch(Patch::Sysconf(values)),
        secret: false,
    }
}

fn names(scope: &Scope<'_>, groups: &[Names]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for group in groups {
        if scope.when(group.when.as_ref())? {
            names.extend(scope.strings(group.from.as_ref())?);
            for name in &group.names {
                // A name that renders to nothing is left out; one with blanks is several.
                names.extend(scope.text(name)?.split_whitespace().map(str::to_owned));
            }
        }
    }
    Ok(names)
}

/// One overlay on one node.
struct OverlayOnNode<'a> {
    overlay: &'a Overlay,
    scope: Scope<'a>,
}

fn attributes(given: Option<spec::AttributesSpec>, usual: u16) -> Attributes {
    let (uid, gid) = given.map_or((0, 0), |a| a.owner);
    Attributes { mode: given.and_then(|a| a.mode).unwrap_or(usual), uid, gid }
}

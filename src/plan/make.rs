//! Makes a node's plan out of everything that was read.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};

use super::context::{self, BaseFacts, Neighbour};
use super::want::{Assets, Proof, Want};
use super::{Action, Area, Attributes, Content, Edit, Patch, Plan, path};
use crate::disk::sysconf;
use crate::document::{Located, escaped};
use crate::error::{Exit, Explain};
use crate::overlay::include::Included;
use crate::overlay::render::{Scope, TemplateError};
use crate::overlay::settings::Values;
use crate::overlay::spec::{self, FileRule, Names};
use crate::overlay::{Overlay, OverlayFile};
use crate::profile::{Node, Profile};
use crate::secrets;

/// What a plan is made of; all of it read and checked before.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// Its overlays, each after what it needs.
    pub overlays: &'a [Overlay],
    /// Their settings by overlay.
    pub settings: &'a BTreeMap<String, Values>,
    /// The user's own files by overlay.
    pub included: &'a BTreeMap<String, Vec<Included>>,
    /// The lines that may log in; the first also goes to sysconf.
    pub keys: &'a [String],
    /// What the base says about itself.
    pub base: &'a BaseFacts,
}

/// A node's secrets by overlay and name.
pub type NodeSecrets = BTreeMap<String, BTreeMap<String, secrets::Value>>;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A template or an expression.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A `[[check]]` that doesn't hold.
    #[error("overlay `{overlay}`: {message}")]
    Check {
        /// Whose.
        overlay: String,
        /// What it says.
        message: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A path that can't be.
    #[error("overlay `{overlay}`: the path `{path}` {why}")]
    Path {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two want the same path.
    #[error("{}", conflict(first, second, path))]
    Conflict {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// Where.
        path: String,
    },
    /// A file where a folder is needed.
    #[error("overlay `{overlay}` writes `{path}`, but `{parent}` is no folder in overlay `{other}`")]
    Inside {
        /// One.
        overlay: String,
        /// Its path.
        path: String,
        /// The other.
        other: String,
        /// Its path.
        parent: String,
    },
    /// A secret that others could read.
    #[error("overlay `{overlay}`: `{path}` holds a secret but would be readable by all (mode {mode:04o})")]
    OpenSecret {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// Its mode.
        mode: u16,
    },
    /// A secret on the FAT, which has no permissions.
    #[error("overlay `{overlay}`: `boot/{path}` would put a secret on the FAT, which everybody can read")]
    SecretOnBoot {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
    /// A template that isn't text.
    #[error("`{0}` ends in `.j2` but isn't UTF-8")]
    NotText(String),
    /// A `[[file]]` for nothing.
    #[error("overlay `{overlay}`: `[[file]]` is about `{path}`, which the overlay doesn't have")]
    Stray {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Template(error) => error.hint(),
            Self::Check { hint, .. } => hint.clone(),
            Self::Path { .. } => Some("write a plain absolute path, as `/etc/hosts`".into()),
            Self::Conflict { first, second, .. } if first == SYSCONF || second == SYSCONF => {
                Some("leave it out; what else it should say goes into a `[[patch]]`".into())
            }
            Self::Conflict { first, second, .. } if first == second => {
                Some("perhaps with and without `.j2`; remove one".into())
            }
            Self::Conflict { .. } | Self::Inside { .. } => {
                Some("leave it to one of them, or remove one from `overlays.use`".into())
            }
            Self::OpenSecret { .. } => Some("give it a `[[file]]` with mode `0600` or `0640`".into()),
            Self::SecretOnBoot { .. } => Some("put it under `files/`".into()),
            Self::NotText(_) => Some("rename it, or save it as UTF-8".into()),
            Self::Stray { .. } => Some("its `path` is the path in the image, without `.j2`".into()),
        }
    }
}

/// Who the tool's own edit of `sysconf.txt` belongs to.
const SYSCONF: &str = "sysconf";

/// Says who writes `path` twice.
fn conflict(first: &str, second: &str, path: &str) -> String {
    match (first, second) {
        (SYSCONF, overlay) | (overlay, SYSCONF) => {
            format!("overlay `{overlay}` replaces `{path}`, which the profile's hostname and key go into")
        }
        _ if first == second => format!("overlay `{first}` has `{path}` twice"),
        _ => format!("overlays `{first}` and `{second}` both write `{path}`"),
    }
}

type Result<T, E = PlanError> = std::result::Result<T, E>;

impl<'a> Inputs<'a> {
    /// What must be fetched for `node`, in the order of overlays. Evaluates every `[[check]]` on the way.
    pub fn wants(&self, node: &Node) -> Result<Vec<Want>> {
        let mut wants = Vec::new();
        for scope in self.scopes(node, &NodeSecrets::new())? {
            scope.checks()?;
            for fetch in &scope.overlay.spec.fetches {
                wants.extend(scope.want(fetch)?);
            }
        }
        Ok(wants)
    }

    fn scopes(&self, node: &Node, secrets: &NodeSecrets) -> Result<Vec<Work<'a>>> {
        let mut shared = context::shared(self.profile, node, self.keys, self.base);
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
                Work { overlay, scope: self.scope(overlay, &shared, own) }
            })
            .collect())
    }

    fn scope(
        &self,
        overlay: &'a Overlay,
        shared: &BTreeMap<String, Value>,
        secrets: &BTreeMap<String, secrets::Value>,
    ) -> Scope<'a> {
        let mut values = shared.clone();
        values.insert("settings".into(), Value::from(Serde(self.values(overlay))));
        Scope::new(overlay, values, secrets.clone())
    }

    fn values(&self, overlay: &Overlay) -> Values {
        self.settings.get(&overlay.name).cloned().unwrap_or_default()
    }
}

/// Makes the plan of `node`.
pub fn make(inputs: &Inputs<'_>, node: &Node, secrets: &NodeSecrets, assets: &dyn Assets) -> Result<Plan> {
    let mut edits = vec![sysconf_edit(node, inputs.keys)];
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
    edits.dedup_by(|later, earlier| same_directory(later, earlier));
    no_conflicts(&edits)?;
    Ok(Plan { node: node.name.clone(), edits })
}

/// The door of family A: what the image's own service reads at first boot.
fn sysconf_edit(node: &Node, keys: &[String]) -> Edit {
    let mut values = vec![("hostname", node.name.clone())];
    if let Some(first) = keys.first() {
        values.push(("root_authorized_key", sysconf::for_sysconf(first)));
    }
    Edit {
        area: Area::Boot,
        path: "/sysconf.txt".into(),
        overlay: SYSCONF.into(),
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
struct Work<'a> {
    overlay: &'a Overlay,
    scope: Scope<'a>,
}

impl Work<'_> {
    fn edit(&self, area: Area, path: &str, action: Action) -> Result<Edit> {
        let path = path::checked(path).map_err(|why| PlanError::Path {
            overlay: self.overlay.name.clone(),
            path: escaped(&area.shown(path)),
            why,
        })?;
        Ok(Edit { area, path: path.to_owned(), overlay: self.overlay.name.clone(), action, secret: false })
    }

    fn checks(&self) -> Result<()> {
        for check in &self.overlay.spec.checks {
            if !self.scope.when(Some(&check.that))? {
                let hint = check.hint.as_ref().map(|h| self.scope.text(h)).transpose()?;
                let message = self.scope.text(&check.message)?;
                return Err(PlanError::Check { overlay: self.overlay.name.clone(), message, hint });
            }
        }
        Ok(())
    }

    fn rule(&self, file: &OverlayFile) -> Option<&FileRule> {
        self.overlay.spec.files.iter().find(|r| path::area(&r.path.value) == (file.area, &file.path))
    }

    fn rules_have_files(&self) -> Result<()> {
        for rule in &self.overlay.spec.files {
            let wanted = path::area(&rule.path.value);
            if !self.overlay.files.iter().any(|f| (f.area, f.path.as_str()) == wanted) {
                let path = rule.path.value.clone();
                return Err(PlanError::Stray { overlay: self.overlay.name.clone(), path });
            }
        }
        Ok(())
    }

    /// What lies in `files/`, `boot/` and `firstboot/`.
    fn laid_files(&self) -> Result<Vec<Edit>> {
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
                self.edit(file.area, &file.path, Action::File(Content::Inline(bytes), attributes))?;
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

    fn want(&self, fetch: &spec::Fetch) -> Result<Option<Want>> {
        let scope = &self.scope;
        if !scope.when(fetch.when.as_ref())? {
            return Ok(None);
        }
        let local = Some(scope.string(fetch.local.as_ref())?).filter(|l| !l.is_empty());
        let pinned = || -> Result<Option<String>> {
            let key = scope.string(fetch.pin_key.as_ref())?;
            Ok(fetch.pins.iter().find(|(k, _)| *k == key).map(|(_, hash)| hash.to_ascii_lowercase()))
        };
        let given = Some(scope.string(fetch.sha256.as_ref())?).filter(|s| !s.is_empty());
        let proof = match (given, &fetch.fingerprint, &fetch.sums) {
            (Some(hash), _, _) => Proof::Sha256(hash.to_ascii_lowercase()),
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

    fn fetched(&self, assets: &dyn Assets) -> Result<Vec<Edit>> {
        let mut edits = Vec::new();
        for fetch in &self.overlay.spec.fetches {
            if let Some(want) = self.want(fetch)? {
                let action = Action::File(assets.get(&want), want.attributes);
                edits.push(self.edit(Area::Root, &want.path, action)?);
            }
        }
        Ok(edits)
    }

    fn included(&self, files: &[Included]) -> Result<Vec<Edit>> {
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

    fn dirs_and_links(&self) -> Result<Vec<Edit>> {
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

    fn patches(&self) -> Result<Vec<Edit>> {
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
                let (area, path) = path::area(&path.value);
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

fn attributes(given: Option<spec::Attributes>, usual: u16) -> Attributes {
    let (uid, gid) = given.map_or((0, 0), |a| a.owner);
    Attributes { mode: given.and_then(|a| a.mode).unwrap_or(usual), uid, gid }
}

fn same_directory(a: &Edit, b: &Edit) -> bool {
    a.key() == b.key()
        && matches!((&a.action, &b.action), (Action::Directory(one), Action::Directory(other)) if one == other)
}

/// One writer for each path, and folders only where others need folders.
fn no_conflicts(edits: &[Edit]) -> Result<()> {
    let mut seen: BTreeMap<(Area, String), &Edit> = BTreeMap::new();
    for edit in edits {
        if let Some(earlier) = seen.insert(identity(edit), edit) {
            let both_patch = matches!((&edit.action, &earlier.action), (Action::Patch(_), Action::Patch(_)));
            if !both_patch {
                let (first, second) = (earlier.overlay.clone(), edit.overlay.clone());
                return Err(PlanError::Conflict { first, second, path: edit.shown() });
            }
        }
    }
    for edit in edits {
        let ancestors = edit.path.match_indices('/').skip(1).map(|(end, _)| &edit.path[..end]);
        for parent in ancestors {
            let key = (edit.area, folded(edit.area, parent));
            if let Some(other) = seen.get(&key).filter(|o| !matches!(o.action, Action::Directory(_))) {
                return Err(PlanError::Inside {
                    overlay: edit.overlay.clone(),
                    path: edit.shown(),
                    other: other.overlay.clone(),
                    parent: edit.area.shown(parent),
                });
            }
        }
    }
    Ok(())
}

fn identity(edit: &Edit) -> (Area, String) {
    (edit.area, folded(edit.area, &edit.path))
}

/// FAT doesn't tell `A` from `a`.
fn folded(area: Area, path: &str) -> String {
    if area == Area::Boot { path.to_lowercase() } else { path.to_owned() }
}

//! A profile with everything it names, read and checked; the way from there to plans and images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::{Serde, Value};

use crate::base::facts::{self, RASPI_DEBIAN, Survey};
use crate::base::{self, Prepared};
use crate::document::listed;
use crate::error::{Context as _, Exit, Explain, Result};
use crate::fetch::assets::Fetcher;
use crate::fetch::cache::Cache;
use crate::fetch::http::Client;
use crate::fetch::lock::Lock;
use crate::ignored;
use crate::overlay::include::{self, Included};
use crate::overlay::render::{Rendered, Scope};
use crate::overlay::settings::{self, Values};
use crate::overlay::{Overlay, Shelf};
use crate::plan::context::{self, BaseFacts};
use crate::plan::make::{NodeSecrets, PlanError};
use crate::plan::want::{Assets, Unfetched, Want};
use crate::plan::{self, Inputs, Plan};
use crate::profile::{Node, Profile, ssh};
use crate::progress::Progress;
use crate::secrets::{Store, Wanted};

/// The file that keeps what every input must be, beside the profile.
pub const LOCK_FILE: &str = "magi.lock";

/// What the command line says about a project.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The profile's file; see [`Profile::load`].
    pub profile: Option<PathBuf>,
    /// A base instead of the profile's.
    pub base: Option<String>,
    /// The secrets file instead of the one beside the profile.
    pub secrets: Option<PathBuf>,
    /// The cache folder.
    pub cache_dir: PathBuf,
    /// Use only what is in the cache.
    pub offline: bool,
    /// Take a base without any known checksum.
    pub insecure_no_checksum: bool,
    /// A public key instead of the profile's.
    pub ssh_key: Option<PathBuf>,
    /// Whether something is built: only then is a missing ssh key made and kept.
    pub builds: bool,
}

/// Why there is no such file for the user's machine.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No overlay has it.
    #[error("no overlay of this profile has `client/{name}.j2`")]
    Nobody {
        /// Its name.
        name: String,
        /// The overlays there are.
        uses: Vec<String>,
    },
    /// Two have it.
    #[error("overlays `{first}` and `{second}` both have `client/{name}.j2`")]
    Both {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// Its name.
        name: String,
    },
}

impl Explain for ClientError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nobody { uses, .. } if uses.is_empty() => "`overlays.use` is empty".into(),
            Self::Nobody { uses, .. } => {
                format!("add one that has it to `overlays.use`; this profile has {}", listed(uses.iter()))
            }
            Self::Both { .. } => "remove one of them from `overlays.use`".into(),
        })
    }
}

/// Everything that was read before anything is fetched.
pub struct Project<'a> {
    /// The profile.
    pub profile: Profile,
    options: Options,
    overlays: Vec<Overlay>,
    settings: BTreeMap<String, Values>,
    included: BTreeMap<String, Vec<Included>>,
    keys: Vec<String>,
    progress: &'a dyn Progress,
}

/// A base, fetched, verified, unpacked and looked into.
pub struct Base {
    /// Where it is and what it was made from.
    pub prepared: Prepared,
    /// What is in it.
    pub survey: Survey,
}

impl<'a> Project<'a> {
    /// Reads and checks the profile, its overlays, their settings and templates, and the ssh keys.
    pub fn open(options: Options, progress: &'a dyn Progress) -> Result<Self> {
        let mut project = Self::without_keys(options, progress)?;
        let options = &project.options;
        project.keys =
            ssh::authorized_keys(&project.profile, options.ssh_key.as_deref(), options.builds, progress)?;
        project.rehearse()?;
        Ok(project)
    }

    /// The same without ssh keys and plans: for the cluster's secrets, and what is made of them here.
    pub fn without_keys(options: Options, progress: &'a dyn Progress) -> Result<Self> {
        let profile = Profile::load(options.profile.as_deref())?;
        let overlays = Shelf::beside(&profile).collect(&profile)?;
        let (mut settings, mut included) = (BTreeMap::new(), BTreeMap::new());
        for overlay in &overlays {
            let values = settings::check(overlay, &profile)?;
            included.insert(overlay.name.clone(), include::gather(overlay, &values)?);
            settings.insert(overlay.name.clone(), values);
        }
        Ok(Self { profile, options, overlays, settings, included, keys: Vec::new(), progress })
    }

    /// Makes every plan once with stand-ins for what isn't there yet, so that a slip in a template is
    /// found before a download rather than after.
    fn rehearse(&self) -> Result<()> {
        let facts = BaseFacts {
            family: RASPI_DEBIAN.into(),
            codename: "bookworm".into(),
            arch: "arm64".into(),
            sample: false,
            boot_mount: "/boot/firmware".into(),
        };
        let mut store = Store::passing();
        for node in &self.profile.nodes {
            let secrets = self.secrets_of(Some(node), &mut store)?;
            self.inputs(&facts).wants(node)?;
            plan::make(&self.inputs(&facts), node, &secrets, &Unfetched)?;
        }
        Ok(())
    }

    fn inputs<'b>(&'b self, base: &'b BaseFacts) -> Inputs<'b> {
        Inputs {
            profile: &self.profile,
            overlays: &self.overlays,
            settings: &self.settings,
            included: &self.included,
            keys: &self.keys,
            base,
        }
    }

    /// The names of the overlays, in the order they are laid.
    pub fn overlay_names(&self) -> Vec<String> {
        self.overlays.iter().map(|o| o.name.clone()).collect()
    }

    /// Where the lock is.
    pub fn lock_path(&self) -> PathBuf {
        self.profile.folder.join(LOCK_FILE)
    }

    /// The secrets file.
    pub fn secrets_path(&self) -> PathBuf {
        let beside = || {
            let stem = self.profile.file.as_deref().and_then(Path::file_stem).and_then(|s| s.to_str());
            self.profile.folder.join(format!("{}.secrets.toml", stem.unwrap_or("magi")))
        };
        self.options.secrets.clone().unwrap_or_else(beside)
    }

    /// Opens what fetching needs.
    pub fn source(&self) -> Result<Source> {
        let cache = Cache::open(&self.options.cache_dir)?;
        let client = if self.options.offline { Client::offline() } else { Client::default() };
        Ok(Source { cache, client, lock: Lock::load(&self.lock_path())? })
    }

    /// Fetches, verifies and unpacks the base, as far as the cache doesn't have it, and looks into it.
    pub fn base(&self, source: &mut Source) -> Result<Base> {
        let choice = &self.profile.base;
        let request = match &self.options.base {
            // A pin belongs to the base it was written for.
            Some(other) => base::Request {
                source: other,
                sha256: None,
                insecure_no_checksum: self.options.insecure_no_checksum,
                relative_to: Path::new(""),
            },
            None => base::Request {
                source: &choice.image,
                sha256: choice.sha256.as_deref(),
                insecure_no_checksum: self.options.insecure_no_checksum,
                relative_to: &self.profile.folder,
            },
        };
        let doing = || format!("preparing the base `{}`", request.source);
        let prepared =
            base::prepare(&request, &source.cache, &source.client, &mut source.lock, self.progress)
                .while_doing(doing)?;
        let survey = facts::survey(&prepared.raw_path, prepared.sample)?;
        Ok(Base { prepared, survey })
    }

    /// Fetches and verifies every file that the overlays want on `nodes`; on the sample, placeholders.
    pub fn assets(
        &self,
        base: &Base,
        source: &mut Source,
        nodes: &[&Node],
    ) -> Result<Box<dyn Assets + Sync>> {
        let wants = self.wants(base, nodes)?;
        let Source { cache, client, lock } = source;
        let mut fetcher = Fetcher { cache, client, lock, progress: self.progress };
        Ok(Box::new(fetcher.all(wants, base.prepared.sample)?))
    }

    fn wants(&self, base: &Base, nodes: &[&Node]) -> Result<Vec<Want>> {
        let mut wants: Vec<Want> = Vec::new();
        for node in nodes {
            for want in self.inputs(&base.survey.facts).wants(node)? {
                if !wants.contains(&want) {
                    wants.push(want);
                }
            }
        }
        Ok(wants)
    }

    /// The secrets of `nodes`; new ones are kept before anything is made with them.
    pub fn secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        self.kept_secrets(nodes.iter().copied().map(Some), self.store()?)
    }

    /// A file that was named must be there: a slip in its name would begin another cluster.
    fn store(&self) -> Result<Store> {
        Store::open(&self.secrets_path(), self.options.secrets.is_some())
    }

    /// The secrets of each of `whose`, a node or what all nodes share.
    fn kept_secrets<'n>(
        &self,
        whose: impl Iterator<Item = Option<&'n Node>>,
        mut store: Store,
    ) -> Result<Vec<NodeSecrets>> {
        let secrets = whose.map(|node| self.secrets_of(node, &mut store)).collect::<Result<_>>()?;
        self.keep(&mut store)?;
        Ok(secrets)
    }

    /// Writes what is new in `store`, and says so.
    fn keep(&self, store: &mut Store) -> Result<()> {
        if !store.has_grown() {
            return Ok(());
        }
        let is_new = store.is_new();
        store.save()?;
        let path = store.path().display();
        let what = if is_new { "made" } else { "added to" };
        self.progress.note(&format!("{what} the cluster's secrets, `{path}`; keep it, and keep it private"));
        if let Some((line, path)) = ignored::missing(store.path()) {
            let path = path.display();
            self.progress.note(&format!("git doesn't ignore the secrets yet: add `{line}` to `{path}`"));
        }
        Ok(())
    }

    /// The secrets of `nodes` without keeping new ones: for showing a plan.
    pub fn passing_secrets(&self, nodes: &[&Node]) -> Result<Vec<NodeSecrets>> {
        let mut store = self.store()?;
        nodes.iter().map(|node| self.secrets_of(Some(node), &mut store)).collect()
    }

    /// The secrets of a node, or without one those that all nodes share.
    fn secrets_of(&self, node: Option<&Node>, store: &mut Store) -> Result<NodeSecrets> {
        let mut secrets = NodeSecrets::new();
        for overlay in &self.overlays {
            // Names in certificates see no base, which a secret outlives, and only a node's own see it.
            let scope = |node: Option<&Node>| {
                let node = node.map(|node| ("node".to_owned(), context::of_node(node)));
                Scope::new(overlay, self.values_of(overlay, node), BTreeMap::new())
            };
            let (shared, own) = (scope(None), scope(node));
            let made = store.get_or_make(&Wanted {
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

    /// What a template sees of the cluster alone.
    fn values_of(
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

    /// The file of this name that an overlay has for the user's own machine. Makes and keeps the secrets
    /// of all nodes if they aren't there.
    pub fn client_file(&self, name: &str) -> Result<Rendered> {
        let mut found = self.overlays.iter().flat_map(|o| o.client.iter().map(move |file| (o, file)));
        let mut named = found.by_ref().filter(|(_, file)| file.name == name);
        let Some((overlay, file)) = named.next() else {
            return Err(ClientError::Nobody { name: name.to_owned(), uses: self.overlay_names() }.into());
        };
        if let Some((other, _)) = named.next() {
            let (first, second) = (overlay.name.clone(), other.name.clone());
            return Err(ClientError::Both { first, second, name: name.to_owned() }.into());
        }
        let everybody = self.profile.nodes.iter().map(Some);
        let shared = self.kept_secrets(everybody.chain([None]), self.store()?)?.pop().unwrap_or_default();
        let own = shared.get(&overlay.name).cloned().unwrap_or_default();
        let scope = Scope::new(overlay, self.values_of(overlay, None), own);
        let text = std::str::from_utf8(&file.bytes).map_err(|_| PlanError::NotText(file.shown.clone()))?;
        Ok(scope.file(&file.shown, text)?)
    }

    /// Makes and keeps the secrets of all nodes as far as they aren't there, in a new file too.
    pub fn make_secrets(&self) -> Result<()> {
        let store = Store::open(&self.secrets_path(), false)?;
        self.kept_secrets(self.profile.nodes.iter().map(Some), store).map(drop)
    }

    /// A node's plan.
    pub fn plan(&self, base: &Base, node: &Node, secrets: &NodeSecrets, assets: &dyn Assets) -> Result<Plan> {
        Ok(plan::make(&self.inputs(&base.survey.facts), node, secrets, assets)?)
    }
}

/// Cache, network and lock: what fetching works with.
pub struct Source {
    /// What is there already.
    pub cache: Cache,
    /// The way to what isn't.
    pub client: Client,
    /// What it must be.
    pub lock: Lock,
}

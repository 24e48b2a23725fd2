//! The profile: what the user wants. TOML, every key checked, before anything is fetched.

mod address;
mod check;
mod read;
pub mod ssh;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

pub use address::Address;

use crate::builtin;
use crate::document::{DocumentError, Located, Source};
use crate::error::{Context as _, Exit, Explain, FileError, Result};

/// Where a profile is looked for when none is named.
pub const DEFAULT_PATH: &str = "profiles/magi.toml";

/// A profile, read and checked.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its text, for messages about its lines.
    pub source: Source,
    /// What relative paths in it are relative to.
    pub folder: PathBuf,
    /// The file it was read from; `None` for the built-in one.
    pub file: Option<PathBuf>,
    /// `[cluster]`.
    pub cluster: Cluster,
    /// `[base]`.
    pub base: BaseChoice,
    /// `[ssh] authorized_keys`: keys or files, not yet read.
    pub authorized_keys: Vec<Located<String>>,
    /// `[overlays] use`.
    pub uses: Vec<Located<String>>,
    /// `[overlays.NAME]`, to be checked against that overlay's settings.
    pub settings: BTreeMap<String, Located<RawSettings>>,
    /// `[[node]]`, in the profile's order.
    pub nodes: Vec<Node>,
}

/// What all nodes share.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// A DNS label.
    pub name: String,
    /// The virtual IP.
    pub vip: Ipv4Addr,
    /// The wired interface on every node.
    pub interface: String,
    /// The default route; required once a node has a static address.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers for static addresses.
    pub dns: Vec<Ipv4Addr>,
}

/// Which base image.
#[derive(Debug, Clone)]
pub struct BaseChoice {
    /// A built-in name, a URL or a file.
    pub image: String,
    /// The pinned SHA-256 in lower-case hex.
    pub sha256: Option<String>,
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its hostname.
    pub name: String,
    /// Whether it starts the cluster.
    pub init: bool,
    /// A static address; DHCP without.
    pub address: Option<Address>,
    /// Position in the profile, from 0.
    pub index: usize,
}

/// The settings of one overlay as written.
pub type RawSettings = BTreeMap<String, Located<RawValue>>;

/// A setting's value as TOML has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A boolean.
    Boolean(bool),
    /// A list of strings.
    List(Vec<String>),
    /// Anything else, by TOML's name for it.
    Other(&'static str),
}

/// A node was asked for that the profile doesn't have.
#[derive(Debug, thiserror::Error)]
#[error("no node `{asked}` in `{profile}`")]
pub struct NoSuchNode {
    asked: String,
    profile: String,
    hint: String,
}

impl Explain for NoSuchNode {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

impl Profile {
    /// Reads `file`, or else [`DEFAULT_PATH`] if it is there, or else the built-in profile.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let path = match file {
            Some(path) => path.to_path_buf(),
            None if Path::new(DEFAULT_PATH).exists() => DEFAULT_PATH.into(),
            None => return Ok(Self::built_in()?),
        };
        let bytes = std::fs::read(&path)
            .map_err(FileError::named(&path))
            .while_doing(|| "reading the profile".into())?;
        let source = Source::from_bytes(path.display().to_string(), &bytes)?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok(Self::parse(source, folder, Some(path))?)
    }

    /// The profile inside the binary; what it names is relative to the working directory.
    fn built_in() -> Result<Self, DocumentError> {
        let text = builtin::file(DEFAULT_PATH).unwrap_or_default();
        let source = Source::from_bytes(format!("built-in {DEFAULT_PATH}"), text)?;
        Self::parse(source, PathBuf::new(), None)
    }

    /// Parses and checks a text.
    pub fn parse(source: Source, folder: PathBuf, file: Option<PathBuf>) -> Result<Self, DocumentError> {
        read::profile(source, folder, file)
    }

    /// The nodes named, in the profile's order, each once; all of them if `names` is empty.
    pub fn select(&self, names: &[String]) -> Result<Vec<&Node>, NoSuchNode> {
        for asked in names {
            if !self.nodes.iter().any(|n| n.name == *asked) {
                let known = || self.nodes.iter().map(|n| n.name.as_str());
                let hint = match crate::document::nearest(asked, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", crate::document::listed(known())),
                };
                return Err(NoSuchNode { asked: asked.clone(), profile: self.source.name.clone(), hint });
            }
        }
        Ok(self.nodes.iter().filter(|n| names.is_empty() || names.contains(&n.name)).collect())
    }

    /// A path written in the profile, relative to it; `~/` is the home folder.
    pub fn resolve(&self, written: &str) -> PathBuf {
        match written.strip_prefix("~/") {
            Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            None => self.folder.join(written),
        }
    }
}

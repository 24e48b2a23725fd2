//! The profile: what the user wants. TOML, every key checked, before anything is fetched.

mod address;
mod check;
pub(crate) mod hostname;
mod read;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

pub(crate) use address::Address;

use crate::builtin;
use crate::digest::Sha256;
use crate::document::{DocumentError, Located, RawSettings, SourceText};
use crate::error::{Context as _, Exit, Explain, FileError, Result};
use crate::files::home;
use crate::text::{listed, nearest};

/// Where a profile is looked for when none is named.
pub(crate) const DEFAULT_PATH: &str = "profiles/magi.toml";

/// A profile, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// Its text, for messages about its lines.
    pub(crate) source: SourceText,
    /// What relative paths in it are relative to.
    pub(crate) folder: PathBuf,
    /// The file it was read from; `None` for the built-in one.
    pub(crate) file: Option<PathBuf>,
    /// `[cluster]`.
    pub(crate) cluster: Cluster,
    /// `[base]`.
    pub(crate) base: BaseChoice,
    /// `[ssh] authorized_keys`: keys or files, not yet read.
    pub(crate) authorized_keys: Vec<Located<String>>,
    /// `[overlays] use`.
    pub(crate) uses: Vec<Located<String>>,
    /// `[overlays.NAME]`, to be checked against that overlay's settings.
    pub(crate) settings: BTreeMap<String, Located<RawSettings>>,
    /// `[[node]]`, in the profile's order.
    pub(crate) nodes: Vec<Node>,
}

/// What all nodes share.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// A DNS label.
    pub(crate) name: String,
    /// The virtual IP.
    pub(crate) vip: Ipv4Addr,
    /// The wired interface on every node.
    pub(crate) interface: String,
    /// The default route; required once a node has a static address.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Name servers for static addresses.
    pub(crate) dns: Vec<Ipv4Addr>,
}

/// Which base image.
#[derive(Debug, Clone)]
pub(crate) struct BaseChoice {
    /// A built-in name, a URL or a file.
    pub(crate) image: String,
    /// The pinned hash: of the file, or of the raw image in it.
    pub(crate) sha256: Option<Sha256>,
    /// The publisher's OpenPGP key.
    pub(crate) publisher: Option<PublisherKey>,
}

/// The OpenPGP key that must have signed the base.
#[derive(Debug, Clone)]
pub(crate) struct PublisherKey {
    /// 40 or 64 hexadecimal digits, upper case, without blanks.
    pub(crate) fingerprint: String,
    /// A file, relative to the profile, or a URL.
    pub(crate) key: String,
}

/// One machine.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its hostname.
    pub(crate) name: String,
    /// Whether it starts the cluster.
    pub(crate) init: bool,
    /// A static address; DHCP without.
    pub(crate) address: Option<Address>,
    /// Position in the profile, from 0.
    pub(crate) index: usize,
}

/// A node was asked for that the profile doesn't have.
#[derive(Debug, thiserror::Error)]
#[error("no node `{asked}` in `{profile}`")]
pub(crate) struct NoSuchNode {
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
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let path = match file {
            Some(path) => path.to_path_buf(),
            None if Path::new(DEFAULT_PATH).exists() => DEFAULT_PATH.into(),
            None => return Ok(Self::built_in()?),
        };
        let bytes = std::fs::read(&path)
            .map_err(FileError::named(&path))
            .while_doing(|| "reading the profile".into())?;
        let source = SourceText::from_bytes(path.display().to_string(), &bytes)?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        Ok(Self::parse(source, folder, Some(path))?)
    }

    /// The profile inside the binary; what it names is relative to the working directory.
    fn built_in() -> Result<Self, DocumentError> {
        let text = builtin::file(DEFAULT_PATH).unwrap_or_default();
        let source = SourceText::from_bytes(format!("built-in {DEFAULT_PATH}"), text)?;
        Self::parse(source, PathBuf::new(), None)
    }

    /// Parses and checks a text.
    pub(crate) fn parse(
        source: SourceText,
        folder: PathBuf,
        file: Option<PathBuf>,
    ) -> Result<Self, DocumentError> {
        read::profile(source, folder, file)
    }

    /// The nodes named, in the profile's order, each once; all of them if `names` is empty.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&Node>, NoSuchNode> {
        for asked in names {
            if !self.nodes.iter().any(|n| n.name == *asked) {
                let known = || self.nodes.iter().map(|n| n.name.as_str());
                let hint = match nearest(asked, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {}", listed(known())),
                };
                return Err(NoSuchNode { asked: asked.clone(), profile: self.source.name.clone(), hint });
            }
        }
        Ok(self.nodes.iter().filter(|n| names.is_empty() || names.contains(&n.name)).collect())
    }

    /// A path written in the profile, relative to it; `~/` is the home folder.
    pub(crate) fn resolve(&self, written: &str) -> PathBuf {
        home::resolve(written, &self.folder)
    }
}

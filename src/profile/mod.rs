//! The profile (`magi.toml`): cluster, base, overlays and nodes. Every key is checked before anything is
//! fetched. Overlays and their settings are only named here.

mod address;
mod check;
mod hostname;
mod read;
mod size;
pub(crate) mod ssh_key;
mod storage;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;

pub(crate) use address::parse_host_in_network;

use crate::builtin;
use crate::digest::Sha256;
use crate::document::{DocumentError, Located, RawSettings, SourceText};
use crate::error::{Context as _, Exit, Explain, FileError, Result};
use crate::files::home;
use crate::plan::{DiskShape, ExtraPartition};
use crate::text::{listed, nearest};

/// The profile that is read without `--profile`, if it exists.
pub(crate) const DEFAULT_PATH: &str = "profiles/magi.toml";

/// A profile, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    /// For messages that name a line.
    pub(crate) source: SourceText,
    /// Relative paths in the profile start here.
    pub(crate) folder: PathBuf,
    /// `None` for the built-in profile.
    pub(crate) file: Option<PathBuf>,
    pub(crate) cluster: Cluster,
    pub(crate) base: BaseChoice,
    pub(crate) image: ImageSettings,
    /// `[ssh] authorized_keys`: keys, or files that are not yet read.
    pub(crate) authorized_keys: Vec<Located<String>>,
    /// `[overlays] use`.
    pub(crate) uses: Vec<Located<String>>,
    /// `[overlays.NAME]`, not yet checked against the overlay's declarations.
    pub(crate) settings: BTreeMap<String, Located<RawSettings>>,
    /// `[[node]]`, in the profile's order.
    pub(crate) nodes: Vec<Node>,
}

/// `[cluster]`.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// A DNS label.
    pub(crate) name: String,
    pub(crate) vip: Ipv4Addr,
    /// The wired interface of every node.
    pub(crate) interface: String,
    /// Required if a node has a static address.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Name servers of nodes with static addresses.
    pub(crate) dns: Vec<Ipv4Addr>,
}

/// `[base]`.
#[derive(Debug, Clone)]
pub(crate) struct BaseChoice {
    /// A built-in name, a URL or a path.
    pub(crate) image: String,
    /// Of the file, or of the raw image in it.
    pub(crate) sha256: Option<Sha256>,
    /// The publisher's OpenPGP key.
    pub(crate) publisher: Option<PublisherKey>,
    /// `table = "mbr"`: a GPT becomes an MBR, for boards that don't boot from GPT.
    pub(crate) as_mbr: bool,
}

/// `[image]`; the default is the disk of the base.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageSettings {
    /// Of the whole image, in bytes; a multiple of 512.
    pub(crate) size: Option<u64>,
    /// Of the root partition, in bytes; a multiple of 512.
    pub(crate) root_size: Option<u64>,
    pub(crate) extra: Option<ExtraVolume>,
}

/// An empty file system that first boot makes and mounts.
#[derive(Debug, Clone)]
pub(crate) struct ExtraVolume {
    pub(crate) place: ExtraPlace,
    /// An absolute path that needs no escapes in fstab.
    pub(crate) mount: String,
    /// `ext4`.
    pub(crate) filesystem: String,
    /// 1 to 16 letters, digits, `.`, `_` or `-`.
    pub(crate) label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExtraPlace {
    /// A partition behind the root partition. Size in bytes; `None` for all space there.
    Card { size: Option<u64> },
    /// Another disk of the node, as a path in `/dev`.
    Device(String),
}

/// The OpenPGP key that must have signed the base.
#[derive(Debug, Clone)]
pub(crate) struct PublisherKey {
    /// 40 or 64 hexadecimal digits, upper case, without blanks.
    pub(crate) fingerprint: String,
    /// A file, relative to the profile, or a URL.
    pub(crate) key: String,
}

/// `[[node]]`.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The hostname.
    pub(crate) name: String,
    /// Whether it starts the cluster.
    pub(crate) init: bool,
    /// A static address with its network; `None` for DHCP.
    pub(crate) address: Option<Ipv4Net>,
    /// Position in the profile, from 0.
    pub(crate) index: usize,
}

/// `--node` names a node that the profile does not have.
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
    /// Reads `file`, or else [`DEFAULT_PATH`] if it exists, or else the built-in profile.
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

    /// The profile in the binary; its paths start from the working directory.
    fn built_in() -> Result<Self, DocumentError> {
        let name = format!("built-in {DEFAULT_PATH}");
        let text = builtin::file(DEFAULT_PATH)
            .ok_or_else(|| DocumentError::at_line(&name, 1, "missing in the binary"))?;
        let source = SourceText::from_bytes(name, text)?;
        Self::parse(source, PathBuf::new(), None)
    }

    pub(crate) fn parse(
        source: SourceText,
        folder: PathBuf,
        file: Option<PathBuf>,
    ) -> Result<Self, DocumentError> {
        read::profile(source, folder, file)
    }

    /// The nodes called `names`, each once and in the profile's order; all nodes if `names` is empty.
    pub(crate) fn select(&self, names: &[String]) -> Result<Vec<&Node>, NoSuchNode> {
        for asked in names {
            if !self.nodes.iter().any(|n| n.name == *asked) {
                let known = || self.nodes.iter().map(|n| n.name.as_str());
                let hint = match nearest(asked, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("nodes of this profile: {}", listed(known())),
                };
                return Err(NoSuchNode { asked: asked.clone(), profile: self.source.name.clone(), hint });
            }
        }
        Ok(self.nodes.iter().filter(|n| names.is_empty() || names.contains(&n.name)).collect())
    }

    /// The disk that the profile asks for.
    pub(crate) fn shape(&self) -> DiskShape {
        let extra = self.image.extra.as_ref().and_then(|extra| match extra.place {
            ExtraPlace::Card { size } => Some(ExtraPartition { size, label: extra.label.clone() }),
            ExtraPlace::Device(_) => None,
        });
        let ImageSettings { size, root_size, .. } = self.image;
        DiskShape { size, root_size, extra, as_mbr: self.base.as_mbr }
    }

    /// A path of the profile: relative to its folder, `~/` to the home folder.
    pub(crate) fn resolve(&self, written: &str) -> PathBuf {
        home::resolve(written, &self.folder)
    }
}

//! What templates see: profile, node, base and overlays as template values.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::overlay::settings::Settings;
use crate::plan::BaseFacts;
use crate::profile::ssh_key::AuthorizedKey;
use crate::profile::{ExtraPlace, Node, Profile};

/// The variables of a template by name.
pub(crate) type Variables = BTreeMap<String, Value>;

/// A node; `address` (with prefix) and `ip` are empty and `prefix` is 0 with DHCP.
#[derive(Serialize)]
struct NodeVariable<'a> {
    name: &'a str,
    index: usize,
    init: bool,
    address: String,
    ip: String,
    prefix: u8,
}

/// An entry of `overlays`; packages and services are those of this node.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OverlayVariable {
    pub(super) settings: Settings,
    pub(super) packages: Vec<String>,
    pub(super) services: Vec<String>,
}

/// `[image]`; `size` is 0 for the base's size.
#[derive(Serialize)]
struct ImageVariable<'a> {
    size: u64,
    fixed_root: bool,
    extra: Option<ExtraVariable<'a>>,
}

/// `device` is empty for a partition on the card.
#[derive(Serialize)]
struct ExtraVariable<'a> {
    device: &'a str,
    mount: &'a str,
    filesystem: &'a str,
    label: &'a str,
}

impl<'a> From<&'a Profile> for ImageVariable<'a> {
    fn from(profile: &'a Profile) -> Self {
        let extra = profile.image.extra.as_ref().map(|extra| ExtraVariable {
            device: match &extra.place {
                ExtraPlace::Card { .. } => "",
                ExtraPlace::Device(device) => device,
            },
            mount: &extra.mount,
            filesystem: &extra.filesystem,
            label: &extra.label,
        });
        Self { size: profile.image.size.unwrap_or(0), fixed_root: profile.shape().fixes_root(), extra }
    }
}

impl<'a> From<&'a Node> for NodeVariable<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            name: &node.name,
            index: node.index,
            init: node.init,
            address: node.address.map(|a| a.to_string()).unwrap_or_default(),
            ip: node.address.map(|a| a.addr().to_string()).unwrap_or_default(),
            prefix: node.address.map_or(0, |a| a.prefix_len()),
        }
    }
}

/// Variables that do not depend on a node.
pub(crate) fn of_cluster(profile: &Profile) -> Variables {
    let cluster = &profile.cluster;
    let dns: Vec<String> = cluster.dns.iter().map(ToString::to_string).collect();
    let cluster = BTreeMap::from([
        ("name", Value::from(cluster.name.as_str())),
        ("vip", Value::from(cluster.vip.to_string())),
        ("interface", Value::from(cluster.interface.as_str())),
        ("gateway", Value::from(cluster.gateway.map(|g| g.to_string()).unwrap_or_default())),
        ("dns", Value::from(dns)),
    ]);
    let nodes: Vec<_> = profile.nodes.iter().map(NodeVariable::from).collect();
    BTreeMap::from([
        ("cluster".to_owned(), Value::from_pairs(cluster)),
        ("nodes".to_owned(), Value::from(Serde(nodes))),
        ("magi".to_owned(), Value::from_pairs([("version", Value::from(env!("CARGO_PKG_VERSION")))])),
    ])
}

/// Variables that all overlays of a node share.
pub(super) fn of_all_overlays(
    profile: &Profile,
    node: &Node,
    ssh_keys: &[AuthorizedKey],
    base: &BaseFacts,
) -> Variables {
    let lines: Value = ssh_keys.iter().map(AuthorizedKey::line).collect();
    let mut variables = of_cluster(profile);
    variables.extend([
        ("node".to_owned(), of_node(node)),
        ("base".to_owned(), Value::from(Serde(base))),
        ("image".to_owned(), Value::from(Serde(ImageVariable::from(profile)))),
        ("ssh".to_owned(), Value::from_pairs([("authorized_keys", lines)])),
    ]);
    variables
}

/// The variable `node`.
pub(crate) fn of_node(node: &Node) -> Value {
    Value::from(Serde(NodeVariable::from(node)))
}

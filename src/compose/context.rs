//! What templates can see: profile, node, base and settings as template values.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::overlay::settings::Settings;
use crate::plan::BaseFacts;
use crate::profile::{Node, Profile};

#[derive(Serialize)]
struct NodeValue<'a> {
    name: &'a str,
    index: usize,
    init: bool,
    address: String,
    ip: String,
    prefix: u8,
}

/// An overlay as others see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Neighbour {
    /// Its settings.
    pub(crate) settings: Settings,
    /// Its packages on this node.
    pub(crate) packages: Vec<String>,
    /// Its services on this node.
    pub(crate) services: Vec<String>,
}

fn node_value(node: &Node) -> NodeValue<'_> {
    let text = |f: fn(&crate::profile::Address) -> String| node.address.as_ref().map(f).unwrap_or_default();
    NodeValue {
        name: &node.name,
        index: node.index,
        init: node.init,
        address: text(ToString::to_string),
        ip: text(|a| a.ip.to_string()),
        prefix: node.address.map_or(0, |a| a.prefix),
    }
}

/// The values that belong to the cluster and to no node.
pub(crate) fn of_cluster(profile: &Profile) -> BTreeMap<String, Value> {
    let cluster = &profile.cluster;
    let strings = |list: &[std::net::Ipv4Addr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cluster = BTreeMap::from([
        ("name", Value::from(cluster.name.as_str())),
        ("vip", Value::from(cluster.vip.to_string())),
        ("interface", Value::from(cluster.interface.as_str())),
        ("gateway", Value::from(cluster.gateway.map(|g| g.to_string()).unwrap_or_default())),
        ("dns", Value::from(strings(&cluster.dns))),
    ]);
    let nodes: Vec<_> = profile.nodes.iter().map(node_value).collect();
    BTreeMap::from([
        ("cluster".to_owned(), Value::from_pairs(cluster)),
        ("nodes".to_owned(), Value::from(Serde(nodes))),
        ("magi".to_owned(), Value::from_pairs([("version", Value::from(env!("CARGO_PKG_VERSION")))])),
    ])
}

/// The values that are the same for every overlay of a node.
pub(crate) fn shared(
    profile: &Profile,
    node: &Node,
    keys: &[String],
    base: &BaseFacts,
) -> BTreeMap<String, Value> {
    let mut values = of_cluster(profile);
    values.extend([
        ("node".to_owned(), of_node(node)),
        ("base".to_owned(), Value::from(Serde(base))),
        ("ssh".to_owned(), Value::from_pairs([("authorized_keys", Value::from(keys.to_vec()))])),
    ]);
    values
}

/// A node as templates see it.
pub(crate) fn of_node(node: &Node) -> Value {
    Value::from(Serde(node_value(node)))
}

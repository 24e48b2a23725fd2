//! Checks between the addresses of a profile.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::address::has_host;
use super::{Cluster, Node};
use crate::document::{DocumentError, Located, Section};

type Result<T> = std::result::Result<T, DocumentError>;

/// Addresses are unique, static nodes have the VIP and a gateway in their network, and name servers are machines
/// outside the cluster.
pub(super) fn addresses(
    root: &Section<'_>,
    cluster: &Located<Cluster>,
    nodes: &[Located<Node>],
) -> Result<()> {
    let fixed: Vec<_> = nodes.iter().filter_map(|n| n.value.address.map(|a| (n, a))).collect();
    for (i, (node, host)) in fixed.iter().enumerate() {
        vip_fits(root, cluster, node, *host)?;
        if let Some((other, _)) = fixed[..i].iter().find(|(_, a)| a.addr() == host.addr()) {
            let (first, second) = (&other.value.name, &node.value.name);
            let what = format!("duplicate address: `{first}` and `{second}` both have {}", host.addr());
            return Err(root.error_at(node.at, what));
        }
        gateway_fits(root, cluster.value.gateway, node, *host)?;
    }
    let vip = cluster.value.vip;
    if cluster.value.gateway == Some(vip) {
        let what = format!("duplicate address: the VIP {vip} is also the gateway");
        return Err(root.error_at(cluster.at, what));
    }
    for server in &cluster.value.dns {
        let of_node = fixed.iter().find(|(_, host)| host.addr() == *server).map(|(node, _)| &node.value.name);
        let whose = match of_node {
            Some(name) => format!("the address of `{name}`"),
            None if *server == vip => "the VIP".to_owned(),
            None => continue,
        };
        let what = format!(
            "the name server {server} is {whose}, but first boot needs names before the cluster runs"
        );
        return Err(root
            .error_at(cluster.at, what)
            .hinting("set `dns` to your router, or to another server of the LAN"));
    }
    Ok(())
}

fn vip_fits(
    root: &Section<'_>,
    cluster: &Located<Cluster>,
    node: &Located<Node>,
    host: Ipv4Net,
) -> Result<()> {
    let (vip, name) = (cluster.value.vip, &node.value.name);
    if host.addr() == vip {
        let what = format!("duplicate address: the VIP {vip} is also the address of `{name}`");
        return Err(root.error_at(node.at, what).hinting("choose a VIP that no machine uses"));
    }
    if !has_host(host, vip) {
        let what = format!("the VIP {vip} is outside the network of `{name}` ({host})");
        return Err(root.error_at(cluster.at, what));
    }
    Ok(())
}

fn gateway_fits(
    root: &Section<'_>,
    gateway: Option<Ipv4Addr>,
    node: &Located<Node>,
    host: Ipv4Net,
) -> Result<()> {
    let name = &node.value.name;
    let Some(gateway) = gateway else {
        let what = format!("`{name}` has a static address, but the cluster has no gateway");
        return Err(root
            .error_at(node.at, what)
            .hinting("set `gateway` and `dns` in `[cluster]`, usually to your router's address"));
    };
    if gateway == host.addr() {
        let what = format!("duplicate address: the gateway {gateway} is also the address of `{name}`");
        return Err(root.error_at(node.at, what));
    }
    if !has_host(host, gateway) {
        let what = format!("the gateway {gateway} is outside the network of `{name}` ({host})");
        return Err(root.error_at(node.at, what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::document::SourceText;
    use crate::profile::Profile;

    fn message(cluster: &str, nodes: &str) -> String {
        let text = format!(
            "[cluster]\nname = \"magi\"\n{cluster}\n[base]\nimage = \"sample\"\n[overlays]\nuse = []\n{nodes}"
        );
        match Profile::parse(SourceText::new("p.toml", text), "".into(), None) {
            Ok(_) => "valid".into(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn vip_node_addresses_and_gateway_must_differ_and_share_a_network() {
        let node = |name: &str, ip: &str| format!("[[node]]\nname = \"{name}\"\naddress = \"{ip}\"\n");
        let vip = "vip = \"10.0.0.100\"\ngateway = \"10.0.0.1\"";
        assert_eq!(message(vip, &node("caspar", "10.0.0.12/24")), "valid");
        assert_eq!(
            message(vip, &node("caspar", "10.0.0.100/24")),
            "`p.toml` line 9: duplicate address: the VIP 10.0.0.100 is also the address of `caspar`"
        );
        assert_eq!(
            message(vip, &node("caspar", "10.0.1.12/24")),
            "`p.toml` line 3: the VIP 10.0.0.100 is outside the network of `caspar` (10.0.1.12/24)"
        );
        let twice = node("melchior", "10.0.0.12/24") + &node("caspar", "10.0.0.12/24");
        assert!(message(vip, &twice).ends_with("`melchior` and `caspar` both have 10.0.0.12"));
        assert!(message(vip, &node("caspar", "10.0.0.1/24")).contains("the gateway 10.0.0.1 is also"));
        assert!(message("vip = \"10.0.0.100\"", &node("caspar", "10.0.0.12/24")).ends_with("has no gateway"));
        assert!(
            message("vip = \"10.0.0.100\"\ngateway = \"10.0.0.100\"", "[[node]]\nname = \"a\"")
                .ends_with("the VIP 10.0.0.100 is also the gateway")
        );
    }

    #[test]
    fn name_servers_are_outside_the_cluster() {
        let nodes = "[[node]]\nname = \"caspar\"\naddress = \"10.0.0.12/24\"\n";
        let dns = |servers: &str| {
            message(&format!("vip = \"10.0.0.100\"\ngateway = \"10.0.0.1\"\ndns = [{servers}]"), nodes)
        };
        assert_eq!(dns("\"10.0.0.1\", \"9.9.9.9\""), "valid");
        assert!(dns("\"10.0.0.1\", \"10.0.0.100\"").contains("the name server 10.0.0.100 is the VIP, but"));
        assert!(dns("\"10.0.0.12\"").contains("the name server 10.0.0.12 is the address of `caspar`, but"));
    }

    #[test]
    fn only_a_wired_interface_is_accepted() {
        let interface = |name: &str| {
            message(&format!("vip = \"10.0.0.100\"\ninterface = \"{name}\""), "[[node]]\nname = \"caspar\"\n")
        };
        for name in ["eth0", "end0", "enx0011223344", "eth0.12"] {
            assert_eq!(interface(name), "valid");
        }
        for name in ["wlan0", "wlp1s0", "lo", ".", "..", "", "eth0:1", "sixteen-letters-", "a b"] {
            assert_ne!(interface(name), "valid", "{name}");
        }
    }
}

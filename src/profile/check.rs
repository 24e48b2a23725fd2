//! What must hold between the addresses of a profile.

use super::{Cluster, Node};
use crate::document::{DocumentError, Located, Section};

/// The VIP is nobody's own address and can be reached by all; static nodes share a network and know a way out.
pub(super) fn addresses(
    root: &Section<'_>,
    cluster: &Located<Cluster>,
    nodes: &[Located<Node>],
) -> Result<(), DocumentError> {
    let Cluster { vip, gateway, .. } = cluster.value;
    let fixed: Vec<_> = nodes.iter().filter_map(|n| n.value.address.map(|a| (n, a))).collect();
    for (i, (node, address)) in fixed.iter().enumerate() {
        let name = &node.value.name;
        if address.ip == vip {
            let what = format!("`{name}` has the VIP {vip} as its own address");
            return Err(root.error_at(node.at, what).hinting("give the VIP an address that no machine has"));
        }
        if !address.reaches(vip) {
            let what = format!("the VIP {vip} lies outside the network of `{name}`, {address}");
            return Err(root.error_at(cluster.at, what));
        }
        if let Some((other, _)) = fixed[..i].iter().find(|(_, a)| a.ip == address.ip) {
            let what = format!("`{}` and `{name}` have the same address {}", other.value.name, address.ip);
            return Err(root.error_at(node.at, what));
        }
        let Some(gateway) = gateway else {
            return Err(root
                .error_at(node.at, format!("`{name}` has a static address, but the cluster has no gateway"))
                .hinting("set `gateway` and `dns` in `[cluster]`: usually your router's address"));
        };
        if !address.reaches(gateway) || gateway == address.ip {
            let what = format!("the gateway {gateway} isn't a neighbour of `{name}`, {address}");
            return Err(root.error_at(node.at, what));
        }
    }
    if gateway == Some(vip) {
        return Err(root.error_at(cluster.at, format!("the VIP {vip} is the gateway's address")));
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
            Ok(_) => "fine".into(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn vip_addresses_and_gateway_must_fit() {
        let node = |name: &str, ip: &str| format!("[[node]]\nname = \"{name}\"\naddress = \"{ip}\"\n");
        let vip = "vip = \"10.0.0.100\"\ngateway = \"10.0.0.1\"";
        assert_eq!(message(vip, &node("caspar", "10.0.0.12/24")), "fine");
        assert_eq!(
            message(vip, &node("caspar", "10.0.0.100/24")),
            "`p.toml` line 9: `caspar` has the VIP 10.0.0.100 as its own address"
        );
        assert_eq!(
            message(vip, &node("caspar", "10.0.1.12/24")),
            "`p.toml` line 3: the VIP 10.0.0.100 lies outside the network of `caspar`, 10.0.1.12/24"
        );
        let twice = node("melchior", "10.0.0.12/24") + &node("caspar", "10.0.0.12/24");
        assert!(message(vip, &twice).ends_with("`melchior` and `caspar` have the same address 10.0.0.12"));
        assert!(message("vip = \"10.0.0.100\"", &node("caspar", "10.0.0.12/24")).ends_with("has no gateway"));
        assert!(
            message("vip = \"10.0.0.100\"\ngateway = \"10.0.0.100\"", "[[node]]\nname = \"a\"")
                .contains("gateway's")
        );
    }
}

//! IPv4 addresses of hosts, alone or with their network as in `10.0.0.12/24`.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::text::escaped;

#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("`{}` is not an IPv4 address", escaped(.0))]
    Address(String),
    #[error("`{}` is not an IPv4 address with a prefix (1 to 30)", escaped(.0))]
    Prefix(String),
    #[error("`{0}` is the network or broadcast address of its network")]
    Network(Ipv4Net),
    /// Loopback, multicast and the like.
    #[error("`{0}` is not a host address")]
    NotAHost(Ipv4Addr),
}

/// Parses a host's address with its network.
pub(crate) fn parse_host_in_network(text: &str) -> Result<Ipv4Net, AddressError> {
    let host = text.parse().ok().filter(|host: &Ipv4Net| (1..=30).contains(&host.prefix_len()));
    let host = host.ok_or_else(|| AddressError::Prefix(text.to_owned()))?;
    if !has_host(host, host.addr()) {
        return Err(AddressError::Network(host));
    }
    refuse_special(host.addr())?;
    Ok(host)
}

/// Parses a host's address.
pub(super) fn parse_host(text: &str) -> Result<Ipv4Addr, AddressError> {
    let address = text.parse().map_err(|_| AddressError::Address(text.to_owned()))?;
    refuse_special(address)?;
    Ok(address)
}

/// Whether `address` is a host of `network`.
pub(super) fn has_host(network: Ipv4Net, address: Ipv4Addr) -> bool {
    network.contains(&address) && address != network.network() && address != network.broadcast()
}

fn refuse_special(address: Ipv4Addr) -> Result<(), AddressError> {
    let is_special =
        address.is_loopback() || address.is_multicast() || address.is_broadcast() || address.octets()[0] == 0;
    if is_special { Err(AddressError::NotAHost(address)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_broadcast_addresses_are_not_hosts() {
        let host = parse_host_in_network("10.0.0.12/24").unwrap();
        assert_eq!(host.to_string(), "10.0.0.12/24");
        assert!(has_host(host, [10, 0, 0, 100].into()));
        assert!(!has_host(host, [10, 0, 1, 100].into()));
        assert!(!has_host(host, [10, 0, 0, 255].into()));
        for wrong in [
            "10.0.0.1",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "10.0.0.1/33",
            "10.0.0.1/31",
            "10.0.0.1/0",
            "127.0.0.1/8",
            "0.0.0.1/8",
            "224.0.0.1/24",
            "x/24",
            "10.0.0.1/+24",
            "10.0.0.1/24 ",
        ] {
            assert!(parse_host_in_network(wrong).is_err(), "{wrong}");
        }
    }
}

//! IPv4 addresses with their network's prefix, as `10.0.0.12/24`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A host's address and its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    /// The host.
    pub(crate) ip: Ipv4Addr,
    /// Bits of the network, 1 to 30.
    pub(crate) prefix: u8,
}

impl Address {
    /// The network's own address.
    pub(crate) fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip.to_bits() & self.mask())
    }

    /// The network's last address.
    pub(crate) fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip.to_bits() | !self.mask())
    }

    /// Whether `ip` is a host of the same network.
    pub(crate) fn reaches(&self, ip: Ipv4Addr) -> bool {
        ip.to_bits() & self.mask() == self.network().to_bits()
            && ip != self.network()
            && ip != self.broadcast()
    }

    fn mask(self) -> u32 {
        u32::MAX << (32 - u32::from(self.prefix.clamp(1, 32)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl FromStr for Address {
    /// Why it isn't one, to follow "`…` ".
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, prefix) = text.split_once('/').ok_or("lacks the network's prefix")?;
        let ip: Ipv4Addr = ip.parse().map_err(|_| "isn't an IPv4 address with a prefix")?;
        let prefix: u8 = prefix.parse().map_err(|_| "has a prefix that isn't a number")?;
        if !(1..=30).contains(&prefix) {
            return Err("has a prefix outside 1 to 30");
        }
        let address = Self { ip, prefix };
        if !address.reaches(ip) {
            return Err("is the address of the network itself or of its broadcast");
        }
        if !is_host(ip) {
            return Err("isn't an address that a host can have");
        }
        Ok(address)
    }
}

/// Whether a single machine on a LAN can have it.
pub(super) fn is_host(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.octets()[0] == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_their_edges() {
        let a: Address = "10.0.0.12/24".parse().unwrap();
        assert_eq!((a.network(), a.broadcast()), ([10, 0, 0, 0].into(), [10, 0, 0, 255].into()));
        assert!(a.reaches([10, 0, 0, 100].into()));
        assert!(!a.reaches([10, 0, 1, 100].into()));
        assert!(!a.reaches([10, 0, 0, 255].into()));
        for wrong in ["10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/33", "127.0.0.1/8", "x/24"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}

//! Filters and tests of templates besides minijinja's own.

use std::net::Ipv4Addr;

use base64ct::{Base64, Encoding as _};
use ipnet::Ipv4Net;
use minijinja::{Environment, Error, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::digest::Sha256;
use crate::profile::parse_host_in_network;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("urlencode", |text: String| utf8_percent_encode(&text, RESERVED).to_string());
    environment.add_filter("shell", |text: String| format!("'{}'", text.replace('\'', r"'\''")));
    environment.add_filter("network", |text: String| network(&text));
    environment.add_filter("sha256", |text: String| String::from(Sha256::of(text.as_bytes())));
    environment.add_filter("base64", |text: String| Base64::encode_string(text.as_bytes()));
    environment.add_test("overlapping", |one: String, other: String| overlapping(&one, &other));
}

/// The network of a host, `10.0.0.0/24` for `10.0.0.12/24`.
fn network(host: &str) -> Result<String, Error> {
    let host =
        parse_host_in_network(host).map_err(|e| Error::new(ErrorKind::InvalidOperation, e.to_string()))?;
    Ok(host.trunc().to_string())
}

/// Whether two networks, or an address and a network, have an address in common.
fn overlapping(one: &str, other: &str) -> Result<bool, Error> {
    let (one, other) = (network_or_address(one)?, network_or_address(other)?);
    Ok(one.contains(&other) || other.contains(&one))
}

fn network_or_address(text: &str) -> Result<Ipv4Net, Error> {
    let network = text.parse::<Ipv4Net>().ok();
    network.or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("`{text}` is not an IPv4 address or network"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> String {
        let mut environment = Environment::new();
        add(&mut environment);
        environment.render_str(template, ()).unwrap()
    }

    #[test]
    fn networks_overlap_if_they_share_an_address() {
        for (one, other, shared) in [
            ("10.42.0.100", "10.42.0.0/16", true),
            ("10.41.255.255", "10.42.0.0/16", false),
            ("10.42.7.0/24", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.42.7.0/24", true),
            ("10.42.0.0/16", "10.43.0.0/16", false),
            ("192.168.1.1", "0.0.0.0/0", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(overlapping(one, other).unwrap(), shared, "{one} {other}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/x"] {
            assert!(overlapping(wrong, "10.0.0.0/8").is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_transform_text() {
        assert_eq!(rendered("{{ 'v1.33.5+k3s1-~_/ä' | urlencode }}"), "v1.33.5%2Bk3s1-~_%2F%C3%A4");
        assert_eq!(rendered("{{ '10.0.0.12/24' | network }}"), "10.0.0.0/24");
        assert_eq!(rendered("{{ 'abc' | base64 }}"), "YWJj");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(rendered("{{ 'abc' | sha256 }}"), sum);
    }
}

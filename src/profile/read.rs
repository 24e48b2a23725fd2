//! From TOML to a [`Profile`]: each key's own form is checked here, what lies between keys in `check`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::{Address, BaseChoice, Cluster, Node, Profile, PublisherKey, check, hostname};
use crate::document::{DocumentError, Located, RawSettings, RawValue, Section, SourceText};

type Result<T> = std::result::Result<T, DocumentError>;

pub(super) fn profile(source: SourceText, folder: PathBuf, file: Option<PathBuf>) -> Result<Profile> {
    let table = source.parse()?;
    let root = source.root(&table);
    let section = |key: &str| {
        root.section(key)?.ok_or_else(|| {
            root.error(format!("the file lacks `[{key}]`"))
                .hinting("`magi-image init` writes a profile to start from")
        })
    };
    let cluster = cluster(section("cluster")?)?;
    let base = base(section("base")?)?;
    let authorized_keys = match root.section("ssh")? {
        Some(ssh) => {
            let keys = ssh.strings("authorized_keys")?.unwrap_or_default();
            ssh.finish()?;
            keys
        }
        None => Vec::new(),
    };
    let (uses, settings) = overlays(&section("overlays")?)?;
    let nodes = nodes(&root)?;
    check::addresses(&root, &cluster, &nodes)?;
    root.finish()?;
    let nodes = nodes.into_iter().map(|n| n.value).collect();
    drop(table);
    Ok(Profile { source, folder, file, cluster: cluster.value, base, authorized_keys, uses, settings, nodes })
}

fn cluster(section: Section<'_>) -> Result<Located<Cluster>> {
    let name = section.required("name")?;
    if !hostname::is_legal(&name.value) {
        return Err(not_a_label(&section, &name, "cluster name"));
    }
    let vip_at = section.required("vip")?;
    let vip = ip(&section, &vip_at)?;
    let interface = match section.string("interface")? {
        Some(interface) => {
            let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if interface.value.is_empty() || interface.value.len() > 15 || !interface.value.chars().all(legal)
            {
                let what = format!("`{}` isn't a network interface's name", interface.value);
                return Err(section.error_at(interface.at, what).hinting("a Pi's wired port is `eth0`"));
            }
            interface.value
        }
        None => "eth0".to_owned(),
    };
    let gateway = section.string("gateway")?.map(|g| ip(&section, &g)).transpose()?;
    let dns = section.strings("dns")?.unwrap_or_default();
    let dns = dns.iter().map(|d| ip(&section, d)).collect::<Result<_>>()?;
    section.finish()?;
    Ok(Located { value: Cluster { name: name.value, vip, interface, gateway, dns }, at: vip_at.at })
}

fn ip(section: &Section<'_>, written: &Located<String>) -> Result<Ipv4Addr> {
    let error = |what: &str, hint: &str| {
        section.error_at(written.at, format!("`{}` {what}", written.value)).hinting(hint)
    };
    let form = "write four numbers from 0 to 255 with dots, as `10.0.0.100`";
    let ip = written.value.parse().map_err(|_| error("isn't an IPv4 address", form))?;
    if super::address::is_host(ip) {
        return Ok(ip);
    }
    Err(error("isn't an address that a host can have", "take one of your LAN, as `10.0.0.100`"))
}

fn base(section: Section<'_>) -> Result<BaseChoice> {
    let image = section.required("image")?;
    if image.value.is_empty() {
        let error = section.error_at(image.at, "`base.image` is empty");
        return Err(error.hinting("name a built-in base, a URL or a file, as `debian-12-raspi4`"));
    }
    let sha256 = match section.string("sha256")? {
        Some(pin) => Some(pin.value.parse().map_err(|_| {
            let digits = pin.value.bytes().filter(u8::is_ascii_hexdigit).count();
            let what = format!("`base.sha256` must be 64 hexadecimal digits; it has {digits}");
            section.error_at(pin.at, what).hinting("it is what `sha256sum` prints of the image")
        })?),
        None => None,
    };
    let publisher = publisher(&section)?;
    section.finish()?;
    Ok(BaseChoice { image: image.value, sha256, publisher })
}

/// `openpgp_fingerprint`, and `openpgp_key`, which is a file called like the fingerprint unless it is given.
fn publisher(section: &Section<'_>) -> Result<Option<PublisherKey>> {
    let (fingerprint, key) = (section.string("openpgp_fingerprint")?, section.string("openpgp_key")?);
    let Some(written) = fingerprint else {
        return match key {
            None => Ok(None),
            Some(key) => {
                let error = section.error_at(key.at, "`base.openpgp_key` needs `base.openpgp_fingerprint`");
                Err(error.hinting("`gpg --show-keys` prints the fingerprint of a key file"))
            }
        };
    };
    let fingerprint: String = written.value.split_whitespace().collect::<String>().to_uppercase();
    if !matches!(fingerprint.len(), 40 | 64) || !fingerprint.bytes().all(|b| b.is_ascii_hexdigit()) {
        let what = "`base.openpgp_fingerprint` must be 40 or 64 hexadecimal digits";
        return Err(section
            .error_at(written.at, what)
            .hinting("`gpg --show-keys` prints it; a short key id isn't enough"));
    }
    let key = key.map_or_else(|| format!("{fingerprint}.asc"), |key| key.value);
    Ok(Some(PublisherKey { fingerprint, key }))
}

type Overlays = (Vec<Located<String>>, BTreeMap<String, Located<RawSettings>>);

/// `use` and the settings of each overlay; whether an overlay exists isn't known here.
fn overlays(section: &Section<'_>) -> Result<Overlays> {
    let uses = section.strings("use")?.unwrap_or_default();
    for (i, name) in uses.iter().enumerate() {
        if uses[..i].iter().any(|earlier| earlier.value == name.value) {
            let error = section.error_at(name.at, format!("overlay `{}` is used twice", name.value));
            return Err(error.hinting("take one of the two out"));
        }
    }
    let mut settings = BTreeMap::new();
    for key in section.keys().into_iter().filter(|k| k.value != "use") {
        let Some(of_one) = section.section(&key.value)? else { continue };
        let mut raw = RawSettings::new();
        for setting in of_one.keys() {
            if let Some((value, _)) = of_one.value(&setting.value) {
                raw.insert(setting.value, Located { value: RawValue::of(value), at: setting.at });
            }
        }
        settings.insert(key.value, Located { value: raw, at: key.at });
    }
    Ok((uses, settings))
}

fn nodes(root: &Section<'_>) -> Result<Vec<Located<Node>>> {
    let mut nodes: Vec<Located<Node>> = Vec::new();
    let mut starter: Option<String> = None;
    for (index, section) in root.sections("node")?.into_iter().enumerate() {
        let name = section.required("name")?;
        if !hostname::is_legal(&name.value) {
            return Err(not_a_label(&section, &name, "hostname"));
        }
        if name.value == "localhost" {
            let error = section.error_at(name.at, "a node can't be called `localhost`");
            return Err(error.hinting("every machine calls itself so; choose another name"));
        }
        if nodes.iter().any(|n| n.value.name == name.value) {
            let error = section.error_at(name.at, format!("node `{}` is there twice", name.value));
            return Err(error.hinting("each node needs a name of its own"));
        }
        let init = section.boolean("init")?;
        if let Some(init) = init.as_ref().filter(|i| i.value)
            && let Some(first) = starter.replace(name.value.clone())
        {
            let what = format!("`{first}` and `{}` both have `init = true`", name.value);
            return Err(section
                .error_at(init.at, what)
                .hinting("one node starts the cluster, the others join it"));
        }
        let address = section.string("address")?;
        let address = address.map(|a| parse_address(&section, &a)).transpose()?;
        let at = section.at();
        section.finish()?;
        let init = init.is_some_and(|i| i.value);
        nodes.push(Located { value: Node { name: name.value, init, address, index }, at });
    }
    let Some(first) = nodes.first_mut() else {
        return Err(root.error("there is no `[[node]]`").hinting("add one with `name = \"melchior\"`"));
    };
    // Somebody has to start; without a choice it is the first.
    first.value.init |= starter.is_none();
    Ok(nodes)
}

fn parse_address(section: &Section<'_>, written: &Located<String>) -> Result<Address> {
    written.value.parse().map_err(|why| {
        let error = section.error_at(written.at, format!("`{}` {why}", written.value));
        error.hinting("give an address of your LAN and its prefix, as `10.0.0.12/24`")
    })
}

fn not_a_label(section: &Section<'_>, name: &Located<String>, what: &str) -> DocumentError {
    section
        .error_at(name.at, format!("`{}` isn't a legal {what}", name.value))
        .hinting("1 to 63 of a-z, 0-9 and `-`, not at the start or end")
}

//! TOML to [`Profile`]. Each key is checked here by itself, addresses of different keys in `check`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::address::{self, AddressError};
use super::{BaseChoice, Cluster, Node, Profile, PublisherKey, check, hostname, storage};
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
    let image = root.section("image")?.map(storage::image).transpose()?.unwrap_or_default();
    let authorized_keys = root.section("ssh")?.map(authorized_keys).transpose()?.unwrap_or_default();
    let (uses, settings) = overlays(&section("overlays")?)?;
    let nodes = nodes(&root)?;
    check::addresses(&root, &cluster, &nodes)?;
    root.finish()?;
    let nodes = nodes.into_iter().map(|n| n.value).collect();
    drop(table);
    let cluster = cluster.value;
    Ok(Profile { source, folder, file, cluster, base, image, authorized_keys, uses, settings, nodes })
}

/// `[cluster]`, located at its VIP.
fn cluster(section: Section<'_>) -> Result<Located<Cluster>> {
    let name = section.required("name")?;
    if !hostname::is_valid(&name.value) {
        return Err(invalid_label(&section, &name, "cluster name"));
    }
    let host = |written: &Located<String>| {
        address::parse_host(&written.value).map_err(|error| {
            section.error_at(written.at, error.to_string()).hinting(match error {
                AddressError::NotAHost(_) => "take an address of your LAN, such as `10.0.0.100`",
                _ => "write four numbers from 0 to 255 with dots, such as `10.0.0.100`",
            })
        })
    };
    let vip = section.required("vip")?;
    let cluster = Cluster {
        vip: host(&vip)?,
        interface: interface(&section)?,
        gateway: section.string("gateway")?.as_ref().map(host).transpose()?,
        dns: section.strings("dns")?.unwrap_or_default().iter().map(host).collect::<Result<_>>()?,
        name: name.value,
    };
    section.finish()?;
    Ok(Located { value: cluster, at: vip.at })
}

fn interface(section: &Section<'_>) -> Result<String> {
    let Some(written) = section.string("interface")? else { return Ok("eth0".to_owned()) };
    let name = written.value;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // Linux: IFNAMSIZ, with a NUL.
    let is_name =
        (1..=15).contains(&name.len()) && name.chars().all(is_allowed) && name != "." && name != "..";
    let what = if !is_name {
        format!("`{}` is not a valid network interface name", name.escape_debug())
    } else if name == "lo" {
        "`lo` is the loopback interface, which reaches no other node".to_owned()
    } else if name.starts_with("wl") {
        format!(
            "`{name}` is a wireless interface: the nodes have no Wi-Fi settings, and the VIP needs a wired network"
        )
    } else {
        return Ok(name);
    };
    Err(section.error_at(written.at, what).hinting("the wired interface of a Raspberry Pi is `eth0`"))
}

fn base(section: Section<'_>) -> Result<BaseChoice> {
    let image = section.required("image")?;
    if image.value.is_empty() {
        let error = section.error_at(image.at, "`base.image` is empty");
        return Err(error.hinting("write a built-in base such as `debian-13`, a URL or a file"));
    }
    let sha256 = match section.string("sha256")? {
        Some(pin) => Some(pin.value.parse().map_err(|_| {
            let digits = pin.value.bytes().filter(u8::is_ascii_hexdigit).count();
            let what = format!("`base.sha256` must be 64 hexadecimal digits, but has {digits}");
            section.error_at(pin.at, what).hinting("`sha256sum` prints the hash of an image")
        })?),
        None => None,
    };
    let publisher = publisher(&section)?;
    let table = section.string("table")?;
    if let Some(table) = table.as_ref().filter(|table| table.value != "mbr") {
        let what = format!("`base.table` can only be `mbr`, not `{}`", table.value.escape_debug());
        return Err(section.error_at(table.at, what).hinting("without it, the base's own table stays"));
    }
    section.finish()?;
    Ok(BaseChoice { image: image.value, sha256, publisher, as_mbr: table.is_some() })
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

fn authorized_keys(ssh: Section<'_>) -> Result<Vec<Located<String>>> {
    let keys = ssh.strings("authorized_keys")?.unwrap_or_default();
    ssh.finish()?;
    Ok(keys)
}

type UsesAndSettings = (Vec<Located<String>>, BTreeMap<String, Located<RawSettings>>);

/// `use`, and the settings of each overlay. Overlays are looked up later.
fn overlays(section: &Section<'_>) -> Result<UsesAndSettings> {
    let uses = section.strings("use")?.unwrap_or_default();
    for (i, name) in uses.iter().enumerate() {
        if uses[..i].iter().any(|earlier| earlier.value == name.value) {
            let error = section.error_at(name.at, format!("duplicate overlay `{}`", name.value));
            return Err(error.hinting("remove one of the two"));
        }
    }
    let mut settings = BTreeMap::new();
    for key in section.keys().into_iter().filter(|k| k.value != "use") {
        let Some(overlay) = section.section(&key.value)? else { continue };
        let mut raw = RawSettings::new();
        for setting in overlay.keys() {
            if let Some((value, _)) = overlay.value(&setting.value) {
                raw.insert(setting.value, Located { value: RawValue::of(value), at: setting.at });
            }
        }
        settings.insert(key.value, Located { value: raw, at: key.at });
    }
    Ok((uses, settings))
}

/// Every `[[node]]`; without `init = true` the first node starts the cluster.
fn nodes(root: &Section<'_>) -> Result<Vec<Located<Node>>> {
    let mut nodes: Vec<Located<Node>> = Vec::new();
    for (index, section) in root.sections("node")?.into_iter().enumerate() {
        let node = node(section, index, &nodes)?;
        nodes.push(node);
    }
    let has_init = nodes.iter().any(|n| n.value.init);
    let Some(first) = nodes.first_mut() else {
        return Err(root.error("there is no `[[node]]`").hinting("add one with `name = \"melchior\"`"));
    };
    first.value.init |= !has_init;
    Ok(nodes)
}

fn node(section: Section<'_>, index: usize, earlier: &[Located<Node>]) -> Result<Located<Node>> {
    let name = section.required("name")?;
    if !hostname::is_valid(&name.value) {
        return Err(invalid_label(&section, &name, "hostname"));
    }
    if name.value == "localhost" {
        let error = section.error_at(name.at, "`localhost` is not a valid hostname");
        return Err(error.hinting("`localhost` always means the machine itself; choose another name"));
    }
    if earlier.iter().any(|n| n.value.name == name.value) {
        let error = section.error_at(name.at, format!("duplicate node name `{}`", name.value));
        return Err(error.hinting("each node needs its own name"));
    }
    let init = section.boolean("init")?;
    let first = earlier.iter().find(|n| n.value.init);
    if let (Some(init), Some(first)) = (init.as_ref().filter(|i| i.value), first) {
        let what = format!("`{}` and `{}` both have `init = true`", first.value.name, name.value);
        return Err(section
            .error_at(init.at, what)
            .hinting("one node starts the cluster, the others join it"));
    }
    let address = section.string("address")?.map(|written| {
        address::parse_host_in_network(&written.value).map_err(|error| {
            section
                .error_at(written.at, error.to_string())
                .hinting("write an address of your LAN with its prefix, such as `10.0.0.12/24`")
        })
    });
    let (address, at) = (address.transpose()?, section.at());
    section.finish()?;
    let node = Node { name: name.value, init: init.is_some_and(|i| i.value), address, index };
    Ok(Located { value: node, at })
}

fn invalid_label(section: &Section<'_>, name: &Located<String>, what: &str) -> DocumentError {
    section
        .error_at(name.at, format!("`{}` is not a valid {what}", name.value))
        .hinting("use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end")
}

//! The root file system: the partition that `root=` on the kernel's command line names.

use std::fs::File;
use std::sync::Arc;

use super::probe::{self, PartitionContent};
use super::{LayoutError, Probed};
use crate::disk::ext4::Reader;

/// A parsed `root=` value (Linux, `init/do_mounts.c`, and `initramfs-tools`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum RootName<'a> {
    Label(&'a str),
    Uuid(&'a str),
    PartUuid(&'a str),
    /// A device's partition number, as in `/dev/mmcblk0p2` or `/dev/sda2`.
    Number(u32),
}

/// Returns the index of the root partition in `parts`. `words` is the kernel command line; without `root=`, the
/// only ext4 with `/etc/os-release` is the root.
pub(super) fn find(parts: &[Probed], image: &Arc<File>, words: Option<&str>) -> Result<usize, LayoutError> {
    let is_ext4 = |part: &Probed| matches!(part.content, PartitionContent::Ext { version: "ext4", .. });
    if !parts.iter().any(is_ext4) {
        return Err(LayoutError::NoExt4 { found: probe::list(parts) });
    }
    match words.and_then(root_parameter) {
        Some(root) => named(parts, image, root),
        None => with_system(parts, image),
    }
}

/// The value of the last `root=`, which is the one that the kernel uses.
fn root_parameter(words: &str) -> Option<&str> {
    words.split_ascii_whitespace().filter_map(|word| word.strip_prefix("root=")).next_back()
}

fn named(parts: &[Probed], image: &Arc<File>, root: &str) -> Result<usize, LayoutError> {
    let missing = || LayoutError::RootMissing { root: root.to_owned(), found: probe::list(parts) };
    let name = parse(root).ok_or_else(missing)?;
    let matching: Vec<usize> = (0..parts.len()).filter(|&i| is_named(&parts[i], &name)).collect();
    let index = match matching[..] {
        [] => return Err(missing()),
        [one] => one,
        [one, other, ..] => {
            let (one, other) = (parts[one].partition.number, parts[other].partition.number);
            return Err(LayoutError::SeveralNamed { root: root.to_owned(), one, other });
        }
    };
    let part = &parts[index];
    let number = part.partition.number;
    if !matches!(part.content, PartitionContent::Ext { version: "ext4", .. }) {
        let (root, content) = (root.to_owned(), part.content.to_string());
        return Err(LayoutError::RootNotExt4 { root, number, content });
    }
    if !has_system(part, image) {
        return Err(LayoutError::NoSystem { root: root.to_owned(), number });
    }
    Ok(index)
}

/// The only ext4 with an `/etc/os-release`.
fn with_system(parts: &[Probed], image: &Arc<File>) -> Result<usize, LayoutError> {
    let is_ext4 = |i: &usize| matches!(parts[*i].content, PartitionContent::Ext { version: "ext4", .. });
    let ext4: Vec<usize> = (0..parts.len()).filter(is_ext4).collect();
    let candidates: Vec<usize> = ext4.iter().copied().filter(|&i| has_system(&parts[i], image)).collect();
    match (&candidates[..], &ext4[..]) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], _) => Err(LayoutError::NoRoot { found: probe::list(parts) }),
        ([one, other, ..], _) => {
            Err(LayoutError::SeveralRoots(parts[*one].partition.number, parts[*other].partition.number))
        }
    }
}

/// Whether an ext4 has an `/etc/os-release`. An ext4 that can't be opened counts as well: the survey reports the
/// error later.
fn has_system(part: &Probed, image: &Arc<File>) -> bool {
    let reader = part.partition.read_only(image).ok().and_then(|window| Reader::open(&window).ok());
    reader.is_none_or(|root| root.read("/etc/os-release", 64 << 10).is_ok())
}

fn parse(root: &str) -> Option<RootName<'_>> {
    let tagged = [
        ("LABEL=", RootName::Label as fn(_) -> _),
        ("PARTUUID=", RootName::PartUuid),
        ("UUID=", RootName::Uuid),
    ];
    for (tag, name) in tagged {
        if let Some(value) = root.strip_prefix(tag) {
            return Some(name(value.trim_matches('"')));
        }
    }
    let device = root.strip_prefix("/dev/")?;
    if let Some((folder, value)) = device.split_once('/') {
        return match folder {
            "disk" => parse_disk_link(value),
            _ => None,
        };
    }
    let digits = device.trim_start_matches(|c: char| !c.is_ascii_digit());
    // The number follows the `p` in `mmcblk0p2` and `nvme0n1p2`, and the letters in `sda2`.
    let number = device.rsplit_once('p').map(|(_, n)| n).filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    number.unwrap_or(digits).parse().ok().map(RootName::Number)
}

/// `/dev/disk/by-label/…` and the like.
fn parse_disk_link(link: &str) -> Option<RootName<'_>> {
    let (by, value) = link.split_once('/')?;
    match by {
        "by-label" => Some(RootName::Label(value)),
        "by-uuid" => Some(RootName::Uuid(value)),
        "by-partuuid" => Some(RootName::PartUuid(value)),
        _ => None,
    }
}

fn is_named(part: &Probed, name: &RootName<'_>) -> bool {
    match (name, &part.content) {
        (RootName::Number(number), _) => part.partition.number == *number,
        (RootName::PartUuid(uuid), _) => part.partition.uuid.eq_ignore_ascii_case(uuid),
        (RootName::Label(label), PartitionContent::Ext { label: found, .. }) => found == label,
        (RootName::Uuid(uuid), PartitionContent::Ext { uuid: found, .. }) => found.eq_ignore_ascii_case(uuid),
        (RootName::Label(_) | RootName::Uuid(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_parameter_forms_are_parsed() {
        for (root, name) in [
            ("LABEL=RASPIROOT", Some(RootName::Label("RASPIROOT"))),
            ("PARTUUID=6d616769-02", Some(RootName::PartUuid("6d616769-02"))),
            ("UUID=ab-cd", Some(RootName::Uuid("ab-cd"))),
            ("/dev/mmcblk0p2", Some(RootName::Number(2))),
            ("/dev/nvme0n1p12", Some(RootName::Number(12))),
            ("/dev/sda2", Some(RootName::Number(2))),
            ("/dev/disk/by-label/root", Some(RootName::Label("root"))),
            ("/dev/disk/by-partuuid/1-2", Some(RootName::PartUuid("1-2"))),
            ("/dev/nfs", None),
            ("/dev/mapper/root", None),
            ("tmpfs", None),
        ] {
            assert_eq!(parse(root), name, "{root}");
        }
        assert_eq!(root_parameter("console=tty1 root=/dev/sda1 rw root=LABEL=x rootwait\n"), Some("LABEL=x"));
        assert_eq!(root_parameter("console=tty1 rootfstype=ext4"), None);
    }
}

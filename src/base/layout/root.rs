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
    if !parts.iter().any(is_ext4) {
        return Err(LayoutError::NoExt4 { found: probe::list(parts) });
    }
    match words.and_then(root_parameter) {
        Some(root) => named(parts, image, &root),
        None => with_system(parts, image),
    }
}

/// Whether `root=` in `words` names an ext4 of the image.
pub(super) fn is_present(parts: &[Probed], words: &str) -> bool {
    let root = root_parameter(words);
    let name = root.as_deref().and_then(parse);
    name.is_some_and(|name| parts.iter().any(|part| is_ext4(part) && is_named(part, &name)))
}

fn is_ext4(part: &Probed) -> bool {
    matches!(part.content, PartitionContent::Ext { version: "ext4", .. })
}

/// The value of the last `root=`, which is the one that the kernel uses, without quotes. A word may have blanks
/// between quotes, as in `root="LABEL=my root"` (Linux, `lib/cmdline.c`, `next_arg`).
fn root_parameter(words: &str) -> Option<String> {
    let mut quoted = false;
    let split = words.split(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    });
    let unquoted = split.map(|word| word.replace('"', ""));
    unquoted.filter_map(|word| word.strip_prefix("root=").map(str::to_owned)).last()
}

fn named(parts: &[Probed], image: &Arc<File>, root: &str) -> Result<usize, LayoutError> {
    let missing = || LayoutError::RootMissing { root: root.to_owned(), found: probe::list(parts) };
    let name = parse(root).ok_or_else(missing)?;
    let matching: Vec<usize> = (0..parts.len()).filter(|&i| is_named(&parts[i], &name)).collect();
    let index = match matching[..] {
        [] => return Err(missing()),
        [one] => one,
        [..] => {
            return Err(LayoutError::SeveralNamed {
                root: root.to_owned(),
                numbers: numbers(parts, &matching),
            });
        }
    };
    let part = &parts[index];
    let number = part.partition.number;
    if !is_ext4(part) {
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
    let ext4: Vec<usize> = (0..parts.len()).filter(|&i| is_ext4(&parts[i])).collect();
    let candidates: Vec<usize> = ext4.iter().copied().filter(|&i| has_system(&parts[i], image)).collect();
    match (&candidates[..], &ext4[..]) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], _) => Err(LayoutError::NoRoot { found: probe::list(parts) }),
        ([..], _) => Err(LayoutError::SeveralRoots(numbers(parts, &candidates))),
    }
}

fn numbers(parts: &[Probed], indices: &[usize]) -> Vec<u32> {
    indices.iter().map(|&index| parts[index].partition.number).collect()
}

/// Whether an ext4 has an `/etc/os-release`. An ext4 that can't be read counts as well: the survey reports the
/// error later.
fn has_system(part: &Probed, image: &Arc<File>) -> bool {
    let reader = part.partition.read_only(image).ok().and_then(|window| Reader::open(&window).ok());
    reader.is_none_or(|root| {
        root.superblock().require_known_features().is_err()
            || !matches!(root.stat("/etc/os-release"), Ok(None))
    })
}

fn parse(root: &str) -> Option<RootName<'_>> {
    let tagged = [
        ("LABEL=", RootName::Label as fn(_) -> _),
        ("PARTUUID=", RootName::PartUuid),
        ("UUID=", RootName::Uuid),
    ];
    for (tag, name) in tagged {
        if let Some(value) = root.strip_prefix(tag) {
            return Some(name(value));
        }
    }
    let device = root.strip_prefix("/dev/")?;
    if let Some((folder, value)) = device.split_once('/') {
        return match folder {
            "disk" => parse_disk_link(value),
            _ => None,
        };
    }
    partition_number(device).map(RootName::Number)
}

/// The number in `mmcblk0p2`, `nvme0n1p2` or `sda2`; `None` for devices that aren't partitions of a disk.
fn partition_number(device: &str) -> Option<u32> {
    let with_p = device.starts_with("mmcblk") || device.starts_with("nvme");
    let number = if with_p {
        device.rsplit_once('p')?.1
    } else {
        let disk = ["sd", "vd", "hd", "xvd"].iter().find_map(|kind| device.strip_prefix(kind))?;
        disk.trim_start_matches(|c: char| c.is_ascii_lowercase())
    };
    number.parse().ok()
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
            ("/dev/mmcblk0", None),
            ("/dev/sda", None),
            ("/dev/ram0", None),
            ("/dev/nfs", None),
            ("/dev/mapper/root", None),
            ("tmpfs", None),
        ] {
            assert_eq!(parse(root), name, "{root}");
        }
    }

    #[test]
    fn last_root_parameter_is_found_and_unquoted() {
        for (words, root) in [
            ("console=tty1 root=/dev/sda1 rw root=LABEL=x rootwait", Some("LABEL=x")),
            ("root=LABEL=\"a b\" rw", Some("LABEL=a b")),
            ("rw root=\"UUID=ab\"", Some("UUID=ab")),
            ("\"root=/dev/sda2\" rw", Some("/dev/sda2")),
            ("dyndbg=\"x root=/dev/sda1\" rw", None),
            ("console=tty1 rootfstype=ext4", None),
        ] {
            assert_eq!(root_parameter(words).as_deref(), root, "{words}");
        }
    }
}

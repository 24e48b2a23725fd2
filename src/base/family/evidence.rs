//! What an image contains, as far as its family can be told by it.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::ext4;
use crate::disk::fat;
use crate::error::Result;

/// Limit for `/var/lib/dpkg/status`, in bytes.
const LARGEST_STATUS: u64 = 64 << 20;
/// Limit for small text files, in bytes.
const LARGEST_TEXT: u64 = 64 << 10;

/// Files that tell something when they exist.
const MARKS: [&str; 4] = ["/etc/rpi-issue", "/etc/cloud-release", "/etc/armbian-release", "/boot/dietpi"];

/// The operating system on a root file system. What can't be read is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct InstalledSystem {
    os_release: BTreeMap<String, String>,
    /// Names of the installed packages.
    packages: BTreeSet<String>,
    /// Of the installed packages.
    architecture: String,
}

impl InstalledSystem {
    pub(crate) fn read(root: &ext4::Reader) -> Self {
        let (packages, architecture) = installed(&read(root, "/var/lib/dpkg/status", LARGEST_STATUS));
        let os_release = assignments(&read(root, "/etc/os-release", LARGEST_TEXT));
        Self { os_release, packages, architecture }
    }

    /// A value of `/etc/os-release`, unquoted, or nothing.
    pub(crate) fn os(&self, key: &str) -> &str {
        self.os_release.get(key).map_or("", String::as_str)
    }

    /// As dpkg names it.
    pub(crate) fn architecture(&self) -> &str {
        &self.architecture
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(in crate::base) struct Evidence {
    /// Names in the boot partition's root directory, in lower case.
    boot_files: BTreeSet<String>,
    system: InstalledSystem,
    cloud_release: BTreeMap<String, String>,
    marks: BTreeSet<&'static str>,
    /// Whether it is the built-in sample of its family.
    pub(in crate::base) sample: bool,
}

impl Evidence {
    pub(in crate::base) fn gather(boot: &fat::Reader, root: &ext4::Reader, sample: bool) -> Result<Self> {
        let names = boot.list("/")?.into_iter().map(|entry| entry.name.to_ascii_lowercase());
        let mut marks = BTreeSet::new();
        for mark in MARKS {
            if root.stat(mark)?.is_some() {
                marks.insert(mark);
            }
        }
        Ok(Self {
            boot_files: names.collect(),
            system: InstalledSystem::read(root),
            cloud_release: assignments(&read(root, "/etc/cloud-release", LARGEST_TEXT)),
            marks,
            sample,
        })
    }

    pub(super) fn boots_with(&self, file: &str) -> bool {
        self.boot_files.contains(file)
    }

    pub(super) fn has(&self, mark: &str) -> bool {
        self.marks.contains(mark)
    }

    pub(super) fn has_package(&self, name: &str) -> bool {
        self.system.packages.contains(name)
    }

    /// A value of `/etc/os-release`, or nothing.
    pub(super) fn os(&self, key: &str) -> &str {
        self.system.os(key)
    }

    /// A value of `/etc/cloud-release`, or nothing.
    pub(super) fn cloud(&self, key: &str) -> &str {
        self.cloud_release.get(key).map_or("", String::as_str)
    }

    pub(super) fn architecture(&self) -> &str {
        self.system.architecture()
    }

    /// What the system calls itself.
    pub(super) fn system_name(&self) -> String {
        if self.has("/etc/armbian-release") {
            return "Armbian".into();
        }
        if self.has("/boot/dietpi") || self.boots_with("dietpi.txt") {
            return "DietPi".into();
        }
        match self.os("PRETTY_NAME") {
            "" => "a system without a name in `/etc/os-release`".into(),
            name => name.to_owned(),
        }
    }
}

/// A file's content; nothing where it doesn't exist or can't be read, which recognises no family.
fn read(root: &ext4::Reader, path: &str, limit: u64) -> String {
    root.read(path, limit).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// `KEY=value` lines, unquoted.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// The installed packages of a dpkg status file, and their architecture.
fn installed(status: &str) -> (BTreeSet<String>, String) {
    let (mut names, mut architecture) = (BTreeSet::new(), String::new());
    for paragraph in status.split("\n\n") {
        let field = |key: &str| {
            let value = paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            value.map_or("", str::trim)
        };
        if field("Status").ends_with(" installed") {
            names.insert(field("Package").to_owned());
            if architecture.is_empty() && field("Architecture") != "all" {
                field("Architecture").clone_into(&mut architecture);
            }
        }
    }
    (names, architecture)
}

#[cfg(test)]
impl Evidence {
    /// What an image with these files would show: names on the FAT, `/etc/os-release`, `/etc/cloud-release`, paths
    /// of marks, installed packages.
    pub(super) fn of(fat: &[&str], os: &str, cloud: &str, marks: &[&str], packages: &[&str]) -> Self {
        Self {
            boot_files: fat.iter().map(|&name| name.to_owned()).collect(),
            system: InstalledSystem {
                os_release: assignments(os),
                packages: packages.iter().map(|&name| name.to_owned()).collect(),
                architecture: "arm64".into(),
            },
            cloud_release: assignments(cloud),
            marks: MARKS.into_iter().filter(|mark| marks.contains(mark)).collect(),
            sample: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let status = "Package: tzdata\nStatus: install ok installed\nArchitecture: all\n\n\
                      Package: apt\nStatus: install ok installed\nArchitecture: arm64\n\n\
                      Package: ssh\nStatus: deinstall ok config-files\nArchitecture: arm64\n";
        let (names, architecture) = installed(status);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["apt", "tzdata"]);
        assert_eq!(architecture, "arm64");
    }
}

//! The bases that have a name. Data: another base is another entry.

use super::family::Family;
use crate::digest::Sha256;
use crate::text;

/// A base that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// As the profile and `--base` call it.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    pub(super) family: Family,
    /// Debian's name of the release.
    pub(super) codename: &'static str,
    /// The Raspberry Pi models that it boots on, as its publisher says.
    pub(crate) boards: &'static str,
    pub(crate) source: Source,
}

/// Where a known base comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Part of this program.
    BuiltIn(&'static [u8]),
    /// Downloaded from the first URL that has it; the others are mirrors.
    Published {
        urls: &'static [&'static str],
        /// Of the file at the URLs, for a file that never changes. The hash of one that does is in a checksum
        /// file beside it, and in the lock from then on.
        sha256: Option<Sha256>,
    },
}

/// The name of the built-in sample of Debian's cloud images' predecessor, family A.
pub(crate) const SAMPLE: &str = "sample";

/// The base that a new profile uses.
pub(crate) const DEFAULT: &str = "debian-12-raspi4";

/// All of them. The samples are made by `sample/make-sample`; the others are published by Debian and by Raspberry
/// Pi, with their checksums beside them.
pub(crate) const CATALOG: &[Known] = &[
    Known {
        name: "debian-13",
        about: "Debian 13, cloud image `raspi`, the latest daily build",
        family: Family::DebianCloud,
        codename: "trixie",
        boards: "Pi 3, 4",
        source: Source::Published {
            urls: &[
                "https://cloud.debian.org/images/cloud/trixie/daily/latest/debian-13-raspi-arm64-daily.tar.xz",
            ],
            sha256: None,
        },
    },
    Known {
        name: "debian-12-raspi4",
        about: "Debian 12 of raspi.debian.net, tested, of 2023-11-09",
        family: Family::DebianSysconf,
        codename: "bookworm",
        boards: "Pi 4",
        source: Source::Published {
            urls: &["https://raspi.debian.net/tested/20231109_raspi_4_bookworm.img.xz"],
            sha256: Some(Sha256::from_literal(
                "ace82f0d5e3586036cb72c5e46eb6222e93365503c51385496e3e2ee9999a5ad",
            )),
        },
    },
    Known {
        name: "debian-12-raspi4-daily",
        about: "Debian 12 of raspi.debian.net, the last daily build",
        family: Family::DebianSysconf,
        codename: "bookworm",
        boards: "Pi 4",
        source: Source::Published {
            urls: &["https://raspi.debian.net/daily/raspi_4_bookworm.img.xz"],
            sha256: None,
        },
    },
    Known {
        name: "raspios-13",
        about: "Raspberry Pi OS Lite, 64 bit, on Debian 13, of 2026-06-18",
        family: Family::RaspberryPiOs,
        codename: "trixie",
        boards: "Pi 3, 4, 5, Zero 2",
        source: Source::Published {
            urls: &[
                "https://downloads.raspberrypi.com/raspios_lite_arm64/images/raspios_lite_arm64-2026-06-19/2026-06-18-raspios-trixie-arm64-lite.img.xz",
            ],
            sha256: Some(Sha256::from_literal(
                "acff736ca7945e3b305f07cda4abdb870910e12634991da69783611756e381b3",
            )),
        },
    },
    Known {
        name: "raspios-12",
        about: "Raspberry Pi OS Lite, 64 bit, on Debian 12, of 2025-05-13",
        family: Family::RaspberryPiOs,
        codename: "bookworm",
        boards: "Pi 3, 4, 5, Zero 2",
        source: Source::Published {
            urls: &[
                "https://downloads.raspberrypi.com/raspios_lite_arm64/images/raspios_lite_arm64-2025-05-13/2025-05-13-raspios-bookworm-arm64-lite.img.xz",
            ],
            sha256: Some(Sha256::from_literal(
                "62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45",
            )),
        },
    },
    Known {
        name: SAMPLE,
        about: "built in, of the form of raspi.debian.net: for trying and for tests, doesn't boot",
        family: Family::DebianSysconf,
        codename: "bookworm",
        boards: "none",
        source: Source::BuiltIn(include_bytes!("sample/sample.img.xz")),
    },
];

impl Known {
    /// The URLs that it is downloaded from; none for a built-in one.
    pub(super) fn urls(&self) -> &'static [&'static str] {
        match self.source {
            Source::BuiltIn(_) => &[],
            Source::Published { urls, .. } => urls,
        }
    }

    /// The hash of a file that never changes.
    pub(super) fn sha256(&self) -> Option<Sha256> {
        match self.source {
            Source::BuiltIn(_) => None,
            Source::Published { sha256, .. } => sha256,
        }
    }
}

/// The base of this name.
pub(crate) fn find(name: &str) -> Option<&'static Known> {
    CATALOG.iter().find(|known| known.name == name)
}

/// The name that `name` is probably a misspelling of.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    text::nearest(name, CATALOG.iter().map(|known| known.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_unique_names_and_secure_urls() {
        for (at, known) in CATALOG.iter().enumerate() {
            assert_eq!(find(known.name), Some(known), "names are unique");
            assert!(CATALOG[..at].iter().all(|other| other.name != known.name));
            assert!(known.urls().iter().all(|url| url.starts_with("https://")));
            assert_eq!(known.urls().is_empty(), matches!(known.source, Source::BuiltIn(_)));
        }
        assert!(find(DEFAULT).is_some());
    }

    #[test]
    fn misspelt_names_are_recognised() {
        assert_eq!(nearest("debian12-raspi4"), Some("debian-12-raspi4"));
        assert_eq!(nearest("smaple"), Some("sample"));
        assert_eq!(nearest("ubuntu"), None);
    }
}

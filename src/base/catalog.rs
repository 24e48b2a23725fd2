//! Catalog of the named bases. To add a base, add an entry.

use super::family::Family;
use crate::digest::Sha256;
use crate::text;

/// A base in the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Name for the profile and for `--base`.
    pub(crate) name: &'static str,
    /// Short description.
    pub(crate) about: &'static str,
    pub(super) family: Family,
    /// Codename of the Debian release.
    pub(super) codename: &'static str,
    /// The Raspberry Pi models that it boots on, as its publisher says.
    pub(crate) boards: &'static str,
    pub(crate) source: Source,
}

/// Where a known base comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The packed image, embedded in the binary.
    BuiltIn(&'static [u8]),
    /// Downloaded from the first URL that has it; the others are mirrors.
    Published {
        urls: &'static [&'static str],
        /// Hash of the file at the URLs, if the file never changes. Otherwise the hash comes from a checksum
        /// file beside it, and from the lock after the first build.
        sha256: Option<Sha256>,
    },
}

/// The name of the built-in sample, which has the form of the raspi.debian.net images.
pub(crate) const SAMPLE: &str = "sample";

/// The base that a new profile uses: the first in the catalog.
pub(crate) const DEFAULT: &Known = &CATALOG[0];

/// The sample is made by `sample/make-sample`; the other bases are published by Debian and by Raspberry Pi, with
/// checksum files beside them. Second URLs are the publishers' other names for the same tree: Debian's image server
/// is `cloud.debian.org` and `cdimage.debian.org`, Raspberry Pi's is `downloads.raspberrypi.com` and
/// `downloads.raspberrypi.org`. For raspi.debian.net no mirror is known.
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
                "https://cdimage.debian.org/images/cloud/trixie/daily/latest/debian-13-raspi-arm64-daily.tar.xz",
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
                "https://downloads.raspberrypi.org/raspios_lite_arm64/images/raspios_lite_arm64-2026-06-19/2026-06-18-raspios-trixie-arm64-lite.img.xz",
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
                "https://downloads.raspberrypi.org/raspios_lite_arm64/images/raspios_lite_arm64-2025-05-13/2025-05-13-raspios-bookworm-arm64-lite.img.xz",
            ],
            sha256: Some(Sha256::from_literal(
                "62d025b9bc7ca0e1facfec74ae56ac13978b6745c58177f081d39fbb8041ed45",
            )),
        },
    },
    Known {
        name: SAMPLE,
        about: "for trying, doesn't boot; the form of raspi.debian.net",
        family: Family::DebianSysconf,
        codename: "bookworm",
        boards: "none",
        source: Source::BuiltIn(include_bytes!("sample/sample.img.xz")),
    },
    Known {
        name: "sample-b",
        about: "for trying, doesn't boot; the form of Debian's cloud image",
        family: Family::DebianCloud,
        codename: "trixie",
        boards: "none",
        source: Source::BuiltIn(include_bytes!("sample/sample-b.tar.xz")),
    },
    Known {
        name: "sample-c",
        about: "for trying, doesn't boot; the form of Raspberry Pi OS",
        family: Family::RaspberryPiOs,
        codename: "trixie",
        boards: "none",
        source: Source::BuiltIn(include_bytes!("sample/sample-c.img.xz")),
    },
];

impl Known {
    /// Download URLs; none for a built-in base.
    pub(super) fn urls(&self) -> &'static [&'static str] {
        match self.source {
            Source::BuiltIn(_) => &[],
            Source::Published { urls, .. } => urls,
        }
    }

    /// The pinned hash of a file that never changes.
    pub(super) fn sha256(&self) -> Option<Sha256> {
        match self.source {
            Source::BuiltIn(_) => None,
            Source::Published { sha256, .. } => sha256,
        }
    }
}

pub(crate) fn find(name: &str) -> Option<&'static Known> {
    CATALOG.iter().find(|known| known.name == name)
}

/// The name in the catalog that `name` probably misspells.
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
            let files = || known.urls().iter().map(|url| url.splitn(4, '/').last());
            assert!(files().all(|file| Some(file) == files().next()), "mirrors have the same path");
            assert_eq!(known.urls().is_empty(), matches!(known.source, Source::BuiltIn(_)));
        }
        assert_eq!(DEFAULT.name, "debian-13");
    }

    /// A URL that moves has no hash, a file with a date in its name always has one.
    #[test]
    fn dated_files_are_pinned_and_moving_ones_are_not() {
        for known in CATALOG {
            for url in known.urls() {
                let file = url.rsplit('/').next().unwrap_or_default();
                let is_dated = file.starts_with("20");
                assert_eq!(known.sha256().is_some(), is_dated, "{url}");
            }
        }
    }

    #[test]
    fn every_family_has_a_sample_and_a_published_base() {
        for family in [Family::DebianSysconf, Family::DebianCloud, Family::RaspberryPiOs] {
            let of_family = || CATALOG.iter().filter(|known| known.family == family);
            assert_eq!(of_family().filter(|known| known.urls().is_empty()).count(), 1, "{family:?}");
            assert!(of_family().any(|known| !known.urls().is_empty()), "{family:?}");
        }
    }

    #[test]
    fn misspelt_name_gets_a_suggestion() {
        assert_eq!(nearest("debian12-raspi4"), Some("debian-12-raspi4"));
        assert_eq!(nearest("smaple"), Some("sample"));
        assert_eq!(nearest("ubuntu"), None);
    }
}

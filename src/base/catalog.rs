//! The bases that have a name. Data: an entry more is a line more.

use crate::digest::Sha256;
use crate::text;

/// A base that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// What the profile and `--base` call it.
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    /// Where it comes from; the later ones are mirrors. None: it's built in.
    pub(crate) urls: &'static [&'static str],
    /// SHA-256 of the file at the URLs. None: it changes, and a checksum lies beside it.
    pub(crate) sha256: Option<Sha256>,
}

/// The name of the built-in sample.
pub(crate) const SAMPLE: &str = "sample";

/// All of them. The sample's script is beside it; the others are Debian's own, described on
/// <https://raspi.debian.net>, where the checksum is published as well.
pub(crate) const CATALOG: &[Known] = &[
    Known {
        name: SAMPLE,
        about: "built in, for trying and for tests; doesn't boot",
        urls: &[],
        sha256: None,
    },
    Known {
        name: "debian-12-raspi4",
        about: "Debian 12 for the Pi 4, of 2023-11-09, tested by its makers",
        urls: &["https://raspi.debian.net/tested/20231109_raspi_4_bookworm.img.xz"],
        sha256: Some(Sha256::from_literal(
            "ace82f0d5e3586036cb72c5e46eb6222e93365503c51385496e3e2ee9999a5ad",
        )),
    },
    Known {
        name: "debian-12-raspi4-daily",
        about: "Debian 12 for the Pi 4, as it was last built",
        urls: &["https://raspi.debian.net/daily/raspi_4_bookworm.img.xz"],
        sha256: None,
    },
];

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
    fn the_table_is_sound() {
        for (at, known) in CATALOG.iter().enumerate() {
            assert_eq!(find(known.name), Some(known), "names are unique");
            assert!(CATALOG[..at].iter().all(|other| other.name != known.name));
            assert!(known.urls.iter().all(|url| url.starts_with("https://")));
            assert_eq!(known.urls.is_empty(), known.name == SAMPLE);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        assert_eq!(nearest("debian12-raspi4"), Some("debian-12-raspi4"));
        assert_eq!(nearest("smaple"), Some("sample"));
        assert_eq!(nearest("ubuntu"), None);
    }
}

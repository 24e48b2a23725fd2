//! The bases that have a name. Data: an entry more is a line more.

/// A base that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What the profile and `--base` call it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where it comes from; the later ones are mirrors. None: it's built in.
    pub urls: &'static [&'static str],
    /// SHA-256 of the file at the URLs. None: it changes, and a checksum lies beside it.
    pub sha256: Option<&'static str>,
}

/// The name of the built-in sample.
pub const SAMPLE: &str = "sample";

/// All of them. The sample's script is beside it; the others are Debian's own, described on
/// <https://raspi.debian.net>, where the checksum is published as well.
pub const CATALOG: &[Known] = &[
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
        sha256: Some("ace82f0d5e3586036cb72c5e46eb6222e93365503c51385496e3e2ee9999a5ad"),
    },
    Known {
        name: "debian-12-raspi4-daily",
        about: "Debian 12 for the Pi 4, as it was last built",
        urls: &["https://raspi.debian.net/daily/raspi_4_bookworm.img.xz"],
        sha256: None,
    },
];

/// The base of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    CATALOG.iter().find(|known| known.name == name)
}

/// The name that `name` was probably meant to be.
pub fn nearest(name: &str) -> Option<&'static str> {
    let likeness = |known: &Known| strsim::jaro_winkler(name, known.name);
    let best = CATALOG.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.8).then_some(best.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Sha256;

    #[test]
    fn the_table_is_sound() {
        for (at, known) in CATALOG.iter().enumerate() {
            assert_eq!(find(known.name), Some(known), "names are unique");
            assert!(CATALOG[..at].iter().all(|other| other.name != known.name));
            assert!(known.urls.iter().all(|url| url.starts_with("https://")));
            assert!(known.sha256.is_none_or(|hash| hash.parse::<Sha256>().is_ok()));
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

//! Bases known by name. Data: a new image is a new line.

use crate::document::nearest;

/// The base that is built into the binary.
pub const SAMPLE: &str = "sample";

/// A published image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What the profile calls it.
    pub name: &'static str,
    /// Where it is, mirrors behind the first.
    pub urls: &'static [&'static str],
    /// Its SHA-256, unless it changes from day to day.
    pub sha256: Option<&'static str>,
}

/// Images of raspi.debian.net that have a `sysconf.txt` and a 64-bit system. The daily ones have their
/// `.sha256` beside them.
pub const PUBLISHED: &[Published] = &[
    Published {
        name: "debian-12-raspi4",
        urls: &["https://raspi.debian.net/tested/20231109_raspi_4_bookworm.img.xz"],
        sha256: Some("ace82f0d5e3586036cb72c5e46eb6222e93365503c51385496e3e2ee9999a5ad"),
    },
    Published {
        name: "debian-12-raspi4-daily",
        urls: &["https://raspi.debian.net/daily/raspi_4_bookworm.img.xz"],
        sha256: None,
    },
    Published {
        name: "debian-12-raspi3-daily",
        urls: &["https://raspi.debian.net/daily/raspi_3_bookworm.img.xz"],
        sha256: None,
    },
];

/// The image of this name.
pub fn published(name: &str) -> Option<&'static Published> {
    PUBLISHED.iter().find(|p| p.name == name)
}

/// Every name there is.
pub fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(SAMPLE).chain(PUBLISHED.iter().map(|p| p.name))
}

/// The name that `slip` was probably meant to be.
pub fn suggestion(slip: &str) -> Option<&'static str> {
    nearest(slip, names())
}

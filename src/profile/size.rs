//! Sizes of disks and partitions, as in `8GiB`.

use crate::plan::SECTOR;
use crate::text::escaped;

/// Units in bytes. A number without a unit is in bytes.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("", 1),
];

/// The largest disk of an image, in bytes: more than any card, and less than a file can have.
const LARGEST: u64 = 1 << 50;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SizeError {
    #[error("`{}` is not a size: a whole number, and a unit such as `MiB` or `GB`", escaped(.0))]
    Form(String),
    #[error("`{}` is in bytes without a unit, and not a multiple of 512", escaped(.0))]
    Sectors(String),
    #[error("`{}` is larger than a disk can be", escaped(.0))]
    TooLarge(String),
}

/// Parses a size into bytes: a multiple of 512, at least one sector, at most 1 PiB. A size with a unit is rounded
/// down to whole sectors, so that `300MB` is a size; a number of bytes must be exact.
pub(super) fn parse(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(form)?;
    if number.is_empty() {
        return Err(form());
    }
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    let bytes =
        bytes.filter(|bytes| *bytes <= LARGEST).ok_or_else(|| SizeError::TooLarge(text.to_owned()))?;
    match bytes {
        0 => Err(form()),
        _ if unit.is_empty() && bytes % SECTOR != 0 => Err(SizeError::Sectors(text.to_owned())),
        _ => Ok(bytes - bytes % SECTOR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_or_decimal_units() {
        for (text, bytes) in [
            ("8GiB", 8 << 30),
            ("16GB", 16_000_000_000),
            ("4000MiB", 4000 << 20),
            ("1TB", 1_000_000_000_000),
            ("8 GiB", 8 << 30),
            ("1048576", 1 << 20),
            ("1024KiB", 1 << 20),
            ("300MB", 299_999_744),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "GiB", "8G", "8gib", "-8GiB", "8.5GiB", "0", "8GiB ", "8 Gi B", "١GiB"] {
            assert_eq!(parse(text), Err(SizeError::Form(text.into())), "{text}");
        }
        assert_eq!(parse("1000"), Err(SizeError::Sectors("1000".into())));
        for text in ["2000TiB", "99999999999999999999", "18446744073709551615TiB"] {
            assert_eq!(parse(text), Err(SizeError::TooLarge(text.into())), "{text}");
        }
    }
}

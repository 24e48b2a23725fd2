//! Which names may be written: those that VFAT, Windows and fatfs all allow.

use super::FatError;

/// UTF-16 units of a long name in one slot.
const UNITS: usize = 13;
/// Device names of Windows, reserved with any extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];

/// The names of the folders on a path and its last name, each of them checked.
pub(super) fn split(path: &str) -> Result<(Vec<&str>, &str), FatError> {
    let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    names.iter().try_for_each(|name| check(name))?;
    let last = names.pop().ok_or_else(|| FatError::Name { name: path.to_owned(), why: "is empty" })?;
    Ok((names, last))
}

/// Slots for an entry of that name; fatfs writes a long name even where a short name would do.
pub(super) fn slots(name: &str) -> usize {
    name.encode_utf16().count().div_ceil(UNITS) + 1
}

fn check(name: &str) -> Result<(), FatError> {
    let legal = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        // U+FFFD stands for bytes that can't be decoded; fatfs takes no character above the BMP.
        '\u{FFFD}'.. => false,
        '\u{80}'.. => !c.is_control(),
        _ => "$%'-_@~`!(){}.^#& +,;=[]".contains(c),
    };
    let why = if matches!(name, "." | "..") {
        "is `.` or `..`"
    } else if name.len() > 255 {
        "is longer than 255 bytes"
    } else if !name.chars().all(legal) {
        "has a character that is not allowed"
    } else if name.starts_with(' ') || name.ends_with([' ', '.']) {
        "begins with a space or ends with a space or a dot"
    } else if is_device(name) {
        "is a device name on Windows"
    } else if name.rfind('.') == Some(0) && name.len() <= 4 {
        // fatfs would write a short name of an extension alone, which fsck.vfat rejects.
        "begins with a dot and has at most three characters after it"
    } else {
        return Ok(());
    };
    Err(FatError::Name { name: name.to_owned(), why })
}

fn is_device(name: &str) -> bool {
    let base = name.split_once('.').map_or(name, |(base, _)| base).to_ascii_uppercase();
    DEVICES.iter().any(|device| match base.strip_prefix(device) {
        Some("") => !matches!(*device, "COM" | "LPT"),
        Some(digit) => {
            matches!(*device, "COM" | "LPT") && digit.len() == 1 && digit.as_bytes()[0].is_ascii_digit()
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fatfs_or_windows_refuse_are_invalid() {
        for good in
            ["sysconf.txt", "a b", "vmlinuz-6.1.0-13-arm64", ".bashrc", "caf\u{e9}", "COMET", "console.txt"]
        {
            assert!(check(good).is_ok(), "{good}");
        }
        let (long, wide) = ("a".repeat(256), "\u{e9}".repeat(128));
        let bad = [
            ".",
            "..",
            "a/b",
            "a\\b",
            "a:b",
            "a*",
            "a\n",
            "a.",
            "a ",
            " a",
            "nul",
            "Com1.txt",
            ".sh",
            "\u{1f600}",
        ];
        for bad in bad.into_iter().chain([long.as_str(), wide.as_str(), "\u{fffd}"]) {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(split("/a//b/").expect("names"), (vec!["a"], "b"));
        assert!(split("/").is_err());
        assert!(split("a/../b").is_err());
        assert_eq!([slots("a"), slots("1234567890123"), slots("12345678901234")], [2, 2, 3]);
    }
}

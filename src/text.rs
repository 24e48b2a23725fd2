//! Text in messages: sizes, lists of names, escaped control characters, the nearest known name.

use std::path::Path;

use serde::Serializer;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Serialises a path as text. Bytes that are not UTF-8 are replaced; serde's own implementation fails on them.
pub(crate) fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// `bytes` in the largest binary unit that leaves at least 1, with one decimal: `821.8 MiB`, `17 bytes`.
pub(crate) fn size(bytes: u64) -> String {
    let (power, whole, tenths) = scaled(bytes);
    match power {
        0 => format!("{bytes} bytes"),
        _ => format!("{whole}.{tenths} {}", UNITS[power - 1]),
    }
}

/// `bytes` in at most five characters, for progress bars: `17B`, `9.6K`, `812M`, `1023G`.
pub(crate) fn short_size(bytes: u64) -> String {
    let (power, whole, tenths) = scaled(bytes);
    let unit = ['B', 'K', 'M', 'G', 'T', 'P', 'E'][power];
    if power == 0 || whole >= 10 { format!("{whole}{unit}") } else { format!("{whole}.{tenths}{unit}") }
}

/// The power of 1024, its whole units and tenths, rounded down so that the result never reaches the next unit.
fn scaled(bytes: u64) -> (usize, u64, u64) {
    let power = bytes.checked_ilog2().unwrap_or(0) / 10;
    let whole = bytes >> (10 * power);
    let rest = if power == 0 { 0 } else { (bytes >> (10 * (power - 1))) & 1023 };
    (power as usize, whole, rest * 10 / 1024)
}

/// The known name of which `name` is probably a misspelling.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|k| (strsim::damerau_levenshtein(name, k), k))
        .filter(|(distance, k)| *distance <= 1 + name.len().max(k.len()) / 4)
        .min()
        .map(|(_, k)| k)
}

/// Names in backticks, separated by commas.
pub(crate) fn listed(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    names.map(|n| format!("`{}`", n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The line end of a text, by its first line; a newline for a text of one line.
pub(crate) fn line_end(text: &[u8]) -> &'static str {
    let first = text.iter().position(|&byte| byte == b'\n');
    if first.is_some_and(|end| text[..end].ends_with(b"\r")) { "\r\n" } else { "\n" }
}

/// First of the 128 characters that stand for the bytes 0x80 to 0xFF: the end of Unicode's last private area.
const STRAY_BYTE: u32 = 0x0010_FF80;

/// The bytes as text. Bytes that aren't UTF-8 become private characters, which [`into_bytes`] turns back.
pub(crate) fn from_bytes(bytes: &[u8]) -> String {
    let stray =
        |byte: u8| char::from_u32(STRAY_BYTE + u32::from(byte & 0x7F)).unwrap_or(char::REPLACEMENT_CHARACTER);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(stray));
    }
    text
}

/// The bytes of a text that may have parts from [`from_bytes`].
pub(crate) fn into_bytes(text: String) -> Vec<u8> {
    if !text.contains(|character| stray_byte(character).is_some()) {
        return text.into_bytes();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match stray_byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// The byte that a character of [`from_bytes`] stands for.
pub(crate) fn stray_byte(character: char) -> Option<u8> {
    let offset = u32::from(character).checked_sub(STRAY_BYTE)?;
    u8::try_from(offset).ok().filter(|offset| *offset < 0x80).map(|offset| offset | 0x80)
}

/// A path for messages. Control characters are escaped: a file name must not start a new line or move the cursor of
/// the terminal.
pub(crate) fn printable(path: &Path) -> String {
    escaped(&path.display().to_string())
}

/// Escapes control characters.
pub(crate) fn escaped(text: &str) -> String {
    let letter = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_rounds_down() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (2_621_440_000, "2.4 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn short_size_has_at_most_five_characters() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.0K"), (10_239, "9.9K"), (812 << 20, "812M")]
        {
            assert_eq!(short_size(bytes), text);
        }
        assert_eq!(short_size(u64::MAX), "15E");
    }

    #[test]
    fn nearest_is_none_without_similar_name() {
        assert_eq!(nearest("caspr", ["melchior", "caspar"].into_iter()), Some("caspar"));
        assert_eq!(nearest("zzz", ["melchior", "caspar"].into_iter()), None);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable(Path::new("a\nb\u{1b}[2J")), "a\\nb\\u{1b}[2J");
    }
}

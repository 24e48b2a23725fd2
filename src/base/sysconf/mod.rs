//! `sysconf.txt`: read and edited by the rules of the parser on the Pi.
//!
//! That parser is a few lines of Perl in the images of raspi.debian.net: each line is cut by `s/#.+//` and
//! then matched against `^\s*([^=]+)\s*=\s*(.*)\s*$`. The parser must read back each
//! value that is written here unchanged.

use std::collections::BTreeMap;

use crate::error::{Exit, Explain};
use crate::text;

/// Initial content for a base without a `sysconf.txt`.
pub(crate) const TEMPLATE: &[u8] = include_bytes!("../sample/sysconf.txt");

/// Why a setting can't be written: the Pi would not read it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SysconfError {
    /// A key with characters that are not allowed.
    #[error("`{0}` is no key for `sysconf.txt`: it takes lower-case letters, digits and `_`")]
    Key(String),
    /// A value that the parser would change; the value itself may be a secret.
    #[error("the value of `{key}` can't be written to `sysconf.txt`: it {why}")]
    Value {
        key: String,
        /// The reason, as a verb phrase.
        why: &'static str,
    },
}

impl Explain for SysconfError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Key(_) => None,
            Self::Value { key, .. } => Some(format!("choose another value for `{key}`")),
        }
    }
}

/// Returns the settings that the Pi applies: the last value of each key, keys in lower case. The Pi ignores an
/// empty value and `0`. Bytes that aren't UTF-8 are replaced.
pub(crate) fn read(text: &[u8]) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in text.split_inclusive(|&byte| byte == b'\n').filter_map(parse) {
        let key = String::from_utf8_lossy(&key.to_ascii_lowercase()).into_owned();
        settings.insert(key, String::from_utf8_lossy(value).into_owned());
    }
    settings.retain(|_, value| !matches!(value.as_str(), "" | "0"));
    settings
}

/// Sets keys to values in the given order. Comments, unknown keys and line ends don't change. The first line
/// that sets a key is replaced and duplicates are removed; a new key goes below its commented example, or to
/// the end.
pub(crate) fn edit(text: &[u8], settings: &[(&str, &str)]) -> Result<Vec<u8>, SysconfError> {
    for (key, value) in settings {
        check(key, value)?;
    }
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    for (key, value) in settings {
        set(&mut lines, key.as_bytes(), format!("{key}={value}\n").into_bytes());
    }
    Ok(lines.concat())
}

/// The key of the ssh public key of root.
pub(crate) const ROOT_KEY: &str = "root_authorized_key";

/// An ssh public key as the value of [`ROOT_KEY`]; `None` if `key`, the line without its comment, can't be its value.
/// The comment is cut at a `#`, because the parser ends the value there, and at a byte that isn't UTF-8.
pub(crate) fn for_sysconf(key: &str, comment: &str) -> Option<String> {
    let ends = |c: char| c == '#' || c.is_control() || text::stray_byte(c).is_some();
    let comment = comment.split(ends).next().unwrap_or_default();
    let value = format!("{key} {comment}").trim_end().to_owned();
    let is_text = value.chars().all(|c| text::stray_byte(c).is_none());
    (is_text && check(ROOT_KEY, &value).is_ok()).then_some(value)
}

/// The key (as written) and the value of a line with its line end, as the Perl expressions give them.
fn parse(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = without_comment(line);
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let (left, right) = (&line[..equals], &line[equals + 1..]);
    // `[^=]+` also matches blanks before the `=`; if there are only blanks, the key is the last blank.
    let key = match trim_start(left) {
        b"" => left.last_chunk::<1>()?.as_slice(),
        key => key,
    };
    // If the value is empty, `\s*` matches the line end. Otherwise `.*` matches all before the line end,
    // including blanks and a CR.
    let value = trim_start(right);
    Some((key, value.strip_suffix(b"\n").unwrap_or(value)))
}

/// A line as `s/#.+//` leaves it: a `#` directly before the line end stays.
fn without_comment(line: &[u8]) -> &[u8] {
    comment_start(line).map_or(line, |start| &line[..start])
}

fn comment_start(line: &[u8]) -> Option<usize> {
    let start = line.iter().position(|&byte| byte == b'#')?;
    line.get(start + 1).is_some_and(|&next| next != b'\n').then_some(start)
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

/// Perl's `\s` on bytes: unlike Rust's `is_ascii_whitespace`, it includes the vertical tab.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn check(key: &str, value: &str) -> Result<(), SysconfError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if key.is_empty() || !key.bytes().all(plain) {
        return Err(SysconfError::Key(key.to_owned()));
    }
    let why = if value.is_empty() || value == "0" {
        "counts as not set"
    } else if value.contains('#') {
        "has a `#`, which begins a comment"
    } else if value.contains(|c: char| c.is_control() && c != '\t') {
        "has a line end or another control character"
    } else if value.bytes().next().is_some_and(is_blank) || value.bytes().last().is_some_and(is_blank) {
        "begins or ends with a blank"
    } else {
        return Ok(());
    };
    Err(SysconfError::Value { key: key.to_owned(), why })
}

/// Replaces the line that sets `key` by `new_line`, or inserts it.
fn set(lines: &mut Vec<Vec<u8>>, key: &[u8], new_line: Vec<u8>) {
    let mut new_line = Some(new_line);
    let mut edited = Vec::with_capacity(lines.len() + 2);
    for line in lines.drain(..) {
        if !parse(&line).is_some_and(|(found, _)| found.eq_ignore_ascii_case(key)) {
            edited.push(line);
            continue;
        }
        // A trailing comment of the old line is kept, on a separate line.
        edited.extend(comment_start(&line).map(|start| with_line_end(line[start..].to_vec())));
        edited.extend(new_line.take());
    }
    if let Some(new_line) = new_line {
        let example = edited.iter().position(|line| is_example(line, key));
        let place = example.map_or(edited.len(), |index| index + 1);
        if let Some(before) = place.checked_sub(1).and_then(|index| edited.get_mut(index)) {
            *before = with_line_end(std::mem::take(before));
        }
        edited.insert(place, new_line);
    }
    *lines = edited;
}

/// Whether the line is the key's commented-out example, as in `#hostname=rpi`.
fn is_example(line: &[u8], key: &[u8]) -> bool {
    let line = trim_start(line);
    let Some(start) = line.iter().position(|&byte| byte != b'#' && !is_blank(byte)) else { return false };
    let mut halves = line[start..].splitn(2, |&byte| byte == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii_end();
    line.starts_with(b"#") && halves.next().is_some() && name.eq_ignore_ascii_case(key)
}

fn with_line_end(mut line: Vec<u8>) -> Vec<u8> {
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    line
}

#[cfg(test)]
mod tests;

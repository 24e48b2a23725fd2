//! `sysconf.txt`: read and edited by the rules of the parser on the Pi.
//!
//! That parser is a few lines of Perl in the images of raspi.debian.net: each line is cut by `s/#.+//` and
//! then matched against `^\s*([^=]+)\s*=\s*(.*)\s*$`. What is written here must come out of *that* as it
//! was meant.

use std::collections::BTreeMap;

use crate::error::{Exit, Explain};

/// The file to start from on a base without one.
pub(crate) const TEMPLATE: &[u8] = include_bytes!("../sample/sysconf.txt");

/// Why a value can't be written so that the Pi reads it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SysconfError {
    /// No key that the parser could return.
    #[error("`{0}` is no key for `sysconf.txt`: it takes lower-case letters, digits and `_`")]
    Key(String),
    /// A value that the parser would change; the value itself may be a secret.
    #[error("the value of `{key}` can't be written to `sysconf.txt`: it {why}")]
    Value {
        /// The key that it is for.
        key: String,
        /// What is wrong, as a verb phrase.
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

/// What the Pi would apply: the last value of each key, keys in lower case. An empty value and `0` count as
/// none there. Bytes that aren't UTF-8 are replaced.
pub(crate) fn read(text: &[u8]) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in text.split_inclusive(|&byte| byte == b'\n').filter_map(parse) {
        let key = String::from_utf8_lossy(&key.to_ascii_lowercase()).into_owned();
        settings.insert(key, String::from_utf8_lossy(value).into_owned());
    }
    settings.retain(|_, value| !matches!(value.as_str(), "" | "0"));
    settings
}

/// Sets keys to values, one after the other, and leaves all else as it is: comments, unknown keys, line
/// ends. A line that sets the key is replaced and further ones go; without one the new line goes below
/// the commented example of the key, or to the end.
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

/// An ssh public key without options (`type base64 comment`), fit for `root_authorized_key`: a `#` in its
/// comment, which would cut the line, ends the comment.
pub(crate) fn for_sysconf(ssh_key_line: &str) -> String {
    let line = ssh_key_line.trim();
    line.split(['#', '\n', '\r']).next().unwrap_or_default().trim_end().to_owned()
}

/// The key (as written) and the value of a line with its line end, as the Perl expressions give them.
fn parse(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = without_comment(line);
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let (left, right) = (&line[..equals], &line[equals + 1..]);
    // `[^=]+` takes blanks before the `=` too, and gets the last one when there is nothing else.
    let key = match trim_start(left) {
        b"" => left.last_chunk::<1>()?.as_slice(),
        key => key,
    };
    // `\s*` eats the line end of an empty value; `.*` leaves it, and takes blanks and a CR before it.
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

/// Perl's `\s` on bytes, which has the vertical tab that Rust's `is_ascii_whitespace` hasn't.
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

/// Puts `ours`, a whole line, where it counts.
fn set(lines: &mut Vec<Vec<u8>>, key: &[u8], ours: Vec<u8>) {
    let mut ours = Some(ours);
    let mut edited = Vec::with_capacity(lines.len() + 2);
    for line in lines.drain(..) {
        if !parse(&line).is_some_and(|(found, _)| found.eq_ignore_ascii_case(key)) {
            edited.push(line);
            continue;
        }
        // A comment behind the old value is kept, on a line of its own.
        edited.extend(comment_start(&line).map(|start| with_line_end(line[start..].to_vec())));
        edited.extend(ours.take());
    }
    if let Some(ours) = ours {
        let example = edited.iter().position(|line| is_example(line, key));
        let place = example.map_or(edited.len(), |index| index + 1);
        if let Some(before) = place.checked_sub(1).and_then(|index| edited.get_mut(index)) {
            *before = with_line_end(std::mem::take(before));
        }
        edited.insert(place, ours);
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

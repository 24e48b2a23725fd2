//! Checksum files: what `sha256sum` and `sha512sum` write (plain, `*` for binary, escaped names, `--tag`),
//! what `openssl dgst` writes, and a hash alone; clear-signed or not.

use std::borrow::Cow;

use crate::digest::Digest;
use crate::error::{Exit, Explain};

/// A hash that differs from the expected one. Boxed, because it is a part of many errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {}, but {} was expected", .0.expected.algorithm(), .0.found, .0.expected)]
pub(crate) struct DigestMismatch(Box<Digests>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Digests {
    expected: Digest,
    found: Digest,
}

/// Fails if `found` isn't `expected`.
pub(super) fn require_equal(
    expected: impl Into<Digest>,
    found: impl Into<Digest>,
) -> Result<(), DigestMismatch> {
    let (expected, found) = (expected.into(), found.into());
    if expected == found { Ok(()) } else { Err(DigestMismatch(Box::new(Digests { expected, found }))) }
}

/// What is wrong with a checksum file, or with the content that it lists.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChecksumError {
    #[error("`{from}` holds no SHA-256 or SHA-512 sums")]
    NoSums {
        /// URL or path of the checksum file.
        from: String,
    },
    #[error("`{from}` has no line for `{name}`, but for {}", examples(listed))]
    NotListed {
        /// URL or path of the checksum file.
        from: String,
        name: String,
        /// The names that are listed.
        listed: Vec<String>,
    },
    #[error("`{from}` gives two different sums for `{name}`")]
    Ambiguous {
        /// URL or path of the checksum file.
        from: String,
        name: String,
    },
    #[error("`{what}` has {mismatch} by {by}")]
    Mismatch {
        /// What was checked: a URL or a path.
        what: String,
        mismatch: DigestMismatch,
        /// Source of the expected hash: `the profile`, `magi.lock`, a URL.
        by: String,
    },
}

/// The first few names.
fn examples(listed: &[String]) -> String {
    const SHOWN: usize = 4;
    if listed.is_empty() {
        return "files without a name".into();
    }
    let more = if listed.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", crate::text::listed(listed.iter().take(SHOWN)))
}

impl Explain for ChecksumError {
    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSums { .. } => "pin the hash in the profile: `sha256 = \"…\"`",
            Self::NotListed { .. } => {
                "check the file's name, or pin its hash in the profile: `sha256 = \"…\"`"
            }
            Self::Ambiguous { .. } => "pin the right sum in the profile: `sha256 = \"…\"`",
            Self::Mismatch { .. } => {
                "the file is damaged, was replaced, or the expected hash belongs to another version"
            }
        };
        Some(hint.into())
    }
}

/// Fails if `found` isn't `expected`; `what` was checked, and `by` names the source of the expected hash.
pub(crate) fn compare(what: &str, expected: Digest, found: Digest, by: &str) -> Result<(), ChecksumError> {
    let mismatched = |mismatch| ChecksumError::Mismatch { what: what.into(), mismatch, by: by.into() };
    require_equal(expected, found).map_err(mismatched)
}

/// The checksum files that publishers put beside a file, in the order of their use: `suffixed` appends to the
/// file's own name, `named` is another file in the same folder.
pub(crate) fn lists_beside<T>(suffixed: impl Fn(&str) -> T, named: impl Fn(&str) -> T) -> [T; 3] {
    [suffixed(".sha256"), named("SHA256SUMS"), named("SHA512SUMS")]
}

/// [`lists_beside`] the file `name`, as file names.
pub(crate) fn lists_for(name: &str) -> [String; 3] {
    lists_beside(|suffix| format!("{name}{suffix}"), str::to_owned)
}

/// The sum for the first of `names` that `text` lists, and that name's index.
///
/// A hash alone, without a name, belongs to the first name. Folders in front of a listed name don't count
/// unless they are needed to tell two lines apart. `from` is only for messages.
pub(crate) fn find(text: &str, names: &[&str], from: &str) -> Result<(usize, Digest), ChecksumError> {
    let text = strip_clear_signature(text);
    let entries: Vec<ChecksumLine> = text.lines().filter_map(parse_line).collect();
    if entries.is_empty() {
        return Err(ChecksumError::NoSums { from: from.into() });
    }
    for (index, name) in names.iter().enumerate() {
        if let Some(digest) = pick(&entries, name, from)? {
            return Ok((index, digest));
        }
    }
    if let [ChecksumLine { name: None, digest }] = entries[..] {
        return Ok((0, digest));
    }
    let name = names.first().copied().unwrap_or_default().into();
    let listed = entries.into_iter().filter_map(|entry| entry.name).collect();
    Err(ChecksumError::NotListed { from: from.into(), name, listed })
}

/// The sum in a list of one line, whatever name it has: `x.sha256` is about `x`, even if `x` was renamed after
/// the list was made.
pub(crate) fn only(text: &str) -> Option<Digest> {
    let text = strip_clear_signature(text);
    let mut entries = text.lines().filter_map(parse_line);
    let first = entries.next()?;
    entries.next().is_none().then_some(first.digest)
}

struct ChecksumLine {
    name: Option<String>,
    digest: Digest,
}

fn pick(entries: &[ChecksumLine], name: &str, from: &str) -> Result<Option<Digest>, ChecksumError> {
    let exact = |e: &&ChecksumLine| e.name.as_deref() == Some(name);
    let by_last_part = |e: &&ChecksumLine| e.name.as_deref().is_some_and(|n| last_part(n) == name);
    let mut matching: Vec<Digest> = entries.iter().filter(exact).map(|e| e.digest).collect();
    if matching.is_empty() {
        matching = entries.iter().filter(by_last_part).map(|e| e.digest).collect();
    }
    // The cache and the lock know inputs by their SHA-256.
    let Some(best) = matching.iter().find(|d| matches!(d, Digest::Sha256(_))).or(matching.first()) else {
        return Ok(None);
    };
    if matching.iter().any(|d| d.algorithm() == best.algorithm() && d != best) {
        return Err(ChecksumError::Ambiguous { from: from.into(), name: name.into() });
    }
    Ok(Some(*best))
}

fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// `None` for a line without a SHA-256 or SHA-512, which `sha256sum --check` skips as well.
fn parse_line(line: &str) -> Option<ChecksumLine> {
    let line = line.trim_end_matches('\r');
    let (line, escaped) = line.strip_prefix('\\').map_or((line, false), |rest| (rest, true));
    let named = |name: &str, digest| {
        let name = if escaped { unescape(name) } else { name.to_owned() };
        Some(ChecksumLine { name: Some(name), digest })
    };
    if let Some((name, digest)) = parse_tagged(line) {
        return named(name, digest);
    }
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(line.len());
    let (hash, rest) = line.split_at(end);
    let digest = hash.parse().ok()?;
    if rest.trim().is_empty() {
        return Some(ChecksumLine { name: None, digest });
    }
    // GNU writes a blank and then a blank (text) or `*` (binary); others write one blank or a tab.
    let name = ["  ", " *", " ", "\t"].iter().find_map(|mark| rest.strip_prefix(mark))?;
    named(name, digest)
}

/// `SHA256 (name) = hash`, and openssl's `SHA2-256(name)= hash`.
fn parse_tagged(line: &str) -> Option<(&str, Digest)> {
    let rest = ["SHA256", "SHA2-256", "SHA512", "SHA2-512"].iter().find_map(|tag| line.strip_prefix(tag))?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest).strip_prefix('(')?;
    let (name, hash) = rest.rsplit_once(')')?;
    let hash = hash.trim_start().strip_prefix('=')?.trim();
    Some((name, hash.parse().ok()?))
}

/// What coreutils escape in names: newline, carriage return and the backslash itself.
fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some(other)) => plain.push(other),
            _ => plain.push(c),
        }
    }
    plain
}

const CLEAR_SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

/// Whether `text` is a clear-signed message (RFC 9580, section 7).
pub(crate) fn is_clear_signed(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == CLEAR_SIGNED)
}

/// The signed text of a clear-signed message (RFC 9580, section 7), without a check of the signature; other
/// text as it is. Text outside of the armour is dropped.
fn strip_clear_signature(text: &str) -> Cow<'_, str> {
    if !is_clear_signed(text) {
        return Cow::Borrowed(text);
    }
    let inside = text.lines().skip_while(|line| line.trim_end() != CLEAR_SIGNED).skip(1);
    let body = inside.skip_while(|line| !line.trim().is_empty()).skip(1);
    let mut signed = String::new();
    for line in body.take_while(|line| !line.starts_with("-----")) {
        signed.push_str(line.strip_prefix("- ").unwrap_or(line));
        signed.push('\n');
    }
    Cow::Owned(signed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn found(text: &str, name: &str) -> String {
        find(text, &[name], "SUMS").unwrap().1.to_string()
    }

    fn refused(text: &str, name: &str) -> String {
        find(text, &[name], "SUMS").unwrap_err().to_string()
    }

    #[test]
    fn checksum_line_formats_are_parsed() {
        for line in [
            format!("{A}  k3s-arm64"),
            format!("{A} *k3s-arm64\r"),
            format!("{A}\tk3s-arm64"),
            format!("{A}  ./k3s-arm64"),
            format!("{A}  dist\\artifacts\\k3s-arm64"),
            format!("SHA256 (k3s-arm64) = {A}"),
            format!("SHA2-256(k3s-arm64)= {A}"),
            A.to_owned(),
            format!("{}\n", A.to_uppercase()),
        ] {
            assert_eq!(found(&line, "k3s-arm64"), A, "{line}");
        }
        assert_eq!(found(&format!("\\{A}  a\\nb\\\\c"), "a\nb\\c"), A);
        assert_eq!(found(&format!("SHA512 (x) = {A}{B}"), "x"), format!("{A}{B}"));
        assert_eq!(found(&format!("{A}   x"), " x"), A, "a name may start with a blank");
    }

    #[test]
    fn checksum_is_found_by_exact_name_then_by_last_path_part() {
        let text = format!("# k3s\n{A}  k3s-airgap-arm64\n{B}  k3s-arm64\nd41d8cd98f00b204  md5\n");
        assert_eq!(found(&text, "k3s-arm64"), B);
        assert_eq!(
            refused(&text, "k3s"),
            "`SUMS` has no line for `k3s`, but for `k3s-airgap-arm64`, `k3s-arm64`"
        );
        let folders = format!("{A}  old/disk.raw\n{B}  disk.raw\n");
        assert_eq!(found(&folders, "disk.raw"), B, "an exact name wins");
        let twice = format!("{A}  old/disk.raw\n{B}  new/disk.raw\n");
        assert_eq!(refused(&twice, "disk.raw"), "`SUMS` gives two different sums for `disk.raw`");
        assert_eq!(find(&text, &["none", "k3s-arm64"], "SUMS").unwrap().0, 1);
        assert_eq!(found(&format!("{A}{A}  x\n{B}  x\n"), "x"), B, "SHA-256 is preferred");
        assert_eq!(only(&format!("{A}  x")), Some(A.parse().unwrap()));
        assert_eq!(only(&format!("{A}  x\n{A}  y")), None);
    }

    #[test]
    fn file_without_sums_is_refused() {
        for text in ["", "<!DOCTYPE html>\n<h1>Not found</h1>", &A[1..], &format!("{A}{A}{A}")] {
            assert_eq!(refused(text, "x"), "`SUMS` holds no SHA-256 or SHA-512 sums");
        }
    }

    #[test]
    fn text_outside_of_clear_signature_is_ignored() {
        let text = format!(
            "{A}  x\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{B}  x\n- {A}  -dash\n\
             -----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n{A}  x\n"
        );
        assert_eq!(found(&text, "x"), B);
        assert_eq!(found(&text, "-dash"), A);
    }

    #[test]
    fn mismatch_shows_found_and_expected_hash() {
        let error =
            compare("base.img.xz", A.parse().unwrap(), B.parse().unwrap(), "`magi.lock`").unwrap_err();
        let expected = format!("`base.img.xz` has SHA-256 {B}, but {A} was expected by `magi.lock`");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.exit(), Exit::Verification);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "(\\PC|[\\\\ *()=\n-]|[0-9a-f]{64}|SHA256){0,40}") {
            let _ = find(&text, &["x"], "SUMS");
        }
    }
}

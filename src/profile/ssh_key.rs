//! Lines of `authorized_keys`, read as sshd reads them (OpenSSH: `auth2-pubkeyfile.c`, `sshkey_read`,
//! `sshkey_advance_past_options`, `auth-options.c`).

use base64ct::{Base64, Encoding as _};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::text;

/// Types of keys that may log in, as the first word of a key.
const TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
/// End of the types of certificates.
const CERTIFICATE: &str = "-cert-v01@openssh.com";
/// Options without a value; those of `NEGATABLE` also with `no-` in front.
const FLAGS: [&str; 2] = ["cert-authority", "restrict"];
const NEGATABLE: [&str; 7] = [
    "agent-forwarding",
    "port-forwarding",
    "pty",
    "touch-required",
    "user-rc",
    "verify-required",
    "x11-forwarding",
];
/// Options with a quoted value.
const VALUES: [&str; 8] =
    ["command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"];
/// OpenSSH refuses shorter RSA keys, in bits (`SSH_RSA_MINIMUM_MODULUS_SIZE`).
const MIN_RSA_BITS: usize = 1024;

/// A line of `authorized_keys` that sshd accepts, without surrounding blanks. Bytes that aren't UTF-8 are kept as
/// [`text::from_bytes`] keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AuthorizedKey {
    line: String,
    /// Where the comment and the blanks before it begin, in bytes.
    comment: usize,
}

/// Why a line is no public key. Never holds the line: it may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyLineError {
    #[error("it is empty")]
    Empty,
    #[error("it is a private key")]
    PrivateKey,
    #[error("it is a public key in another format, not that of OpenSSH")]
    OtherFormat,
    #[error("it is a certificate; `authorized_keys` takes the public key")]
    Certificate,
    #[error("it has more than one line")]
    SeveralLines,
    #[error("it has no key type such as `ssh-ed25519` before the key")]
    NoType,
    #[error("nothing follows the key type `{0}`")]
    NoKey(&'static str),
    #[error("its options have a quote that isn't closed")]
    OpenQuote,
    #[error("sshd knows no option `{0}`")]
    UnknownOption(String),
    #[error("the value of the option `{0}` must be in double quotes")]
    Unquoted(String),
    #[error("what stands before the key is no list of options, separated by `,`")]
    Options,
    #[error("the key after `{0}` isn't base64: it is cut off or has a typing error")]
    Base64(&'static str),
    #[error("the key after `{0}` is cut off or has a typing error")]
    Damaged(&'static str),
    #[error("the key after `{0}` is of another type")]
    OtherType(&'static str),
    #[error("its RSA key has {0} bits, and sshd refuses less than {MIN_RSA_BITS}")]
    ShortRsa(usize),
}

impl KeyLineError {
    /// How to get a usable key.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Certificate => "give the file without `-cert` in its name",
            Self::OtherFormat => "convert it with `ssh-keygen -i -f FILE`",
            Self::UnknownOption(_) | Self::Unquoted(_) | Self::Options | Self::OpenQuote => {
                "`man 8 sshd` lists the options, under \"authorized_keys file format\""
            }
            _ => "give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line",
        }
    }
}

impl AuthorizedKey {
    /// Reads one line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, KeyLineError> {
        let line = text::from_bytes(line);
        let line = line.trim_matches([' ', '\t', '\n', '\r']);
        check_format(line)?;
        if line.contains(['\n', '\r', '\0']) {
            return Err(KeyLineError::SeveralLines);
        }
        let mut key = line;
        let mut typed = key_type(key);
        if typed.is_none() {
            let options = options_end(line)?;
            check_options(&line[..options])?;
            key = line[options..].trim_start_matches([' ', '\t']);
            typed = key_type(key);
        }
        let (kind, rest) = typed.ok_or(KeyLineError::NoType)??;
        let blob = rest.split([' ', '\t']).next().unwrap_or_default();
        check_blob(kind, blob)?;
        let comment = line.len() - rest.len() + blob.len();
        Ok(Self { line: line.to_owned(), comment })
    }

    /// The whole line.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Options, type and key.
    pub(crate) fn without_comment(&self) -> &str {
        &self.line[..self.comment]
    }

    pub(crate) fn comment(&self) -> &str {
        self.line[self.comment..].trim()
    }
}

/// Whether a text has the type of a key among its words. A private key counts as well, so that nothing shows its text
/// as the name of a file.
pub(crate) fn looks_like_key(text: &str) -> bool {
    let is_type = |word: &str| TYPES.contains(&word) || word.ends_with(CERTIFICATE);
    // Every key begins with the length of its type, which is below 2^16.
    text.contains("PRIVATE KEY")
        || text.starts_with("AAAA")
        || text.contains('\n')
        || text.split([' ', '\t']).any(is_type)
}

fn check_format(text: &str) -> Result<(), KeyLineError> {
    if text.contains("PRIVATE KEY") || text.starts_with("PuTTY-User-Key-File") {
        return Err(KeyLineError::PrivateKey);
    }
    if text.starts_with("---- BEGIN SSH2 PUBLIC KEY") || text.starts_with("-----BEGIN") {
        return Err(KeyLineError::OtherFormat);
    }
    Ok(())
}

/// The type at the start of `text`, and what follows its blanks; `None` if `text` doesn't start with a type.
fn key_type(text: &str) -> Option<Result<(&'static str, &str), KeyLineError>> {
    let (first, rest) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
    if first.ends_with(CERTIFICATE) {
        return Some(Err(KeyLineError::Certificate));
    }
    let kind = TYPES.into_iter().find(|kind| *kind == first)?;
    let rest = rest.trim_start_matches([' ', '\t']);
    Some(if rest.is_empty() { Err(KeyLineError::NoKey(kind)) } else { Ok((kind, rest)) })
}

/// Where the options end: at the first blank outside quotes.
fn options_end(line: &str) -> Result<usize, KeyLineError> {
    let bytes = line.as_bytes();
    let (mut at, mut is_quoted) = (0, false);
    while at < bytes.len() && (is_quoted || !matches!(bytes[at], b' ' | b'\t')) {
        if bytes[at..].starts_with(b"\\\"") {
            at += 1;
        } else if bytes[at] == b'"' {
            is_quoted = !is_quoted;
        }
        at += 1;
    }
    match (is_quoted, at < bytes.len()) {
        (true, _) => Err(KeyLineError::OpenQuote),
        (false, true) => Ok(at),
        (false, false) => Err(KeyLineError::NoType),
    }
}

fn check_options(options: &str) -> Result<(), KeyLineError> {
    let mut rest = options;
    loop {
        let end = rest.find(['=', ',']).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        if rest[end..].starts_with('=') {
            if !VALUES.contains(&name.as_str()) {
                return Err(unknown_option(name));
            }
            let after = rest[end + 1..].strip_prefix('"').and_then(quoted_end);
            rest = after.ok_or(KeyLineError::Unquoted(name))?;
        } else {
            let plain = name.strip_prefix("no-").unwrap_or(&name);
            if !(FLAGS.contains(&name.as_str()) || NEGATABLE.contains(&plain)) {
                return Err(unknown_option(name));
            }
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Ok(()),
            None => return Err(KeyLineError::Options),
        }
    }
}

/// What follows a value and its closing quote.
fn quoted_end(value: &str) -> Option<&str> {
    let mut is_escaped = false;
    let end = value.char_indices().find(|&(_, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\';
        ends
    });
    end.map(|(at, _)| &value[at + 1..])
}

/// Names an option only if it can't be a part of a key.
fn unknown_option(name: String) -> KeyLineError {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if is_plain && (1..=30).contains(&name.len()) {
        KeyLineError::UnknownOption(name)
    } else {
        KeyLineError::Options
    }
}

fn check_blob(kind: &'static str, blob: &str) -> Result<(), KeyLineError> {
    let bytes = Base64::decode_vec(blob).map_err(|_| KeyLineError::Base64(kind))?;
    let key = PublicKey::from_bytes(&bytes).map_err(|_| KeyLineError::Damaged(kind))?;
    if key.algorithm().as_str() != kind {
        return Err(KeyLineError::OtherType(kind));
    }
    if let KeyData::Rsa(rsa) = key.key_data() {
        let modulus = rsa.n.as_positive_bytes().ok_or(KeyLineError::Damaged(kind))?;
        let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = modulus.len() * 8 - leading;
        if bits < MIN_RSA_BITS {
            return Err(KeyLineError::ShortRsa(bits));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn parse(line: impl AsRef<[u8]>) -> Result<AuthorizedKey, KeyLineError> {
        AuthorizedKey::parse(line.as_ref())
    }

    #[test]
    fn lines_of_all_forms_are_kept_verbatim() {
        let tab = KEY.replace(' ', "\t \t");
        for line in [
            KEY.to_owned(),
            format!("{KEY} me # home"),
            tab,
            format!(
                "command=\"echo \\\"a b\\\" # x\",no-pty,FROM=\"10.0.0.0/8,!10.1.1.1\"\t {KEY}  two  blanks"
            ),
            format!("environment=\"NAME=Jürgen\" {KEY} Küche"),
        ] {
            let key = parse(format!(" \t{line} \r\n")).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(key.line(), line);
            assert!(line.starts_with(key.without_comment()) && key.without_comment().contains("IeZJ"));
        }
        assert_eq!(parse(format!("{KEY}\t me ")).unwrap().comment(), "me");
        let latin1 = [KEY.as_bytes(), b" J\xFCrgen"].concat();
        assert_eq!(text::into_bytes(parse(&latin1).unwrap().line().to_owned()), latin1);
    }

    #[test]
    fn refused_lines_say_why() {
        let (_, blob) = KEY.split_once(' ').unwrap();
        let certificate = format!("ssh-ed25519-cert-v01@openssh.com {blob}");
        for (line, error) in [
            ("ssh-ed25519", KeyLineError::NoKey("ssh-ed25519")),
            ("ssh-ed25519  ", KeyLineError::NoKey("ssh-ed25519")),
            ("hello", KeyLineError::NoType),
            ("no-pty ssh-ed25519 ", KeyLineError::NoKey("ssh-ed25519")),
            ("ssh-ed25519 AAAAnonsens", KeyLineError::Base64("ssh-ed25519")),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", KeyLineError::Damaged("ssh-ed25519")),
            (&format!("ssh-rsa {blob}"), KeyLineError::OtherType("ssh-rsa")),
            (&format!("no-such-thing {KEY}"), KeyLineError::UnknownOption("no-such-thing".into())),
            (&format!("b3BlbnNzaC1r {KEY}"), KeyLineError::Options),
            (&format!("command=ls {KEY}"), KeyLineError::Unquoted("command".into())),
            (&format!("no-pty, {KEY}"), KeyLineError::Options),
            (&format!("command=\"ls {KEY}"), KeyLineError::OpenQuote),
            (&format!("{KEY}\n{KEY}"), KeyLineError::SeveralLines),
            (&certificate, KeyLineError::Certificate),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", KeyLineError::PrivateKey),
            ("PuTTY-User-Key-File-3: ssh-ed25519", KeyLineError::PrivateKey),
            ("---- BEGIN SSH2 PUBLIC KEY ----", KeyLineError::OtherFormat),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
    }

    #[test]
    fn paths_with_parts_of_key_types_are_no_keys() {
        assert!(!looks_like_key("keys/ssh-key-2024-01-02.key.pub"));
        assert!(!looks_like_key("~/.ssh/ssh-ed25519.pub"));
        assert!(looks_like_key(KEY) && looks_like_key("restrict ssh-rsa AAAA"));
    }
}

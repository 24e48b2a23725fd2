//! URLs as text: what messages may show of them, and the names of files beside them.

use percent_encoding::percent_decode_str;
use url::{ParseError, Url};

use crate::error::{Exit, Explain};

/// A text that no URL parser accepts.
#[derive(Debug, thiserror::Error)]
#[error("`{url}` is not a valid URL: {reason}")]
pub(crate) struct InvalidUrl {
    /// Without credentials.
    url: String,
    reason: ParseError,
}

impl Explain for InvalidUrl {
    /// As for every other URL that nothing can be downloaded from.
    fn exit(&self) -> Exit {
        Exit::Network
    }
    fn hint(&self) -> Option<String> {
        Some("check the URL".into())
    }
}

/// The URL as messages may show it: without user name, password, query and fragment.
pub(crate) fn shown(text: &str) -> String {
    let url = without_credentials(text);
    match url.split_once(['?', '#']) {
        Some((address, _)) => format!("{address}?…"),
        None => url,
    }
}

/// The URL without user name and password. A path or a name, which has no scheme, is returned as it is.
pub(crate) fn without_credentials(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) => {
            // Both fail only for URLs without a host, which have no credentials.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.into()
        }
        Err(ParseError::RelativeUrlWithoutBase) => text.to_owned(),
        // Without a parser's answer, a password may be anywhere behind the scheme.
        Err(_) => text.split_once(':').map_or_else(String::new, |(scheme, _)| format!("{scheme}://…")),
    }
}

/// The last segment of the URL's path, percent-decoded; empty if there is none.
pub(crate) fn file_name(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return String::new() };
    let segment = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let decoded = percent_decode_str(segment).decode_utf8().unwrap_or(segment.into());
    // A decoded separator or control character would make a name of another kind.
    let is_plain = !decoded.contains(|c: char| c.is_control() || matches!(c, '/' | '\\'));
    if is_plain { decoded.into_owned() } else { segment.to_owned() }
}

/// The URL of the file `name` in the same folder. A query isn't kept: it belongs to the one file.
pub(crate) fn beside(text: &str, name: &str) -> Result<String, InvalidUrl> {
    edited(text, |url| {
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().push(name);
        }
    })
}

/// The URL with `suffix` behind the file's name, such as `.sha256`. A query isn't kept.
pub(crate) fn with_suffix(text: &str, suffix: &str) -> Result<String, InvalidUrl> {
    edited(text, |url| url.set_path(&format!("{}{suffix}", url.path())))
}

fn edited(text: &str, edit: impl FnOnce(&mut Url)) -> Result<String, InvalidUrl> {
    let mut url = Url::parse(text).map_err(|reason| InvalidUrl { url: shown(text), reason })?;
    url.set_query(None);
    url.set_fragment(None);
    edit(&mut url);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_url_has_no_credentials_query_or_fragment() {
        for (url, expected) in [
            ("https://u:p@h/a/b.img?x=1#y", "https://h/a/b.img?…"),
            ("https://h/a#token", "https://h/a?…"),
            ("https:u:p@h/a", "https://h/a"),
            ("https://u:p@h:99999/a", "https://…"),
            ("folder/b.img", "folder/b.img"),
        ] {
            assert_eq!(shown(url), expected);
        }
        assert_eq!(without_credentials("https://u@p@h:1/@x?y=1"), "https://h:1/@x?y=1");
    }

    #[test]
    fn file_name_is_the_decoded_last_segment() {
        for (url, expected) in [
            ("https://h/v1.33%2Bk3s1/k3s-arm64?x=/y", "k3s-arm64"),
            ("https://h/v1/k3s%2bk3s1%20arm64", "k3s+k3s1 arm64"),
            ("https://h/..%2F..%2Fetc", "..%2F..%2Fetc"),
            ("https://h/a%0Ab", "a%0Ab"),
            ("https://h/%ff", "%ff"),
            ("https://h/", ""),
            ("https://h", ""),
            ("nonsense", ""),
        ] {
            assert_eq!(file_name(url), expected, "{url}");
        }
    }

    #[test]
    fn neighbours_keep_credentials_and_drop_the_query() {
        let url = "https://u:p@h/a%2Bb/c.img.xz?x=/1#y";
        assert_eq!(beside(url, "SHA256SUMS").unwrap(), "https://u:p@h/a%2Bb/SHA256SUMS");
        assert_eq!(with_suffix(url, ".sha256").unwrap(), "https://u:p@h/a%2Bb/c.img.xz.sha256");
        assert_eq!(beside("https://h", "SHA256SUMS").unwrap(), "https://h/SHA256SUMS");
        let error = beside("https://u:p@h:99999/a", "SHA256SUMS").unwrap_err();
        assert_eq!(error.to_string(), "`https://…` is not a valid URL: invalid port number");
        assert_eq!(error.exit(), Exit::Network);
    }
}

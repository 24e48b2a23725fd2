//! Checksum files beside a base: `FILE.sha256`, `SHA256SUMS`, `SHA512SUMS`, in this order.

use std::path::Path;

use super::Known;
use crate::error::{FileError, Result};
use crate::fetch::checksum;
use crate::fetch::http::{self, Client};
use crate::progress::Progress;

/// More than any list of sums has: 4 MiB.
const LIMIT: usize = 4 << 20;
/// Lists for a whole folder.
const LISTS: [&str; 2] = ["SHA256SUMS", "SHA512SUMS"];

/// What the lists beside a local file say of it.
pub(super) fn beside_file(path: &Path) -> Result<Option<Known>> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Ok(None) };
    let own = path.with_file_name(format!("{name}.sha256"));
    for list in std::iter::once(own).chain(LISTS.map(|l| path.with_file_name(l))) {
        match std::fs::read_to_string(&list) {
            Ok(text) => {
                if let Some(known) = listed(&text, name, &list.display().to_string())? {
                    return Ok(Some(known));
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(FileError::new("read", &list)(e).into()),
        }
    }
    Ok(None)
}

/// What the lists beside a URL say of it.
pub(super) fn beside_url(url: &str, client: &Client, progress: &dyn Progress) -> Result<Option<Known>> {
    let name = http::file_name(url);
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    let folder = bare.rsplit_once('/').map_or(bare, |(folder, _)| folder);
    let own = format!("{bare}.sha256");
    for list in std::iter::once(own).chain(LISTS.map(|l| format!("{folder}/{l}"))) {
        if let Some(bytes) = client.find_small(&list, LIMIT, progress)? {
            let text = String::from_utf8_lossy(&bytes);
            if let Some(known) = listed(&text, &name, &http::shown(&list))? {
                return Ok(Some(known));
            }
        }
    }
    Ok(None)
}

/// The line of `name`. A file's own list must have it; another may be about other files.
fn listed(text: &str, name: &str, from: &str) -> Result<Option<Known>> {
    match checksum::find(text, &[name], from) {
        Ok((_, digest)) => Ok(Some(Known { digest, by: format!("`{from}`") })),
        Err(checksum::ChecksumError::NotListed { .. }) if !from.ends_with(".sha256") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

//! The files beside a base: its checksum files, on a server or in a folder.

use std::io::Read;
use std::path::Path;

use super::expected::{ExpectedDigest, HashOf};
use crate::error::{FileError, Result};
use crate::fetch::checksum::{self, ChecksumError};
use crate::fetch::url::{self, InvalidUrl, file_name, shown};

/// Limit for checksum files and signatures, in bytes.
pub(super) const LARGEST_LIST: usize = 1 << 20;

/// Reads a file beside a base; `None` if there is none.
pub(super) type ReadBeside<'a> = dyn FnMut(&str) -> Result<Option<Vec<u8>>> + 'a;

/// A base's name, the checksum files that may list it, and a reader for files beside it.
pub(super) struct Beside<'a> {
    /// URL or path of the image.
    pub(super) image: String,
    pub(super) name: String,
    lists: Vec<String>,
    pub(super) read: &'a mut ReadBeside<'a>,
}

impl<'a> Beside<'a> {
    /// Files beside a URL, read by `read`.
    pub(super) fn url(url: &str, read: &'a mut ReadBeside<'a>) -> Result<Self> {
        Ok(Self { image: url::with_suffix(url, "")?, name: file_name(url), lists: lists_beside(url)?, read })
    }

    /// Files beside a local file.
    pub(super) fn file(path: &Path, read: &'a mut ReadBeside<'a>) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lists = checksum::lists_for(&name).map(|list| path.with_file_name(list));
        let lists = lists.map(|list| list.to_string_lossy().into_owned()).into();
        Self { image: path.to_string_lossy().into_owned(), name, lists, read }
    }

    /// The hash in the first checksum file that lists the base, without a look at signatures.
    pub(super) fn listed_unsigned(&mut self, problem: &mut Option<String>) -> Result<Option<ExpectedDigest>> {
        self.listed(problem, |_, text, _| Ok(text.map(|text| String::from_utf8_lossy(text).into_owned())))
    }

    /// The hash in the first checksum file that lists the base. `text_of` gives the part of a file that counts,
    /// if any; `problem` gets the error of a file that doesn't list the base.
    pub(super) fn listed(
        &mut self,
        problem: &mut Option<String>,
        mut text_of: impl FnMut(&str, Option<&[u8]>, &mut ReadBeside<'_>) -> Result<Option<String>>,
    ) -> Result<Option<ExpectedDigest>> {
        let raw_name = [".xz", ".gz", ".zst", ".zstd"].iter().find_map(|end| self.name.strip_suffix(end));
        let names: Vec<&str> = std::iter::once(self.name.as_str()).chain(raw_name).collect();
        for list in &self.lists {
            let content = (self.read)(list)?;
            let Some(text) = text_of(list, content.as_deref(), self.read)? else { continue };
            let by = format!("`{}`", shown(list));
            match checksum::find(&text, &names, list) {
                Ok((0, digest)) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Packed, by })),
                Ok((_, digest)) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Raw, by })),
                Err(error @ ChecksumError::Ambiguous { .. }) => return Err(error.into()),
                Err(other) if list.ends_with(".sha256") => match checksum::only(&text) {
                    Some(digest) => return Ok(Some(ExpectedDigest { digest, of: HashOf::Either, by })),
                    None => *problem = Some(other.to_string()),
                },
                // Some servers answer every request with a web page.
                Err(other) => *problem = problem.take().or(Some(other.to_string())),
            }
        }
        Ok(None)
    }
}

/// A small file beside a local image; `None` if there is none.
pub(super) fn read_small(path: &str) -> Result<Option<Vec<u8>>> {
    let path = Path::new(path);
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::named(path)(e).into()),
    };
    let mut content = Vec::new();
    file.take(LARGEST_LIST as u64).read_to_end(&mut content).map_err(FileError::named(path))?;
    Ok(Some(content))
}

/// The checksum files beside a URL.
fn lists_beside(url: &str) -> Result<Vec<String>, InvalidUrl> {
    let lists = checksum::lists_beside(|suffix| url::with_suffix(url, suffix), |name| url::beside(url, name));
    lists.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_file_urls_are_beside_the_image() {
        assert_eq!(
            lists_beside("https://h/a/b.img.xz?x=/1#y").unwrap(),
            ["https://h/a/b.img.xz.sha256", "https://h/a/SHA256SUMS", "https://h/a/SHA512SUMS"]
        );
        assert_eq!(lists_beside("https://h").unwrap()[1], "https://h/SHA256SUMS");
    }
}

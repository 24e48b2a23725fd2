//! Explains why a published base can't be had: its file is gone, or was replaced after it was locked.

use super::catalog::{self, Known};
use super::{BaseError, Preparing};
use crate::digest::Digest;
use crate::error::{Error, Exit};
use crate::fetch::http::HttpError;
use crate::fetch::lock::{self, LockedInput};
use crate::fetch::url::shown;
use crate::text::listed;

impl Preparing<'_> {
    /// The reason behind a missing checksum or signature at `url`: mostly, the image is gone too.
    pub(super) fn gone_or(&self, url: &str, error: Error) -> Error {
        let Some(BaseError::NoChecksum { .. } | BaseError::NoSignature { .. }) = error.cause() else {
            return error;
        };
        match self.client.check_exists(url, self.progress) {
            Err(gone) if gone.cause().is_some_and(HttpError::is_missing) => gone,
            _ => error,
        }
    }

    /// Adds the other published bases to the hint of a base that is gone, and of a named base without a checksum.
    pub(super) fn naming_other_bases(&self, known: Option<&Known>, error: Error) -> Error {
        let others = || format!("{}; `magi-image base list` describes them", listed(self.other_bases()));
        if error.cause().is_some_and(HttpError::is_missing) {
            let hint = if known.is_some() {
                format!("use another base: {}; or give a URL or a file that has it", others())
            } else {
                format!("check the URL, or use a local file or another base: {}", others())
            };
            return error.hinting(hint);
        }
        match error.cause() {
            Some(BaseError::NoChecksum { .. }) if known.is_some() => {
                let hint = error.hint().unwrap_or_default();
                error.hinting(format!("{hint}; or use another base: {}", others()))
            }
            _ => error,
        }
    }

    /// Names of the published bases, without the requested one.
    fn other_bases(&self) -> impl Iterator<Item = &'static str> {
        let is_other = |known: &&Known| {
            !known.urls().is_empty()
                && known.name != self.request.source
                && known.urls().iter().all(|url| *url != self.request.source)
        };
        catalog::CATALOG.iter().filter(is_other).map(|known| known.name)
    }

    /// The error for a download that differs from `locked`, with the published hash if a checksum file has it.
    pub(super) fn replaced(&self, urls: &[&str], locked: &LockedInput, error: Error) -> Error {
        if error.exit() != Exit::Verification {
            return error;
        }
        let published = urls.iter().find_map(|url| Some((url, self.published(url).ok()??)));
        match published {
            Some((url, published)) if !self.is_locked(&published.digest, locked) => BaseError::Replaced {
                source_text: shown(url),
                locked: locked.sha256,
                published: published.digest,
                by: published.by,
            }
            .into(),
            _ => lock::explain_mismatch(error),
        }
    }

    /// Whether `digest` is a hash of the locked file or of its raw image.
    fn is_locked(&self, digest: &Digest, locked: &LockedInput) -> bool {
        let raw = locked.raw.map(|(_, sha256)| sha256);
        self.cache.known(digest) == Some(locked.sha256)
            || [Some(locked.sha256), raw].into_iter().flatten().any(|sha256| *digest == sha256.into())
    }
}

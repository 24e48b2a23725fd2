//! What every download of a project goes through: the cache, the HTTP client and the lock file.

use std::path::{Path, PathBuf};

use super::options::Options;
use crate::base::{self, Prepared};
use crate::error::{Context as _, Result};
use crate::fetch::cache::Cache;
use crate::fetch::http::Client;
use crate::fetch::lock::LockFile;
use crate::progress::Progress;

/// The lock file beside the profile: URL, size and hash of every input.
const LOCK_FILE: &str = "magi.lock";

pub(super) struct FetchContext {
    pub(super) cache: Cache,
    pub(super) client: Client,
    pub(super) lock: LockFile,
}

impl FetchContext {
    /// Opens the cache and the lock file in the folder of the profile. A missing lock file is an empty lock.
    pub(super) fn open(options: &Options, profile_folder: &Path) -> Result<Self> {
        let cache = Cache::open(&options.cache_dir()?)?;
        let client = if options.offline { Client::offline() } else { Client::default() };
        Ok(Self { cache, client, lock: LockFile::load(&lock_path(profile_folder))? })
    }

    /// The base of `request`: from the cache, or fetched, verified and unpacked.
    pub(super) fn prepare(
        &mut self,
        request: &base::Request<'_>,
        progress: &dyn Progress,
    ) -> Result<Prepared> {
        base::prepare(request, &self.cache, &self.client, &mut self.lock, progress)
            .while_doing(|| format!("preparing the base `{}`", request.source))
    }
}

/// The path of the lock file in the folder of a profile.
pub(super) fn lock_path(profile_folder: &Path) -> PathBuf {
    profile_folder.join(LOCK_FILE)
}

impl Options {
    /// The request for a base that isn't the profile's: the profile's `sha256` and OpenPGP key don't belong to it.
    pub(super) fn other_base<'a>(&self, source: &'a str) -> base::Request<'a> {
        base::Request {
            source,
            sha256: None,
            publisher: None,
            insecure_no_checksum: self.insecure_no_checksum,
            relative_to: Path::new(""),
        }
    }
}

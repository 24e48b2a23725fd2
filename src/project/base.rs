//! Fetches the project's base and the files that its overlays need.

use std::path::{Path, PathBuf};

use super::Project;
use crate::base::{self, Prepared, Survey};
use crate::error::{Context as _, Result};
use crate::fetch::assets::{Fetched, Fetcher};
use crate::fetch::cache::Cache;
use crate::fetch::http::Client;
use crate::fetch::lock::LockFile;
use crate::plan::Want;
use crate::profile::Node;

/// The lock file beside the profile: URL, size and hash of every input.
pub(super) const LOCK_FILE: &str = "magi.lock";

pub(super) struct FetchContext {
    pub(super) cache: Cache,
    pub(super) client: Client,
    pub(super) lock: LockFile,
}

/// A base that was fetched, verified, unpacked and surveyed.
pub(super) struct Base {
    pub(super) prepared: Prepared,
    pub(super) survey: Survey,
}

impl Project<'_> {
    pub(super) fn lock_path(&self) -> PathBuf {
        self.profile.folder.join(LOCK_FILE)
    }

    pub(super) fn fetch_context(&self) -> Result<FetchContext> {
        let cache = Cache::open(&self.options.cache_dir()?)?;
        let client = if self.options.offline { Client::offline() } else { Client::default() };
        Ok(FetchContext { cache, client, lock: LockFile::load(&self.lock_path())? })
    }

    /// The base: from the cache, or fetched, verified and unpacked.
    pub(super) fn base(&self, context: &mut FetchContext) -> Result<Base> {
        let choice = &self.profile.base;
        let insecure_no_checksum = self.options.insecure_no_checksum;
        let request = match &self.options.base {
            // The profile's `sha256` and OpenPGP key belong to the profile's base only.
            Some(other) => base::Request {
                source: other,
                sha256: None,
                publisher: None,
                insecure_no_checksum,
                relative_to: Path::new(""),
            },
            None => base::Request {
                source: &choice.image,
                sha256: choice.sha256,
                publisher: choice.publisher.as_ref().map(|publisher| base::Publisher {
                    fingerprint: &publisher.fingerprint,
                    key: &publisher.key,
                }),
                insecure_no_checksum,
                relative_to: &self.profile.folder,
            },
        };
        let doing = || format!("preparing the base `{}`", request.source);
        let FetchContext { cache, client, lock } = context;
        let prepared = base::prepare(&request, cache, client, lock, self.progress).while_doing(doing)?;
        let survey = base::survey(&prepared.raw_path, prepared.sample)?;
        Ok(Base { prepared, survey })
    }

    /// Fetches and verifies every file that the overlays need on `nodes`. The sample gets placeholders.
    pub(super) fn assets(&self, base: &Base, context: &mut FetchContext, nodes: &[&Node]) -> Result<Fetched> {
        let mut wants: Vec<Want> = Vec::new();
        for node in nodes {
            for want in self.inputs(&base.survey.facts).wants(node)? {
                if !wants.contains(&want) {
                    wants.push(want);
                }
            }
        }
        let FetchContext { cache, client, lock } = context;
        let mut fetcher = Fetcher { cache, client, lock, progress: self.progress };
        fetcher.all(wants, base.prepared.sample)
    }
}

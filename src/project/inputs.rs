//! Fetches the inputs of a project: its base and the files that its overlays need.

use super::Project;
use super::fetch_context::FetchContext;
use crate::base::{self, Prepared, Survey};
use crate::error::Result;
use crate::fetch::assets::{Fetched, Fetcher};
use crate::plan::Want;
use crate::profile::Node;

/// A base that was fetched, verified, unpacked and surveyed.
pub(super) struct Base {
    pub(super) prepared: Prepared,
    pub(super) survey: Survey,
}

impl Project<'_> {
    pub(super) fn fetch_context(&self) -> Result<FetchContext> {
        FetchContext::open(&self.options, &self.profile.folder)
    }

    /// The base: from the cache, or fetched, verified and unpacked.
    pub(super) fn base(&self, context: &mut FetchContext) -> Result<Base> {
        let choice = &self.profile.base;
        let request = match &self.options.base {
            Some(other) => self.options.other_base(other),
            None => base::Request {
                source: &choice.image,
                sha256: choice.sha256,
                publisher: choice.publisher.as_ref().map(|publisher| base::Publisher {
                    fingerprint: &publisher.fingerprint,
                    key: &publisher.key,
                }),
                insecure_no_checksum: self.options.insecure_no_checksum,
                relative_to: &self.profile.folder,
            },
        };
        let prepared = context.prepare(&request, self.progress)?;
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

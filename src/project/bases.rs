//! `base list` and `base show`: which bases there are, and what is in one.

use std::path::Path;

use serde::Serialize;

use super::base::LOCK_FILE;
use super::options::Options;
use crate::base::{self, ListedBase};
use crate::error::{Context as _, Result};
use crate::fetch::cache::Cache;
use crate::fetch::http::Client;
use crate::fetch::lock::LockFile;
use crate::image::inspect::{self, Inspection};
use crate::plan::BaseFacts;
use crate::profile::DEFAULT_PATH;
use crate::progress::Progress;

/// A base that was looked into.
#[derive(Debug, Serialize)]
pub(crate) struct ShownBase {
    /// The facts that overlays see; none if nothing can be built on it.
    pub(crate) facts: Option<BaseFacts>,
    /// Why nothing can be built on it.
    pub(crate) problem: Option<String>,
    /// The next step, if one is known.
    pub(crate) hint: Option<String>,
    pub(crate) image: Inspection,
}

/// The bases that have a name.
pub(crate) fn list_bases(options: &Options) -> Result<Vec<ListedBase>> {
    let cache = Cache::open(&options.cache_dir()?)?;
    base::list(&cache, &lock(options)?)
}

/// Fetches the base `source` (a name, a URL or a file) as far as needed, and looks into it.
pub(crate) fn show_base(options: &Options, source: &str, progress: &dyn Progress) -> Result<ShownBase> {
    let cache = Cache::open(&options.cache_dir()?)?;
    let client = if options.offline { Client::offline() } else { Client::default() };
    let request = base::Request {
        source,
        sha256: None,
        publisher: None,
        insecure_no_checksum: options.insecure_no_checksum,
        relative_to: Path::new(""),
    };
    // Looking into a base locks nothing: it isn't the project's base yet.
    let prepared = base::prepare(&request, &cache, &client, &mut lock(options)?, progress)
        .while_doing(|| format!("preparing the base `{source}`"))?;
    let image = inspect::inspect(&prepared.raw_path, progress)?;
    Ok(match base::survey(&prepared.raw_path, prepared.sample) {
        Ok(survey) => ShownBase { facts: Some(survey.facts), problem: None, hint: None, image },
        Err(e) => ShownBase { facts: None, problem: Some(e.to_string()), hint: e.hint(), image },
    })
}

/// The lock beside the profile, if there is one.
fn lock(options: &Options) -> Result<LockFile> {
    let profile = options.profile.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    LockFile::load(&profile.parent().unwrap_or(Path::new("")).join(LOCK_FILE))
}

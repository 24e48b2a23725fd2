//! `base list` and `base show`: which bases there are, and what is in one.

use std::path::Path;

use serde::Serialize;

use super::fetch_context::FetchContext;
use super::options::Options;
use crate::base::{self, ListedBase};
use crate::error::Result;
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
    let context = context(options)?;
    base::list(&context.cache, &context.lock)
}

/// Fetches the base `source` (a name, a URL or a file) as far as needed, and looks into it.
pub(crate) fn show_base(options: &Options, source: &str, progress: &dyn Progress) -> Result<ShownBase> {
    // The lock isn't saved: this need not be the project's base.
    let prepared = context(options)?.prepare(&options.other_base(source), progress)?;
    let image = inspect::inspect(&prepared.raw_path, progress)?;
    Ok(match base::survey(&prepared.raw_path, prepared.sample) {
        Ok(survey) => ShownBase { facts: Some(survey.facts), problem: None, hint: None, image },
        Err(e) => ShownBase { facts: None, problem: Some(e.to_string()), hint: e.hint(), image },
    })
}

/// With the lock beside the profile, if there is one: neither command needs a profile.
fn context(options: &Options) -> Result<FetchContext> {
    let profile = options.profile.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    FetchContext::open(options, profile.parent().unwrap_or(Path::new("")))
}

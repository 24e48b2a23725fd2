//! `base list` and `base show`: which bases there are, and what is in one.

use std::path::Path;

use serde::Serialize;

use super::fetch_context::FetchContext;
use super::options::Options;
use crate::base::{self, ListedBase};
use crate::error::Result;
use crate::fetch::http::HttpError;
use crate::fetch::url::shown;
use crate::image::inspect::{self, Inspection};
use crate::plan::BaseFacts;
use crate::profile::DEFAULT_PATH;
use crate::progress::Progress;

/// A base that was looked into, or that isn't downloaded.
#[derive(Debug, Serialize)]
pub(crate) struct ShownBase {
    /// The built-in name, else the file's name.
    pub(crate) name: String,
    /// What the catalog says about it.
    pub(crate) catalog: Option<ListedBase>,
    /// The facts that overlays see; none if nothing can be built on it.
    pub(crate) facts: Option<BaseFacts>,
    /// Why nothing can be built on it.
    pub(crate) problem: Option<String>,
    /// The next step, if one is known.
    pub(crate) hint: Option<String>,
    /// None if it isn't downloaded.
    pub(crate) image: Option<Inspection>,
}

/// The bases that have a name.
pub(crate) fn list_bases(options: &Options) -> Result<Vec<ListedBase>> {
    let context = context(options)?;
    base::list(&context.cache, &context.lock)
}

/// Looks into the base `source` (a name, a URL or a file). It is downloaded only with `download`.
pub(crate) fn show_base(
    options: &Options,
    source: &str,
    download: bool,
    progress: &dyn Progress,
) -> Result<ShownBase> {
    let offline = options.offline || !download;
    let mut context = context(&Options { offline, ..options.clone() })?;
    let catalog = base::listed_base(source, &context.cache, &context.lock)?;
    let mut request = options.other_base(source);
    // Looking into a file of the user needs no checksum: a build checks it.
    request.insecure_no_checksum |= !source.contains("://");
    // The lock isn't saved: this need not be the project's base.
    let prepared = match context.prepare(&request, progress) {
        Err(e) if !download && e.cause().is_some_and(HttpError::is_offline) => {
            return Ok(not_downloaded(source, catalog));
        }
        prepared => prepared?,
    };
    let image = Some(inspect::inspect(&prepared.raw_path, progress)?);
    let name = prepared.name;
    Ok(match base::survey(&prepared.raw_path, prepared.sample) {
        Ok(survey) => {
            ShownBase { name, catalog, facts: Some(survey.facts), problem: None, hint: None, image }
        }
        Err(e) => {
            ShownBase { name, catalog, facts: None, problem: Some(e.to_string()), hint: e.hint(), image }
        }
    })
}

fn not_downloaded(source: &str, catalog: Option<ListedBase>) -> ShownBase {
    let name = shown(source);
    let hint = format!("`magi-image base show --download {name}` downloads it and shows what is in it");
    ShownBase {
        name,
        catalog,
        facts: None,
        problem: Some("it isn't downloaded, so its content isn't known".into()),
        hint: Some(hint),
        image: None,
    }
}

/// With the lock beside the profile, if there is one: neither command needs a profile.
fn context(options: &Options) -> Result<FetchContext> {
    let profile = options.profile.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    FetchContext::open(options, profile.parent().unwrap_or(Path::new("")))
}

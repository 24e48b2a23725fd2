//! `base`

use super::options;
use crate::base::{ListedBase, Verification};
use crate::cli::args::{BaseCommand, SharedOptions};
use crate::cli::drawing;
use crate::cli::output::{json, print};
use crate::error::Result;
use crate::progress::Progress;
use crate::project::{self, ShownBase};

pub(super) fn run(shared: &SharedOptions, command: &BaseCommand, progress: &dyn Progress) -> Result<()> {
    match command {
        BaseCommand::List => {
            let bases = project::list_bases(&options(shared, None, None))?;
            if shared.json { json(&bases) } else { print(paragraphs(&bases)) }
        }
        BaseCommand::Show { base, download, trust } => {
            let shown = project::show_base(&options(shared, Some(trust), None), base, *download, progress)?;
            if shared.json { json(&shown) } else { print(text(&shown)) }
        }
    }
}

/// One paragraph for each base: a table would not fit a narrow terminal.
fn paragraphs(bases: &[ListedBase]) -> String {
    bases.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

fn paragraph(base: &ListedBase) -> String {
    let verified = match base.verified_by {
        Verification::BuiltIn => "part of this program",
        Verification::PinnedHash => "by the built-in SHA-256",
        Verification::Lock => "by the SHA-256 in magi.lock",
        Verification::ChecksumFile => "by the checksum file beside it",
    };
    let default = if base.default { " (default)" } else { "" };
    let cached = if base.cached { "yes" } else { "no" };
    let ListedBase { name, about, family, boards, .. } = base;
    format!(
        "{name}{default}\n  {about}\n  family    {family}\n  boards    {boards}\n  verified  {verified}\n  \
         cached    {cached}\n"
    )
}

fn text(shown: &ShownBase) -> String {
    let mut text = shown.catalog.as_ref().map_or_else(|| format!("{}\n", shown.name), paragraph);
    text.push('\n');
    if let Some(image) = &shown.image {
        text.push_str(&drawing::draw(image, drawing::columns()));
    }
    if let Some(facts) = &shown.facts {
        text.push_str(&format!("family    {}\nbuild     possible\n", facts.family));
    }
    if let Some(problem) = &shown.problem {
        let build = if shown.image.is_some() { "not possible" } else { "unknown" };
        text.push_str(&format!("build     {build}: {problem}\n"));
    }
    if let Some(hint) = &shown.hint {
        text.push_str(&format!("hint      {hint}\n"));
    }
    text
}

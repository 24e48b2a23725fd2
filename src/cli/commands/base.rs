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
            if shared.json { json(&bases) } else { print(table(&bases)) }
        }
        BaseCommand::Show { base, trust } => {
            let shown = project::show_base(&options(shared, Some(trust), None), base, progress)?;
            if shared.json { json(&shown) } else { print(text(&shown)) }
        }
    }
}

/// One paragraph for each base: a table would not fit a narrow terminal.
fn table(bases: &[ListedBase]) -> String {
    let paragraph = |base: &ListedBase| {
        let default = if base.default { " (default)" } else { "" };
        let verified = match base.verified_by {
            Verification::BuiltIn => "part of this program",
            Verification::PinnedHash => "built-in SHA-256",
            Verification::Lock => "SHA-256 in magi.lock",
            Verification::ChecksumFile => "checksum file beside it",
        };
        let cached = if base.cached { "cached" } else { "not cached" };
        format!(
            "{}{default}\n  {}\n  family   {}\n  boards   {}\n  verified {verified}; {cached}\n",
            base.name, base.about, base.family, base.boards
        )
    };
    bases.iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

fn text(shown: &ShownBase) -> String {
    let mut text = drawing::draw(&shown.image, drawing::columns());
    if let Some(facts) = &shown.facts {
        text.push_str(&format!("family    {}: builds can use it\n", facts.family));
    }
    if let Some(problem) = &shown.problem {
        text.push_str(&format!("no build  {problem}\n"));
    }
    if let Some(hint) = &shown.hint {
        text.push_str(&format!("hint      {hint}\n"));
    }
    text
}

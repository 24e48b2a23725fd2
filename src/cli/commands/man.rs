//! `man`

use clap::CommandFactory as _;

use crate::cli::args::Cli;
use crate::cli::output::{OutputError, print};
use crate::error::Result;

pub(super) fn run(command: Option<&str>) -> Result<()> {
    let mut tool = Cli::command();
    // Copies the shared options to all commands, and sets the names for cross-references.
    tool.build();
    let page = command.and_then(|name| tool.find_subcommand(name)).unwrap_or(&tool).clone();
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(OutputError)?;
    print(text)
}

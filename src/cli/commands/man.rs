//! `man`

use clap::CommandFactory as _;

use crate::cli::args::Cli;
use crate::cli::output::{OutputError, print};
use crate::error::Result;

/// Prints the page of one command, or that of the tool.
pub(super) fn run(command: Option<&str>) -> Result<()> {
    let mut tool = Cli::command();
    // Passes the shared options on to the commands, and names the pages that refer to each other.
    tool.build();
    let page = match command {
        Some(name) => tool.find_subcommand(name).cloned().unwrap_or_default(),
        None => tool,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(OutputError)?;
    print(text)
}

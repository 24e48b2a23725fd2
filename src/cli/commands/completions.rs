//! `completions`

use clap::CommandFactory as _;

use crate::cli::args::Cli;
use crate::cli::output::print;
use crate::error::Result;

pub(super) fn run(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "magi-image", &mut text);
    print(text)
}

//! The command line: parses, calls the library, reports. It decides nothing.

mod args;
mod commands;
mod inspect;
pub mod progress;
mod report;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

pub use args::{Cli, Command};

use crate::error::Exit;
use crate::interrupt;

/// Runs the tool on the process's arguments and gives its exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help to stdout with 0 and complaints to stderr with 2: both as the contract has it.
        Err(e) => e.exit(),
    };
    // A second signal ends at once; temporary files then stay until the next build cleans them.
    let handler = ctrlc::set_handler(|| {
        if interrupt::check().is_err() {
            std::process::exit(Exit::Interrupted as i32);
        }
        interrupt::raise();
    });
    if let Err(e) = handler {
        eprintln!("warning: signals won't be handled: {e}");
    }
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whatever broke off when a signal came, the signal is why.
        Err(_) if interrupt::check().is_err() => {
            eprintln!("error: {}", interrupt::Interrupted);
            ExitCode::from(Exit::Interrupted as u8)
        }
        Err(error) => {
            let styled = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            eprint!("{}", report::error(&error, styled));
            ExitCode::from(error.exit() as u8)
        }
    }
}

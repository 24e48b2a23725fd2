//! The command line: parses, calls the library, reports. It decides nothing.

mod args;
mod commands;
mod drawing;
mod output;
mod progress;
mod report;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;

use args::Cli;

use crate::error::{Error, Exit, Explain};
use crate::interrupt;

/// Runs the tool on the process's arguments and gives its exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e)
            if e.use_stderr()
                && let Some(empty) = EmptyVariable::find() =>
        {
            return told(&empty.into());
        }
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
        Err(error) => told(&error),
    }
}

fn told(error: &Error) -> ExitCode {
    let styled = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", report::error(error, styled));
    ExitCode::from(error.exit() as u8)
}

/// A variable that is set to nothing, as a workflow does with a secret that it doesn't have. clap would speak
/// of an option that nobody wrote.
#[derive(Debug, thiserror::Error)]
#[error("the variable `{0}` is set, but empty")]
struct EmptyVariable(&'static str);

impl EmptyVariable {
    fn find() -> Option<Self> {
        let names = ["MAGI_IMAGE_PROFILE", "MAGI_IMAGE_SECRETS", "MAGI_IMAGE_CACHE_DIR"];
        names.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| value.is_empty())).map(Self)
    }
}

impl Explain for EmptyVariable {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("give it a file or folder, or unset it".into())
    }
}

//! The command line: parses arguments, calls the library, prints results and errors.

mod args;
mod commands;
mod drawing;
mod output;
mod progress;
mod report;
mod table;

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
            return report(&empty.into());
        }
        // clap prints help to stdout with exit code 0, and usage errors to stderr with 2.
        Err(e) => e.exit(),
    };
    // A second signal exits at once; temporary files then stay until the next build removes them.
    let handler = ctrlc::set_handler(|| {
        if interrupt::check().is_err() {
            std::process::exit(Exit::Interrupted as i32);
        }
        interrupt::raise();
    });
    if let Err(e) = handler {
        eprintln!("warning: cannot install the signal handler: {e}");
    }
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // The only place that decides the exit code of an interruption: after a signal, any error is its consequence.
        Err(_) if interrupt::check().is_err() => {
            eprintln!("error: {}", interrupt::Interrupted);
            ExitCode::from(Exit::Interrupted as u8)
        }
        Err(error) => report(&error),
    }
}

fn report(error: &Error) -> ExitCode {
    let styled = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", report::error(error, styled));
    ExitCode::from(error.exit() as u8)
}

/// An empty variable, such as from a workflow's missing secret. clap's own message would name an option that
/// the user didn't type.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable `{0}` is empty")]
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
        Some("set it to a path, or unset it".into())
    }
}

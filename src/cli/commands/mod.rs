//! One file for each command: options in, one library call, data out.

mod base;
mod build;
mod completions;
mod fetch;
mod init;
mod inspect;
mod kubeconfig;
mod man;
mod plan;
mod verify;

use super::args::{Cli, Command, SharedOptions, SshArgs, TrustArgs};
use super::progress;
use crate::error::Result;
use crate::project::Options;

pub(super) fn run(cli: &Cli) -> Result<()> {
    let shared = &cli.shared;
    let progress = progress::on_stderr(shared.quiet);
    let progress = &*progress;
    match &cli.command {
        Command::Init { dir, force } => init::run(shared, dir, *force, progress),
        Command::Base { command } => base::run(shared, command, progress),
        Command::Build(args) => build::run(shared, args, progress),
        Command::Plan { nodes, trust, ssh } => plan::run(shared, nodes, trust, ssh, progress),
        Command::Fetch { trust, update } => fetch::run(shared, trust, *update, progress),
        Command::Inspect { image } => inspect::run(shared, image, progress),
        Command::Verify { image, manifest } => verify::run(shared, image, manifest.as_deref(), progress),
        Command::Kubeconfig { merge, force } => kubeconfig::run(shared, *merge, *force, progress),
        Command::Completions { shell } => completions::run(*shell),
        Command::Man { command } => man::run(command.as_deref()),
    }
}

fn options(shared: &SharedOptions, trust: Option<&TrustArgs>, ssh: Option<&SshArgs>) -> Options {
    Options {
        profile: shared.profile.clone(),
        base: shared.base.clone(),
        secrets: shared.secrets.clone(),
        cache_dir: shared.cache_dir.clone(),
        offline: shared.offline,
        insecure_no_checksum: trust.is_some_and(|t| t.insecure_no_checksum),
        ssh_key: ssh.and_then(|s| s.ssh_key.clone()),
    }
}

//! Commands and options. The doc comments of options and commands are their help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::compress::ImageFormat;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for another reason
  2    wrong usage, profile or overlay
  3    verification failed: a hash, a signature or the read-back differs
  4    network or cache failed
  130  interrupted";

/// Builds ready-to-flash Raspberry Pi images that become a k3s cluster by themselves.
#[derive(Debug, Parser)]
#[command(name = "magi-image", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) shared: SharedOptions,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Shared options")]
pub(super) struct SharedOptions {
    /// The profile [default: profiles/magi.toml if it exists, else the built-in profile]
    #[arg(long, short = 'p', global = true, value_name = "FILE", env = "MAGI_IMAGE_PROFILE")]
    pub(super) profile: Option<PathBuf>,
    /// A base image instead of the profile's: a built-in name such as `sample`, a URL or a file
    #[arg(long, short = 'b', global = true, value_name = "NAME|URL|FILE")]
    pub(super) base: Option<String>,
    /// The folder for images
    #[arg(long, short = 'o', global = true, value_name = "DIR", default_value = "out")]
    pub(super) out_dir: PathBuf,
    /// The folder for downloads and unpacked bases [default: magi-image in the user's cache folder]
    #[arg(long, global = true, value_name = "DIR", env = "MAGI_IMAGE_CACHE_DIR")]
    pub(super) cache_dir: Option<PathBuf>,
    /// The file with the cluster's secrets [default: NAME.secrets.toml beside the profile NAME.toml]
    #[arg(long, global = true, value_name = "FILE", env = "MAGI_IMAGE_SECRETS", hide_env_values = true)]
    pub(super) secrets: Option<PathBuf>,
    /// Use only files from the cache, no network
    #[arg(long, global = true)]
    pub(super) offline: bool,
    /// Print data and errors only, no progress and no notes
    #[arg(long, short = 'q', global = true)]
    pub(super) quiet: bool,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a profile, an overlays folder and a cluster's secrets to start from
    Init {
        /// The folder to write to
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Start a new cluster: an existing profile and its secrets are renamed to `….old` first
        #[arg(long)]
        force: bool,
    },
    /// Show which base images there are, and what is in one
    Base {
        #[command(subcommand)]
        command: BaseCommand,
    },
    /// Build one image for each node
    Build(BuildArgs),
    /// Show what `build` would write, with secrets masked
    Plan {
        #[command(flatten)]
        nodes: NodeArgs,
        #[command(flatten)]
        trust: TrustArgs,
        #[command(flatten)]
        ssh: SshArgs,
    },
    /// Download and verify everything that `build` needs
    Fetch {
        #[command(flatten)]
        trust: TrustArgs,
        /// Fetch what is published now and renew `magi.lock`
        #[arg(long)]
        update: bool,
    },
    /// Show what is in an image
    Inspect {
        /// The image, raw or compressed
        image: PathBuf,
    },
    /// Check that an image still holds what its manifest says
    Verify {
        /// The image, raw or compressed
        image: PathBuf,
        /// The manifest [default: the one beside the image]
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Print a kubeconfig for kubectl; it is valid before the first node boots
    Kubeconfig {
        /// Merge into the first file of `KUBECONFIG`, else into `~/.kube/config`, instead of printing
        #[arg(long)]
        merge: bool,
        /// Replace entries of the same name that belong to another cluster
        #[arg(long, requires = "merge")]
        force: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, of magi-image or of one command
    Man {
        /// The command [default: magi-image itself]
        #[arg(value_parser = commands())]
        command: Option<String>,
    },
}

/// The commands of `base`.
#[derive(Debug, Subcommand)]
pub(super) enum BaseCommand {
    /// List the built-in names: family, boards, verification, cached or not
    List,
    /// Show what is in a base, and whether it can be built on
    Show {
        /// A built-in name, a URL or a file
        #[arg(value_name = "NAME|URL|FILE")]
        base: String,
        /// Download the base if it isn't in the cache
        #[arg(long)]
        download: bool,
        #[command(flatten)]
        trust: TrustArgs,
    },
}

/// The names of all commands.
fn commands() -> clap::builder::PossibleValuesParser {
    ["init", "base", "build", "plan", "fetch", "inspect", "verify", "kubeconfig", "completions", "man"].into()
}

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    pub(super) nodes: NodeArgs,
    /// The file format of the images
    #[arg(long, value_enum, default_value_t = FormatArg::Raw)]
    pub(super) format: FormatArg,
    /// The number of threads [default: one for each processor]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) jobs: Option<u16>,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
    #[command(flatten)]
    pub(super) ssh: SshArgs,
}

/// Some nodes or all of them; there is no default.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct NodeArgs {
    /// A node of the profile; can be repeated
    #[arg(long = "node", short = 'n', value_name = "NAME", num_args = 1..)]
    pub(super) names: Vec<String>,
    /// Every node of the profile
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// Accept a base image without a known checksum
    #[arg(long)]
    pub(super) insecure_no_checksum: bool,
}

#[derive(Debug, Args)]
pub(super) struct SshArgs {
    /// A public key file for root's login, instead of the profile's keys
    #[arg(long, value_name = "FILE")]
    pub(super) ssh_key: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// .img
    Raw,
    /// .img.xz
    Xz,
    /// .img.zst
    Zst,
    /// .img.gz
    Gz,
}

impl From<FormatArg> for ImageFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Raw => Self::Raw,
            FormatArg::Xz => Self::Xz,
            FormatArg::Zst => Self::Zst,
            FormatArg::Gz => Self::Gz,
        }
    }
}

//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::output::compress::ImageFormat;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage, profile or overlay
  3    verification failed: a hash, a signature or the read-back differs
  4    network or cache
  130  interrupted";

/// Builds ready-to-flash Raspberry Pi images that become a k3s cluster by themselves.
#[derive(Debug, Parser)]
#[command(name = "magi-image", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) shared: Shared,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shared options")]
pub(crate) struct Shared {
    /// The profile [default: profiles/magi.toml, else the one built in]
    #[arg(long, short = 'p', global = true, value_name = "FILE", env = "MAGI_IMAGE_PROFILE")]
    pub(crate) profile: Option<PathBuf>,
    /// The base image instead of the profile's: a built-in name (`sample`), a URL or a file
    #[arg(long, short = 'b', global = true, value_name = "NAME|URL|FILE")]
    pub(crate) base: Option<String>,
    /// Where images go
    #[arg(long, short = 'o', global = true, value_name = "DIR", default_value = "out")]
    pub(crate) out_dir: PathBuf,
    /// Where downloads and unpacked bases are kept [default: the user's cache folder]
    #[arg(long, global = true, value_name = "DIR", env = "MAGI_IMAGE_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// The cluster's secrets [default: NAME.secrets.toml beside the profile]
    #[arg(long, global = true, value_name = "FILE", env = "MAGI_IMAGE_SECRETS", hide_env_values = true)]
    pub(crate) secrets: Option<PathBuf>,
    /// Use only what is in the cache
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// No progress and no notes, only data and errors
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,
    /// Data as JSON on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a profile, an overlays folder and a cluster's secrets to start from
    Init {
        /// Where
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Begin anew where a profile or secrets are; what was there is kept as `….old`
        #[arg(long)]
        force: bool,
    },
    /// Show which base images there are, and what is in one
    Base {
        #[command(subcommand)]
        command: BaseCommand,
    },
    /// Build one image for each node
    Build(Build),
    /// Show what build would write, secrets masked
    Plan {
        /// For which nodes.
        #[command(flatten)]
        nodes: Nodes,
        /// How the base is trusted.
        #[command(flatten)]
        trust: Trust,
        /// The ssh key instead of the profile's.
        #[command(flatten)]
        ssh: SshKey,
    },
    /// Download and verify everything that build needs
    Fetch {
        /// How the base is trusted.
        #[command(flatten)]
        trust: Trust,
        /// Forget what `magi.lock` says and take what is published now
        #[arg(long)]
        update: bool,
    },
    /// Show what is in an image
    Inspect {
        /// An image, raw or compressed
        image: PathBuf,
    },
    /// Check that an image still holds what its manifest says
    Verify {
        /// An image, raw or compressed
        image: PathBuf,
        /// The manifest [default: the one beside the image]
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
    /// Print what kubectl needs to reach the cluster, even before a node was switched on
    Kubeconfig {
        /// Put it into the first file of `KUBECONFIG`, or `~/.kube/config`, instead
        #[arg(long)]
        merge: bool,
        /// Replace entries of the same name that are for another server
        #[arg(long, requires = "merge")]
        force: bool,
    },
    /// Print completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Print a manual page: magi-image's, or that of one command
    Man {
        /// Which command's
        #[arg(value_parser = commands())]
        command: Option<String>,
    },
}

/// The commands of `base`.
#[derive(Debug, Subcommand)]
pub(crate) enum BaseCommand {
    /// List the built-in names: family, boards, verification, cached or not
    List,
    /// Show what is in a base, and whether it can be built on
    Show {
        /// A built-in name, a URL or a file
        #[arg(value_name = "NAME|URL|FILE")]
        base: String,
        #[command(flatten)]
        trust: Trust,
    },
}

/// The names of all commands.
fn commands() -> clap::builder::PossibleValuesParser {
    ["init", "base", "build", "plan", "fetch", "inspect", "verify", "kubeconfig", "completions", "man"].into()
}

/// `build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Which nodes.
    #[command(flatten)]
    pub(crate) nodes: Nodes,
    /// The form of the images
    #[arg(long, value_enum, default_value_t = FormatArg::Raw)]
    pub(crate) format: FormatArg,
    /// How many images or blocks are worked on at once [default: one for each processor]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: Option<u16>,
    /// How the base is trusted.
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// The ssh key instead of the profile's.
    #[command(flatten)]
    pub(crate) ssh: SshKey,
}

/// Which nodes: some or all, never by accident.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Nodes {
    /// A node of the profile; may be given several times
    #[arg(long = "node", short = 'n', value_name = "NAME", num_args = 1..)]
    pub(crate) names: Vec<String>,
    /// Every node of the profile
    #[arg(long)]
    pub(crate) all: bool,
}

/// How much the base is trusted.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// Take a base for which no checksum is known
    #[arg(long)]
    pub(crate) insecure_no_checksum: bool,
}

/// A key from the command line.
#[derive(Debug, Args)]
pub(crate) struct SshKey {
    /// A public key file to log in with, instead of the profile's
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
}

/// The forms of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
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

//! One function for each command: options in, library call, data to stdout.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use serde::Serialize;
use zeroize::Zeroizing;

use super::args::{Build, Cli, Command, Nodes, Shared, SshKey, Trust};
use super::inspect as drawing;
use crate::cli::progress;
use crate::error::{Exit, Explain, Result};
use crate::image::build::{self, Job};
use crate::init;
use crate::inspect;
use crate::kubeconfig::{self, Kubeconfig};
use crate::output::human;
use crate::plan::show;
use crate::profile::Node;
use crate::progress::Progress;
use crate::project::{Options, Project};
use crate::verify;

/// Writing to stdout failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
struct OutputError(#[source] std::io::Error);

impl Explain for OutputError {}

/// There is no folder for a cache.
#[derive(Debug, thiserror::Error)]
#[error("no cache folder: neither `XDG_CACHE_HOME` nor a home folder is known")]
struct NoCacheFolder;

impl Explain for NoCacheFolder {
    fn exit(&self) -> Exit {
        Exit::Network
    }
    fn hint(&self) -> Option<String> {
        Some("name one with `--cache-dir`".into())
    }
}

pub(super) fn run(cli: &Cli) -> Result<()> {
    let progress = progress::on_stderr(cli.shared.quiet);
    let run = Run { shared: &cli.shared, progress: &*progress };
    match &cli.command {
        Command::Init { dir, force } => run.init(dir, *force),
        Command::Build(build) => run.build(build),
        Command::Plan { nodes, trust, ssh } => run.plan(nodes, trust, ssh),
        Command::Fetch { trust, update } => run.fetch(trust, *update),
        Command::Inspect { image } => run.inspect(image),
        Command::Verify { image, manifest } => run.verify(image, manifest.as_deref()),
        Command::Kubeconfig { merge, force } => run.kubeconfig(*merge, *force),
        Command::Completions { shell } => completions(*shell),
        Command::Man { command } => man(command.as_deref()),
    }
}

struct Run<'a> {
    shared: &'a Shared,
    progress: &'a dyn Progress,
}

impl<'a> Run<'a> {
    fn project(&self, trust: &Trust, ssh: Option<&SshKey>, builds: bool) -> Result<Project<'a>> {
        let options = Options {
            cache_dir: self.cache_dir()?,
            offline: self.shared.offline,
            insecure_no_checksum: trust.insecure_no_checksum,
            ssh_key: ssh.and_then(|s| s.ssh_key.clone()),
            builds,
            ..self.options()
        };
        Project::open(options, self.progress)
    }

    fn options(&self) -> Options {
        Options {
            profile: self.shared.profile.clone(),
            base: self.shared.base.clone(),
            secrets: self.shared.secrets.clone(),
            ..Options::default()
        }
    }

    fn cache_dir(&self) -> Result<PathBuf> {
        Ok(self.shared.cache_dir.clone().or_else(users_cache).ok_or(NoCacheFolder)?)
    }

    fn init(&self, dir: &Path, force: bool) -> Result<()> {
        let written = init::init(dir, self.shared.secrets.as_deref(), force, self.progress)?;
        if self.shared.json {
            return json(&written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>());
        }
        let mut text = String::new();
        for path in &written {
            text.push_str(&format!("{}\n", path.display()));
        }
        print(&text)
    }

    fn kubeconfig(&self, merge: bool, force: bool) -> Result<()> {
        let project = Project::without_keys(self.options(), self.progress)?;
        let rendered = Zeroizing::new(project.client_file("kubeconfig")?.text);
        let config = Kubeconfig::parse("client/kubeconfig.j2", &rendered)?;
        if !merge {
            return if self.shared.json { json(config.json()) } else { print(&rendered) };
        }
        let path = kubeconfig::users_file()?;
        kubeconfig::merge_into(&path, &config, force)?;
        let context = config.context().unwrap_or_default();
        if self.shared.json {
            return json(&serde_json::json!({ "file": path.display().to_string(), "context": context }));
        }
        self.progress.note(&format!("the context is `{context}`: `kubectl --context {context} get nodes`"));
        print(&format!("{}\n", path.display()))
    }

    fn build(&self, build: &Build) -> Result<()> {
        let project = self.project(&build.trust, Some(&build.ssh), true)?;
        let nodes = selected(&project, &build.nodes)?;
        let mut source = project.source()?;
        let base = project.base(&mut source)?;
        let assets = project.assets(&base, &mut source, &nodes)?;
        let secrets = project.secrets(&nodes)?;
        let mut plans = Vec::new();
        for (node, secrets) in nodes.iter().zip(&secrets) {
            plans.push(project.plan(&base, node, secrets, &*assets)?);
        }
        let job = Job {
            base: &base,
            out_dir: &self.shared.out_dir,
            format: build.format.into(),
            jobs: build.jobs.map_or_else(processors, usize::from),
            block_cache: source.cache.dir().join("blocks"),
            cluster: &project.profile.cluster.name,
            overlays: project.overlay_names(),
            progress: self.progress,
        };
        let built = job.run(&plans)?;
        if self.shared.json {
            return json(&built);
        }
        if base.prepared.sample {
            self.progress.note("made on the built-in sample: for trying, not for flashing");
        }
        let mut text = String::new();
        for image in &built {
            text.push_str(&format!("{}  {}\n", image.image.display(), human::size(image.size)));
        }
        print(&text)
    }

    fn plan(&self, nodes: &Nodes, trust: &Trust, ssh: &SshKey) -> Result<()> {
        let project = self.project(trust, Some(ssh), false)?;
        let nodes = selected(&project, nodes)?;
        let mut source = project.source()?;
        let base = project.base(&mut source)?;
        let assets = project.assets(&base, &mut source, &nodes)?;
        let mut plans = Vec::new();
        let secrets = project.passing_secrets(&nodes)?;
        for (node, secrets) in nodes.iter().zip(&secrets) {
            let plan = project.plan(&base, node, secrets, &*assets)?;
            build::fits(&base, &plan)?;
            plans.push(plan);
        }
        if self.shared.json {
            return json(&plans.iter().map(show::json).collect::<Vec<_>>());
        }
        print(&plans.iter().map(show::tree).collect::<Vec<_>>().join("\n"))
    }

    fn fetch(&self, trust: &Trust, update: bool) -> Result<()> {
        let project = self.project(trust, None, false)?;
        let mut source = project.source()?;
        if update {
            source.lock = source.lock.for_update();
        }
        let base = project.base(&mut source)?;
        let nodes: Vec<&Node> = project.profile.nodes.iter().collect();
        project.assets(&base, &mut source, &nodes)?;
        self.progress.note("everything that `build --all` needs is here; it works with `--offline` now");
        if self.shared.json {
            let (base, lock) = (base.prepared, project.lock_path().display().to_string());
            let sha256 = base.source_sha256.to_string();
            return json(&serde_json::json!({ "base": base.name, "sha256": sha256, "lock": lock }));
        }
        Ok(())
    }

    fn inspect(&self, image: &Path) -> Result<()> {
        let inspection = inspect::inspect(image, self.progress)?;
        if self.shared.json {
            return json(&inspection);
        }
        print(&drawing::draw(&inspection, width()))
    }

    fn verify(&self, image: &Path, manifest: Option<&Path>) -> Result<()> {
        let verified = verify::verify(image, manifest, self.progress)?;
        if self.shared.json {
            json(&verified)?;
        } else {
            print(&format!("{verified}\n"))?;
        }
        Ok(verified.require()?)
    }
}

fn selected<'p>(project: &'p Project<'_>, nodes: &Nodes) -> Result<Vec<&'p Node>> {
    Ok(project.profile.select(&nodes.names)?)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The columns of the terminal; 80 where there is none.
fn width() -> usize {
    let columns = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    columns.unwrap_or(80).clamp(40, 160)
}

/// Where programs keep what they can make again, by each system's custom.
fn users_cache() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::home_dir().filter(|h| h.is_absolute());
    let folder = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|h| h.join("Library/Caches"))
    } else {
        from("XDG_CACHE_HOME").or_else(|| home().map(|h| h.join(".cache")))
    };
    folder.map(|f| f.join("magi-image"))
}

fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "magi-image", &mut text);
    print_bytes(&text)
}

/// The page of one command, or of all.
fn man(command: Option<&str>) -> Result<()> {
    let mut all = Cli::command();
    // Gives the commands the options of all, and the names that the pages refer to.
    all.build();
    let page = match command {
        Some(name) => all.find_subcommand(name).cloned().unwrap_or_default(),
        None => all,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(OutputError)?;
    print_bytes(&text)
}

fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| OutputError(e.into()))?;
    print(&format!("{text}\n"))
}

fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// A reader that went away (`| head`) has what it wanted.
fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.map_err(OutputError)?),
    }
}

//! A temporary folder with a home directory and a clean environment, in which the binary runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use assert_cmd::Command;

/// The public key in `~/.ssh` of every sandbox; its comment has a `#`, which `sysconf.txt` cannot hold.
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me@home # laptop";

/// Fixed secrets, so that two builds can be compared.
pub const SECRETS: &str = include_str!("cluster.toml");

/// The temporary folder of a test.
pub struct Sandbox {
    dir: PathBuf,
    cache: PathBuf,
    _removed_at_the_end: Option<tempfile::TempDir>,
}

/// Exit code and output of the binary.
#[derive(Debug)]
pub struct Ran {
    /// `None` if a signal killed the process.
    pub code: Option<i32>,
    /// stdout as text.
    pub stdout: String,
    /// stderr as text, normalised.
    pub stderr: String,
}

impl Sandbox {
    /// A sandbox that shares its cache with the other tests of this test program.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("magi-test-").tempdir().expect("create a temporary folder");
        Self::at(dir.path().to_owned(), shared_cache(), Some(dir))
    }

    /// A sandbox with its own empty cache.
    pub fn alone() -> Self {
        let mut sandbox = Self::new();
        sandbox.cache = sandbox.path("cache/magi-image");
        sandbox
    }

    /// A sandbox for a `static` that several tests read. Emptied by the next run: statics aren't dropped.
    pub fn shared(name: &str) -> Self {
        Self::at(emptied(name), shared_cache(), None)
    }

    fn at(dir: PathBuf, cache: PathBuf, guard: Option<tempfile::TempDir>) -> Self {
        let sandbox = Self { dir, cache, _removed_at_the_end: guard };
        sandbox.write("home/.ssh/id_ed25519.pub", format!("{KEY}\n"));
        fs::create_dir(sandbox.path("work")).expect("create the folder");
        sandbox
    }

    /// A path inside the sandbox.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.dir.join(inside)
    }

    /// The cache folder of the binary.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// A path inside the working directory of the binary.
    pub fn work(&self, inside: &str) -> PathBuf {
        self.path("work").join(inside)
    }

    /// Writes a file and creates its parent folders.
    pub fn write(&self, inside: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("path has a parent folder")).expect("create the folder");
        fs::write(&path, content).expect("write the file");
        path
    }

    /// Writes [`SECRETS`] to the path `inside` the sandbox, with mode 0600.
    pub fn write_secrets(&self, inside: &str) {
        let path = self.write(inside, SECRETS);
        set_mode(&path, 0o600);
    }

    /// The binary in `work/`, without environment variables of the caller that change its behaviour.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_magi-image"));
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            if upper.starts_with("MAGI_IMAGE_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.path("work"))
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.cache.parent().expect("the cache has a parent folder"))
            .env("LC_ALL", "C")
            .timeout(std::time::Duration::from_secs(120));
        command
    }

    /// As [`Self::command`], but can be spawned.
    pub fn spawnable(&self, args: &[&str]) -> std::process::Command {
        let made = self.command(args);
        let mut command = std::process::Command::new(made.get_program());
        command.args(made.get_args()).current_dir(self.path("work"));
        for (name, value) in made.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary and waits for its exit.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.ran(&self.command(args).output().expect("run the binary"))
    }

    /// Converts the output of a finished process.
    pub fn ran(&self, output: &std::process::Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: self.normalised(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Replaces paths, ports and hashes, which differ between runs.
    pub fn normalised(&self, text: &str) -> String {
        let text = text.replace(&self.cache.display().to_string(), "[cache]");
        let text = text.replace(&self.dir.display().to_string(), "[sandbox]");
        let text = text.replace(&"0".repeat(64), "[zeros]");
        let replaced = |text: &str, pattern: &str, by: &str| {
            regex::Regex::new(pattern).expect("compile the pattern").replace_all(text, by).into_owned()
        };
        let text = replaced(&text, r"127\.0\.0\.1:\d+", "[server]");
        replaced(&text, "[0-9a-f]{64}", "[hash]")
    }

    /// The file names in `out/`, sorted, including partial files.
    pub fn out(&self) -> Vec<String> {
        names(&self.work("out"))
    }
}

impl Ran {
    /// Asserts exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts exit code `code` and an empty stdout; stderr from `error:` on.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        assert_eq!(self.stdout, "", "an error leaves stdout empty; stderr:\n{}", self.stderr);
        let start = self.stderr.find("error:").unwrap_or_else(|| panic!("no error in:\n{}", self.stderr));
        self.stderr[start..].to_owned()
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in:\n{}", self.stdout))
    }
}

/// The values of a secrets file that must not be printed, by dotted key; for PEM also each line that is long
/// enough to be unique.
pub fn untold(secrets: &str) -> Vec<(String, String)> {
    fn gather(prefix: &str, table: &toml::Table, found: &mut Vec<(String, String)>) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match value {
                toml::Value::Table(inner) => gather(&key, inner, found),
                value => {
                    let text = value.as_str().expect("value is a string").trim();
                    found.push((key.clone(), text.to_owned()));
                    let pem = text.starts_with("-----");
                    let lines = text.lines().filter(|line| pem && line.len() > 40);
                    found.extend(lines.map(|line| (key.clone(), line.to_owned())));
                }
            }
        }
    }
    let mut found = Vec::new();
    gather("", &secrets.parse().expect("parse the TOML"), &mut found);
    // Lines that several certificates share, such as names and dates, aren't secret.
    let all = found.clone();
    found.retain(|(_, text)| all.iter().filter(|(_, other)| other == text).count() == 1);
    found
}

/// Writes every key and certificate of `secrets` as `NAME.key` and `NAME.crt` to `pki/` of `sandbox`.
pub fn pki(sandbox: &Sandbox, secrets: &str) -> PathBuf {
    let table: toml::Table = secrets.parse().expect("parse the TOML");
    for (name, value) in table["k3s"].as_table().expect("value is a table") {
        for part in ["crt", "key"] {
            if let Some(pem) = value.get(part) {
                let pem = pem.as_str().expect("value is a string").trim();
                sandbox.write(&format!("pki/{name}.{part}"), format!("{pem}\n"));
            }
        }
    }
    sandbox.path("pki")
}

/// The file names in a folder, sorted; empty if the folder doesn't exist.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Sets a file's mode.
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode");
}

/// A file's mode.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode() & 0o7777
}

/// Copies a folder recursively.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create the folder");
    for entry in fs::read_dir(from).expect("read the folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copy the file");
        }
    }
}

/// The cache that the tests of this program share; emptied at the start of the program.
fn shared_cache() -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| emptied("cache").join("magi-image")).clone()
}

/// An empty folder in the target directory, used only by this test program.
fn emptied(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("create the folder");
    folder
}

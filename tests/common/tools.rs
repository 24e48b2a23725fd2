//! External programs, which make the inputs and check the outputs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether all of `names` are installed. If not, reports the test as skipped; see [`skipped`].
pub fn have(names: &[&str]) -> bool {
    let missing: Vec<&str> = names.iter().copied().filter(|name| find(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skipped(&format!("{} not installed", missing.join(", ")));
    false
}

/// Prints that the test is skipped and why; panics if `CI` is set.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none(), "{test} would be skipped: {why}");
    eprintln!("SKIPPED {test}: {why}");
}

/// The path of a program. Also searches `sbin`, which Debian doesn't put into the `PATH` of users.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A command for `name` with English messages and UTC times.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
    command.env("LC_ALL", "C").env("TZ", "UTC").env("MTOOLS_SKIP_CHECK", "1");
    command
}

/// Runs a program, asserts success and returns its stdout.
pub fn run(name: &str, args: &[&str]) -> String {
    let output = output(name, args);
    assert!(output.status.success(), "{name} {args:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program; any exit status is accepted.
pub fn output(name: &str, args: &[&str]) -> Output {
    command(name).args(args).output().unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Exit status, stdout and stderr as text.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A path as a string argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("path is UTF-8")
}

/// Whether the tests run as root, as in containers.
pub fn is_root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

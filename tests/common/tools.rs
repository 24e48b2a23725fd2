//! Other people's programs, which make the inputs and judge the outputs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether all of `names` are installed. If not, says so, and fails where tests mustn't be skipped.
pub fn have(names: &[&str]) -> bool {
    let missing: Vec<&str> = names.iter().copied().filter(|name| find(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skipped(&format!("{} not installed", missing.join(", ")));
    false
}

/// Says that a test is skipped and why; with `CI` set that is a failure.
pub fn skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI").is_none(), "{test} would be skipped: {why}");
    eprintln!("SKIPPED {test}: {why}");
}

/// Where a program is. Debian keeps some where only root looks.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// A command for `name`, its words in English and its clock in UTC.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| name.into()));
    command.env("LC_ALL", "C").env("TZ", "UTC").env("MTOOLS_SKIP_CHECK", "1");
    command
}

/// Runs a program that must end well; its stdout.
pub fn run(name: &str, args: &[&str]) -> String {
    let output = output(name, args);
    assert!(output.status.success(), "{name} {args:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program however it ends.
pub fn output(name: &str, args: &[&str]) -> Output {
    command(name).args(args).output().unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("a path that is UTF-8")
}

/// Whether this runs as root, as in containers.
pub fn is_root() -> bool {
    run("id", &["-u"]).trim() == "0"
}

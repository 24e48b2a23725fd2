//! Failures of the machine: full disks, missing permissions, concurrent builds, signals.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use common::bases::{Base, MAKERS, pack, sha256};
use common::sandbox::{names, set_mode};
use common::server::{Reply, Server};
use common::tools::{arg, command, have, is_root, run, said};
use common::{Profile, Sandbox};

/// A tmpfs, unmounted on drop.
struct Mount(PathBuf);

impl Mount {
    /// `None`, with a note, where mounting isn't allowed.
    fn new(point: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&point).expect("create the mount point");
        let output = command("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", arg(&point)]).output();
        match output {
            Ok(output) if output.status.success() => Some(Self(point)),
            Ok(output) => {
                eprintln!("not tested: this user can't mount: {}", said(&output));
                None
            }
            Err(e) => {
                eprintln!("not tested: {e}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = command("umount").arg(&self.0).status();
    }
}

const BUILD: [&str; 5] = ["build", "--node", "caspar", "--base", "sample"];

#[test]
fn output_folder_that_is_a_file_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("work/out", "mine\n");
    insta::assert_snapshot!(sandbox.run(&BUILD).failed(1), @"
    error: cannot create `out`
      caused by: File exists (os error 17)
    hint: a file is in the way; choose another folder
    ");
    assert_eq!(fs::read_to_string(sandbox.work("out")).expect("read the file"), "mine\n");
}

#[test]
fn read_only_output_folder_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    let out = sandbox.work("out");
    if is_root() {
        let Some(_mount) = Mount::new(out.clone(), "ro") else { return };
        insta::assert_snapshot!(sandbox.run(&BUILD).failed(1), @"
        error: building the image of `caspar`
          caused by: cannot create `out/magi-caspar.img`
          caused by: read-only filesystem or storage medium
        hint: the file system is read-only; choose another folder
        ");
    } else {
        fs::create_dir(&out).expect("create the folder");
        set_mode(&out, 0o555);
        let message = sandbox.run(&BUILD).failed(1);
        assert!(
            message.contains("Permission denied") && message.contains("choose another folder"),
            "{message}"
        );
    }
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn full_output_folder_leaves_no_partial_image() {
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    let Some(_mount) = Mount::new(sandbox.work("out"), "size=2m") else { return };
    insta::assert_snapshot!(sandbox.run(&BUILD).failed(1), @"
    error: building the image of `caspar`
      caused by: no space left for the image: it needs 3.1 MiB, and 1.7 MiB could be written
    hint: free some space, or choose another folder with `--out-dir`
    ");
    assert_eq!(sandbox.out(), [] as [&str; 0]);
    // The raw image fits; the compressed image does not.
    let Some(_mount) = Mount::new(sandbox.work("out2"), "size=3100k") else { return };
    let message = sandbox.run(&[&BUILD[..], &["-o", "out2", "--format", "gz"]].concat()).failed(1);
    assert!(message.contains("No space left") || message.contains("no space left"), "{message}");
    assert_eq!(names(&sandbox.work("out2")), [] as [&str; 0]);
}

#[test]
fn failed_build_keeps_earlier_images() {
    let sandbox = Sandbox::new();
    Profile::small(&["common"]).write(&sandbox);
    let build = ["build", "--all", "-p", "magi.toml"];
    sandbox.run(&build).ok();
    let before: Vec<_> = sandbox.out().iter().map(|name| sha256(&sandbox.work("out").join(name))).collect();
    sandbox.write("work/overlays/mine/overlay.toml", "summary = \"a test\"\n");
    sandbox.write("work/overlays/mine/files/bin/tool", "#!/bin/sh\n");
    Profile::small(&["common", "mine"]).write(&sandbox);
    sandbox.run(&build).failed(2);
    let after: Vec<_> = sandbox.out().iter().map(|name| sha256(&sandbox.work("out").join(name))).collect();
    assert_eq!(before, after);
}

#[test]
fn failed_node_leaves_other_images_complete_or_absent() {
    let sandbox = Sandbox::new();
    let patch = "[[patch]]\npath = \"/etc/hosts\"\nmatch = \"^nothing$\"\nreplace = \"\"\nwhen = \"node.name == 'balthazar'\"\n";
    sandbox.write("work/overlays/mine/overlay.toml", format!("summary = \"a test\"\n{patch}"));
    Profile::default().uses(&["mine"]).write(&sandbox);
    let message = sandbox.run(&["build", "--all", "-p", "magi.toml"]).failed(2);
    assert!(message.starts_with("error: building the image of `balthazar`"), "{message}");
    for node in ["melchior", "caspar"] {
        let files = sandbox.out().iter().filter(|name| name.contains(node)).count();
        assert!(files == 0 || files == 3, "{:?}", sandbox.out());
    }
    assert!(sandbox.out().iter().all(|name| name.starts_with("magi-") && !name.contains("balthazar")));
}

#[test]
fn unusable_cache_is_refused() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file", "");
    let with_cache =
        |cache: &Path| sandbox.run(&[&BUILD[..], &["--cache-dir", arg(cache)]].concat()).failed(4);
    insta::assert_snapshot!(with_cache(&file), @"
    error: the cache cannot be used
      caused by: cannot create `[sandbox]/file/sha256`
      caused by: Not a directory (os error 20)
    hint: a file is in the way; choose another folder, or choose another cache with `--cache-dir`
    ");
    let Some(_read_only) = Mount::new(sandbox.path("ro"), "ro") else { return };
    insta::assert_snapshot!(with_cache(&sandbox.path("ro")), @"
    error: the cache cannot be used
      caused by: cannot create `[sandbox]/ro/sha256`
      caused by: Read-only file system (os error 30)
    hint: the file system is read-only; choose another folder, or choose another cache with `--cache-dir`
    ");
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn full_cache_leaves_no_partial_file() {
    let sandbox = Sandbox::new();
    let Some(full) = Mount::new(sandbox.path("full"), "size=1m") else { return };
    let message = sandbox.run(&[&BUILD[..], &["--cache-dir", arg(&full.0)]].concat()).failed(4);
    insta::assert_snapshot!(message, @"
    error: preparing the base `sample`
      caused by: cannot write `[sandbox]/full/raw/raw-[hash].partial`
      caused by: No space left on device (os error 28)
    hint: make room there, or choose another cache with `--cache-dir`
    ");
    assert_eq!((sandbox.out().len(), names(&full.0.join("raw")).len()), (0, 0));
}

#[test]
fn altered_cache_entries_are_replaced() {
    let sandbox = Sandbox::alone();
    sandbox.write_secrets("work/magi.secrets.toml");
    sandbox.run(&BUILD).ok();
    let expected = sha256(&sandbox.work("out/magi-caspar.img"));
    let raw = sandbox.cache().join("raw");
    let entry = |ending: &str| {
        let name = names(&raw).into_iter().find(|name| name.ends_with(ending)).expect("find the cache entry");
        raw.join(name)
    };
    let assert_same_image = || {
        sandbox.run(&BUILD).ok();
        assert_eq!(sha256(&sandbox.work("out/magi-caspar.img")), expected);
    };
    // Same length, other content.
    let image = entry(".img");
    let file = fs::File::options().write(true).open(&image).expect("open the raw image");
    std::os::unix::fs::FileExt::write_all_at(&file, b"something else", 150 << 20)
        .expect("change the raw image");
    assert_same_image();
    fs::File::options()
        .write(true)
        .open(entry(".img"))
        .expect("open the raw image")
        .set_len(1 << 20)
        .expect("truncate the raw image");
    assert_same_image();
    fs::write(entry(".json"), "{").expect("write invalid JSON");
    assert_same_image();
    fs::remove_file(entry(".json")).expect("remove the entry");
    assert_same_image();
}

#[test]
fn concurrent_builds_share_one_cache() {
    if !(have(&MAKERS) && have(&["xz"])) {
        return;
    }
    let sandbox = Sandbox::alone();
    let packed = pack(&Base::default().make(&sandbox.path("work"), "base.img"), "xz");
    let server = Server::start();
    server.on("/base.img.xz", Reply::Content(fs::read(&packed).expect("read the base")));
    Profile::small(&["common"]).base(&server.url("/base.img.xz")).pin(&sha256(&packed)).write(&sandbox);
    let start = |out: &str| {
        sandbox
            .spawnable(&["build", "--all", "-p", "magi.toml", "-o", out])
            .spawn()
            .expect("start the binary")
    };
    let children: Vec<Child> = ["one", "two", "three", "three"].iter().map(|out| start(out)).collect();
    for child in children {
        let output = child.wait_with_output().expect("wait for the build");
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(server.asked(), ["/base.img.xz"], "only the first build downloads the base");
    let images: Vec<_> = ["one", "two", "three"]
        .iter()
        .map(|out| sha256(&sandbox.work(out).join("magi-caspar.img")))
        .collect();
    assert_eq!((&images[0], &images[0]), (&images[1], &images[2]));
    sandbox.run(&["verify", "three/magi-caspar.img"]).ok();
    assert_eq!(names(&sandbox.work("three")).len(), names(&sandbox.work("one")).len());
}

/// Reads stderr of the child until a line contains `word`.
fn wait_for(child: &mut Child, word: &str) -> BufReader<std::process::ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut line = String::new();
    while stderr.read_line(&mut line).expect("read stderr") > 0 {
        if line.contains(word) {
            return stderr;
        }
        line.clear();
    }
    panic!("stderr ended without `{word}`");
}

fn send_signal(child: &Child, name: &str) {
    run("kill", &[&format!("-{name}"), &child.id().to_string()]);
}

/// Asserts that the child exits within ten seconds, with code 130 and a message.
fn assert_interrupted(mut child: Child, mut stderr: impl std::io::Read) {
    let start = Instant::now();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("read stderr");
    let status = child.wait().expect("wait for the build");
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(start.elapsed() < Duration::from_secs(10), "the exit took {:?}", start.elapsed());
    assert!(rest.contains("interrupted") && !rest.contains("panicked"), "{rest}");
}

/// A sandbox with a 60 MB file, so that a signal arrives during the write.
fn sandbox_with_large_file() -> Sandbox {
    let sandbox = Sandbox::new();
    let bytes: Vec<u8> = (0..60_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
    sandbox.write("work/k3s", bytes);
    Profile::small(&["k3s"]).settings("k3s", "binary = \"k3s\"").write(&sandbox);
    sandbox
}

#[test]
fn signal_during_a_write_leaves_no_partial_image() {
    let sandbox = sandbox_with_large_file();
    for name in ["INT", "TERM"] {
        let mut child =
            sandbox.spawnable(&["build", "--all", "-p", "magi.toml"]).spawn().expect("start the binary");
        let stderr = wait_for(&mut child, "copying");
        send_signal(&child, name);
        assert_interrupted(child, stderr);
        assert_eq!(sandbox.out(), [] as [&str; 0]);
    }
    let mut child = sandbox
        .spawnable(&["build", "--all", "-p", "magi.toml", "--format", "xz"])
        .spawn()
        .expect("start the binary");
    let stderr = wait_for(&mut child, "hashing");
    send_signal(&child, "INT");
    assert_interrupted(child, stderr);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn next_build_removes_partial_files_of_a_killed_build() {
    let sandbox = sandbox_with_large_file();
    let mut child =
        sandbox.spawnable(&["build", "--all", "-p", "magi.toml"]).spawn().expect("start the binary");
    let stderr = wait_for(&mut child, "copying");
    send_signal(&child, "KILL");
    drop(stderr);
    child.wait().expect("wait for the build");
    assert!(sandbox.out().iter().all(|name| name != "magi-caspar.img"), "{:?}", sandbox.out());
    sandbox.run(&["build", "--all", "-p", "magi.toml"]).ok();
    assert!(sandbox.out().iter().all(|name| name.starts_with("magi-caspar.")), "{:?}", sandbox.out());
}

#[test]
fn signal_interrupts_a_stalled_download() {
    let sandbox = Sandbox::alone();
    let server = Server::start();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
    let pin = sha256(&sandbox.write("served", &bytes));
    server.on("/base.img.xz", Reply::Stall(bytes, 2_000_000));
    Profile::small(&["common"]).base(&server.url("/base.img.xz")).pin(&pin).write(&sandbox);
    let mut child =
        sandbox.spawnable(&["build", "--all", "-p", "magi.toml"]).spawn().expect("start the binary");
    let start = Instant::now();
    while server.asked().is_empty() && start.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    send_signal(&child, "INT");
    let stderr = child.stderr.take().expect("stderr is piped");
    assert_interrupted(child, stderr);
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn write_error_on_stdout_is_reported() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let sandbox = Sandbox::new();
    let full = fs::File::options().write(true).open("/dev/full").expect("open /dev/full");
    let mut command = sandbox.spawnable(&["plan", "--all", "--base", "sample"]);
    let output = command.stdout(full).output().expect("start the binary");
    insta::assert_snapshot!(sandbox.ran(&output).failed(1), @"
    error: cannot write to stdout
      caused by: No space left on device (os error 28)
    ");
}

#[test]
fn closed_stdin_and_paths_with_spaces_work() {
    let sandbox = Sandbox::new();
    let out = "out put/with – dash";
    sandbox.run(&[&BUILD[..], &["-q", "-o", out]].concat()).ok();
    assert!(sandbox.work(out).join("magi-caspar.img").exists());
    let mut file =
        fs::File::open(sandbox.work(out).join("magi-caspar.img.sha256")).expect("open the checksum file");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("read the checksum file");
    assert!(text.ends_with("  magi-caspar.img\n"), "{text}");
}

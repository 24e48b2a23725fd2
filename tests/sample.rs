//! Every command on the built-in sample; other programs check the results.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use common::image::{Image, JUDGES, copy, occurrences};
use common::sandbox::{KEY, mode, names};
use common::tools::{arg, command, have, output, run, said};
use common::{Profile, Ran, Sandbox, bases};

const NODES: [&str; 3] = ["melchior", "balthazar", "caspar"];
/// Last write time of the sample, used as the mtime of every file the build writes.
const STAMP: i64 = 1_699_488_000;
const TOKEN: &str = "7be1a44ac0ffee0123456789abcdef0123456789abcdef0123456789abcdef01";

/// `build --all` in an empty folder: only the embedded profile and overlays are available.
struct Built {
    sandbox: Sandbox,
    ran: Ran,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sandbox = Sandbox::shared("all");
        sandbox.write_secrets("work/magi.secrets.toml");
        let ran = sandbox.run(&["build", "--all", "--base", "sample", "--jobs", "2"]).ok();
        Built { sandbox, ran }
    })
}

impl Built {
    fn path(&self, node: &str) -> PathBuf {
        self.sandbox.work(&format!("out/magi-{node}.img"))
    }

    fn image(&self, node: &str) -> Image {
        Image::open(&self.path(node))
    }

    fn manifest(&self, node: &str) -> serde_json::Value {
        let path = self.sandbox.work(&format!("out/magi-{node}.manifest.json"));
        serde_json::from_slice(&fs::read(path).expect("read the manifest")).expect("parse the JSON")
    }

    /// The unpacked sample in the cache.
    fn base(&self) -> PathBuf {
        let raw = self.sandbox.cache().join("raw");
        let image =
            names(&raw).into_iter().find(|name| name.ends_with(".img")).expect("find the unpacked base");
        raw.join(image)
    }
}

#[test]
fn fsck_finds_no_errors_in_images() {
    let built = built();
    if have(&JUDGES) {
        NODES.iter().for_each(|node| built.image(node).judge());
    }
}

#[test]
fn output_folder_has_only_the_files_of_each_node() {
    insta::assert_snapshot!(built().sandbox.out().join("\n"), @"
    magi-balthazar.img
    magi-balthazar.img.sha256
    magi-balthazar.manifest.json
    magi-caspar.img
    magi-caspar.img.sha256
    magi-caspar.manifest.json
    magi-melchior.img
    magi-melchior.img.sha256
    magi-melchior.manifest.json
    ");
    insta::assert_snapshot!(built().ran.stdout, @"
    out/magi-melchior.img  224.0 MiB
    out/magi-balthazar.img  224.0 MiB
    out/magi-caspar.img  224.0 MiB
    ");
    for name in built().sandbox.out() {
        assert_eq!(mode(&built().sandbox.work("out").join(&name)), 0o600, "{name}");
    }
}

#[test]
fn sysconf_is_edited_in_place() {
    let built = built();
    if have(&JUDGES) {
        insta::assert_snapshot!(built.image("caspar").on_fat("sysconf.txt"), @"
        # Settings for the first start of this system. Every line here is a comment:
        # take the '#' away in front of a setting to use it. The file is read at every
        # boot and then put back into this form, so no secret stays on the card.
        #
        # root_pw - The password of root. Without it, root has no password on the
        # console, and logs in over the network with a key only.

        #root_pw=

        # root_authorized_key - The public ssh key with which root may log in over the
        # network. One key, on one line.

        #root_authorized_key=
        root_authorized_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me@home

        # hostname - The name of this machine.

        #hostname=rpi
        hostname=caspar
        ");
    }
}

#[test]
fn modes_owners_and_times_match_the_plan() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    let image = built.image("caspar");
    let expected = [
        ("/etc/hostname", "regular", "0644", "0:0"),
        ("/etc/shadow", "regular", "0640", "0:42"),
        ("/usr/local/bin/k3s", "regular", "0755", "0:0"),
        ("/usr/local/bin/kubectl", "symlink", "0777", "0:0"),
        ("/etc/rancher/k3s/token", "regular", "0600", "0:0"),
        ("/etc/rancher/node/password", "regular", "0600", "0:0"),
        ("/etc/keepalived/keepalived.conf", "regular", "0600", "0:0"),
        ("/var/lib/rancher/k3s/server", "directory", "0700", "0:0"),
        ("/var/lib/rancher", "directory", "0755", "0:0"),
        ("/usr/local/lib/magi/firstboot", "regular", "0755", "0:0"),
        ("/usr/local/lib/magi/firstboot.d/30-packages", "regular", "0755", "0:0"),
    ];
    for (path, kind, mode, owner) in expected {
        let stat = image.stat(path);
        let found = (path, stat.kind.as_str(), stat.mode.as_str(), stat.owner.as_str(), stat.mtime);
        assert_eq!(found, (path, kind, mode, owner, STAMP));
    }
    assert_eq!(image.link("/usr/local/bin/kubectl"), "k3s");
    assert_eq!(
        image.link("/etc/systemd/system/multi-user.target.wants/magi-firstboot.service"),
        "/etc/systemd/system/magi-firstboot.service"
    );
}

#[test]
fn node_has_hostname_ssh_keys_and_locked_root_password() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    for node in NODES {
        let image = built.image(node);
        assert_eq!(image.cat("/etc/hostname"), format!("{node}\n"));
        assert!(
            image.cat("/etc/hosts").contains(&format!("127.0.1.1 {node}\n")),
            "{}",
            image.cat("/etc/hosts")
        );
        // The full key line, including the comment that `sysconf.txt` cannot hold.
        assert!(image.cat("/etc/ssh/authorized_keys.d/root").contains(KEY));
        assert!(image.cat("/etc/shadow").starts_with("root:*:19670:0:99999:7:::\ndaemon:*:"));
        let placeholder = image.cat("/usr/local/bin/k3s");
        assert!(placeholder.contains("placeholder of magi-image's sample"), "{placeholder}");
    }
}

#[test]
fn manifest_edits_match_debugfs() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    let image = built.image("melchior");
    let manifest = built.manifest("melchior");
    let edits = manifest["edits"].as_array().expect("edits are a list");
    assert!(edits.len() > 30, "{}", edits.len());
    for edit in edits.iter().filter(|edit| edit["area"] == "root") {
        let path = edit["path"].as_str().expect("value is a string");
        let stat = image.stat(path);
        let kind = if stat.kind == "regular" { "file" } else { &stat.kind };
        assert_eq!(edit["type"], kind, "{path}");
        if let Some(target) = edit["target"].as_str() {
            assert_eq!(image.link(path), target, "{path}");
            continue;
        }
        let mode = edit["mode"].as_u64().map(|mode| format!("{mode:04o}"));
        let mode = mode.or_else(|| edit["mode"].as_str().map(str::to_owned)).expect("edit has a mode");
        assert_eq!(stat.mode, mode, "{path}");
        assert_eq!(stat.owner, format!("{}:{}", edit["uid"], edit["gid"]), "{path}");
        if let Some(size) = edit["size"].as_u64() {
            let content = image.bytes(path);
            assert_eq!(content.len() as u64, size, "{path}");
            if let Some(sha256) = edit["sha256"].as_str() {
                let file = tempfile::NamedTempFile::new().expect("create a temporary file");
                fs::write(file.path(), content).expect("write the file");
                assert_eq!(bases::sha256(file.path()), sha256, "{path}");
            }
        }
    }
}

#[test]
fn unplanned_files_equal_the_base() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    let (before, after) = (built.sandbox.path("before"), built.sandbox.path("after"));
    Image::open(&built.base()).extract("/", &before);
    built.image("caspar").extract("/", &after);
    let diff =
        command("diff").args(["-rq", "--no-dereference"]).args([&before, &after]).output().expect("run diff");
    let manifest = built.manifest("caspar");
    let planned: Vec<&str> = manifest["edits"]
        .as_array()
        .expect("edits are a list")
        .iter()
        .filter_map(|edit| edit["path"].as_str())
        .collect();
    for line in String::from_utf8_lossy(&diff.stdout).lines() {
        let path =
            if let Some((folder, name)) = line.strip_prefix("Only in ").and_then(|l| l.split_once(": ")) {
                assert!(Path::new(folder).starts_with(&after), "the image lacks something: {line}");
                format!("{}/{name}", folder.strip_prefix(arg(&after)).unwrap_or_default())
            } else {
                let path = line.split(' ').nth(1).expect("diff prints a path");
                path.strip_prefix(arg(&before)).expect("path is in the base").to_owned()
            };
        assert!(planned.iter().any(|planned| *planned == path), "nobody planned {path}: {line}");
    }
}

#[test]
fn secrets_are_only_in_their_planned_files() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    let image = built.image("caspar");
    let secrets = [
        (TOKEN, "/etc/rancher/k3s/token"),
        ("ca59a4ca59a4ca59a4ca59a4ca59a4ca", "/etc/rancher/node/password"),
        ("vRRpP4s5", "/etc/keepalived/keepalived.conf"),
    ];
    for (secret, path) in secrets {
        assert!(image.cat(path).contains(secret), "{path}");
        let found = occurrences(&built.path("caspar"), secret.as_bytes());
        // No copy in the journal or in a freed block.
        assert_eq!(found.len(), 1, "{secret} at {found:?}");
        assert!(image.belongs(found[0], path), "{secret} at {found:?}");
    }
    for other in ["ba17ba5a4ba17ba5a4ba17ba5a4ba17b", "3e1c41043e1c41043e1c41043e1c4104"] {
        assert_eq!(occurrences(&built.path("caspar"), other.as_bytes()), [] as [u64; 0]);
    }
}

#[test]
fn builds_are_reproducible() {
    let built = built();
    let other = Sandbox::alone();
    other.write_secrets("work/magi.secrets.toml");
    other.run(&["build", "--all", "--base", "sample", "--jobs", "1"]).ok();
    assert_eq!(other.out(), built.sandbox.out());
    for name in other.out() {
        let (one, another) = (built.sandbox.work("out").join(&name), other.work("out").join(&name));
        assert_eq!(bases::sha256(&one), bases::sha256(&another), "{name}");
    }
}

#[test]
fn sha256sum_accepts_the_checksum_files() {
    let out = built().sandbox.work("out");
    for node in NODES {
        let mut sums = command("sha256sum");
        let said_it =
            sums.args(["--check", "--strict", &format!("magi-{node}.img.sha256")]).current_dir(&out);
        let output = said_it.output().expect("run sha256sum");
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn manifest_names_all_inputs() {
    let manifest = built().manifest("caspar");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/sample/sample.img.xz");
    assert_eq!(manifest["format"], 1);
    assert_eq!(manifest["tool"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["cluster"], "magi");
    assert_eq!(manifest["node"], "caspar");
    assert_eq!(manifest["sample"], true);
    assert_eq!(manifest["base"]["name"], "sample");
    assert_eq!(manifest["base"]["sha256"], bases::sha256(&sample));
    assert_eq!(manifest["base"]["size"], fs::metadata(&sample).expect("the sample").len());
    assert_eq!(manifest["base"]["raw_sha256"], bases::sha256(&built().base()));
    assert_eq!(manifest["base"]["raw_size"], 224 << 20);
    assert_eq!(manifest["image"]["file"], "magi-caspar.img");
    assert_eq!(manifest["image"]["size"], 224 << 20);
    assert_eq!(manifest["image"]["sha256"], bases::sha256(&built().path("caspar")));
    assert_eq!(
        manifest["overlays"],
        serde_json::json!(["firstboot", "common", "docker", "k3s", "vip", "ingress", "firewall"])
    );
    let edits = manifest["edits"].as_array().expect("edits are a list");
    let edit =
        |path: &str| edits.iter().find(|edit| edit["path"] == path).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(edit("/sysconf.txt")["area"], "boot");
    assert_eq!(edit("/etc/hostname")["overlay"], "common");
    let token = edit("/etc/rancher/k3s/token");
    assert_eq!((&token["secret"], token.get("sha256")), (&serde_json::json!(true), None));
}

#[test]
fn only_init_node_has_the_manifests() {
    let built = built();
    if !have(&JUDGES) {
        return;
    }
    let config = |node: &str| built.image(node).cat("/etc/rancher/k3s/config.yaml");
    assert!(config("melchior").contains("tls-san"), "{}", config("melchior"));
    assert!(config("caspar").contains("10.0.0.100"), "{}", config("caspar"));
    let traefik = "/var/lib/rancher/k3s/server/manifests/traefik-config.yaml";
    assert!(built.image("melchior").has(traefik));
    assert!(!built.image("caspar").has(traefik));
}

#[test]
fn node_option_selects_the_nodes_to_build() {
    let sandbox = Sandbox::new();
    let build = |args: &[&str]| {
        let _ = fs::remove_dir_all(sandbox.work("out"));
        sandbox.run(&[&["build", "--base", "sample", "--quiet"], args].concat()).ok();
        sandbox.out().into_iter().filter(|name| name.ends_with(".img")).collect::<Vec<_>>()
    };
    assert_eq!(build(&["--node", "caspar"]), ["magi-caspar.img"]);
    let two = ["magi-caspar.img", "magi-melchior.img"];
    assert_eq!(build(&["--node", "caspar", "melchior"]), two);
    assert_eq!(build(&["-n", "melchior", "--node", "caspar", "--node", "caspar"]), two);
}

#[test]
fn generated_secrets_are_private_and_reused() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    assert!(
        first.stderr.contains("generated the cluster's secrets in `magi.secrets.toml`"),
        "{}",
        first.stderr
    );
    let secrets = sandbox.work("magi.secrets.toml");
    assert_eq!(mode(&secrets), 0o600);
    let (made, image) =
        (fs::read(&secrets).expect("read the secrets"), bases::sha256(&sandbox.work("out/magi-caspar.img")));
    let second = sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    assert!(!second.stderr.contains("secrets"), "{}", second.stderr);
    assert_eq!(fs::read(&secrets).expect("secrets"), made);
    assert_eq!(bases::sha256(&sandbox.work("out/magi-caspar.img")), image);
    // A build of another node adds its per-node secrets and keeps the existing ones.
    sandbox.run(&["build", "--node", "melchior", "--base", "sample"]).ok();
    let grown = fs::read_to_string(&secrets).expect("read the secrets");
    let made = String::from_utf8(made).expect("secrets are UTF-8");
    assert!(made.lines().all(|line| grown.contains(line)), "something got lost:\n{made}\n{grown}");
    assert_eq!(mode(&secrets), 0o600);
}

#[test]
fn environment_variable_sets_the_secrets_file() {
    let sandbox = Sandbox::new();
    sandbox.write_secrets("safe/cluster.toml");
    let mut command = sandbox.command(&["build", "--node", "caspar", "--base", "sample", "-q"]);
    command.env("MAGI_IMAGE_SECRETS", sandbox.path("safe/cluster.toml"));
    sandbox.ran(&command.output().expect("run the binary")).ok();
    assert!(!sandbox.work("magi.secrets.toml").exists());
    assert_eq!(bases::sha256(&sandbox.work("out/magi-caspar.img")), bases::sha256(&built().path("caspar")));
}

#[test]
fn missing_ssh_key_generates_a_key_pair() {
    let sandbox = Sandbox::new();
    fs::remove_file(sandbox.path("home/.ssh/id_ed25519.pub")).expect("remove the key");
    let ran = sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    assert!(ran.stderr.contains("generated the pair `magi_ed25519`"), "{}", ran.stderr);
    assert_eq!(mode(&sandbox.work("magi_ed25519")), 0o600);
    let public = fs::read_to_string(sandbox.work("magi_ed25519.pub")).expect("read the public key");
    if have(&["ssh-keygen"]) {
        let private = sandbox.work("magi_ed25519");
        let derived = run("ssh-keygen", &["-y", "-f", arg(&private)]);
        assert_eq!(derived.split(' ').nth(1), public.split(' ').nth(1));
    }
    if have(&JUDGES) {
        let image = Image::open(&sandbox.work("out/magi-caspar.img"));
        assert!(image.cat("/etc/ssh/authorized_keys.d/root").contains(public.trim()));
    }
}

#[test]
fn all_ssh_keys_are_authorized_and_sysconf_has_the_first() {
    let sandbox = Sandbox::new();
    let second = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB other";
    sandbox.write("work/team.pub", format!("# the team\n{second}\n"));
    Profile::small(&["common"]).keys(&format!("{KEY:?}, \"team.pub\"")).write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml"]).ok();
    if have(&JUDGES) {
        let image = Image::open(&sandbox.work("out/magi-caspar.img"));
        let keys = image.cat("/etc/ssh/authorized_keys.d/root");
        assert!(keys.contains(KEY) && keys.contains(second), "{keys}");
        let sysconf = image.on_fat("sysconf.txt");
        let line = sysconf
            .lines()
            .find(|line| line.starts_with("root_authorized_key="))
            .expect("find `root_authorized_key`");
        assert!(
            KEY.starts_with(line.trim_start_matches("root_authorized_key=")) && !line.contains('#'),
            "{line}"
        );
    }
}

#[test]
fn compressed_images_unpack_to_the_same_bytes() {
    let raw = bases::sha256(&built().path("caspar"));
    for (format, tool) in [("xz", "xz"), ("zst", "zstd"), ("gz", "gzip")] {
        if !have(&[tool]) {
            continue;
        }
        let sandbox = Sandbox::new();
        sandbox.write_secrets("work/magi.secrets.toml");
        sandbox.run(&["build", "--node", "caspar", "--base", "sample", "--format", format]).ok();
        let name = format!("magi-caspar.img.{format}");
        let packed = sandbox.work("out").join(&name);
        assert!(!sandbox.work("out/magi-caspar.img").exists());
        assert_eq!(mode(&packed), 0o600);
        run(tool, &["--test", "-q", arg(&packed)]);
        let unpacked = sandbox.path("unpacked");
        let script = format!("{tool} -dc < {} > {}", arg(&packed), arg(&unpacked));
        run("sh", &["-c", &script]);
        assert_eq!(bases::sha256(&unpacked), raw, "{format}");
        let mut sums = command("sha256sum");
        sums.args(["--check", "--strict", &format!("{name}.sha256")]).current_dir(sandbox.work("out"));
        let output = sums.output().expect("run sha256sum");
        assert!(output.status.success(), "{}", said(&output));
        let verified = sandbox.run(&["verify", &format!("out/{name}")]).ok();
        assert!(verified.stdout.contains("unchanged since the build"), "{}", verified.stdout);
        let inspected = sandbox.run(&["inspect", "--json", &format!("out/{name}")]).ok().json();
        assert_eq!((&inspected["compressed"], &inspected["size"]), (&true.into(), &(224 << 20).into()));
    }
}

/// Replaces counts and free space, which change with every file added to an overlay.
fn without_counts(text: &str) -> String {
    let number =
        regex::Regex::new(r"[0-9.]+ (MiB free|inodes|planned paths|paths)").expect("compile the pattern");
    number.replace_all(text, "[n] $1").into_owned()
}

#[test]
fn verify_accepts_an_unchanged_image() {
    let sandbox = &built().sandbox;
    let verified = sandbox.run(&["verify", "out/magi-caspar.img"]).ok();
    insta::assert_snapshot!(without_counts(&verified.stdout), @"caspar: unchanged since the build; all [n] planned paths match");
    let data = sandbox.run(&["verify", "--json", "out/magi-caspar.img"]).ok().json();
    assert_eq!((&data["node"], &data["unchanged"]), (&"caspar".into(), &true.into()));
    assert_eq!(data["differences"], serde_json::json!([]));
}

/// Applies `modify` to a copy of caspar's image; the sandbox and the output of `verify`.
fn verify_modified(modify: impl FnOnce(&Image)) -> Option<(Sandbox, String)> {
    if !have(&JUDGES) {
        return None;
    }
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.work("out")).expect("create the folder");
    let manifest = "out/magi-caspar.manifest.json";
    fs::copy(built().sandbox.work(manifest), sandbox.work(manifest)).expect("copy the file");
    copy(&built().path("caspar"), &sandbox.work("out/magi-caspar.img"));
    modify(&Image::open(&sandbox.work("out/magi-caspar.img")));
    let ran = sandbox.run(&["verify", "--quiet", "out/magi-caspar.img"]);
    assert_eq!(ran.code, Some(3), "{}{}", ran.stdout, ran.stderr);
    let text = format!("{}{}", ran.stdout, ran.stderr);
    Some((sandbox, without_counts(&text)))
}

#[test]
fn verify_finds_a_changed_mode() {
    let modify = |image: &Image| image.debugfs_write("sif /etc/shadow mode 0100644");
    let Some((_, text)) = verify_modified(modify) else { return };
    insta::assert_snapshot!(text, @"
    caspar: the image has changed since the build; 1 of [n] planned paths differ
    error: 1 of [n] planned paths differ: `/etc/shadow` has mode 0644, not 0640
    ");
}

#[test]
fn verify_finds_missing_and_changed_files() {
    let other = tempfile::NamedTempFile::new().expect("create a temporary file");
    fs::write(other.path(), "caspat\n").expect("write the file");
    let modify = |image: &Image| {
        image.debugfs_write("rm /etc/hosts");
        image.debugfs_write("rm /etc/hostname");
        image.debugfs_write(&format!("write {} /etc/hostname", arg(other.path())));
        image.debugfs_write("sif /etc/hostname mode 0100644");
    };
    let Some((sandbox, text)) = verify_modified(modify) else { return };
    insta::assert_snapshot!(text, @"
    caspar: the image has changed since the build; 2 of [n] planned paths differ
    error: 2 of [n] planned paths differ: `/etc/hostname` has other content; `/etc/hosts` is missing
    ");
    let data = sandbox.run(&["verify", "--json", "out/magi-caspar.img"]);
    assert_eq!(data.code, Some(3));
    assert_eq!(data.json()["differences"].as_array().map(Vec::len), Some(2));
}

#[test]
fn verify_finds_a_change_on_the_fat() {
    let other = tempfile::NamedTempFile::new().expect("create a temporary file");
    fs::write(other.path(), "hostname=rpi\n").expect("write the file");
    let modify = |image: &Image| {
        run("mcopy", &["-o", "-i", &image.mtools(), arg(other.path()), "::sysconf.txt"]);
    };
    let Some((_, text)) = verify_modified(modify) else { return };
    insta::assert_snapshot!(text, @"
    caspar: the image has changed since the build; 1 of [n] planned paths differ
    error: 1 of [n] planned paths differ: `/sysconf.txt` has 13 bytes, not 689
    ");
}

#[test]
fn verify_reports_changes_outside_the_planned_paths() {
    if !have(&JUDGES) {
        return;
    }
    let sandbox = Sandbox::new();
    let manifest = "magi-caspar.manifest.json";
    fs::copy(built().sandbox.work("out").join(manifest), sandbox.work(manifest)).expect("copy the file");
    copy(&built().path("caspar"), &sandbox.work("magi-caspar.img"));
    Image::open(&sandbox.work("magi-caspar.img")).debugfs_write("rm /etc/timezone");
    let ran = sandbox.run(&["verify", "magi-caspar.img"]).ok();
    insta::assert_snapshot!(without_counts(&ran.stdout), @"caspar: the image has changed since the build; all [n] planned paths match (the content of 6 secret files can't be compared)");
}

#[test]
fn inspect_prints_partitions_and_system() {
    let ran = built().sandbox.run(&["inspect", "out/magi-caspar.img"]).ok();
    insta::assert_snapshot!(without_counts(&ran.stdout), @"
    out/magi-caspar.img
    224.0 MiB, MBR, disk 6d616769

      +------------------------+---------------------------------------------------+
      |           1            |                         2                         |
      +------------------------+---------------------------------------------------+
       1  sector 8192        64.0 MiB  FAT32 (LBA)
          FAT16 `RASPIFIRM`, [n] MiB free
       2  sector 139264     152.0 MiB  Linux
          ext4 `RASPIROOT`, [n] MiB free, [n] inodes free

    system    Debian GNU/Linux 12 (bookworm), arm64
    hostname  caspar
    kernel    vmlinuz-6.1.0-13-arm64
    sysconf   hostname=caspar
    sysconf   root_authorized_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ me@home
    node      caspar of cluster magi
    base      sample, the built-in sample: not for flashing
    ");
    assert_eq!(ran.stderr, "");
}

#[test]
fn inspect_prints_json() {
    let data = built().sandbox.run(&["inspect", "--json", "out/magi-caspar.img"]).ok().json();
    assert_eq!(data["table"], "mbr");
    assert_eq!(data["partitions"][0]["content"]["fat"]["bits"], 16);
    assert_eq!(data["partitions"][1]["content"]["ext"]["version"], "ext4");
    assert_eq!(data["system"]["codename"], "bookworm");
    assert_eq!(data["system"]["architecture"], "arm64");
    assert_eq!(data["system"]["hostname"], "caspar");
    assert_eq!(data["kernels"], serde_json::json!(["vmlinuz-6.1.0-13-arm64"]));
    assert_eq!(data["sysconf"]["hostname"], "caspar");
    assert_eq!(data["manifest"]["node"], "caspar");
}

#[test]
fn inspect_accepts_a_base() {
    let data = built().sandbox.run(&["inspect", "--json", arg(&built().base())]).ok().json();
    assert_eq!(data["sysconf"], serde_json::json!({}));
    assert_eq!(data["manifest"], serde_json::Value::Null);
}

#[test]
fn plan_prints_every_edit_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["plan", "--node", "caspar", "--base", "sample"]).ok();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "caspar");
    let line = |name: &str| {
        let found = lines.iter().find(|line| line.trim_end().contains(name));
        found
            .unwrap_or_else(|| panic!("no {name} in:\n{}", ran.stdout))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("sysconf.txt"), "~ sysconf.txt hostname, root_authorized_key");
    assert_eq!(line("bytes     hostname"), "- 0644 7 bytes hostname");
    assert_eq!(line("token"), "- 0600 141 bytes token ***");
    assert_eq!(line("kubectl"), "l kubectl -> k3s");
    assert_eq!(names(&sandbox.path("work")), [] as [&str; 0], "a plan leaves nothing behind");
}

#[test]
fn plan_prints_json() {
    let data = built().sandbox.run(&["plan", "--all", "--base", "sample", "--json"]).ok().json();
    let nodes: Vec<_> =
        data.as_array().expect("value is a list").iter().map(|plan| plan["node"].clone()).collect();
    assert_eq!(nodes, NODES);
    let edits = data[2]["edits"].as_array().expect("edits are a list");
    let token = edits.iter().find(|edit| edit["path"] == "/etc/rancher/k3s/token").expect("find the token");
    assert_eq!((&token["secret"], token.get("sha256")), (&true.into(), None));
    assert_eq!((&token["mode"], &token["owner"]), (&"0600".into(), &"0:0".into()));
}

#[test]
fn stdout_has_data_only_and_quiet_prints_no_notes() {
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    let quiet = sandbox.run(&["build", "--node", "caspar", "--base", "sample", "--quiet"]).ok();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("out/magi-caspar.img  224.0 MiB\n", ""));
    let data = sandbox.run(&["build", "--node", "caspar", "--base", "sample", "--json"]).ok();
    assert_eq!(data.json()[0]["node"], "caspar");
    assert_eq!(data.json()[0]["image"], "out/magi-caspar.img");
    assert!(!data.stderr.is_empty() && !data.stderr.contains('\r') && !data.stderr.contains('\x1b'));
}

#[test]
fn closed_stdout_is_no_error() {
    let sandbox = Sandbox::new();
    for args in [&["plan", "--all", "--base", "sample"][..], &["man"], &["completions", "bash"], &["--help"]]
    {
        let mut child = sandbox.spawnable(args).stdout(Stdio::piped()).spawn().expect("start the binary");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("wait for the binary");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{}", said(&output));
    }
}

#[test]
fn embedded_files_equal_the_repository() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (empty, copied) = (Sandbox::new(), Sandbox::new());
    for folder in ["profiles", "overlays"] {
        common::sandbox::copy_folder(&repo.join(folder), &copied.work(folder));
    }
    let args = ["plan", "--all", "--base", "sample", "--json"];
    empty.write_secrets("work/magi.secrets.toml");
    copied.write_secrets("work/profiles/magi.secrets.toml");
    assert_eq!(empty.run(&args).ok().json(), copied.run(&args).ok().json());
}

#[test]
fn help_version_manual_and_completions_are_printed() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.run(&["--version"]).ok().stdout,
        concat!("magi-image ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(sandbox.run(&["--help"]).ok().stdout.contains("130  interrupted"));
    assert!(sandbox.run(&["man"]).ok().stdout.contains(".TH magi-image"));
    let page = sandbox.run(&["man", "kubeconfig"]).ok().stdout;
    assert!(page.contains("magi\\-image\\-kubeconfig") && page.contains("\\-\\-merge"), "{page}");
    // Every command has a manual page.
    let help = sandbox.run(&["--help"]).ok().stdout;
    let listed = help
        .split("Commands:")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("help lists the commands");
    for command in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        sandbox.run(&["man", command]).ok();
    }
    for (shell, check) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let script = sandbox.write("completions", sandbox.run(&["completions", shell]).ok().stdout);
        if shell == "bash" {
            let output = output(check, &["-n", arg(&script)]);
            assert!(output.status.success(), "{}", said(&output));
        }
    }
}

#[test]
fn partial_files_of_killed_builds_are_removed() {
    let sandbox = Sandbox::new();
    let mine = sandbox.write("work/out/.magi-caspar.img.mine", "");
    for extension in ["", ".xz", ".zst", ".gz"] {
        sandbox.write(&format!("work/out/.magi-caspar.img{extension}.abcdefgh.partial"), "secret");
    }
    sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    assert!(mine.exists());
    let left = names(&sandbox.work("out"));
    assert_eq!(left.iter().filter(|name| name.ends_with(".partial")).count(), 0, "{left:?}");
}

#[test]
fn fetch_prints_json() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["fetch", "--base", "sample", "--json"]).ok().json();
    assert_eq!(said["base"], "sample");
    assert_eq!(said["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn verify_refuses_a_truncated_image() {
    let sandbox = Sandbox::new();
    sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    let image =
        fs::OpenOptions::new().write(true).open(sandbox.work("out/magi-caspar.img")).expect("open the image");
    image
        .set_len(image.metadata().expect("read the metadata").len() / 3)
        .expect("truncate the image to a third");
    insta::assert_snapshot!(sandbox.run(&["verify", "out/magi-caspar.img"]).failed(3), @"
    error: partition 2 ends at byte 230686720, but the image has only 78293674: 152393046 bytes are missing
    hint: the image is truncated; download or unpack it again
    ");
    image.set_len(0).expect("truncate the image to 0 bytes");
    insta::assert_snapshot!(sandbox.run(&["verify", "out/magi-caspar.img"]).failed(3), @"
    error: the image has 0 bytes, too few for a partition table
    hint: the image is truncated; download or unpack it again
    ");
}

//! ssh public keys of the user: what OpenSSH reads is accepted and reaches sshd byte for byte.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::image::{Image, JUDGES};
use common::sandbox::KEY;
use common::tools::{arg, command, have, is_root, output, run};
use common::{Profile, Sandbox};

/// Type and bits of key pairs.
const PAIRS: [(&str, &str); 5] =
    [("ed25519", "256"), ("rsa", "2048"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521")];

/// Makes a key pair; returns the private key's file, and type and key of the public one.
fn pair(sandbox: &Sandbox, kind: &str, bits: &str) -> (PathBuf, [String; 2]) {
    let file = sandbox.path(&format!("pairs-{kind}-{bits}"));
    run("ssh-keygen", &["-q", "-t", kind, "-b", bits, "-N", "", "-C", "", "-f", arg(&file)]);
    let public = fs::read_to_string(file.with_extension("pub")).expect("read the public key");
    let mut words = public.split_whitespace().map(str::to_owned);
    (file, [words.next().expect("a type"), words.next().expect("a key")])
}

/// Lines with one key in the forms that OpenSSH reads.
fn forms([kind, key]: &[String; 2]) -> Vec<Vec<u8>> {
    let plain = format!("{kind} {key}");
    let mut lines: Vec<Vec<u8>> = [
        plain.clone(),
        format!("{kind}  {key} two blanks after the type"),
        format!("{kind}\t{key}\ttabs"),
        format!("{plain} me@home # not a comment of the file"),
        format!("{plain} Küche"),
        format!("no-agent-forwarding {plain}"),
        format!("No-PTY,x11-forwarding  {plain} two blanks after the options"),
        format!("environment=\"NAME=Jürgen\",restrict {plain}"),
        format!("environment=\"NAME=a # b\" {plain}"),
        format!("environment=\"NAME=say \\\"hi there\\\"\" {plain}"),
        format!("from=\"127.0.0.0/8,!10.1.1.1\",pty {plain} from"),
        format!("permitopen=\"localhost:80\",permitopen=\"[::1]:443\" {plain}"),
    ]
    .map(String::into_bytes)
    .to_vec();
    lines.push([plain.as_bytes(), b" J\xFCrgen's Laptop"].concat());
    lines
}

/// Lines that are no key, or a damaged one.
fn damaged([kind, key]: &[String; 2]) -> Vec<String> {
    let half = &key[..key.len() / 2 / 4 * 4];
    vec![
        kind.clone(),
        format!("{kind} "),
        format!("{kind}{key}"),
        format!("{kind} {half}"),
        format!("{kind} {}", &key[..key.len() - 1]),
        format!("{kind} {key}AAAA"),
        format!("{kind} {}", key.replace("AAAA", "AAA*")),
        format!("ssh-nothing {key}"),
        format!("ssh-dss {key}"),
        format!("environment=\"A=B {kind} {key}"),
        key.clone(),
    ]
}

/// Whether `ssh-keygen -l` finds a key in the line, and whether `plan` takes it.
fn judged(sandbox: &Sandbox, line: &[u8]) -> (bool, bool) {
    let file = sandbox.write("work/one.pub", [line, b"\n"].concat());
    let keygen = output("ssh-keygen", &["-l", "-f", arg(&file)]).status.success();
    let plan = sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]);
    assert!(plan.code == Some(0) || plan.code == Some(2), "{plan:?}");
    if plan.code == Some(2) {
        assert!(plan.stderr.contains("`one.pub` line 1 is no ssh public key"), "{}", plan.stderr);
        assert!(plan.stderr.contains("hint: "), "{}", plan.stderr);
    }
    (keygen, plan.code == Some(0))
}

#[test]
fn plan_takes_what_ssh_keygen_takes() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let sandbox = Sandbox::new();
    Profile::small(&["common"]).keys("\"one.pub\"").write(&sandbox);
    for (kind, bits) in PAIRS {
        let (_, public) = pair(&sandbox, kind, bits);
        for line in forms(&public) {
            let shown = String::from_utf8_lossy(&line).into_owned();
            // sshd skips all blanks after the options, ssh-keygen only one.
            let by_keygen = !shown.contains("blanks after the options");
            assert_eq!(judged(&sandbox, &line), (by_keygen, true), "{shown}");
        }
        for line in damaged(&public) {
            assert_eq!(judged(&sandbox, line.as_bytes()), (false, false), "{line}");
        }
    }
}

#[test]
fn lines_that_only_sshd_refuses_are_refused() {
    let sandbox = Sandbox::new();
    Profile::small(&["common"]).keys("\"one.pub\"").write(&sandbox);
    let refused = |line: &str| {
        sandbox.write("work/one.pub", format!("# first\n\n{line}\n"));
        sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).failed(2)
    };
    let with = |options: &str| refused(&format!("{options} {KEY}"));
    insta::assert_snapshot!(with("no-terminal"), @r#"
    error: `one.pub` line 3 is no ssh public key: sshd knows no option `no-terminal`
    hint: `man 8 sshd` lists the options, under "authorized_keys file format"
    "#);
    insta::assert_snapshot!(with("command=/bin/true"), @r#"
    error: `one.pub` line 3 is no ssh public key: the value of the option `command` must be in double quotes
    hint: `man 8 sshd` lists the options, under "authorized_keys file format"
    "#);
    insta::assert_snapshot!(with("no-pty,"), @r#"
    error: `one.pub` line 3 is no ssh public key: what stands before the key is no list of options, separated by `,`
    hint: `man 8 sshd` lists the options, under "authorized_keys file format"
    "#);
    insta::assert_snapshot!(refused(&KEY.replace("ed25519 ", "ed25519-cert-v01@openssh.com ")), @"
    error: `one.pub` line 3 is no ssh public key: it is a certificate; `authorized_keys` takes the public key
    hint: give the file without `-cert` in its name
    ");
}

/// A running sshd for one file of authorized keys, with its settings in a folder of the sandbox.
struct Sshd {
    child: Child,
    port: u16,
}

impl Sshd {
    fn start(sandbox: &Sandbox, keys: &Path) -> Self {
        // sshd's own folder for its unprivileged half.
        fs::create_dir_all("/run/sshd").expect("create /run/sshd");
        let host_key = sandbox.path("host-key");
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", arg(&host_key)]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("find a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPermitRootLogin prohibit-password\nPermitUserEnvironment yes\n",
            host_key.display(),
            keys.display()
        );
        let config = sandbox.write("sshd_config", config);
        let mut sshd = command("sshd");
        sshd.args(["-D", "-e", "-f", arg(&config)]).stdout(Stdio::null()).stderr(Stdio::null());
        let child = sshd.spawn().expect("start sshd");
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            sleep(Duration::from_millis(100));
        }
        Self { child, port }
    }

    /// Whether the private key logs in, and what the command printed.
    fn login(&self, private: &Path, remote: &str) -> Option<String> {
        let port = self.port.to_string();
        let options =
            ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no"];
        let mut ssh = command("ssh");
        ssh.args(["-F", "none", "-p", &port, "-i", arg(private), "-o", "UserKnownHostsFile=/dev/null"]);
        for option in options {
            ssh.args(["-o", option]);
        }
        let done = ssh.args(["root@127.0.0.1", remote]).output().expect("run ssh");
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every form with a key pair of its own, so that a login shows which line sshd has read.
#[test]
fn every_line_reaches_sshd_as_it_was() {
    if !(have(&["ssh-keygen"]) && have(&JUDGES)) {
        return;
    }
    let sandbox = Sandbox::new();
    let (mut privates, mut lines) = (Vec::new(), Vec::new());
    let count = forms(&[String::new(), String::new()]).len();
    for form in 0..count {
        let (kind, bits) = PAIRS[form % PAIRS.len()];
        let (private, public) = pair(&sandbox, kind, bits);
        let own = sandbox.path(&format!("pair-{form}"));
        fs::rename(private.with_extension("pub"), own.with_extension("pub")).expect("move the public key");
        fs::rename(private, &own).expect("move the private key");
        privates.push(own);
        lines.push(forms(&public).swap_remove(form));
    }
    sandbox.write("work/my ssh-rsa keys.pub", lines.join(&b'\n'));
    Profile::small(&["common"]).keys("\"my ssh-rsa keys.pub\"").write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
    let image = Image::open(&sandbox.work("out/magi-caspar.img"));
    let keys = image.bytes("/etc/ssh/authorized_keys.d/root");
    assert_eq!(keys, [lines.join(&b'\n'), b"\n".to_vec()].concat());

    if !(is_root() && have(&["sshd", "ssh"])) {
        return;
    }
    let sshd = Sshd::start(&sandbox, &sandbox.write("keys", keys));
    for (private, line) in privates.iter().zip(&lines) {
        let shown = String::from_utf8_lossy(line);
        let printed =
            sshd.login(private, "printf %s \"$NAME\"").unwrap_or_else(|| panic!("no login: {shown}"));
        let wanted = ["Jürgen", "a # b", "say \"hi there\""]
            .into_iter()
            .find(|name| shown.contains(&format!("NAME={}", name.replace('"', "\\\""))));
        assert_eq!(printed, wanted.unwrap_or_default(), "{shown}");
    }
    let (unknown, _) = pair(&sandbox, "ed25519", "256");
    assert_eq!(sshd.login(&unknown, "true"), None);
}

#[test]
fn sysconf_gets_the_first_key_that_it_can_hold() {
    if !have(&JUDGES) {
        return;
    }
    let sandbox = Sandbox::new();
    let second = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB other";
    let first = format!("environment=\"A=# b\" {KEY}");
    Profile::small(&["common"]).keys(&format!("{first:?}, {second:?}")).write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
    let image = Image::open(&sandbox.work("out/magi-caspar.img"));
    assert_eq!(image.cat("/etc/ssh/authorized_keys.d/root"), format!("{first}\n{second}\n"));
    assert!(image.on_fat("sysconf.txt").contains(&format!("\nroot_authorized_key={second}\n")));
}

#[test]
fn file_with_a_key_type_in_its_name_is_a_file() {
    let sandbox = Sandbox::new();
    for name in ["ssh-key-2024-01-02.key.pub", "ecdsa-sha2.pub", "a ssh-rsa key.pub"] {
        sandbox.write(&format!("work/keys/{name}"), format!("{KEY}\n"));
        Profile::small(&["common"]).keys(&format!("\"keys/{name}\"")).write(&sandbox);
        sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).ok();
    }
    Profile::small(&["common"]).keys("\"keys/ssh-none.pub\"").write(&sandbox);
    let message = sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).failed(2);
    assert!(message.contains("ssh-none.pub"), "{message}");
}

#[test]
fn unusable_file_in_the_ssh_folder_is_named() {
    let sandbox = Sandbox::new();
    let utf16: Vec<u8> = KEY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    sandbox.write("home/.ssh/powershell.pub", [&[0xFF, 0xFE], &utf16[..]].concat());
    sandbox.write("home/.ssh/id_ed25519-cert.pub", "ssh-ed25519-cert-v01@openssh.com AAAA\n");
    let plan = ["plan", "--all", "--base", "sample"];
    let notes = sandbox.run(&plan).ok().stderr;
    assert!(notes.contains("powershell.pub` is UTF-16, which OpenSSH doesn't read"), "{notes}");
    assert!(!notes.contains("cert.pub"), "{notes}");
    fs::remove_file(sandbox.path("home/.ssh/id_ed25519.pub")).expect("remove the usable key");
    let message = sandbox.run(&plan).failed(2);
    assert!(message.contains("UTF-16") && message.contains("hint: save the file as UTF-8"), "{message}");
    assert!(!sandbox.work("magi_ed25519").exists());
}

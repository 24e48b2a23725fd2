//! Invalid profiles, keys and secrets are refused before anything is downloaded or written.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;

use common::sandbox::{KEY, set_mode};
use common::{Profile, Sandbox};

/// The error message of `build --all` with `profile`; asserts exit code 2 and no output files.
#[track_caller]
fn refused(profile: &Profile) -> String {
    refused_text(&profile.text())
}

#[track_caller]
fn refused_text(text: &str) -> String {
    let sandbox = Sandbox::alone();
    sandbox.write("work/magi.toml", text);
    refused_in(&sandbox)
}

#[track_caller]
fn refused_in(sandbox: &Sandbox) -> String {
    let message = sandbox.run(&["build", "--all", "-p", "magi.toml"]).failed(2);
    assert!(!sandbox.work("out").exists(), "nothing is to be made before the profile is right");
    assert!(!sandbox.cache().exists(), "nothing is to be fetched before the profile is right");
    assert!(!sandbox.work("magi_ed25519").exists(), "no key is to be made for a wrong profile");
    message
}

#[test]
fn unknown_keys_get_a_did_you_mean_hint() {
    insta::assert_snapshot!(refused(&Profile::default().cluster("gatway = \"10.0.0.1\"\n")), @"
    error: `magi.toml` line 4: unknown key `gatway` in `[cluster]`
    hint: did you mean `gateway`?
    ");
    insta::assert_snapshot!(refused(&Profile::default().base("sample\"\nsha = \"")), @"
    error: `magi.toml` line 7: unknown key `sha` in `[base]`
    hint: known keys: `image`, `openpgp_fingerprint`, `openpgp_key`, `sha256`, `table`
    ");
    insta::assert_snapshot!(refused(&Profile::default().nodes(&["name = \"caspar\"\nadress = \"10.0.0.1/24\""])), @"
    error: `magi.toml` line 16: unknown key `adress` in `[node]`
    hint: did you mean `address`?
    ");
    insta::assert_snapshot!(refused_text(&format!("{}\n[clusters]\n", Profile::default().text())), @"
    error: `magi.toml` line 24: unknown key `clusters` in the file
    hint: did you mean `cluster`?
    ");
    insta::assert_snapshot!(refused(&Profile::default().cluster("colour = \"blue\"\n")), @"
    error: `magi.toml` line 4: unknown key `colour` in `[cluster]`
    hint: known keys: `dns`, `gateway`, `interface`, `name`, `vip`
    ");
}

#[test]
fn invalid_toml_and_missing_keys_are_refused() {
    insta::assert_snapshot!(refused_text("[cluster\n"), @"
    error: `magi.toml` line 1: unclosed table, expected `]`
    hint: TOML syntax: strings need quotes, lists and table names need brackets
    ");
    insta::assert_snapshot!(refused_text("[cluster]\nname = \"magi\"\nname = \"magi\"\n"), @"
    error: `magi.toml` line 3: duplicate key `name`
    hint: remove one of the two
    ");
    insta::assert_snapshot!(refused_text(""), @"
    error: `magi.toml` line 1: the file lacks `[cluster]`
    hint: `magi-image init` writes a profile to start from
    ");
    insta::assert_snapshot!(refused(&Profile::default().cluster_instead("name = \"magi\"\n")), @"
    error: `magi.toml` line 1: `[cluster]` lacks `vip`
    hint: add a line `vip = …`
    ");
    insta::assert_snapshot!(refused(&Profile::default().nodes(&[])), @r#"
    error: `magi.toml` line 1: there is no `[[node]]`
    hint: add one with `name = "melchior"`
    "#);
    insta::assert_snapshot!(refused(&Profile::default().cluster("interface = 3\n")), @"error: `magi.toml` line 4: `cluster.interface` must be a string, not of type integer");
    let sandbox = Sandbox::alone();
    sandbox.write("work/magi.toml", b"[cluster]\nname = \"\xff\"\n");
    insta::assert_snapshot!(refused_in(&sandbox), @"
    error: `magi.toml` line 2: not UTF-8
    hint: save the file as UTF-8
    ");
}

#[test]
fn invalid_hostnames_are_refused() {
    let named = |name: &str| refused(&Profile::default().nodes(&[&format!("name = {name:?}")]));
    insta::assert_snapshot!(named("Caspar"), @"
    error: `magi.toml` line 15: `Caspar` is not a valid hostname
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(named("-caspar"), @"
    error: `magi.toml` line 15: `-caspar` is not a valid hostname
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(named("caspar.home"), @"
    error: `magi.toml` line 15: `caspar.home` is not a valid hostname
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(named(&"x".repeat(64)), @"
    error: `magi.toml` line 15: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a valid hostname
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(named("../../etc"), @"
    error: `magi.toml` line 15: `../../etc` is not a valid hostname
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(refused(&Profile::default().nodes(&["name = \"a\"", "name = \"a\""])), @"
    error: `magi.toml` line 18: duplicate node name `a`
    hint: each node needs its own name
    ");
    insta::assert_snapshot!(refused(&Profile::default().cluster_instead("name = \"MAGI\"\nvip = \"10.0.0.1\"\n")), @"
    error: `magi.toml` line 2: `MAGI` is not a valid cluster name
    hint: use 1 to 63 of a-z, 0-9 and `-`, without `-` at the start or end
    ");
    insta::assert_snapshot!(refused(&Profile::default().cluster("interface = \"eth0; rm\"\n")), @"
    error: `magi.toml` line 4: `eth0; rm` is not a valid network interface name
    hint: the wired interface of a Raspberry Pi is `eth0`
    ");
}

#[test]
fn second_init_node_is_refused() {
    let two = Profile::default().nodes(&["name = \"a\"\ninit = true", "name = \"b\"\ninit = true"]);
    insta::assert_snapshot!(refused(&two), @"
    error: `magi.toml` line 20: `a` and `b` both have `init = true`
    hint: one node starts the cluster, the others join it
    ");
}

#[test]
fn unusable_vip_is_refused() {
    let vip = |vip: &str| {
        refused(&Profile::default().cluster_instead(&format!("name = \"magi\"\nvip = {vip:?}\n")))
    };
    insta::assert_snapshot!(vip("10.0.0.256"), @"
    error: `magi.toml` line 3: `10.0.0.256` is not an IPv4 address
    hint: write four numbers from 0 to 255 with dots, such as `10.0.0.100`
    ");
    insta::assert_snapshot!(vip("10.0.0.100/24"), @"
    error: `magi.toml` line 3: `10.0.0.100/24` is not an IPv4 address
    hint: write four numbers from 0 to 255 with dots, such as `10.0.0.100`
    ");
    insta::assert_snapshot!(vip("127.0.0.1"), @"
    error: `magi.toml` line 3: `127.0.0.1` is not a host address
    hint: take an address of your LAN, such as `10.0.0.100`
    ");
    insta::assert_snapshot!(vip("fd00::1"), @"
    error: `magi.toml` line 3: `fd00::1` is not an IPv4 address
    hint: write four numbers from 0 to 255 with dots, such as `10.0.0.100`
    ");
    let fixed = |vip: &str, more: &str, address: &str| {
        let cluster = format!("name = \"magi\"\nvip = {vip:?}\n{more}\n");
        let node = format!("name = \"caspar\"\naddress = {address:?}");
        refused(&Profile::default().cluster_instead(&cluster).nodes(&[&node]))
    };
    let ways = "gateway = \"10.0.0.1\"\ndns = [\"10.0.0.1\"]";
    insta::assert_snapshot!(fixed("10.0.0.13", ways, "10.0.0.13/24"), @"
    error: `magi.toml` line 16: duplicate address: the VIP 10.0.0.13 is also the address of `caspar`
    hint: choose a VIP that no machine uses
    ");
    insta::assert_snapshot!(fixed("10.0.1.100", ways, "10.0.0.13/24"), @"error: `magi.toml` line 3: the VIP 10.0.1.100 is outside the network of `caspar` (10.0.0.13/24)");
    insta::assert_snapshot!(fixed("10.0.0.255", ways, "10.0.0.13/24"), @"error: `magi.toml` line 3: the VIP 10.0.0.255 is outside the network of `caspar` (10.0.0.13/24)");
    insta::assert_snapshot!(fixed("10.0.0.1", ways, "10.0.0.13/24"), @"error: `magi.toml` line 3: duplicate address: the VIP 10.0.0.1 is also the gateway");
    insta::assert_snapshot!(fixed("10.0.0.100", "", "10.0.0.13/24"), @"
    error: `magi.toml` line 15: `caspar` has a static address, but the cluster has no gateway
    hint: set `gateway` and `dns` in `[cluster]`, usually to your router's address
    ");
    insta::assert_snapshot!(fixed("10.0.0.100", "gateway = \"10.0.0.1\"", "10.0.0.13/24"), @"
    error: overlay `common`: node `caspar` has a fixed address, but the profile has no name server
    hint: set `dns` under [cluster], or leave the node's `address` out to use DHCP
    ");
    insta::assert_snapshot!(fixed("10.0.0.100", "gateway = \"10.9.0.1\"", "10.0.0.13/24"), @"error: `magi.toml` line 15: the gateway 10.9.0.1 is outside the network of `caspar` (10.0.0.13/24)");
    insta::assert_snapshot!(fixed("10.0.0.100", ways, "10.0.0.13"), @"
    error: `magi.toml` line 18: `10.0.0.13` is not an IPv4 address with a prefix (1 to 30)
    hint: write an address of your LAN with its prefix, such as `10.0.0.12/24`
    ");
    insta::assert_snapshot!(fixed("10.0.0.100", ways, "10.0.0.0/24"), @"
    error: `magi.toml` line 18: `10.0.0.0/24` is the network or broadcast address of its network
    hint: write an address of your LAN with its prefix, such as `10.0.0.12/24`
    ");
    insta::assert_snapshot!(fixed("10.0.0.100", ways, "10.0.0.13/33"), @"
    error: `magi.toml` line 18: `10.0.0.13/33` is not an IPv4 address with a prefix (1 to 30)
    hint: write an address of your LAN with its prefix, such as `10.0.0.12/24`
    ");
    let node = |name: &str| format!("name = {name:?}\naddress = \"10.0.0.12/24\"");
    let twice = Profile::fixed().nodes(&[&node("a"), &node("b")]);
    insta::assert_snapshot!(refused(&twice), @"error: `magi.toml` line 20: duplicate address: `a` and `b` both have 10.0.0.12");
}

#[test]
fn unusable_ssh_keys_are_refused() {
    let keys = |list: &str| refused(&Profile::default().keys(list));
    insta::assert_snapshot!(keys("\"ssh-ed25519 AAAAnonsense\""), @"
    error: `magi.toml` line 9: `ssh.authorized_keys` has an entry that isn't an ssh public key: the key after `ssh-ed25519` is cut off or has a typing error
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line
    ");
    insta::assert_snapshot!(keys("3"), @"error: `magi.toml` line 9: `ssh.authorized_keys` must be a list of strings, but item 1 is of type integer");
    let sandbox = Sandbox::alone();
    let with_file = |content: &str| {
        sandbox.write("work/key.pub", content);
        sandbox.write("work/magi.toml", Profile::default().keys("\"key.pub\"").text());
        refused_in(&sandbox)
    };
    insta::assert_snapshot!(with_file(""), @"
    error: `key.pub` holds no ssh public key: it is empty
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`
    ");
    insta::assert_snapshot!(with_file("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"), @"
    error: `key.pub` line 1 is no ssh public key: it is a private key
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line
    ");
    insta::assert_snapshot!(with_file("hello\n"), @"
    error: `key.pub` line 1 is no ssh public key: it has no key type such as `ssh-ed25519` before the key
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line
    ");
}

#[test]
fn private_key_is_refused_and_not_printed() {
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----\n";
    let message = refused(&Profile::default().keys(&format!("{key:?}")));
    assert!(!message.contains("b3Blbn"), "{message}");
    insta::assert_snapshot!(message, @"
    error: `magi.toml` line 9: `ssh.authorized_keys` has an entry that isn't an ssh public key: it is a private key
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line
    ");
}

#[test]
fn malformed_base_checksum_is_refused() {
    insta::assert_snapshot!(refused(&Profile::default().pin("abc")), @"
    error: `magi.toml` line 7: `base.sha256` must be 64 hexadecimal digits, but has 3
    hint: `sha256sum` prints the hash of an image
    ");
    insta::assert_snapshot!(refused(&Profile::default().pin(&"x".repeat(64))), @"
    error: `magi.toml` line 7: `base.sha256` must be 64 hexadecimal digits, but has 0
    hint: `sha256sum` prints the hash of an image
    ");
}

#[test]
fn unknown_overlays_are_refused() {
    insta::assert_snapshot!(refused(&Profile::default().uses(&["comon"])), @"
    error: `magi.toml` line 12: unknown overlay `comon`
    hint: did you mean `common`?
    ");
    insta::assert_snapshot!(refused(&Profile::default().uses(&["nginx"])), @"
    error: `magi.toml` line 12: unknown overlay `nginx`
    hint: known overlays: `common`, `docker`, `firewall`, `firstboot`, `ingress`, `k3s`, `vip`; put your own into `overlays/nginx/`
    ");
    insta::assert_snapshot!(refused(&Profile::default().uses(&["common", "common"])), @"
    error: `magi.toml` line 12: duplicate overlay `common`
    hint: remove one of the two
    ");
    insta::assert_snapshot!(refused(&Profile::default().uses(&["../common"])), @"
    error: `magi.toml` line 12: unknown overlay `../common`
    hint: did you mean `common`?
    ");
    insta::assert_snapshot!(refused(&Profile::default().uses(&["/etc"])), @"
    error: `magi.toml` line 12: unknown overlay `/etc`
    hint: known overlays: `common`, `docker`, `firewall`, `firstboot`, `ingress`, `k3s`, `vip`; put your own into `overlays//etc/`
    ");
    insta::assert_snapshot!(refused(&Profile::default().uses(&[""])), @"
    error: `magi.toml` line 12: unknown overlay ``
    hint: known overlays: `common`, `docker`, `firewall`, `firstboot`, `ingress`, `k3s`, `vip`; put your own into `overlays//`
    ");
    let unused = Profile::default().uses(&["common"]).settings("docker", "source = \"debian\"");
    insta::assert_snapshot!(refused(&unused), @"
    error: `magi.toml` line 14: `[overlays.docker]` has settings for an overlay that isn't used
    hint: add `docker` to `overlays.use`, or remove the table
    ");
}

#[test]
fn invalid_overlay_settings_are_refused() {
    let set = |overlay: &str, line: &str| refused(&Profile::default().settings(overlay, line));
    insta::assert_snapshot!(set("docker", "source = \"ubuntu\""), @"
    error: `magi.toml` line 15: `overlays.docker.source` is `ubuntu`, not one of `docker-ce`, `debian`
    hint: `docker-ce`: packages from Docker's repository; `debian`: the package docker.io, without a second archive
    ");
    insta::assert_snapshot!(set("docker", "sorce = \"debian\""), @"
    error: `magi.toml` line 15: unknown key `sorce` in `[overlays.docker]`
    hint: did you mean `source`?
    ");
    insta::assert_snapshot!(set("docker", "source = 1"), @"
    error: `magi.toml` line 15: `overlays.docker.source` must be a string
    hint: `docker-ce`: packages from Docker's repository; `debian`: the package docker.io, without a second archive
    ");
    insta::assert_snapshot!(set("vip", "router_id = 256"), @"
    error: `magi.toml` line 15: `overlays.vip.router_id` is 256, not between 1 and 255
    hint: VRRP router id (keepalived: virtual_router_id); must be unique on the LAN
    ");
    insta::assert_snapshot!(set("vip", "router_id = 0"), @"
    error: `magi.toml` line 15: `overlays.vip.router_id` is 0, not between 1 and 255
    hint: VRRP router id (keepalived: virtual_router_id); must be unique on the LAN
    ");
    insta::assert_snapshot!(set("vip", "router_id = \"51\""), @"
    error: `magi.toml` line 15: `overlays.vip.router_id` must be an integer
    hint: VRRP router id (keepalived: virtual_router_id); must be unique on the LAN
    ");
    insta::assert_snapshot!(set("k3s", "version = \"1.33\""), @r"
    error: `magi.toml` line 15: `overlays.k3s.version`: `1.33` does not match `^v\d+\.\d+\.\d+\+k3s\d+$`
    hint: k3s release, for example `v1.36.4+k3s1`
    ");
    insta::assert_snapshot!(set("k3s", "binary = \"k3s-arm64\""), @"error: `magi.toml` line 15: `overlays.k3s.binary`: `k3s-arm64` does not exist");
    insta::assert_snapshot!(set("k3s", "manifests = [\"apps\"]"), @"error: `magi.toml` line 15: `overlays.k3s.manifests`: `apps` does not exist");
    insta::assert_snapshot!(set("k3s", "sha256 = \"abc\""), @"
    error: `magi.toml` line 15: `overlays.k3s.sha256`: `abc` does not match `^[0-9a-f]{64}$`
    hint: SHA-256 of the k3s binary, for versions that have no built-in checksum
    ");
    insta::assert_snapshot!(set("common", "packages = [\"vim; reboot\"]"), @"
    error: `magi.toml` line 15: `overlays.common.packages`: `vim; reboot` does not match `^[a-z0-9][a-z0-9+.-]+$`
    hint: additional Debian packages for every node
    ");
    insta::assert_snapshot!(set("common", "timezone = \"../../etc/shadow\""), @"
    error: `magi.toml` line 15: `overlays.common.timezone`: `../../etc/shadow` does not match `^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
    hint: time zone as in /usr/share/zoneinfo, for example `Europe/Berlin`
    ");
    insta::assert_snapshot!(set("firewall", "allow = [\"9100\"]"), @"
    error: `magi.toml` line 15: `overlays.firewall.allow`: `9100` is not a valid value
    hint: additional ports open to `lan` and `lan6`, for example `tcp/9100`
    ");
}

#[test]
fn public_vip_without_firewall_lan_is_refused() {
    let public = Profile::default().cluster_instead("name = \"magi\"\nvip = \"203.0.113.7\"\n");
    insta::assert_snapshot!(refused(&public), @"
    error: overlay `firewall`: the virtual IP 203.0.113.7 is not in a private range, so the firewall has no default for `lan`
    hint: set `lan` under [overlays.firewall] to the network of your LAN
    ");
}

#[test]
fn missing_files_are_refused() {
    let sandbox = Sandbox::alone();
    insta::assert_snapshot!(sandbox.run(&["build", "--all", "-p", "nowhere.toml"]).failed(2), @"
    error: reading the profile
      caused by: cannot read `nowhere.toml`
      caused by: No such file or directory (os error 2)
    hint: check the path
    ");
    insta::assert_snapshot!(sandbox.run(&["build", "--all", "--ssh-key", "gone.pub"]).failed(2), @"
    error: cannot read `gone.pub`
      caused by: No such file or directory (os error 2)
    hint: check the path
    ");
    insta::assert_snapshot!(refused(&Profile::default().keys("\"nowhere.pub\"")), @"
    error: cannot read `nowhere.pub`
      caused by: No such file or directory (os error 2)
    hint: check the path
    ");
}

#[test]
fn unknown_nodes_are_refused() {
    let sandbox = Sandbox::alone();
    let asked = |name: &str| sandbox.run(&["build", "--base", "sample", "--node", name]).failed(2);
    insta::assert_snapshot!(asked("caspr"), @"
    error: no node `caspr` in `built-in profiles/magi.toml`
    hint: did you mean `caspar`?
    ");
    insta::assert_snapshot!(asked("adam"), @"
    error: no node `adam` in `built-in profiles/magi.toml`
    hint: nodes of this profile: `melchior`, `balthazar`, `caspar`
    ");
    insta::assert_snapshot!(asked(""), @"
    error: no node `` in `built-in profiles/magi.toml`
    hint: nodes of this profile: `melchior`, `balthazar`, `caspar`
    ");
    assert!(!sandbox.work("out").exists());
}

#[test]
fn invalid_arguments_exit_2_with_a_usage_error() {
    let sandbox = Sandbox::alone();
    let said = |args: &[&str]| {
        let ran = sandbox.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        ran.stderr
    };
    insta::assert_snapshot!(said(&["build"]), @"
    error: the following required arguments were not provided:
      <--node <NAME>...|--all>

    Usage: magi-image build <--node <NAME>...|--all>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(said(&["build", "--all", "--node", "caspar"]), @"
    error: the argument '--all' cannot be used with '--node <NAME>...'

    Usage: magi-image build <--node <NAME>...|--all>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(said(&["biuld"]), @"
    error: unrecognized subcommand 'biuld'

      tip: a similar subcommand exists: 'build'

    Usage: magi-image [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(said(&["build", "--all", "--format", "zip"]), @"
    error: invalid value 'zip' for '--format <FORMAT>'
      [possible values: raw, xz, zst, gz]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(said(&["build", "--all", "--jobs", "0"]), @"
    error: invalid value '0' for '--jobs <N>': 0 is not in 1..=256

    For more information, try '--help'.
    ");
}

#[test]
fn world_readable_or_corrupt_secrets_file_is_refused() {
    let sandbox = Sandbox::new();
    Profile::default().write(&sandbox);
    let secrets = sandbox.work("magi.secrets.toml");
    let build = || sandbox.run(&["build", "--all", "-p", "magi.toml"]).failed(2);
    set_mode(&secrets, 0o644);
    insta::assert_snapshot!(build(), @"
    error: other users can read `magi.secrets.toml` (mode 644)
    hint: run `chmod 600 magi.secrets.toml`
    ");
    set_mode(&secrets, 0o600);
    fs::write(&secrets, "[k3s]\ntoken = \"sesame and open\"\n").expect("write the secrets");
    let message = build();
    assert!(!message.contains("sesame"), "{message}");
    insta::assert_snapshot!(message, @"
    error: `magi.secrets.toml`: `k3s.token` is not a valid entry of a secrets file
    hint: restore the file from a backup; all nodes of a cluster need the same secrets
    ");
    fs::write(&secrets, "[k3s]\ntoken = \"sesame\n").expect("write the secrets");
    let message = build();
    assert!(!message.contains("sesame"), "{message}");
    insta::assert_snapshot!(message, @"
    error: `magi.secrets.toml` line 2: not valid TOML
    hint: restore the file from a backup
    ");
    assert_eq!(sandbox.out(), [] as [&str; 0]);
}

#[test]
fn multi_line_ssh_key_is_refused() {
    insta::assert_snapshot!(refused(&Profile::default().keys(&format!("{:?}", format!("{KEY}\nhostname=evil")))), @"
    error: `magi.toml` line 9: `ssh.authorized_keys` has an entry that isn't an ssh public key: it has more than one line
    hint: give the `.pub` file of a key pair, such as `~/.ssh/id_ed25519.pub`, or its one line
    ");
}

#[test]
fn overlapping_networks_and_hostname_localhost_are_refused() {
    let k3s = |settings: &str| Profile::default().settings("k3s", settings);
    insta::assert_snapshot!(refused(&k3s("service_cidr = \"10.42.128.0/17\"")), @"
    error: overlay `k3s`: `cluster_cidr` 10.42.0.0/16 and `service_cidr` 10.42.128.0/17 overlap
    hint: set `cluster_cidr` and `service_cidr` under [overlays.k3s] to two separate networks
    ");
    insta::assert_snapshot!(refused(&k3s("cluster_cidr = \"10.0.0.0/20\"")), @"
    error: overlay `k3s`: the virtual IP 10.0.0.100 is in the network of the pods or of the services
    hint: set `cluster_cidr` and `service_cidr` under [overlays.k3s] to networks that your LAN doesn't use
    ");
    insta::assert_snapshot!(refused(&Profile::default().nodes(&["name = \"localhost\""])), @"
    error: `magi.toml` line 15: `localhost` is not a valid hostname
    hint: `localhost` always means the machine itself; choose another name
    ");
}

#[test]
fn networks_of_pods_and_docker_are_compared_with_the_lan() {
    let fixed = |network: &str, node: &str| {
        Profile::default()
            .cluster_instead(&format!(
                "name = \"magi\"\nvip = \"{network}.100\"\ngateway = \"{network}.1\"\ndns = [\"10.43.0.53\"]\n"
            ))
            .nodes(&[node])
    };
    insta::assert_snapshot!(refused(&fixed("10.0.0", "name = \"caspar\"\naddress = \"10.0.0.13/24\"")), @"
    error: overlay `k3s`: the gateway or a name server is in the network of the pods or of the services
    hint: set `cluster_cidr` and `service_cidr` under [overlays.k3s] to networks that your LAN doesn't use
    ");
    let warnings = |network: &str, nodes: &[&str]| {
        let sandbox = Sandbox::new();
        let profile = Profile::default().nodes(nodes).uses(&["docker", "k3s"]);
        profile.cluster_instead(&format!("name = \"magi\"\nvip = \"{network}.100\"\n")).write(&sandbox);
        let said = sandbox.run(&["plan", "--all", "-p", "magi.toml"]).ok().stderr;
        said.lines().filter(|line| line.starts_with("warning: ")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(warnings("172.20.1", &["name = \"melchior\"", "name = \"caspar\""]), @"
    warning: overlay `docker`: the LAN with 172.20.1.100 is in the range that Docker takes its networks from (172.17.0.0 to 172.31.255.255), so containers may not reach it; give Docker other networks: `default-address-pools` and `bip` in /etc/docker/daemon.json, by an overlay of your own
    warning: overlay `k3s`: 2 servers tolerate the loss of no more of them than 1 do, because etcd needs a majority; use an odd number of nodes
    ");
    assert_eq!(warnings("172.16.1", &["name = \"caspar\""]), "");
    assert_eq!(warnings("192.168.178", &["name = \"a\"", "name = \"b\"", "name = \"c\""]), "");
}

//! The built-in overlays with various settings: keepalived, nft, systemd, sh, sshd and others check the
//! configuration files in the image that they would read on the node.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::image::{Image, JUDGES};
use common::sandbox::names;
use common::tools::{arg, command, find, have, said};
use common::{Profile, Sandbox};

/// The files of a node, extracted from its image.
struct Node {
    sandbox: Sandbox,
    name: String,
}

impl Node {
    /// Builds `node` of `profile` on the sample and extracts its files.
    fn of(profile: &Profile, node: &str) -> Option<Self> {
        Self::with_files(profile, node, |_| {})
    }

    fn with_files(profile: &Profile, node: &str, prepare: impl FnOnce(&Sandbox)) -> Option<Self> {
        if !have(&JUDGES) {
            return None;
        }
        let sandbox = Sandbox::new();
        profile.write(&sandbox);
        prepare(&sandbox);
        sandbox.run(&["build", "--node", node, "-p", "magi.toml", "-q"]).ok();
        let image = Image::open(&sandbox.work(&format!("out/magi-{node}.img")));
        image.judge();
        for folder in ["/etc", "/usr/local", "/var/lib"] {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            image.extract(folder, &sandbox.path(&format!("tree{parent}")));
        }
        Some(Self { sandbox, name: node.to_owned() })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.sandbox.path(&format!("tree{path}"))
    }

    #[track_caller]
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Runs `script` in a network namespace with `lo` and `interface`; `None` without namespace support.
    fn run_in_network_namespace(&self, interface: &str, script: &str) -> Option<Output> {
        if !have(&["unshare", "ip"]) {
            return None;
        }
        let ports = format!(
            "ip link set lo up; ip link add {interface} type veth peer name other; ip link set {interface} up"
        );
        let addresses =
            format!("ip addr add 10.0.0.13/24 dev {interface}; ip addr add 10.0.0.11/24 dev {interface}");
        let script = format!("set -e; {ports}; {addresses}; {script}");
        let probe = command("unshare").args(["-rn", "true"]).output().expect("run unshare");
        if !probe.status.success() {
            eprintln!("not tried: this user has no name spaces: {}", said(&probe));
            return None;
        }
        Some(command("unshare").args(["-rn", "sh", "-c", &script]).output().expect("run unshare"))
    }

    #[track_caller]
    fn check_keepalived(&self, interface: &str) {
        if !have(&["keepalived"]) {
            return;
        }
        let conf = "/etc/keepalived/keepalived.conf";
        let here = self
            .text(conf)
            .replace("\"/etc/keepalived", &format!("\"{}", arg(&self.path("/etc/keepalived"))));
        fs::write(self.path(conf), here).expect("write the configuration");
        let check = format!(
            "exec keepalived --config-test --log-console --dont-fork --use-file {}",
            arg(&self.path(conf))
        );
        let Some(output) = self.run_in_network_namespace(interface, &check) else { return };
        assert!(output.status.success(), "{}: {}", self.name, said(&output));
        for complaint in ["Unknown keyword", "Warning", "SECURITY"] {
            assert!(!said(&output).contains(complaint), "{}: {}", self.name, said(&output));
        }
    }

    #[track_caller]
    fn check_nft(&self) {
        if !have(&["nft"]) {
            return;
        }
        let check = format!("exec nft --check --file {}", arg(&self.path("/etc/nftables.conf")));
        let Some(output) = self.run_in_network_namespace("eth0", &check) else { return };
        assert!(output.status.success(), "{}: {}", self.name, said(&output));
    }

    #[track_caller]
    fn check_systemd(&self) {
        if !have(&["systemd-analyze"]) {
            return;
        }
        // systemd-analyze also looks for the programs that units start, and for the merged `/usr` symlinks.
        let program = self.path("/usr/sbin/modprobe");
        fs::create_dir_all(self.path("/usr/sbin")).expect("create the folder");
        fs::copy(self.path("/usr/local/lib/magi/firstboot"), &program).expect("copy the program");
        for (link, target) in [("/sbin", "usr/sbin"), ("/bin", "usr/bin"), ("/lib", "usr/lib")] {
            let _ = std::os::unix::fs::symlink(target, self.path(link));
        }
        let units = names(&self.path("/etc/systemd/system"));
        let ours: Vec<_> =
            units.iter().filter(|name| name.starts_with("magi-") || *name == "k3s.service").collect();
        assert!(!ours.is_empty(), "{units:?}");
        for unit in ours {
            let root = format!("--root={}", arg(&self.sandbox.path("tree")));
            let args = ["verify", &root, "--man=no", "--recursive-errors=no", unit];
            let output = command("systemd-analyze").args(args).output().expect("run systemd-analyze");
            // Ignore complaints about units of the base, which are not in this tree.
            let elsewhere = ["Failed to create", "Failed to add", "not found"];
            let said = said(&output);
            let complaints: Vec<_> = said
                .lines()
                .filter(|line| line.contains("magi") || line.contains("k3s"))
                .filter(|line| !elsewhere.iter().any(|known| line.contains(known)))
                .collect();
            assert!(complaints.is_empty(), "{unit}: {complaints:?}");
        }
    }

    #[track_caller]
    fn check_shell_scripts(&self) {
        let mut scripts = Vec::new();
        for folder in ["/usr/local/lib/magi", "/usr/local/bin", "/etc/keepalived"] {
            scripts_below(&self.path(folder), &mut scripts);
        }
        assert!(scripts.len() >= 4, "{scripts:?}");
        for script in &scripts {
            let output = command("sh").args(["-n", arg(script)]).output().expect("run sh");
            assert!(output.status.success(), "{}", said(&output));
        }
        if have(&["shellcheck"]) {
            // SC1091, SC2154: files that `.` sources on the node, and their variables, are unknown here.
            let mut check = command("shellcheck");
            let output = check
                .args(["--severity=warning", "--exclude=SC1091,SC2154"])
                .args(&scripts)
                .output()
                .expect("run shellcheck");
            assert!(output.status.success(), "{}: {}", self.name, said(&output));
        }
    }

    #[track_caller]
    fn check_json_and_yaml(&self) {
        let python = |code: &str, file: &Path| {
            let output = command("python3").args(["-c", code, arg(file)]).output().expect("run python3");
            assert!(output.status.success(), "{}: {}", file.display(), said(&output));
        };
        if have(&["python3"]) {
            let daemon = self.path("/etc/docker/daemon.json");
            if daemon.exists() {
                python("import json, sys; json.load(open(sys.argv[1]))", &daemon);
            }
            let yaml = command("python3").args(["-c", "import yaml"]).output().expect("run python3");
            if !yaml.status.success() {
                return eprintln!("not tried: python3 has no yaml");
            }
            let mut files = Vec::new();
            files_below(&self.path("/etc/rancher"), &mut files);
            files_below(&self.path("/var/lib/rancher"), &mut files);
            for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
                python(
                    "import yaml, sys; assert all(isinstance(d, dict) for d in yaml.safe_load_all(open(sys.argv[1])))",
                    file,
                );
            }
        }
    }

    /// Runs every check whose program is installed.
    #[track_caller]
    fn check_all(&self) {
        self.check_keepalived("eth0");
        self.check_nft();
        self.check_systemd();
        self.check_shell_scripts();
        self.check_json_and_yaml();
        self.check_sshd();
    }

    #[track_caller]
    fn check_sshd(&self) {
        if find("sshd").is_none() || !have(&["ssh-keygen"]) {
            return eprintln!("not tried: sshd is not installed");
        }
        let key = self.sandbox.path("host_key");
        common::tools::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", arg(&key)]);
        let ours = self.path("/etc/ssh/sshd_config.d/10-magi.conf");
        let output =
            command("sshd").args(["-t", "-h", arg(&key), "-f", arg(&ours)]).output().expect("run sshd");
        assert!(output.status.success(), "{}", said(&output));
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for name in names(folder) {
        let path = folder.join(name);
        if path.is_dir() && !path.is_symlink() {
            files_below(&path, found);
        } else if path.is_file() && !path.is_symlink() {
            found.push(path);
        }
    }
}

fn scripts_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut files = Vec::new();
    files_below(folder, &mut files);
    found.extend(
        files.into_iter().filter(|file| fs::read(file).is_ok_and(|text| text.starts_with(b"#!/bin/sh"))),
    );
}

#[test]
fn configuration_with_dhcp_is_valid() {
    let Some(node) = Node::of(&Profile::default(), "caspar") else { return };
    node.check_all();
    assert!(!node.text("/etc/keepalived/keepalived.conf").contains("unicast"));
    assert!(node.text("/etc/keepalived/keepalived.conf").contains("priority 198"));
    assert!(node.text("/etc/network/interfaces.d/eth0").contains("dhcp"));
    assert!(node.text("/etc/rancher/k3s/config.yaml").contains("10.0.0.100"));
    let packages = node.text("/etc/magi/packages");
    for package in
        ["docker-ce", "keepalived", "git", "tmux", "vim", "curl", "python3", "lsof", "ca-certificates"]
    {
        assert!(packages.split_whitespace().any(|word| word == package), "{package} in {packages}");
    }
    assert!(!node.path("/var/lib/rancher/k3s/server/manifests/traefik-config.yaml").exists());
}

#[test]
fn configuration_with_static_addresses_is_valid() {
    let Some(node) = Node::of(&Profile::fixed(), "melchior") else { return };
    node.check_all();
    insta::assert_snapshot!(node.text("/etc/network/interfaces.d/eth0"), @"
    auto eth0

    iface eth0 inet static
        address 10.0.0.11/24
        gateway 10.0.0.1
    iface eth0 inet6 auto
    ");
    insta::assert_snapshot!(node.text("/etc/resolv.conf"), @"nameserver 10.0.0.1");
    insta::assert_snapshot!(node.text("/etc/hosts"), @"
    127.0.0.1 localhost
    127.0.1.1 melchior
    ::1 localhost ip6-localhost ip6-loopback
    ff02::1 ip6-allnodes
    ff02::2 ip6-allrouters

    # the cluster's virtual address
    10.0.0.100 magi
    10.0.0.12 balthazar
    10.0.0.13 caspar
    ");
    let keepalived = node.text("/etc/keepalived/keepalived.conf");
    assert!(
        keepalived.contains("unicast_src_ip 10.0.0.11") && keepalived.contains("priority 200"),
        "{keepalived}"
    );
    assert!(node.path("/var/lib/rancher/k3s/server/manifests/traefik-config.yaml").exists());
    let firewall = node.text("/etc/nftables.conf");
    assert!(firewall.contains("10.0.0.11, 10.0.0.12, 10.0.0.13"), "{firewall}");
}

#[test]
fn configuration_with_debian_docker_no_ingress_and_airgap_images_is_valid() {
    let profile = Profile::default()
        .cluster_instead("name = \"home\"\nvip = \"192.168.1.5\"\n")
        .settings(
            "common",
            "packages = [\"htop\", \"g++\"]\ntimezone = \"Europe/Berlin\"\nconsole = \"open\"",
        )
        .settings("docker", "source = \"debian\"")
        .settings("ingress", "controller = \"none\"")
        .settings("k3s", "airgap = true")
        .settings("vip", "router_id = 255");
    let Some(node) = Node::of(&profile, "melchior") else { return };
    node.check_all();
    let packages = node.text("/etc/magi/packages");
    assert!(packages.contains("docker.io") && !packages.contains("docker-ce"), "{packages}");
    assert!(packages.contains("htop") && packages.contains("g++"), "{packages}");
    assert!(!node.path("/etc/apt/sources.list.d/docker.sources").exists());
    assert!(!node.path("/etc/apt/keyrings/docker.asc").exists());
    assert!(node.text("/etc/rancher/k3s/config.yaml").contains("- traefik"));
    assert!(!node.path("/var/lib/rancher/k3s/server/manifests/traefik-config.yaml").exists());
    assert!(node.path("/var/lib/rancher/k3s/agent/images/k3s-airgap-images-arm64.tar.zst").exists());
    assert!(node.text("/etc/shadow").starts_with("root::"));
    assert_eq!(node.text("/etc/timezone"), "Europe/Berlin\n");
    let zone = fs::read_link(node.path("/etc/localtime")).expect("read the symlink");
    assert_eq!(zone, Path::new("/usr/share/zoneinfo/Europe/Berlin"));
    assert!(node.text("/etc/nftables.conf").contains("192.168.0.0/16"));
}

#[test]
fn interface_setting_is_applied() {
    let profile = Profile::default().cluster("interface = \"end0\"\n");
    let Some(node) = Node::of(&profile, "caspar") else { return };
    node.check_keepalived("end0");
    node.check_nft();
    let network = node.text("/etc/network/interfaces.d/eth0");
    assert!(network.contains("auto end0") && !network.contains("auto eth0"), "{network}");
}

#[test]
fn k3s_and_firewall_settings_are_applied() {
    let profile = Profile::fixed()
        .settings(
            "k3s",
            "manifests = [\"apps\", \"one.yaml\"]\nconfig = [\"50-mine.yaml\"]\ndisable = [\"servicelb\", \"metrics-server\"]\n\
             cluster_cidr = \"10.52.0.0/16\"\nservice_cidr = \"10.53.0.0/16\"\nflannel_backend = \"host-gw\"\n\
             kubeconfig_mode = \"0644\"\ntls_san = [\"k3s.example.org\", \"10.0.0.99\"]",
        )
        .settings(
            "firewall",
            "lan = [\"10.0.0.0/24\", \"10.0.1.0/24\"]\nlan6 = [\"fd00::/8\"]\nweb = [\"tcp/80\", \"udp/4000-4010\"]\nallow = [\"tcp/9100\"]",
        );
    let site = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: site\n";
    let node = Node::with_files(&profile, "melchior", |sandbox| {
        sandbox.write("work/apps/blog/site.yaml", site);
        sandbox.write("work/apps/readme.txt", "not a manifest\n");
        sandbox.write("work/one.yaml", site.replace("name: site", "name: one"));
        sandbox.write("work/50-mine.yaml", "debug: true\n");
    });
    let Some(node) = node else { return };
    node.check_all();
    let manifests = "/var/lib/rancher/k3s/server/manifests";
    assert_eq!(node.text(&format!("{manifests}/blog/site.yaml")), site);
    assert!(node.text(&format!("{manifests}/one.yaml")).ends_with("name: one\n"));
    assert!(!node.path(&format!("{manifests}/readme.txt")).exists());
    assert_eq!(node.text("/etc/rancher/k3s/config.yaml.d/50-mine.yaml"), "debug: true\n");
    let config = node.text("/etc/rancher/k3s/config.yaml");
    for word in
        ["10.52.0.0/16", "10.53.0.0/16", "host-gw", "0644", "k3s.example.org", "10.0.0.99", "servicelb"]
    {
        assert!(config.contains(word), "{word} in {config}");
    }
    let firewall = node.text("/etc/nftables.conf");
    for word in ["10.0.1.0/24", "fd00::/8", "udp dport 4000-4010", "tcp dport 9100"] {
        assert!(firewall.contains(word), "{word} in {firewall}");
    }
}

#[test]
fn single_overlay_includes_firstboot() {
    for uses in [&["docker"][..], &["vip"], &["ingress"], &["firewall"]] {
        let Some(node) = Node::of(&Profile::small(uses), "caspar") else { return };
        node.check_systemd();
        assert!(node.path("/usr/local/lib/magi/firstboot").exists(), "{uses:?}");
        let units = names(&node.path("/etc/systemd/system/multi-user.target.wants"));
        assert!(units.iter().any(|unit| unit == "magi-firstboot.service"), "{uses:?}: {units:?}");
    }
}

#[test]
fn first_node_is_the_default_init_node() {
    let Some(node) = Node::of(&Profile::small(&["k3s"]), "caspar") else { return };
    assert!(
        node.text("/etc/magi/magi.conf").contains("MAGI_INIT=yes"),
        "{}",
        node.text("/etc/magi/magi.conf")
    );
}

#[test]
fn firewall_without_a_known_lan_is_refused() {
    let plan = |vip: &str| {
        let sandbox = Sandbox::new();
        let cluster = format!("name = \"magi\"\nvip = \"{vip}\"\n");
        Profile::small(&["firewall"]).cluster_instead(&cluster).write(&sandbox);
        sandbox.run(&["plan", "--all", "-p", "magi.toml"])
    };
    for private in ["10.1.2.3", "192.168.0.9", "172.16.0.1", "172.31.255.254"] {
        plan(private).ok();
    }
    for public in ["172.15.0.1", "172.32.0.1", "172.200.0.1", "192.0.2.1"] {
        let message = plan(public).failed(2);
        assert!(message.contains(&format!("{public} is not in a private range")), "{message}");
    }
}

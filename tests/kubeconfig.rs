//! `kubeconfig`: the printed file gives access to the API; a merge keeps the other entries.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use base64ct::{Base64, Encoding as _};
use common::sandbox::{SECRETS, mode};
use common::tools::{arg, command, have, output, run, said};
use common::{Profile, Ran, Sandbox};
use serde_json::Value;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    sandbox
}

fn parsed(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e} in {yaml}"))
}

#[test]
fn yaml_and_json_have_the_same_content() {
    let sandbox = sandbox();
    let printed = sandbox.run(&["kubeconfig"]).ok();
    assert_eq!(printed.stderr, "");
    let config = parsed(&printed.stdout);
    assert_eq!(config, sandbox.run(&["kubeconfig", "--json"]).ok().json());
    assert_eq!(config["current-context"], "magi");
    assert_eq!(config["clusters"][0]["cluster"]["server"], "https://10.0.0.100:6443");
    assert_eq!(config["contexts"][0]["name"], "magi");
    let secrets: toml::Table = SECRETS.parse().expect("parse the TOML");
    let crt = secrets["k3s"]["server_ca"]["crt"].as_str().expect("value is a string").trim();
    let ca =
        config["clusters"][0]["cluster"]["certificate-authority-data"].as_str().expect("value is a string");
    assert_eq!(ca, Base64::encode_string(format!("{crt}\n").as_bytes()));
    if have(&["python3"]) && output("python3", &["-c", "import yaml"]).status.success() {
        let file = sandbox.write("config", &printed.stdout);
        let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
        let theirs: Value =
            serde_json::from_str(&run("python3", &["-c", code, arg(&file)])).expect("parse the JSON");
        assert_eq!(theirs, config);
    }
}

#[test]
fn missing_secrets_are_generated_for_every_node() {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path("home/.ssh")).expect("remove the folder");
    let first = sandbox.run(&["kubeconfig"]).ok();
    assert!(
        first.stderr.contains("generated the cluster's secrets in `magi.secrets.toml`"),
        "{}",
        first.stderr
    );
    let made = fs::read_to_string(sandbox.work("magi.secrets.toml")).expect("read the secrets");
    let second = sandbox.run(&["kubeconfig", "-q"]).ok();
    assert_eq!((second.stdout, second.stderr), (first.stdout, String::new()));
    sandbox.run(&["build", "--node", "caspar", "--base", "sample"]).ok();
    assert_eq!(fs::read_to_string(sandbox.work("magi.secrets.toml")).expect("secrets"), made);
}

#[test]
fn profile_without_a_kubeconfig_is_refused() {
    let sandbox = Sandbox::new();
    Profile::small(&["docker"]).write(&sandbox);
    insta::assert_snapshot!(sandbox.run(&["kubeconfig", "-p", "magi.toml"]).failed(2), @"
    error: no overlay of this profile has `client/kubeconfig.j2`
    hint: add an overlay with this file to `overlays.use`; this profile has `firstboot`, `common`, `docker`
    ");
}

#[test]
fn template_errors_do_not_print_secrets() {
    let sandbox = Sandbox::new();
    let secret = "[[secret]]\nname = \"key\"\nkind = \"hex\"\nlength = 32\n";
    sandbox.write("work/overlays/mine/overlay.toml", format!("summary = \"x\"\n{secret}"));
    Profile::small(&["mine"]).write(&sandbox);
    sandbox.write_secrets("work/magi.secrets.toml");
    let value = "feedfeedfeedfeedfeedfeedfeedfeed";
    let mut file = SECRETS.to_owned();
    file.push_str(&format!("\n[mine]\nkey = \"{value}\"\n"));
    fs::write(sandbox.work("magi.secrets.toml"), file).expect("write the secrets");
    for (template, why) in [
        ("{{ secrets.key | network }}", "line 1"),
        ("- {{ secrets.key }}\n", "isn't a mapping"),
        ("users: [{{ secrets.key }}", "can't be read as YAML"),
        ("{{ secrets.key }}: 1", "neither `kind` nor"),
    ] {
        sandbox.write("work/overlays/mine/client/kubeconfig.j2", template);
        let said = sandbox.run(&["kubeconfig", "-p", "magi.toml"]).failed(2);
        assert!(said.contains(why) && !said.contains(value), "{said}");
    }
}

/// Runs `kubeconfig --merge` with `KUBECONFIG` set to `list`, or unset: then the file is `~/.kube/config`.
fn merge(sandbox: &Sandbox, list: Option<&str>, args: &[&str]) -> Ran {
    let mut command = sandbox.command(&[&["kubeconfig", "--merge"][..], args].concat());
    command.env_remove("KUBECONFIG");
    if let Some(list) = list {
        command.env("KUBECONFIG", list);
    }
    sandbox.ran(&command.output().expect("run the binary"))
}

#[test]
fn merge_keeps_other_entries() {
    let sandbox = sandbox();
    let ran = merge(&sandbox, None, &[]).ok();
    insta::assert_snapshot!(sandbox.normalised(&ran.stdout), @"[sandbox]/home/.kube/config");
    insta::assert_snapshot!(ran.stderr, @"merged as context `magi`: try `kubectl --context magi get nodes`");
    let file = sandbox.path("home/.kube/config");
    assert_eq!((mode(&file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
    let once = fs::read_to_string(&file).expect("read the file");
    assert_eq!(parsed(&once), sandbox.run(&["kubeconfig", "--json"]).ok().json());
    merge(&sandbox, None, &["-q"]).ok();
    assert_eq!(fs::read_to_string(&file).expect("text"), once);
    // The same name with another server address is another cluster: this needs `--force`.
    Profile::default().cluster_instead("name = \"magi\"\nvip = \"10.0.0.200\"\n").write(&sandbox);
    insta::assert_snapshot!(sandbox.normalised(&merge(&sandbox, None, &["-p", "magi.toml"]).failed(2)), @"
    error: `[sandbox]/home/.kube/config` already has a cluster `magi` with another server
    hint: replace the entry with `--force`, rename this cluster in the profile, or name another file in `KUBECONFIG`
    ");
    assert_eq!(fs::read_to_string(&file).expect("text"), once);
    merge(&sandbox, None, &["-p", "magi.toml", "--force"]).ok();
    assert!(fs::read_to_string(&file).expect("text").contains("https://10.0.0.200:6443"));
}

#[test]
fn merge_writes_the_first_listed_file() {
    let sandbox = sandbox();
    let others = "\
# mine
apiVersion: v1
kind: Config
current-context: work
clusters:
- cluster: {server: 'https://work:6443', insecure-skip-tls-verify: true}
  name: work
contexts:
- {context: {cluster: work, user: me, namespace: 'on'}, name: work}
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args: [get-token, --region, 'no', '0123', '', \"two\\nlines\", '# no comment', 'a: b', '2020-01-01']
      env: null
";
    let first = sandbox.write("work/first", others);
    sandbox.write("work/second", "kind: Config\n");
    let ran = merge(&sandbox, Some(":first:second"), &["--json"]).ok();
    assert_eq!(ran.json(), serde_json::json!({"file": "first", "context": "magi"}));
    let (before, after) = (parsed(others), parsed(&fs::read_to_string(&first).expect("read the file")));
    assert_eq!(after["current-context"], "work");
    for list in ["clusters", "contexts", "users"] {
        assert_eq!(after[list][0], before[list][0]);
        assert_eq!(after[list].as_array().expect("a list").len(), 2, "{list}");
    }
    assert_eq!(mode(&first), 0o600);
    assert_eq!(fs::read_to_string(sandbox.work("second")).expect("text"), "kind: Config\n");
    // Another YAML parser reads the same content.
    if have(&["python3"]) && output("python3", &["-c", "import yaml"]).status.success() {
        let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
        let theirs: Value =
            serde_json::from_str(&run("python3", &["-c", code, arg(&first)])).expect("parse the JSON");
        assert_eq!(theirs, after);
    }
}

#[test]
fn invalid_kubeconfig_file_is_refused_and_unchanged() {
    let sandbox = sandbox();
    for text in ["[not, one]\n", "a: [b\n", "kind: Secret\n", "words\n", "\u{0}\n"] {
        let file = sandbox.write("work/config", text);
        let said = merge(&sandbox, Some("config"), &["--force"]).failed(2);
        assert!(said.starts_with("error: `config` isn't a kubeconfig: "), "{said}");
        assert_eq!(fs::read_to_string(&file).expect("text"), text);
    }
    let file = sandbox.write("work/config", [0xff, 0xfe]);
    assert!(merge(&sandbox, Some("config"), &[]).failed(2).contains("isn't UTF-8"));
    assert_eq!(fs::read(&file).expect("bytes"), [0xff, 0xfe]);
}

/// A TLS server with a certificate signed by the server CA, which requires a client certificate.
struct Api {
    server: Child,
    port: String,
}

impl Api {
    fn start(sandbox: &Sandbox, pki: &Path) -> Self {
        let file = |name: &str| arg(&pki.join(name)).to_owned();
        let (key, request, crt) = (file("api.key"), file("api.csr"), file("api.crt"));
        run("openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        run("openssl", &["req", "-new", "-key", &key, "-subj", "/CN=k3s", "-out", &request]);
        let names = arg(&sandbox.write("names", "subjectAltName=IP:10.0.0.100\n")).to_owned();
        let (ca, ca_key) = (file("server_ca.crt"), file("server_ca.key"));
        let sign = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-set_serial", "1"];
        run("openssl", &[&sign[..], &["-days", "2", "-extfile", &names, "-out", &crt]].concat());
        let mut server = command("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &crt, "-key", &key])
            .args(["-CAfile", &file("client_ca.crt"), "-Verify", "1", "-verify_return_error"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start openssl");
        let mut said = BufReader::new(server.stdout.take().expect("stdout is piped")).lines();
        let line =
            said.find_map(|l| l.ok().filter(|l| l.starts_with("ACCEPT"))).expect("openssl prints ACCEPT");
        std::thread::spawn(move || said.for_each(drop));
        Self { server, port: line.rsplit(':').next().expect("line has a port").to_owned() }
    }

    /// The response to a client with this CA and client certificate; `None` if the TLS handshake fails.
    fn response_to(&self, ca: &Path, client: Option<(&Path, &Path)>) -> Option<String> {
        let there = format!("10.0.0.100:6443:127.0.0.1:{}", self.port);
        let mut curl = command("curl");
        curl.args(["-sS", "--max-time", "20", "--noproxy", "*", "--connect-to", &there, "--cacert", arg(ca)]);
        if let Some((crt, key)) = client {
            curl.args(["--cert", arg(crt), "--key", arg(key)]);
        }
        let output = curl.arg("https://10.0.0.100:6443/").output().expect("run curl");
        output.status.success().then(|| said(&output))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn api_accepts_only_certificates_of_the_same_cluster() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let sandbox = sandbox();
    let pki = common::sandbox::pki(&sandbox, SECRETS);
    let api = Api::start(&sandbox, &pki);
    let config = parsed(&sandbox.run(&["kubeconfig"]).ok().stdout);
    let file = |name: &str, value: &Value| {
        let bytes = Base64::decode_vec(value.as_str().expect("value is a string")).expect("base64");
        sandbox.write(name, bytes)
    };
    let ca = file("ca.crt", &config["clusters"][0]["cluster"]["certificate-authority-data"]);
    let crt = file("admin.crt", &config["users"][0]["user"]["client-certificate-data"]);
    let key = file("admin.key", &config["users"][0]["user"]["client-key-data"]);
    let said = api.response_to(&ca, Some((&crt, &key))).expect("server accepts the client");
    assert!(said.replace(" = ", "=").contains("O=system:masters, CN=magi-admin"), "{said}");
    // No client certificate, another CA, and a certificate of another cluster are all rejected.
    assert_eq!(api.response_to(&ca, None), None);
    assert_eq!(api.response_to(&pki.join("client_ca.crt"), Some((&crt, &key))), None);
    let other_cluster = Sandbox::new();
    other_cluster.run(&["kubeconfig", "-q"]).ok();
    let made = fs::read_to_string(other_cluster.work("magi.secrets.toml")).expect("read the secrets");
    let theirs = common::sandbox::pki(&other_cluster, &made);
    assert_eq!(api.response_to(&ca, Some((&theirs.join("admin.crt"), &theirs.join("admin.key")))), None);
}

#[cfg(target_os = "linux")]
#[test]
fn non_utf8_paths_work_and_fifo_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = sandbox();
    let mut command = sandbox.command(&["kubeconfig", "--merge", "--json"]);
    command.env("KUBECONFIG", std::ffi::OsStr::from_bytes(b"k\xff"));
    let ran = sandbox.ran(&command.output().expect("run the binary")).ok();
    assert_eq!(ran.json()["file"], "k\u{fffd}");
    if have(&["mkfifo"]) {
        run("mkfifo", &[arg(&sandbox.work("fifo"))]);
        insta::assert_snapshot!(merge(&sandbox, Some("fifo"), &[]).failed(2), @"
        error: `fifo` isn't a regular file
        hint: the file was not changed; name another file in `KUBECONFIG`
        ");
    }
    let mut command = sandbox.command(&["init", "--json"]);
    command.arg(std::ffi::OsStr::from_bytes(b"home\xff"));
    let ran = sandbox.ran(&command.output().expect("run the binary")).ok();
    assert_eq!(ran.json()[0], "home\u{fffd}/profiles/magi.toml");
}

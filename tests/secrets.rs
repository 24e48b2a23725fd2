//! Cluster secrets: openssl checks the certificates; secrets are only in the planned files of images.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use common::image::{Image, JUDGES};
use common::sandbox::{SECRETS, mode, names, pki, set_mode, untold};
use common::tools::{arg, have, run};
use common::{Profile, Ran, Sandbox};

const NODES: [&str; 3] = ["melchior", "balthazar", "caspar"];
const TLS: &str = "/var/lib/rancher/k3s/server/tls";
const CAS: [(&str, &str); 5] = [
    ("server_ca", "server-ca"),
    ("client_ca", "client-ca"),
    ("request_header_ca", "request-header-ca"),
    ("etcd_server_ca", "etcd/server-ca"),
    ("etcd_peer_ca", "etcd/peer-ca"),
];

#[test]
fn openssl_verifies_the_generated_certificates() {
    if !have(&["openssl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.run(&["build", "--node", "melchior", "--base", "sample"]).ok();
    let secrets = fs::read_to_string(sandbox.work("magi.secrets.toml")).expect("read the secrets");
    let pki = pki(&sandbox, &secrets);
    let file = |name: &str| arg(&pki.join(name)).to_owned();
    for name in CAS.map(|ca| ca.0).iter().chain(&["service", "admin"]) {
        let key = run("openssl", &["ec", "-in", &file(&format!("{name}.key")), "-noout", "-text"]);
        assert!(key.contains("ASN1 OID: prime256v1"), "{name}: {key}");
        // Kubernetes' parser of the service key needs the curve parameters inside the key.
        let parts = run("openssl", &["asn1parse", "-in", &file(&format!("{name}.key"))]);
        assert!(parts.contains(":prime256v1") && !parts.contains("id-ecPublicKey"), "{name}: {parts}");
    }
    let mut serials = Vec::new();
    for (name, common_name) in CAS {
        let common_name = common_name.replace('/', "-");
        let (crt, text) = (file(&format!("{name}.crt")), ["x509", "-noout", "-text", "-in"]);
        let said = run("openssl", &[&text[..], &[crt.as_str()]].concat());
        for words in [
            format!("Subject: CN = magi-{common_name}"),
            "Not Before: Jan  1 00:00:00 2020 GMT".into(),
            "Not After : Dec 31 23:59:59 2049 GMT".into(),
            "X509v3 Basic Constraints: critical\n                CA:TRUE".into(),
            "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment, Certificate Sign".into(),
            "X509v3 Subject Key Identifier".into(),
        ] {
            assert!(said.replace("CN=", "CN = ").contains(&words), "{words} in {said}");
        }
        run("openssl", &["verify", "-x509_strict", "-CAfile", &crt, &crt]);
        serials.push(run("openssl", &["x509", "-noout", "-serial", "-in", &crt]));
    }
    serials.sort();
    serials.dedup();
    assert!(serials.len() == 5 && !serials.iter().any(|s| s.contains("=-")), "{serials:?}");

    let admin = file("admin.crt");
    let said = run("openssl", &["x509", "-noout", "-text", "-in", &admin]).replace(" = ", "=");
    for words in
        ["Subject: O=system:masters, CN=magi-admin", "TLS Web Client Authentication", "Authority Key"]
    {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!said.contains("CA:TRUE"), "{said}");
    let verify = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"];
    run("openssl", &[&verify[..], &[file("client_ca.crt").as_str(), &admin]].concat());
}

#[test]
fn only_init_node_has_the_ca_keys() {
    if !have(&JUDGES) || !have(&["openssl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    sandbox.run(&["build", "--node", "melchior", "caspar", "--base", "sample"]).ok();
    let pki = pki(&sandbox, SECRETS);
    let open = |node: &str| Image::open(&sandbox.work(&format!("out/magi-{node}.img")));
    let (init, joiner) = (open("melchior"), open("caspar"));
    let pem = |name: &str| fs::read_to_string(pki.join(name)).expect("read the PEM file");
    for image in [&init, &joiner] {
        let private = |path: &str, kind: &str, mode: &str| {
            let stat = image.stat(path);
            assert_eq!(
                (stat.kind.as_str(), stat.mode.as_str(), stat.owner.as_str()),
                (kind, mode, "0:0"),
                "{path}"
            );
        };
        private("/etc/rancher/k3s/cluster", "directory", "0700");
        for (name, path) in
            [("server_ca.crt", "server-ca.crt"), ("admin.crt", "admin.crt"), ("admin.key", "admin.key")]
        {
            let path = format!("/etc/rancher/k3s/cluster/{path}");
            private(&path, "regular", "0600");
            assert_eq!(image.cat(&path), pem(name), "{path}");
        }
        private("/etc/rancher/k3s/token", "regular", "0600");
        let hash = common::bases::sha256(&pki.join("server_ca.crt"));
        let token = "7be1a44ac0ffee0123456789abcdef0123456789abcdef0123456789abcdef01";
        assert_eq!(image.cat("/etc/rancher/k3s/token"), format!("K10{hash}::server:{token}\n"));
    }
    for folder in [TLS, &format!("{TLS}/etcd")] {
        assert_eq!(init.stat(folder).mode, "0700", "{folder}");
    }
    let mut laid = vec![("service.key".to_owned(), "service.key".to_owned())];
    for (name, path) in CAS {
        laid.extend(["crt", "key"].map(|part| (format!("{name}.{part}"), format!("{path}.{part}"))));
    }
    for (name, path) in laid {
        let path = format!("{TLS}/{path}");
        assert_eq!(init.cat(&path), pem(&name), "{path}");
        assert_eq!(init.stat(&path).mode, "0600", "{path}");
        assert!(!joiner.has(&path), "{path}");
    }
}

/// The sample, built raw and as zst, and the output of every command.
struct Built {
    sandbox: Sandbox,
    ran: Vec<(String, Ran)>,
}

fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let sandbox = Sandbox::shared("all");
        sandbox.write_secrets("work/magi.secrets.toml");
        let sample = ["--all", "--base", "sample"];
        let caspar = "out/magi-caspar.img";
        let runs: [&[&str]; 10] = [
            &[&["build"][..], &sample].concat(),
            &[&["build", "--json", "-o", "json"][..], &sample].concat(),
            &[&["build", "--format", "zst", "-o", "zst"][..], &sample].concat(),
            &[&["plan"][..], &sample].concat(),
            &[&["plan", "--json"][..], &sample].concat(),
            &["fetch", "--base", "sample"],
            &["inspect", caspar, "--json"],
            &["verify", caspar, "--json"],
            &["inspect", "zst/magi-melchior.img.zst"],
            &["verify", "zst/magi-melchior.img.zst"],
        ];
        let ran = runs.iter().map(|args| (args.join(" "), sandbox.run(args).ok())).collect();
        Built { sandbox, ran }
    })
}

/// Every file below `folder` with its content; image files only if `images` is true.
fn files(folder: &Path, images: bool) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(files(&path, images));
        } else if images || ![".img", ".img.zst"].iter().any(|end| name.ends_with(end)) {
            found.push((path.display().to_string(), fs::read(&path).expect("read the file")));
        }
    }
    found
}

/// Searches for many texts in one pass. Written by hand: search crates are too slow in debug builds.
struct Search<'a> {
    needles: &'a [(String, String)],
    /// Indices of `needles` by their first two bytes.
    by_start: HashMap<[u8; 2], Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(needles: &'a [(String, String)]) -> Self {
        let mut by_start: HashMap<[u8; 2], Vec<usize>> = HashMap::new();
        for (index, (_, text)) in needles.iter().enumerate() {
            by_start.entry([text.as_bytes()[0], text.as_bytes()[1]]).or_default().push(index);
        }
        Self { needles, by_start }
    }

    /// Index and offset of every needle in `content`.
    fn find(&self, content: &[u8]) -> Vec<(usize, u64)> {
        let mut starts = vec![false; 256];
        self.by_start.keys().for_each(|start| starts[usize::from(start[0])] = true);
        let (mut found, zeros) = (Vec::new(), [0u8; 4096]);
        for (block, bytes) in content.chunks(zeros.len()).enumerate() {
            // Skip zero blocks: most of an image is zero.
            if *bytes == zeros[..bytes.len()] {
                continue;
            }
            for (inside, byte) in bytes.iter().enumerate() {
                if !starts[usize::from(*byte)] {
                    continue;
                }
                let rest = &content[block * zeros.len() + inside..];
                let candidates = rest.get(..2).and_then(|start| self.by_start.get(start));
                for index in candidates.into_iter().flatten() {
                    if rest.starts_with(self.needles[*index].1.as_bytes()) {
                        found.push((*index, (block * zeros.len() + inside) as u64));
                    }
                }
            }
        }
        found
    }
}

#[test]
fn only_images_hold_secrets() {
    let built = built();
    let mut secrets = untold(SECRETS);
    assert!(secrets.len() > 60, "{}", secrets.len());
    for (key, text) in secrets.clone() {
        secrets.push((format!("the hash of {key}"), sha256(&text)));
        secrets.push((format!("the hash of {key}"), sha256(&format!("{text}\n"))));
    }
    let search = Search::new(&secrets);
    let none = |whose: &str, content: &[u8]| {
        let found = search.find(content);
        assert!(found.is_empty(), "{whose} has {}", secrets[found[0].0].0);
    };
    for (args, ran) in &built.ran {
        none(&format!("stdout of {args}"), ran.stdout.as_bytes());
        none(&format!("stderr of {args}"), ran.stderr.as_bytes());
    }
    for folder in ["out", "json", "zst"] {
        let found = files(&built.sandbox.work(folder), false);
        assert_eq!(found.len(), 6, "{folder}");
        found.iter().for_each(|(name, content)| none(name, content));
    }
    for node in NODES.iter().filter(|_| have(&JUDGES)) {
        let image = Image::open(&built.sandbox.work(&format!("out/magi-{node}.img")));
        none(&format!("the FAT of {node}"), &image.fat_bytes());
    }
    // The cache and the lock file; the cache includes the unpacked base.
    let beside = files(&built.sandbox.work(""), false);
    let beside = beside.into_iter().filter(|(name, _)| !name.ends_with("/magi.secrets.toml"));
    let kept = files(built.sandbox.cache(), true);
    assert!(kept.iter().any(|(name, _)| name.ends_with(".img")));
    kept.into_iter().chain(beside).for_each(|(name, content)| none(&name, &content));
}

fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files on `node` that may hold the secret `key`.
fn allowed_files(key: &str, node: &str) -> Vec<String> {
    let Some(rest) = key.strip_prefix("k3s.") else {
        return vec!["/etc/keepalived/keepalived.conf".into()];
    };
    let everywhere = |name: &str| format!("/etc/rancher/k3s/cluster/{name}");
    let mut places = match rest {
        "token" => vec!["/etc/rancher/k3s/token".into()],
        "admin.crt" => vec![everywhere("admin.crt")],
        "admin.key" => vec![everywhere("admin.key")],
        "server_ca.crt" => vec![everywhere("server-ca.crt")],
        _ => vec![],
    };
    if rest.strip_prefix("node_password.") == Some(node) {
        places.push("/etc/rancher/node/password".into());
    }
    let (name, part) = rest.split_once('.').unwrap_or((rest, ""));
    if node == "melchior" {
        let cas = CAS.iter().filter(|ca| ca.0 == name);
        places.extend(cas.map(|ca| format!("{TLS}/{}.{part}", ca.1)));
        places.extend((name == "service").then(|| format!("{TLS}/service.key")));
    }
    places
}

#[test]
fn image_holds_secrets_in_their_files_only() {
    if !have(&JUDGES) {
        return;
    }
    let built = built();
    let secrets = untold(SECRETS);
    let search = Search::new(&secrets);
    for node in NODES {
        let path = built.sandbox.work(&format!("out/magi-{node}.img"));
        let image = Image::open(&path);
        let found = search.find(&fs::read(&path).expect("read the image"));
        for (index, (key, text)) in secrets.iter().enumerate() {
            let places = allowed_files(key, node);
            let at: Vec<u64> = found.iter().filter(|f| f.0 == index).map(|f| f.1).collect();
            // No copy in the journal or in a freed block.
            assert_eq!(at.len(), places.len(), "{key} on {node} at {at:?}");
            // Only whole PEM texts: single lines (which start with `MI` or `MH`) are inside these.
            for place in places.iter().filter(|_| !text.starts_with("MI") && !text.starts_with("MH")) {
                assert!(at.iter().any(|at| image.belongs(*at, place)), "{key} on {node}: {place}");
            }
        }
    }
}

#[test]
fn template_errors_do_not_print_secrets() {
    let secret = "feedfeedfeedfeedfeedfeedfeedfeed";
    let broken = [
        ("files/etc/key.j2", "{{ secrets.key | network }}\n"),
        ("files/etc/key.j2", "{{ secrets.key }}{{ nope }}\n"),
        ("files/etc/key.j2", "{{ secrets.key.nope.nope }}\n"),
        ("files/etc/key.j2", "{% include secrets.key %}\n"),
        ("files/etc/key.j2", "{{ secrets.key + 1 }}\n"),
        ("files/etc/key.j2", "{{ [][secrets.key] }}\n"),
        ("files/etc/key.j2", "{{ secrets.key | int }}\n"),
        ("files/etc/key.j2", "{{ lipsum(secrets.key) }}\n"),
        ("files/etc/key.j2", "{{ secrets.ca.key | network }}\n"),
        ("boot/key.txt.j2", "{{ secrets.key }}\n"),
        ("files/etc/a/{{ secrets.key }}.j2", "{{ secrets.ca.key | fromjson }}\n"),
    ];
    for (path, template) in broken {
        let sandbox = Sandbox::new();
        let ca = "[[secret]]\nname = \"ca\"\nkind = \"ca\"\ncommon_name = \"x\"\n";
        let key = "[[secret]]\nname = \"key\"\nkind = \"hex\"\nlength = 32\n";
        sandbox.write("work/overlays/mine/overlay.toml", format!("summary = \"x\"\n{key}{ca}"));
        sandbox.write(&format!("work/overlays/mine/{path}"), template);
        Profile::small(&["mine"]).write(&sandbox);
        let kept = SECRETS.replace("[k3s.server_ca]", "[mine.ca]");
        let file = sandbox.work("magi.secrets.toml");
        fs::write(&file, format!("{kept}\n[mine]\nkey = \"{secret}\"\n")).expect("write the secrets");
        for command in ["build", "plan"] {
            let said = sandbox.run(&[command, "--all", "--base", "sample", "-p", "magi.toml"]).failed(2);
            assert!(!said.contains(secret), "{said}");
            for (key, text) in untold(SECRETS) {
                assert!(!said.contains(&text), "{key} in {said}");
            }
        }
    }
}

#[test]
fn secrets_content_in_the_path_variable_is_not_printed() {
    let sandbox = Sandbox::new();
    let one_line = SECRETS.replace('\n', "");
    for content in [SECRETS, &one_line] {
        for args in [
            &["build", "--all", "--base", "sample"][..],
            &["plan", "--all", "--base", "sample"],
            &["kubeconfig"],
            &["init", "new"],
        ] {
            let mut command = sandbox.command(args);
            let ran =
                sandbox.ran(&command.env("MAGI_IMAGE_SECRETS", content).output().expect("run the binary"));
            insta::allow_duplicates! {
                insta::assert_snapshot!(ran.failed(2), @"
                error: `--secrets` or `MAGI_IMAGE_SECRETS` is the content of a secrets file, not its path
                hint: write the secrets to a file with mode 600 and give its path
                ");
            }
        }
        let mut command = sandbox.command(&["build", "--help"]);
        let ran =
            sandbox.ran(&command.env("MAGI_IMAGE_SECRETS", content).output().expect("run the binary")).ok();
        for (key, secret) in untold(SECRETS) {
            assert!(!ran.stdout.contains(&secret), "{key}");
        }
    }
    assert!(!sandbox.work("new").exists());
    let mut command = sandbox.command(&["kubeconfig"]);
    let ran = sandbox.ran(&command.env("MAGI_IMAGE_SECRETS", "").output().expect("run the binary"));
    insta::assert_snapshot!(ran.failed(2), @"
    error: the environment variable `MAGI_IMAGE_SECRETS` is empty
    hint: set it to a path, or unset it
    ");
}

#[test]
fn named_secrets_file_must_exist() {
    let sandbox = Sandbox::new();
    for command in ["build", "plan"] {
        let ran = sandbox.run(&[command, "--all", "--base", "sample", "--secrets", "typo.toml"]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.failed(2), @"
            error: the secrets file `typo.toml` does not exist
            hint: check the path; `magi-image init --secrets typo.toml` makes it for a new cluster
            ");
        }
    }
    let empty = sandbox.write("work/empty.toml", "# nothing\n");
    set_mode(&empty, 0o600);
    insta::assert_snapshot!(sandbox.run(&["kubeconfig", "--secrets", "empty.toml"]).failed(2), @"
    error: `empty.toml` has no secrets
    hint: restore the file from a backup; remove it only to start a new cluster
    ");
    insta::assert_snapshot!(sandbox.run(&["kubeconfig", "--secrets", "."]).failed(2), @"
    error: cannot read `.`
      caused by: Is a directory (os error 21)
    hint: this is a folder; name a file
    ");
    assert_eq!(names(&sandbox.path("work")), ["empty.toml"]);
}

#[test]
fn symlinked_secrets_file_is_written_through_the_symlink() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).ok();
    let (link, vault) = (sandbox.work("profiles/magi.secrets.toml"), sandbox.work("vault.toml"));
    fs::rename(&link, &vault).expect("move the secrets file");
    std::os::unix::fs::symlink("../vault.toml", &link).expect("create the symlink");
    let profile = fs::read_to_string(sandbox.work("profiles/magi.toml")).expect("read the profile");
    sandbox.write("work/profiles/magi.toml", format!("{profile}\n[[node]]\nname = \"magus\"\n"));
    sandbox.run(&["kubeconfig"]).ok();
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&vault).expect("secrets").contains("magus"));
    // A dangling symlink: its target is created.
    fs::remove_file(&vault).expect("remove the secrets file");
    sandbox.run(&["kubeconfig"]).ok();
    assert!(link.is_symlink() && mode(&vault) == 0o600);
}

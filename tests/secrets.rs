//! What the cluster's secrets are, judged by openssl, and where they are found: only where they belong.

#![allow(clippy::pedantic)] // a test shows behaviour; its style is its own

mod common;

use std::fs;
use std::path::PathBuf;

use common::Sandbox;
use common::image::{Image, JUDGES};
use common::tools::{arg, have, run};

const TLS: &str = "/var/lib/rancher/k3s/server/tls";
const CAS: [(&str, &str); 5] = [
    ("server_ca", "server-ca"),
    ("client_ca", "client-ca"),
    ("request_header_ca", "request-header-ca"),
    ("etcd_server_ca", "etcd/server-ca"),
    ("etcd_peer_ca", "etcd/peer-ca"),
];

/// Every key and certificate of `secrets` as `NAME.key` and `NAME.crt` in a folder of `sandbox`.
fn unpacked(sandbox: &Sandbox, secrets: &str) -> PathBuf {
    let table: toml::Table = secrets.parse().expect("TOML");
    for (name, value) in table["k3s"].as_table().expect("a table") {
        for part in ["crt", "key"] {
            if let Some(pem) = value.get(part) {
                let pem = pem.as_str().expect("PEM").trim();
                sandbox.write(&format!("pki/{name}.{part}"), format!("{pem}\n"));
            }
        }
    }
    sandbox.path("pki")
}

#[test]
fn openssl_reads_and_verifies_what_is_made() {
    if !have(&["openssl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.run(&["build", "--node", "melchior", "--base", "sample"]).ok();
    let secrets = fs::read_to_string(sandbox.work("magi.secrets.toml")).expect("secrets");
    let pki = unpacked(&sandbox, &secrets);
    let file = |name: &str| arg(&pki.join(name)).to_owned();
    for name in CAS.map(|ca| ca.0).iter().chain(&["service", "admin"]) {
        let key = run("openssl", &["ec", "-in", &file(&format!("{name}.key")), "-noout", "-text"]);
        assert!(key.contains("ASN1 OID: prime256v1"), "{name}: {key}");
        // Kubernetes' reader of the service key wants the curve inside of it.
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
fn each_node_has_what_it_needs_and_joiners_know_whom_they_join() {
    if !have(&JUDGES) || !have(&["openssl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write_secrets("work/magi.secrets.toml");
    sandbox.run(&["build", "--node", "melchior", "caspar", "--base", "sample"]).ok();
    let pki = unpacked(&sandbox, common::sandbox::SECRETS);
    let open = |node: &str| Image::open(&sandbox.work(&format!("out/magi-{node}.img")));
    let (init, joiner) = (open("melchior"), open("caspar"));
    let pem = |name: &str| fs::read_to_string(pki.join(name)).expect("PEM");
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

//! Bases that are gone or replaced, and mirrors.

use super::*;

/// The hint of a base that is gone must name others that are published, and nothing else.
fn assert_names_other_bases(error: &crate::Error) {
    let hint = error.hint().unwrap();
    for name in ["`raspios-13`", "`debian-12-raspi4`", "`magi-image base list`"] {
        assert!(hint.contains(name), "{hint}");
    }
    for name in ["`debian-13`", "sample"] {
        assert!(!hint.contains(name), "{hint}");
    }
    assert_eq!(error.exit(), Exit::Network);
}

#[test]
fn named_base_that_is_gone_names_the_others() {
    let (server, mut setup) = (Server::run(), Setup::new());
    missing(&server, &["/b.tar.xz", "/b.tar.xz.sha256", "/SHA256SUMS", "/SHA512SUMS"]);
    let url = server.url_str("/b.tar.xz");
    let expected = format!("cannot download `{url}`: the server answers 404 Not Found");
    for sha256 in [None, Some(Sha256::of(b"pinned"))] {
        let error = setup.prepare_known(std::slice::from_ref(&url), sha256).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_names_other_bases(&error);
    }
    // Only the checksum files are gone.
    let url = serve(&server, "/c.tar.xz", 1, b"there");
    missing(&server, &["/c.tar.xz.sha256"]);
    let error = setup.prepare_known(std::slice::from_ref(&url), None).unwrap_err();
    let none = "none of `c.tar.xz.sha256`, `SHA256SUMS`, `SHA512SUMS` is beside it";
    assert_eq!(error.to_string(), format!("nothing says what SHA-256 `debian-13` must have: {none}"));
    assert!(error.hint().unwrap().contains("use another base: `debian-12-raspi4`"), "{error}");
}

#[test]
fn mirror_is_used_and_leaves_the_same_lock() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let packed = xz(&disk(10));
    missing(&server, &["/a/b.xz", "/a/b.xz.sha256", "/a/SHA256SUMS", "/a/SHA512SUMS"]);
    let urls = [server.url_str("/a/b.xz"), serve(&server, "/m/b.xz", 1, &packed)];
    serve(&server, "/m/b.xz.sha256", 1, format!("{}  b.xz\n", sum(&packed)).as_bytes());
    let prepared = setup.prepare_known(&urls, None).unwrap();
    assert_eq!(prepared.source, urls[0], "the lock and manifests name the first URL");
    assert_eq!(setup.lock.get(&urls[1]), None);
    let locked = setup.lock.get(&urls[0]).cloned();
    assert_eq!(locked.as_ref().unwrap().sha256, Sha256::of(&packed));
    let note = format!("`{}`: the server answers 404 Not Found; trying `{}`", urls[0], urls[1]);
    assert!(setup.notes.notes().contains(&note), "{:?}", setup.notes.notes());

    // With the lock, only the image is asked for: first from a server whose image was replaced.
    let first = Server::run();
    let urls = [serve(&first, "/b.xz", 1, &xz(&disk(11))), serve(&server, "/n/b.xz", 1, &packed)];
    let (cached, mut setup) = (prepared.source_sha256, Setup::new());
    let lock = locked.unwrap();
    setup.lock.insert(&urls[0], lock.clone()).unwrap();
    assert_eq!(setup.prepare_known(&urls, None).unwrap().source_sha256, cached);
    assert_eq!(setup.lock.get(&urls[0]), Some(&lock));
}

#[test]
fn every_failed_mirror_is_named_with_its_reason() {
    let (server, mut setup) = (Server::run(), Setup::new());
    missing(&server, &["/a/b.xz"]);
    server.expect(Expect::matching(method_path("GET", "/m/b.xz")).times(1).respond_with(status_code(410)));
    let urls = [server.url_str("/a/b.xz"), server.url_str("/m/b.xz")];
    let error = setup.prepare_known(&urls, Some(Sha256::of(b"pinned"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot download `{}`: the server answers 404 Not Found; `{}`: the server answers 410 Gone",
            urls[0], urls[1]
        )
    );
    assert_names_other_bases(&error);
}

#[test]
fn base_replaced_since_it_was_locked_names_both_hashes() {
    let (server, mut setup) = (Server::run(), Setup::new());
    let (old, new) = (xz(&disk(12)), [xz(&disk(13)), vec![0; 4]].concat());
    let url = serve(&server, "/b.xz", 1, &new);
    serve(&server, "/b.xz.sha256", 1, format!("{}  b.xz\n", sum(&new)).as_bytes());
    let locked = |content: &[u8]| LockedInput {
        size: content.len() as u64,
        sha256: Sha256::of(content),
        raw: None,
        signed_by: None,
    };
    setup.lock.insert(&url, locked(&old)).unwrap();
    let error = setup.refused(&url, None);
    let (old, new) = (sum(&old), sum(&new));
    assert_eq!(
        error.to_string(),
        format!(
            "`{url}` was replaced by its publisher: `magi.lock` has SHA-256 {old}, but `{url}.sha256` now lists \
             SHA-256 {new}"
        )
    );
    assert!(error.hint().unwrap().starts_with("`magi-image fetch --update`"));
    assert_eq!(error.exit(), Exit::Verification);

    // A damaged copy of the locked file is no new version.
    let url = serve(&server, "/c.xz", 1, b"damaged");
    serve(&server, "/c.xz.sha256", 1, format!("{}  c.xz\n", sum(b"correct")).as_bytes());
    setup.lock.insert(&url, locked(b"correct")).unwrap();
    assert!(setup.refused(&url, None).to_string().contains("it has SHA-256"));
}

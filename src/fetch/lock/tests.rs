//! The lock file's content, its errors and its updates.

use super::*;

fn locked(content: &[u8]) -> LockedInput {
    LockedInput { size: content.len() as u64, sha256: Sha256::of(content), raw: None, signed_by: None }
}

#[test]
fn saved_lock_is_sorted_and_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("magi.lock");
    let mut lock = LockFile::load(&path).unwrap();
    lock.save().unwrap();
    assert!(!path.exists(), "an unchanged lock is not written");
    let base = LockedInput { raw: Some((7, Sha256::of(b"raw"))), ..locked(b"base") };
    lock.insert("https://user:secret@b/base.img.xz", base.clone()).unwrap();
    lock.insert("https://a/k3s?x=\"1\"", locked(b"k3s")).unwrap();
    lock.save().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    insta::assert_snapshot!(text, @r#"
    # Made by magi-image, to be committed: what every input was when it was fetched. A build refuses anything else.
    # `magi-image fetch --update` fetches all of it anew.
    version = 1

    [[input]]
    url = "https://a/k3s?x=%221%22"
    size = 3
    sha256 = "86bd33ebf64e01aaafb7dab419436ac025d04abd933bbbb124ddb25c30b59dd7"

    [[input]]
    url = "https://b/base.img.xz"
    size = 4
    sha256 = "cae662172fd450bb0cd710a769079c05bfc5d8e35efa6576edc7d0377afdd4a2"
    raw_size = 7
    raw_sha256 = "d7439bee24773bcbfa2d0a97947ee36227b10d1022b1a55847e928965bb6bfde"
    "#);
    let again = LockFile::load(&path).unwrap();
    assert_eq!(again.inputs, lock.inputs);
    assert_eq!(again.get("https://other@b/base.img.xz"), Some(&base));
}

#[test]
fn changed_input_is_refused_until_update() {
    let mut lock = LockFile::in_memory();
    lock.insert("https://a/x", locked(b"old")).unwrap();
    let error = lock.insert("https://a/x", locked(b"new")).unwrap_err();
    let (old, new) = (Sha256::of(b"old"), Sha256::of(b"new"));
    assert_eq!(
        error.to_string(),
        format!("`https://a/x` differs from `magi.lock`: it has SHA-256 {new}, but {old} was expected")
    );
    assert_eq!(error.exit(), Exit::Verification);
    assert!(error.hint().unwrap().contains("magi-image fetch --update"));

    let mut lock = lock.for_update();
    assert_eq!(lock.get("https://a/x"), None);
    lock.insert("https://a/x", locked(b"new")).unwrap();
    assert_eq!(lock.get("https://a/x"), Some(&locked(b"new")));
    assert!(lock.insert("https://a/x", locked(b"newer")).is_err(), "only once");
}

#[test]
fn raw_content_is_added_and_kept() {
    let mut lock = LockFile::in_memory();
    let raw = |content: &[u8]| LockedInput { raw: Some((3, Sha256::of(content))), ..locked(b"x") };
    lock.insert("u", locked(b"x")).unwrap();
    lock.insert("u", raw(b"one")).unwrap();
    lock.insert("u", locked(b"x")).unwrap();
    assert_eq!(lock.get("u"), Some(&raw(b"one")));
    let error = lock.insert("u", raw(b"two")).unwrap_err().to_string();
    assert!(error.contains("its raw content has SHA-256"), "{error}");
}

#[test]
fn malformed_lock_names_file_and_line() {
    let hash = Sha256::of(b"");
    let input = format!("[[input]]\nurl = \"u\"\nsize = 0\nsha256 = \"{hash}\"\n");
    for (text, expected) in [
        ("version = 1\n<<<<<<< HEAD\n", "`magi.lock`, line 2: "),
        ("version = 1\nspeed = 2\n", "`magi.lock`, line 2: unknown field `speed`"),
        ("version = 2\n", "`magi.lock` has version 2, but this magi-image knows version 1"),
        ("version = 1\n[[input]]\nurl = \"u\"\nsize = -1\n", "`magi.lock`, line 4: "),
        (&format!("version = 1\n{input}{input}"), "`magi.lock`, line 7: duplicate entry for `u`"),
        (&format!("version = 1\n{input}raw_size = 1\n"), "`magi.lock`, line 3: `raw_size` and"),
        (&format!("version = 1\n{}", input.replace(&hash.to_string(), "abc")), "`magi.lock`, line 5: "),
    ] {
        let error = parse(text, Path::new("magi.lock")).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(error.exit(), Exit::Usage);
    }
}

//! The real `xz`, `gzip` and `zstd` judge the compressed images.

use std::process::Command;

use super::*;
use crate::files::positional::write_all_at;
use crate::progress::Silent;

const SECRET: &[u8] = b"what only this node's image may hold";

/// Three and a half blocks: text, noise, zeros, and a secret that the base doesn't have.
fn image(dir: &Path) -> File {
    let path = dir.join("image");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len((BLOCK * 7 / 2) as u64).unwrap();
    let noise: Vec<u8> =
        (0..BLOCK as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    write_all_at(&file, &b"some text\n".repeat(100_000), 0).unwrap();
    write_all_at(&file, &noise, BLOCK as u64).unwrap();
    std::fs::copy(dir.join("image"), dir.join("base")).unwrap();
    write_all_at(&file, SECRET, (BLOCK * 3) as u64 + 5).unwrap();
    file
}

fn packed(from: &File, dir: &Path, format: ImageFormat, jobs: usize, cache: &str) -> (Compressed, Vec<u8>) {
    let path = dir.join(format!("packed.{}", format.extension()));
    let to = File::create(&path).unwrap();
    // The base differs from the image in the last block only.
    let base = File::open(dir.join("base")).unwrap();
    let cache_folder = &dir.join(cache);
    let base = BaseBlocks { file: &base, sha256: Sha256::of(b"base"), cache_folder };
    let done = compress(from, &to, format, jobs, &base, &Silent).unwrap();
    let bytes = std::fs::read(path).unwrap();
    assert_eq!((done.size, done.sha256), (bytes.len() as u64, Sha256::of(&bytes)));
    (done, bytes)
}

#[test]
fn real_tools_unpack_and_bytes_depend_on_neither_threads_nor_cache() {
    let dir = tempfile::tempdir().unwrap();
    let from = image(dir.path());
    let raw = std::fs::read(dir.path().join("image")).unwrap();
    for (format, tool) in [(ImageFormat::Xz, "xz"), (ImageFormat::Gz, "gzip"), (ImageFormat::Zst, "zstd")] {
        let (first, bytes) = packed(&from, dir.path(), format, 1, "one");
        assert_eq!(first.fresh, 4);
        assert!(
            packed(&from, dir.path(), format, 3, "three").1 == bytes,
            "{tool}: other bytes with more threads"
        );
        let (again, cached) = packed(&from, dir.path(), format, 2, "one");
        assert!(again.fresh == 1 && cached == bytes, "{tool}: other bytes with cached blocks");
        let file = dir.path().join(format!("packed.{}", format.extension()));
        match Command::new(tool).arg("-dc").arg(&file).output() {
            Ok(output) => {
                assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
                assert!(output.stdout == raw, "{tool}: other content");
            }
            Err(e) => {
                assert!(std::env::var_os("CI").is_none(), "`{tool}` is missing, and CI must have it: {e}");
                eprintln!("skipped: `{tool}` isn't installed");
            }
        }
    }
}

#[test]
fn xz_lists_one_stream_of_many_blocks() {
    let dir = tempfile::tempdir().unwrap();
    packed(&image(dir.path()), dir.path(), ImageFormat::Xz, 2, "cache");
    let Ok(list) = Command::new("xz").args(["--robot", "-l"]).arg(dir.path().join("packed.xz")).output()
    else {
        return;
    };
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.lines().any(|l| l.starts_with("file\t1\t4\t")), "{list}");
}

#[test]
fn damaged_cached_block_is_packed_again() {
    let dir = tempfile::tempdir().unwrap();
    let from = image(dir.path());
    let (_, bytes) = packed(&from, dir.path(), ImageFormat::Zst, 1, "cache");
    let mut files = vec![dir.path().join("cache")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else {
            let mut content = std::fs::read(&path).unwrap();
            content[3] ^= 1;
            std::fs::write(&path, content).unwrap();
        }
    }
    let (again, after) = packed(&from, dir.path(), ImageFormat::Zst, 1, "cache");
    assert!(again.fresh == 4 && after == bytes);
}

#[test]
fn blocks_that_differ_from_the_base_are_not_cached() {
    let dir = tempfile::tempdir().unwrap();
    packed(&image(dir.path()), dir.path(), ImageFormat::Gz, 1, "cache");
    let mut folder = dir.path().join("cache");
    while let Some(inner) =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_dir())
    {
        folder = inner;
    }
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["0", "1", "2"]);
}

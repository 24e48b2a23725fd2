use std::io::Write;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::error::Exit;
use crate::progress::Silent;

/// A disk of `size` bytes: a signature, 100 KiB of content in each 300 KiB, else zeros.
fn disk(size: usize) -> Vec<u8> {
    let mut disk = vec![0; size];
    let mut state = 1_u32;
    for chunk in disk.chunks_mut(300 << 10) {
        for byte in chunk.iter_mut().take(100 << 10) {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 27) as u8;
        }
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

fn xz(data: &[u8]) -> Vec<u8> {
    xz2::encode_all(data, 0).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as the `zstd` program writes it.
fn zst(data: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn unpacked(bytes: &[u8]) -> Result<(Unpacked, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("raw");
    let unpacked = unpack_bytes(bytes, "base", &dest, &Silent)?;
    Ok((unpacked, std::fs::read(dest).unwrap()))
}

fn refused(bytes: &[u8]) -> String {
    match unpacked(bytes) {
        Ok((unpacked, _)) => panic!("accepted: {unpacked:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_container_unpacks_to_the_same_disk() {
    let disk = disk((2 << 20) + 512);
    let (one, two) = disk.split_at(777_777);
    let archive = tar(&[("README", b"text"), ("./disk.raw", &disk)]);
    let skippable = b"\x53\x2a\x4d\x18\x03\0\0\0abc";
    for (container, packed) in [
        ("raw", disk.clone()),
        ("xz", xz(&disk)),
        ("xz", [xz(one), vec![0; 8], xz(two), vec![0; 4]].concat()),
        ("gzip", gzip(&disk)),
        ("gzip", [gzip(one), gzip(&[]), gzip(two)].concat()),
        ("zstd", zst(&disk)),
        ("zstd", [skippable, &zst(one)[..], skippable, &zst(two), skippable].concat()),
        ("tar", archive.clone()),
        ("tar.xz", xz(&archive)),
        ("tar.gzip", gzip(&archive)),
        ("tar.zstd", zst(&[&archive[..], &[0; 9000]].concat())),
    ] {
        let (unpacked, raw) = unpacked(&packed).unwrap();
        assert!(raw == disk, "{container}");
        assert_eq!(unpacked.container.to_string(), container);
        assert_eq!((unpacked.size, unpacked.sha256), (disk.len() as u64, Sha256::of(&disk)));
        assert_eq!(
            (unpacked.source_size, unpacked.source_sha256),
            (packed.len() as u64, Sha256::of(&packed))
        );
    }
}

#[test]
fn zeros_become_holes() {
    let mut disk = vec![0; 16 << 20];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[9 << 20] = 1;
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("raw");
    unpack_bytes(&disk, "base", &dest, &Silent).unwrap();
    assert!(std::fs::read(&dest).unwrap() == disk);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let allocated = dest.metadata().unwrap().blocks() * 512;
        assert!(allocated <= 512 << 10, "{allocated} bytes for two blocks");
    }
}

#[test]
fn truncated_corrupt_and_trailing_data_is_refused_with_position() {
    let disk = disk(1 << 20);
    for (name, packed) in [("xz", xz(&disk)), ("gzip", gzip(&disk)), ("zstd", zst(&disk))] {
        for cut in [packed.len() - 1, packed.len() - 9, packed.len() / 2, 30, 7] {
            let text = refused(&packed[..cut]);
            let expected = format!("`base` is damaged: truncated {name} data at byte {cut}");
            assert_eq!(text, expected, "{name} cut to {cut}");
        }
        for garbage in [&b"x"[..], b"\0", b"garbage!", &disk[..512], &[0; 513]] {
            let text = refused(&[&packed, garbage].concat());
            let at = packed.len();
            let expected =
                format!("`base` is damaged: unexpected data behind the end of the {name} data at byte {at}");
            assert_eq!(text, expected, "{name} with {garbage:?}");
        }
        let mut flipped = packed.clone();
        // Several bytes, because a single one may be padding.
        flipped[packed.len() / 2..][..8].iter_mut().for_each(|byte| *byte ^= 0xff);
        let text = refused(&flipped);
        assert!(text.starts_with(&format!("`base` is damaged: corrupt {name} data")), "{text}");
        assert_eq!(unpacked(&flipped).map(|_| ()).unwrap_err().exit(), Exit::Verification);
    }
    assert_eq!(
        refused(&disk[..disk.len() - 1]),
        "`base` is no base image: the size of 1048575 bytes is not a multiple of the sector size 512"
    );
}

#[test]
fn unsupported_content_is_named() {
    let disk = disk(1 << 20);
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (b"PK\x03\x04...", "it is a zip archive, which is not supported"),
        (b"<!DOCTYPE html>", "it is a web page"),
        (b"hello", "it has only 5 bytes"),
        (&[0; 4096], "the first sector has no partition table (0x55 0xAA at byte 510)"),
        (&xz(&xz(&disk)), "compressed twice: it contains xz data"),
        (&gzip(b"<html>"), "it contains a web page"),
        (&zst(b""), "it has only 0 bytes"),
        (
            &tar(&[("etc/passwd", b"x"), ("b", b"")]),
            "the tar contains no image (`.raw` or `.img`), but `etc/passwd`, `b`",
        ),
        (
            &tar(&[("a.img", &disk), ("b.raw", &disk)]),
            "the tar contains more than one image: `a.img` and `b.raw`",
        ),
        (
            &tar(&[("disk.raw", &[7; 900])]),
            "`disk.raw` in the tar is no disk image: the first sector has no partition table (0x55 0xAA at byte 510)",
        ),
        (&[tar(&[("disk.raw", &disk)]), vec![1; 512]].concat(), "unexpected data behind the end of the tar"),
    ] {
        assert_eq!(refused(bytes), format!("`base` is no base image: {expected}"));
    }
    assert!(unpacked(b"PK\x03\x04").map(|_| ()).unwrap_err().hint().unwrap().contains(".img inside"));
    let archive = tar(&[("disk.raw", &disk)]);
    let text = refused(&archive[..archive.len() / 2]);
    assert!(text.starts_with("`base` is damaged: "), "{text}");
}

#[test]
fn decompression_bombs_hit_limits() {
    // The header of a long name that goes on for 8 GiB.
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(8 << 30);
    header.set_cksum();
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![b'a'; 1 << 20];
    for _ in 0..16 {
        bomb.write_all(&zeros).unwrap();
    }
    let text = refused(&bomb.finish().unwrap());
    assert!(text.contains("tar headers of more than 2 MiB"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join("raw")).unwrap();
    let result = std::thread::scope(|scope| {
        let (mut sink, written) = Sink::start(scope, &file, 3 << 20);
        let result = sink.copy(&mut io::repeat(1));
        drop(sink);
        written.join().unwrap();
        result
    });
    assert!(matches!(result, Err(CopyError::OverLimit(Limit::RawSize { bytes })) if bytes == 3 << 20));
}

#[test]
fn zstd_window_over_the_limit_is_refused() {
    // RFC 8878: magic, frame header without content size, window of 2^28 bytes, an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, (28 - 10) << 3, 1, 0, 0];
    let error = unpacked(&frame).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "`base` cannot be unpacked: zstd needs more than 128 MiB of memory");
    assert_eq!(error.exit(), Exit::Failed);
}

#[test]
fn full_disk_is_reported() {
    // A Linux device whose writes fail with ENOSPC.
    let full = Path::new("/dev/full");
    if !full.exists() {
        return eprintln!("skipped: there is no /dev/full");
    }
    let error = unpack_bytes(&disk(4 << 20), "base", full, &Silent).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `/dev/full`"), "{error}");
    assert!(error.hint().unwrap().contains("free some space"));
}

/// Runs a tool; false if it isn't installed, which is an error only in CI.
fn tool(name: &str, arguments: &[&str], dir: &Path) -> bool {
    match Command::new(name).args(arguments).current_dir(dir).status() {
        Ok(status) => {
            assert!(status.success(), "{name} {arguments:?}");
            true
        }
        Err(e) => {
            assert!(std::env::var_os("CI").is_none(), "`{name}` can't be run: {e}");
            eprintln!("skipped: `{name}` can't be run: {e}");
            false
        }
    }
}

#[test]
fn output_of_usual_tools_is_unpacked() {
    let disk = disk(3 << 20);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("disk.raw"), &disk).unwrap();
    for (tool_name, arguments, made) in [
        ("xz", &["-k", "-9", "disk.raw"][..], "disk.raw.xz"),
        ("xz", &["-k", "-f", "-T2", "--block-size=1MiB", "-1", "disk.raw"], "disk.raw.xz"),
        ("gzip", &["-k", "-1", "disk.raw"], "disk.raw.gz"),
        ("zstd", &["-q", "-T2", "disk.raw"], "disk.raw.zst"),
        ("tar", &["-cJSf", "sparse.tar.xz", "disk.raw"], "sparse.tar.xz"),
        ("tar", &["-czf", "posix.tar.gz", "--format=posix", "disk.raw"], "posix.tar.gz"),
    ] {
        if tool(tool_name, arguments, dir.path()) {
            let dest = path("unpacked");
            let unpacked = unpack_file(&path(made), made, &dest, &Silent).unwrap();
            assert_eq!(unpacked.sha256, Sha256::of(&disk), "{made}");
            assert!(std::fs::read(dest).unwrap() == disk, "{made}");
        }
    }
    // The tar crate doesn't know pax's way to store holes.
    let holes = ["-cSf", "pax.tar", "--format=posix", "sparse.raw"];
    let file = File::create(path("sparse.raw")).unwrap();
    file.set_len(4 << 20).unwrap();
    (&file).write_all(&disk[..1 << 20]).unwrap();
    if tool("tar", &holes, dir.path()) {
        let error = unpack_file(&path("pax.tar"), "pax.tar", &path("unpacked"), &Silent).unwrap_err();
        assert!(error.to_string().contains("sparse file in pax format"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    /// Damage is detected, or it doesn't change the content.
    #[test]
    fn damaged_data_never_unpacks_to_other_content(kind in 0..4_usize, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let disk = disk(64 << 10);
        let mut packed = [xz, gzip, zst, |d: &[u8]| xz(&tar(&[("disk.raw", d)]))][kind](&disk);
        let at = at.index(packed.len());
        packed[at] = byte;
        if let Ok((unpacked, _)) = unpacked(&packed) {
            prop_assert_eq!(unpacked.sha256, Sha256::of(&disk));
        }
        packed.truncate(cut.index(packed.len()));
        prop_assert!(unpacked(&packed).is_err());
    }
}

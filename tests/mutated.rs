//! Images with a corrupted partition table, FAT or ext4: reading them ends within a time and a memory limit
//! and never panics. The mutations are deterministic: the same in every run.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::bases::{Base, MAKERS, Table};
use common::tools::{arg, have, run};
use common::{Profile, Sandbox, image};
use magi_image::fuzzing::{inspect, survey_base};

const MIB: u64 = 1 << 20;
/// Time limit for reading one image. An idle machine needs less than a second.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Limit for the growth of peak memory over all mutations: the raw size of the sample.
const MEMORY_LIMIT: u64 = 224 * MIB;

/// Deterministic pseudo-random numbers (linear congruential generator, Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Bytes to write at an offset of the image.
#[derive(Debug, Clone)]
struct Mutation {
    offset: u64,
    bytes: Vec<u8>,
}

/// Factor for the number of mutations. Longer search: `MAGI_TEST_MUTANTS=20 cargo test --test mutated`.
fn mutation_factor() -> usize {
    std::env::var("MAGI_TEST_MUTANTS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// `count` mutations, distributed evenly over `regions` (start and length in bytes).
fn mutations(image: &Path, regions: &[(u64, u64)], count: usize) -> Vec<Mutation> {
    let mut numbers = Numbers(6);
    let file = File::open(image).expect("open the image");
    let mut made = Vec::new();
    for index in 0..count {
        let (start, length) = regions[index % regions.len()];
        let offset = start + numbers.below(length);
        let mut bytes = vec![0; if numbers.below(2) == 0 { 1 } else { 4 }];
        file.read_exact_at(&mut bytes, offset).expect("read the bytes");
        match numbers.below(4) {
            0 => bytes[0] ^= 1 << numbers.below(8),
            1 => bytes.fill(0xFF),
            2 => bytes.fill(0),
            _ => bytes.iter_mut().for_each(|byte| *byte = u8::try_from(numbers.below(256)).unwrap_or(0)),
        }
        made.push(Mutation { offset, bytes });
    }
    made
}

/// Applies `mutation` to the image, runs `work` and reverts the mutation.
fn with_mutation<T>(image: &Path, mutation: &Mutation, work: impl FnOnce() -> T) -> T {
    let file = File::options().read(true).write(true).open(image).expect("open the image");
    let mut before = vec![0; mutation.bytes.len()];
    file.read_exact_at(&mut before, mutation.offset).expect("read the bytes");
    file.write_all_at(&mutation.bytes, mutation.offset).expect("apply the mutation");
    let result = work();
    file.write_all_at(&before, mutation.offset).expect("revert the mutation");
    result
}

/// Peak virtual memory of this process in bytes; `None` without `/proc`.
fn memory_peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmPeak:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Inspects `image` with every mutation. Errors are allowed; a panic or a timeout is not.
fn inspect_all(image: &Path, mutations: &[Mutation]) {
    inspect(image).expect("inspect the unmodified image");
    survey_base(image).expect("survey the unmodified base");
    let before = memory_peak();
    let mut accepted = 0;
    for mutation in mutations {
        with_mutation(image, mutation, || {
            let (done, wait) = mpsc::channel();
            let path = image.to_owned();
            let reader = thread::spawn(move || {
                let found = inspect(&path).is_ok();
                let usable = survey_base(&path).is_ok();
                let _ = done.send(found && usable);
            });
            match wait.recv_timeout(TIME_LIMIT) {
                Ok(usable) => accepted += usize::from(usable),
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("timeout with {mutation:?}"),
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("panic with {mutation:?}"),
            }
            reader.join().unwrap_or_else(|_| panic!("panic with {mutation:?}"));
        });
    }
    eprintln!("{accepted} of {} mutants were accepted as a base", mutations.len());
    if let (Some(before), Some(after)) = (before, memory_peak()) {
        assert!(after - before < MEMORY_LIMIT, "{} MiB more were wanted", (after - before) / MIB);
    }
}

/// Builds on `image` with every mutation. A build may fail with an error, but must not panic or crash.
fn build_all(sandbox: &Sandbox, image: &Path, mutations: &[Mutation]) {
    Profile::small(&["common", "firstboot"]).base(arg(image)).write(sandbox);
    let args = ["build", "--all", "-p", "magi.toml", "-q", "--insecure-no-checksum"];
    for mutation in mutations {
        let start = Instant::now();
        // Memory limit in KiB: an allocation above the limit aborts the program and fails the test.
        let mut shell = Command::new("sh");
        let limited = sandbox.spawnable(&args);
        shell.args(["-c", "ulimit -v 1500000; exec \"$@\"", "sh"]).arg(limited.get_program()).args(args);
        shell.current_dir(sandbox.path("work")).env("HOME", sandbox.path("home"));
        shell.env("XDG_CACHE_HOME", sandbox.path("cache"));
        let output = with_mutation(image, mutation, || shell.output().expect("run sh"));
        let ran = sandbox.ran(&output);
        assert!(matches!(ran.code, Some(0..=3)), "{mutation:?}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{mutation:?}: {ran:?}");
        assert!(start.elapsed() < TIME_LIMIT, "{mutation:?} took {:?}", start.elapsed());
        let expected = if ran.code == Some(0) { 3 } else { 0 };
        assert_eq!(sandbox.out().len(), expected, "{mutation:?}: {ran:?}");
        let _ = fs::remove_dir_all(sandbox.work("out"));
        let _ = fs::remove_dir_all(sandbox.cache());
    }
}

/// A raw copy of the sample.
fn sample(sandbox: &Sandbox) -> PathBuf {
    sandbox.run(&["plan", "--all", "--base", "sample", "-q"]).ok();
    let raw = sandbox.cache().join("raw");
    let name = common::sandbox::names(&raw).into_iter().find(|name| name.ends_with(".img"));
    let copy = sandbox.work("sample.img");
    image::copy(&raw.join(name.expect("find the unpacked sample")), &copy);
    copy
}

/// Partition table, FAT16 (boot sector, table, root directory) and ext4 (superblock, group descriptors, the
/// first inodes) of the sample; offsets as in the script that makes the sample.
const SAMPLE: [(u64, u64); 7] = [
    (440, 72),
    (4 * MIB, 64),
    (4 * MIB + 512, 128),
    (4 * MIB + 16 * 512 + 0x4000, 800),
    (68 * MIB + 1024, 1024),
    (68 * MIB + 4096, 128),
    (68 * MIB + 4096 * 300, 64 << 10),
];

#[test]
fn mutated_sample_never_panics() {
    let sandbox = Sandbox::alone();
    let image = sample(&sandbox);
    inspect_all(&image, &mutations(&image, &SAMPLE, 175 * mutation_factor()));
}

/// A base with FAT32 and an ext4 without checksums, so that checksum verification does not catch the mutations,
/// and the regions to mutate.
fn base_without_checksums(sandbox: &Sandbox) -> Option<(PathBuf, Vec<(u64, u64)>)> {
    if !have(&MAKERS) || !have(&["debugfs"]) {
        return None;
    }
    let base = Base {
        table: Table::Mbr,
        fat: vec!["-F", "32", "-s", "1"],
        fat_size: 40,
        ext4: vec!["-b", "4096", "-O", "^metadata_csum,^64bit"],
        ..Base::default()
    };
    let image = base.make(&sandbox.path("work"), "base.img");
    let (fat, ext4) = (MIB, 41 * MIB);
    let device = format!("{}?offset={ext4}", arg(&image));
    let mut regions = vec![
        (440, 72),
        (fat, 96),
        (fat + 512, 512),
        (fat + 32 * 512, 256),
        (ext4 + 1024, 256),
        (ext4 + 4096, 64),
    ];
    // The root directory of FAT32 follows the reserved sectors and both FATs.
    let mut boot = [0; 64];
    File::open(&image)
        .expect("open the image")
        .read_exact_at(&mut boot, fat)
        .expect("read the first sectors");
    let sectors = u32::from_le_bytes(boot[36..40].try_into().expect("slice has four bytes"));
    regions.push((fat + (32 + 2 * u64::from(sectors)) * 512, 256));
    for path in ["/", "/etc", "/var/lib/dpkg", "/etc/shadow"] {
        let block = run("debugfs", &["-R", &format!("blocks {path}"), &device]);
        let block: u64 = block.split_whitespace().next().expect("a block").parse().expect("parse the number");
        regions.push((ext4 + block * 4096, 200));
        let place = run("debugfs", &["-R", &format!("imap {path}"), &device]);
        regions.push((inode_offset(&place, ext4), 128));
    }
    Some((image, regions))
}

/// Parses debugfs output such as "Inode 12 is part of block group 0\n\tlocated at block 38, offset 0x0b00".
fn inode_offset(imap: &str, ext4: u64) -> u64 {
    let (_, rest) = imap.split_once("located at block ").expect("debugfs prints a block");
    let (block, offset) = rest.trim().split_once(", offset 0x").expect("debugfs prints an offset");
    let offset = u64::from_str_radix(offset, 16).expect("parse the offset");
    ext4 + block.parse::<u64>().expect("parse the number") * 4096 + offset
}

#[test]
fn mutated_file_systems_without_checksums_never_panic() {
    let sandbox = Sandbox::alone();
    let Some((image, regions)) = base_without_checksums(&sandbox) else { return };
    inspect_all(&image, &mutations(&image, &regions, 270 * mutation_factor()));
}

#[test]
fn builds_on_mutated_bases_never_panic() {
    let sandbox = Sandbox::alone();
    let Some((image, regions)) = base_without_checksums(&sandbox) else { return };
    let all = mutations(&image, &regions, (270 + 26) * mutation_factor());
    // Mutations that the test above doesn't use, from every region.
    build_all(&sandbox, &image, &all[270 * mutation_factor()..]);
}

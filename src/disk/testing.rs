//! For tests: external tools, disk images in temporary folders, and random corruption.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::window::Window;

/// Runs a tool with `input` on its standard input; returns whether it succeeded, and its output. `None` if the tool
/// is not installed: then the test is skipped with a note, and fails where `CI` is set.
pub(crate) fn outcome(tool: &str, args: &[&str], input: &str) -> Option<(bool, String)> {
    let places = ["", "/usr/sbin/", "/sbin/", "/usr/local/sbin/"];
    let started = places.iter().find_map(|place| {
        let mut command = Command::new(format!("{place}{tool}"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // By default, mtools refuses geometries that are unusual for floppy disks.
        command.env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8").spawn().ok()
    });
    let Some(mut child) = started else {
        assert!(std::env::var_os("CI").is_none(), "`{tool}` is missing, and CI must have it");
        eprintln!("skipped: `{tool}` isn't installed");
        return None;
    };
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("input written");
    let output = child.wait_with_output().expect("an exit status");
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// Runs a tool that must succeed; see [`outcome`].
pub(crate) fn run(tool: &str, args: &[&str], input: &str) -> Option<String> {
    let (success, text) = outcome(tool, args, input)?;
    assert!(success, "{tool} {args:?}: {text}");
    Some(text)
}

/// `disk.img` in a temporary folder of its own.
pub(crate) struct TestImage {
    folder: tempfile::TempDir,
}

impl TestImage {
    /// A sparse file of `len` zeros.
    pub(crate) fn empty(len: u64) -> Self {
        let image = Self { folder: tempfile::tempdir().expect("a folder") };
        File::create(image.path()).and_then(|file| file.set_len(len)).expect("a file");
        image
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let image = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(image.path(), bytes).expect("a file");
        image
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    /// The path as an argument of a tool.
    pub(crate) fn arg(&self) -> String {
        self.path().to_str().expect("UTF-8").to_owned()
    }

    /// Writes another file into the same folder.
    pub(crate) fn beside(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("a file")
    }

    pub(crate) fn len(&self) -> u64 {
        self.path().metadata().expect("a file").len()
    }

    pub(crate) fn file(&self) -> Arc<File> {
        Arc::new(File::options().read(true).write(true).open(self.path()).expect("a file"))
    }

    /// A writable window of the whole image.
    pub(crate) fn window(&self) -> Window {
        Window::writable(self.file(), 0, self.len()).expect("a window")
    }

    /// Restores `bytes`, by writing only the pieces that differ.
    pub(crate) fn restore(&self, bytes: &[u8]) {
        const PIECE: usize = 1 << 20;
        let window = self.window();
        for ((now, then), at) in self.bytes().chunks(PIECE).zip(bytes.chunks(PIECE)).zip((0..).step_by(PIECE))
        {
            if now != then {
                window.write_all_at(at, then).expect("written");
            }
        }
    }

    /// Copies the file `other` to byte `offset`.
    pub(crate) fn insert(&self, other: &Path, offset: u64) {
        let bytes = std::fs::read(other).expect("a file");
        self.window().write_all_at(offset, &bytes).expect("written");
    }
}

/// Random corruption by Marsaglia's xorshift: the same bytes on every machine.
pub(crate) struct Corruptor(u64);

impl Corruptor {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }

    /// Changes one to eight bytes of `bytes` within one of `regions`; returns their offsets.
    pub(crate) fn corrupt(&mut self, bytes: &mut [u8], regions: &[std::ops::Range<usize>]) -> Vec<usize> {
        let region = regions[self.below(regions.len())].clone();
        let count = 1 + self.below(8);
        let mut changed = Vec::new();
        for _ in 0..count {
            let at = region.start + self.below(region.len());
            // Extreme values find more than random ones.
            bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, bytes[at] ^ (1 << self.below(8))][self.below(6)];
            changed.push(at);
        }
        changed
    }
}

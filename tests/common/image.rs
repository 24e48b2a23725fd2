//! Built images, read by sfdisk, mtools, fsck and debugfs instead of the crate's own code.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::tools::{arg, command, output, run, said};

/// The programs that [`Image`] needs.
pub const JUDGES: [&str; 5] = ["sfdisk", "fsck.vfat", "mtype", "e2fsck", "debugfs"];

/// A raw image and the positions of its two file systems, as sfdisk reports them.
pub struct Image {
    path: PathBuf,
    fat: Extent,
    ext4: Extent,
}

/// Position and size in bytes.
#[derive(Debug, Clone, Copy)]
struct Extent {
    start: u64,
    length: u64,
}

/// An inode, as debugfs prints it.
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// `regular`, `directory`, `symlink`.
    pub kind: String,
    /// The lower twelve bits of the mode, in octal.
    pub mode: String,
    /// User and group.
    pub owner: String,
    /// Seconds since 1970.
    pub mtime: i64,
}

impl Image {
    /// Reads the partition table; finds the FAT and the ext4 by their signatures.
    pub fn open(path: &Path) -> Self {
        let table = run("sfdisk", &["--json", arg(path)]);
        let table: serde_json::Value = serde_json::from_str(&table).expect("parse the JSON");
        let file = File::open(path).expect("open the image");
        let (mut fat, mut ext4) = (None, None);
        for partition in table["partitiontable"]["partitions"].as_array().expect("partitions are a list") {
            let bytes = |key: &str| partition[key].as_u64().expect("value is a number") * 512;
            let extent = Extent { start: bytes("start"), length: bytes("size") };
            let mut head = [0; 2048];
            file.read_exact_at(&mut head, extent.start).expect("read the first sectors");
            if head[1080..1082] == [0x53, 0xEF] {
                ext4 = Some(extent);
            } else if head[510..512] == [0x55, 0xAA] {
                fat = Some(extent);
            }
        }
        Self { path: path.to_owned(), fat: fat.expect("find the FAT"), ext4: ext4.expect("find the ext4") }
    }

    /// Asserts that fsck.vfat and e2fsck find no errors.
    #[track_caller]
    pub fn judge(&self) {
        let found = output("e2fsck", &["-fn", &self.ext4_device()]);
        assert!(found.status.success(), "{}: e2fsck: {}", self.path.display(), said(&found));
        let fat = self.cut(self.fat);
        let found = output("fsck.vfat", &["-n", arg(fat.path())]);
        assert!(found.status.success(), "{}: fsck.vfat: {}", self.path.display(), said(&found));
    }

    /// Copies a partition into a temporary file.
    fn cut(&self, extent: Extent) -> tempfile::NamedTempFile {
        let from = File::open(&self.path).expect("open the image");
        let to = tempfile::NamedTempFile::new().expect("create a temporary file");
        to.as_file().set_len(extent.length).expect("set the length");
        copy_sparse(&from, extent.start, to.as_file(), 0, extent.length);
        to
    }

    /// The FAT as an argument of mtools.
    pub fn mtools(&self) -> String {
        format!("{}@@{}", arg(&self.path), self.fat.start)
    }

    /// The ext4 as an argument of e2fsprogs.
    fn ext4_device(&self) -> String {
        format!("{}?offset={}", arg(&self.path), self.ext4.start)
    }

    /// Content of a file on the FAT, read by mtools.
    #[track_caller]
    pub fn on_fat(&self, name: &str) -> String {
        run("mtype", &["-i", &self.mtools(), &format!("::{name}")])
    }

    /// All bytes of the FAT partition.
    pub fn fat_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.cut(self.fat)
            .reopen()
            .expect("open the partition")
            .read_to_end(&mut bytes)
            .expect("read the partition");
        bytes
    }

    /// The output of a debugfs request.
    #[track_caller]
    pub fn debugfs(&self, request: &str) -> String {
        run("debugfs", &["-R", request, &self.ext4_device()])
    }

    /// Runs a debugfs request that changes the ext4.
    #[track_caller]
    pub fn debugfs_write(&self, request: &str) {
        let output = output("debugfs", &["-w", "-R", request, &self.ext4_device()]);
        // debugfs exits with 0 even if the request failed; the error is on stderr after the version line.
        let complaint = String::from_utf8_lossy(&output.stderr).lines().skip(1).collect::<String>();
        assert!(output.status.success() && complaint.is_empty(), "{request}: {}", said(&output));
    }

    /// Content of a file on the ext4, as text.
    #[track_caller]
    pub fn cat(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.bytes(path)).into_owned()
    }

    /// Content of a file on the ext4.
    #[track_caller]
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        let output = output("debugfs", &["-R", &format!("cat \"{path}\""), &self.ext4_device()]);
        let complaint = String::from_utf8_lossy(&output.stderr).lines().skip(1).collect::<String>();
        assert!(complaint.is_empty(), "{path}: {complaint}");
        output.stdout
    }

    /// Whether `path` exists on the ext4.
    pub fn has(&self, path: &str) -> bool {
        !self.debugfs(&format!("stat \"{path}\"")).is_empty()
    }

    /// Type, mode, owner and mtime of `path` on the ext4.
    #[track_caller]
    pub fn stat(&self, path: &str) -> Stat {
        let text = self.debugfs(&format!("stat \"{path}\""));
        let word = |key: &str| {
            let rest = text.split_once(key).unwrap_or_else(|| panic!("no {key} of {path} in: {text}")).1;
            rest.split_whitespace().next().unwrap_or_default().to_owned()
        };
        let seconds = i64::from_str_radix(word("mtime: 0x").split(':').next().unwrap_or_default(), 16);
        Stat {
            kind: word("Type:"),
            mode: word("Mode:"),
            owner: format!("{}:{}", word("User:"), word("Group:")),
            mtime: seconds.expect("parse the mtime"),
        }
    }

    /// The target of a symlink on the ext4.
    #[track_caller]
    pub fn link(&self, path: &str) -> String {
        let text = self.debugfs(&format!("stat \"{path}\""));
        let target =
            text.split_once("Fast link dest: \"").map(|(_, rest)| rest.split('"').next().unwrap_or(rest));
        target.map_or_else(|| self.cat(path), str::to_owned)
    }

    /// Extracts everything below `path` on the ext4 to `to`, owned by the current user.
    pub fn extract(&self, path: &str, to: &Path) {
        fs::create_dir_all(to).expect("create the folder");
        let request = format!("rdump \"{path}\" \"{}\"", arg(to));
        // debugfs complains that only root can restore owners; owners are not needed here.
        command("debugfs").args(["-R", &request, &self.ext4_device()]).output().expect("run debugfs");
    }

    /// Offset of the ext4 partition in bytes.
    pub fn ext4_start(&self) -> u64 {
        self.ext4.start
    }

    /// Whether byte `offset` of the image is in a block of the file at `path` on the ext4.
    pub fn belongs(&self, offset: u64, path: &str) -> bool {
        let Some(inside) = offset.checked_sub(self.ext4.start).filter(|inside| *inside < self.ext4.length)
        else {
            return false;
        };
        let header = self.debugfs("stats -h");
        let size = header
            .lines()
            .find_map(|line| line.strip_prefix("Block size:"))
            .expect("debugfs prints the block size");
        let block = inside / size.trim().parse::<u64>().expect("parse the number");
        self.debugfs(&format!("blocks \"{path}\"")).split_whitespace().any(|used| used == block.to_string())
    }
}

/// One zero block. Comparing slices is fast even in debug builds.
const ZEROS: [u8; 4096] = [0; 4096];

/// Calls `take` with every block that isn't zero and its offset from `start`.
fn blocks(file: &File, start: u64, length: u64, mut take: impl FnMut(u64, &[u8])) {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..count], start + done).expect("read the image");
        for (index, block) in buffer[..count].chunks(ZEROS.len()).enumerate() {
            if block != &ZEROS[..block.len()] {
                take(done + (index * ZEROS.len()) as u64, block);
            }
        }
        done += count as u64;
    }
}

/// Copies the blocks that aren't zero.
pub fn copy_sparse(from: &File, start: u64, to: &File, at: u64, length: u64) {
    blocks(from, start, length, |offset, block| to.write_all_at(block, at + offset).expect("write the copy"));
}

/// Copies an image, so that a test can modify the copy.
pub fn copy(from: &Path, to: &Path) {
    let source = File::open(from).expect("open the image");
    let length = source.metadata().expect("read the metadata").len();
    let copy = File::create(to).expect("create the copy");
    copy.set_len(length).expect("set the length");
    copy_sparse(&source, 0, &copy, 0, length);
}

/// Offsets of `needle`, which must not contain zero bytes, in a file.
pub fn occurrences(file: &Path, needle: &[u8]) -> Vec<u64> {
    let file = File::open(file).expect("open the file");
    let length = file.metadata().expect("read the metadata").len();
    let (mut found, mut window, mut end) = (Vec::new(), Vec::new(), 0);
    blocks(&file, 0, length, |offset, block| {
        if offset != end {
            window.clear();
        }
        end = offset + block.len() as u64;
        window.extend_from_slice(block);
        let start = end - window.len() as u64;
        let places = window.windows(needle.len()).enumerate().filter(|(_, bytes)| *bytes == needle);
        found.extend(places.map(|(place, _)| start + place as u64));
        let keep = window.len().min(needle.len() - 1);
        window.drain(..window.len() - keep);
    });
    found
}

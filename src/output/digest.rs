//! SHA-256 of files, and checksums as text.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::sparse::pieces;
use crate::error::{Exit, Explain};
use crate::interrupt::{self, Interrupted};
use crate::progress::Task;

/// A SHA-256 sum.
pub type Sum = [u8; 32];

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It couldn't be read to its end.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// A signal came.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Explain for DigestError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read(_) => Exit::Failed,
            Self::Interrupted(e) => e.exit(),
        }
    }
}

/// Lower-case hexadecimal digits, two for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sum {
    Sha256::digest(bytes).into()
}

/// A line of a `.sha256` file, as `sha256sum` writes and `sha256sum -c` reads it. `name` is a plain file
/// name, without line breaks or backslashes.
#[must_use]
pub fn checksum_line(sum: &Sum, name: &str) -> String {
    format!("{}  {name}\n", hex(sum))
}

/// The SHA-256 of the whole of `file`. `task` advances by its length; its position isn't kept.
pub fn sha256_file(file: &File, task: &dyn Task) -> Result<Sum, DigestError> {
    let len = file.metadata()?.len();
    sha256_range(file, 0..len, task)
}

/// The SHA-256 of `range`, in bytes, of `file`. `task` advances by its length; the position isn't kept.
pub fn sha256_range(file: &File, range: Range<u64>, task: &dyn Task) -> Result<Sum, DigestError> {
    if range.end > file.metadata()?.len() {
        return Err(DigestError::Read(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut sha = Sha256::new();
    pieces(file, range, |piece| {
        interrupt::check()?;
        sha.update(piece.bytes);
        task.advance(piece.bytes.len() as u64);
        Ok::<_, DigestError>(())
    })?;
    Ok(sha.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;
    use crate::output::sparse::write_all_at;
    use crate::progress::Silent;

    /// A file with holes whose length and data are multiples of nothing.
    fn sample() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len((3 << 20) + 77).unwrap();
        for at in [1, 700_000, 3 << 20] {
            write_all_at(file.as_file(), b"some data", at).unwrap();
        }
        file
    }

    #[test]
    fn sha256sum_agrees() {
        let file = sample();
        let sum = sha256_file(file.as_file(), &Silent).unwrap();
        assert_eq!(sum, sha256(&std::fs::read(file.path()).unwrap()));
        let name = file.path().file_name().unwrap().to_str().unwrap();
        let mut list = tempfile::NamedTempFile::new().unwrap();
        list.write_all(checksum_line(&sum, name).as_bytes()).unwrap();
        match Command::new("sha256sum")
            .arg("-c")
            .arg(list.path())
            .current_dir(file.path().parent().unwrap())
            .output()
        {
            Ok(judged) => assert!(judged.status.success(), "{judged:?}"),
            Err(e) => assert!(std::env::var_os("CI").is_none(), "sha256sum: {e}"),
        }
    }

    #[test]
    fn a_range_is_hashed_alone_and_must_lie_in_the_file() {
        let file = sample();
        let bytes = std::fs::read(file.path()).unwrap();
        for (start, end) in [(0, 0), (5, 700_003), (699_999, bytes.len())] {
            let sum = sha256_range(file.as_file(), start as u64..end as u64, &Silent).unwrap();
            assert_eq!(sum, sha256(&bytes[start..end]));
        }
        assert!(sha256_range(file.as_file(), 0..bytes.len() as u64 + 1, &Silent).is_err());
    }

    #[test]
    fn digits_are_lower_case() {
        assert_eq!(hex(&[0, 0xab, 0x0f]), "00ab0f");
    }
}

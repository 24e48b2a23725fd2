//! The side file of an entry: its hash, and how to see cheaply that the entry is unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{CacheError, failed, write_shared};
use crate::digest::Sha256;

/// Size and time of change. A file with another stamp is hashed again before it is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileStamp {
    /// In bytes.
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: (u64, u32),
}

impl FileStamp {
    /// `None` if there is no such file.
    pub(super) fn of(path: &Path) -> Result<Option<Self>, CacheError> {
        match fs::metadata(path) {
            Ok(meta) => {
                let since = meta.modified().ok().and_then(|m| m.duration_since(SystemTime::UNIX_EPOCH).ok());
                let modified = since.map_or((0, 0), |d| (d.as_secs(), d.subsec_nanos()));
                Ok(Some(Self { size: meta.len(), modified }))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("read", path)(e)),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SideFile {
    pub(super) sha256: Sha256,
    #[serde(flatten)]
    pub(super) stamp: FileStamp,
    /// The size in bytes of the packed file.
    pub(super) source_size: u64,
    /// `download`, or the container of an unpacked base.
    pub(super) made_by: String,
}

impl SideFile {
    /// That of the entry at `entry`; `None` if it is missing or unreadable.
    pub(super) fn read(entry: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path_of(entry)).ok()?).ok()
    }

    pub(super) fn write(&self, entry: &Path) -> Result<(), CacheError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| failed("write", entry)(e.into()))?;
        write_shared(&path_of(entry), &json)
    }
}

pub(super) fn path_of(entry: &Path) -> PathBuf {
    let mut name = entry.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

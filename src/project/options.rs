//! The options of every command that opens a project.

use std::path::PathBuf;

use crate::error::{Exit, Explain};

#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The profile; for the default, see `Profile::load`.
    pub(crate) profile: Option<PathBuf>,
    /// A base instead of the profile's: a built-in name, a URL or a path.
    pub(crate) base: Option<String>,
    /// A secrets file instead of the one beside the profile.
    pub(crate) secrets: Option<PathBuf>,
    /// A cache folder instead of the user's.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Use only files from the cache.
    pub(crate) offline: bool,
    /// Accept a base without a known checksum.
    pub(crate) insecure_no_checksum: bool,
    /// A public key file instead of the profile's keys.
    pub(crate) ssh_key: Option<PathBuf>,
}

impl Options {
    pub(super) fn cache_dir(&self) -> Result<PathBuf, NoCacheFolder> {
        self.cache_dir.clone().or_else(users_cache).ok_or(NoCacheFolder)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no cache folder: neither `XDG_CACHE_HOME` nor a home folder is known")]
pub(super) struct NoCacheFolder;

impl Explain for NoCacheFolder {
    fn exit(&self) -> Exit {
        Exit::Network
    }
    fn hint(&self) -> Option<String> {
        Some("name a folder with `--cache-dir`".into())
    }
}

/// The user's cache folder, by the convention of each system.
fn users_cache() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::home_dir().filter(|h| h.is_absolute());
    let folder = if cfg!(windows) {
        from("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|h| h.join("Library/Caches"))
    } else {
        from("XDG_CACHE_HOME").or_else(|| home().map(|h| h.join(".cache")))
    };
    folder.map(|f| f.join("magi-image"))
}

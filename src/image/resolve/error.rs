//! Why a plan can't be written to a base.

use crate::base::sysconf::SysconfError;
use crate::disk::ext4::FileKind;
use crate::error::{Exit, Explain};
use crate::text::escaped;

#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("overlay `{overlay}` writes `{path}`, but `{link}` is a symlink to `{target}` in the base")]
    SymlinkParent { overlay: String, path: String, link: String, target: String },
    #[error("overlay `{overlay}` wants {} at `{path}`, but `{at}` is {} in the base", name(*wanted), name(*found))]
    OtherKind {
        overlay: String,
        path: String,
        wanted: FileKind,
        /// The path or one of its parents.
        at: String,
        found: FileKind,
    },
    #[error("overlay `{overlay}` patches `{path}`, which the base doesn't have")]
    PatchOfNothing { overlay: String, path: String },
    /// Words for the kernel, but no `cmdline.txt`: without `root=` and the like, the base would not boot.
    #[error("the base has no `cmdline.txt` for the words that `{overlay}` adds to the kernel's command line")]
    NoCommandLine { overlay: String },
    #[error("overlay `{overlay}` patches `{path}`, which is a symlink to `{}` in the base", escaped(target))]
    PatchOfSymlink { overlay: String, path: String, target: String },
    #[error("overlay `{overlay}` patches `{path}`, which is {} in the base", name(*found))]
    PatchOfOtherKind { overlay: String, path: String, found: FileKind },
    #[error("overlay `{overlay}` patches `{path}`, which isn't UTF-8 text")]
    PatchOfBinary { overlay: String, path: String },
    #[error("overlay `{overlay}` patches `{path}`, where nothing matches `{pattern}`")]
    NoMatch { overlay: String, path: String, pattern: String },
    #[error("cannot edit `sysconf.txt`")]
    Sysconf(#[source] SysconfError),
    #[error(
        "the root file system is too small: {needed} bytes are needed, {free} are free, {} are missing",
        needed - free
    )]
    NoSpace { needed: u64, free: u64 },
    #[error("the root file system has too few inodes: {needed} are needed, {free} are free")]
    NoInodes { needed: u64, free: u64 },
}

impl Explain for ResolveError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoSpace { .. } | Self::NoInodes { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::SymlinkParent { path, link, target, .. } => {
                Some(format!("write to `{}{}` instead", absolute(link, target), &path[link.len()..]))
            }
            Self::PatchOfSymlink { path, target, .. } => {
                Some(format!("patch `{}` instead", absolute(path, target)))
            }
            Self::PatchOfNothing { .. } => {
                Some("check the path, or write the whole file: a patch needs a file of the base".into())
            }
            Self::NoCommandLine { .. } => {
                Some("use a base image with a `cmdline.txt` on its boot partition".into())
            }
            Self::NoMatch { .. } => Some("set `required = false` if it may be absent".into()),
            Self::Sysconf(error) => error.hint(),
            Self::NoSpace { .. } | Self::NoInodes { .. } => {
                Some("use fewer overlays or files, or a base with a larger root partition".into())
            }
            _ => None,
        }
    }
}

fn name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "a file",
        FileKind::Directory => "a folder",
        FileKind::Symlink => "a symlink",
        FileKind::Special => "a device, a fifo or a socket",
    }
}

/// The target of the symlink at `link`, as an absolute path.
fn absolute(link: &str, target: &str) -> String {
    let parent = link.rsplit_once('/').map_or("", |(parent, _)| parent);
    if target.starts_with('/') { target.to_owned() } else { format!("{parent}/{target}") }
}

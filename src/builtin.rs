//! The profile and the overlays that are built into the binary.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// A built-in file by its path in the repository, with `/`.
pub(crate) fn file(path: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

/// The built-in files below `folder` (which ends in `/`), with the rest of their paths, in name order.
pub(crate) fn below(folder: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(name, bytes)| Some((name.strip_prefix(folder)?, *bytes)))
}

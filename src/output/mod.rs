//! The files that a build writes: compressed images and manifests. Nothing here opens a file system.

pub(crate) mod compress;
pub(crate) mod manifest;

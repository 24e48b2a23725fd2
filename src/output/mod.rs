//! The files that a build writes: compressed images and manifests. Nothing here knows partitions or file systems.

pub(crate) mod compress;
pub(crate) mod manifest;

//! What a build leaves: compressed images and manifests.

pub(crate) mod compress;
pub(crate) mod manifest;

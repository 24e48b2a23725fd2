//! What a build leaves behind: complete or absent.

pub mod compress;
pub mod digest;
pub mod human;
pub mod manifest;
pub(crate) mod sparse;
pub mod staged;

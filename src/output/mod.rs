//! What a build leaves behind: complete or absent.

pub mod bmap;
pub mod compress;
pub mod digest;
pub mod human;
pub(crate) mod sparse;
pub mod staged;

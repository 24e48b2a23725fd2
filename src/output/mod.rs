//! What a build leaves behind: complete or absent.

pub mod bmap;
pub mod compress;
pub mod digest;
pub mod manifest;
pub mod staged;

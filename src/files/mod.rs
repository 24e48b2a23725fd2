//! Files on the user's machine: atomic and private writes, positional and sparse reads. Knows no image.

pub(crate) mod atomic;
pub(crate) mod hash;
pub(crate) mod home;
pub(crate) mod positional;
pub(crate) mod private;
pub(crate) mod sparse;

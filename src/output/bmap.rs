//! bmap.

//! The base image: named, fetched, verified, unpacked and kept raw in the cache.

pub mod catalog;
pub mod facts;
pub mod unpack;

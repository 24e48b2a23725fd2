//! Getting inputs: downloads, checksums, signatures, the lock file and the cache.

pub(crate) mod assets;
pub(crate) mod cache;
pub(crate) mod checksum;
pub(crate) mod http;
pub(crate) mod lock;
pub(crate) mod openpgp;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod url;

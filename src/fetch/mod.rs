//! Getting inputs: downloads, checksums, signatures, the lock file and the cache.

pub(crate) mod assets;
pub(crate) mod cache;
pub(crate) mod checksum;
pub(crate) mod http;
pub(crate) mod lock;
pub(crate) mod openpgp;
pub(crate) mod openpgp_key;
pub(crate) mod url;

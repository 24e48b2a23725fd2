//! Getting inputs: downloads, checksums, signatures, the lock file and the cache they land in.

pub(crate) mod assets;
pub(crate) mod cache;
pub(crate) mod checksum;
pub(crate) mod http;
pub(crate) mod lock;
pub(crate) mod openpgp;
pub(crate) mod url;

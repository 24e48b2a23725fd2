//! Getting inputs: downloads, checksums, signatures, the lock file and the cache they land in.

pub mod assets;
pub mod cache;
pub mod checksum;
pub mod http;
pub mod lock;
pub mod openpgp;

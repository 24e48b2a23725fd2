//! Disks as files: partition tables, FAT, ext4. Nothing here knows what a cluster is.

pub mod ext4;
pub mod fat;
pub mod layout;
pub mod magic;
pub mod sysconf;
pub mod table;
#[cfg(test)]
mod testing;
pub mod window;

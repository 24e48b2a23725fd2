//! Disks as files: partition tables, FAT, ext4. Nothing here knows what a cluster is.

pub(crate) mod ext4;
pub(crate) mod fat;
pub(crate) mod magic;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod window;

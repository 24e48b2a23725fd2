//! Disk images: windows onto partitions, partition tables, FAT and ext4. Knows no Raspberry Pi and no base.

pub(crate) mod ext4;
pub(crate) mod fat;
pub(crate) mod magic;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod window;

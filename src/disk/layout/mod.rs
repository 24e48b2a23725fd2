//! Which partition is the boot FAT and which the root ext4, found by what they hold.

//! ext4: facts from the superblock, a reader (ext4-view) and a writer (rust-fs-ext4) that share no code.

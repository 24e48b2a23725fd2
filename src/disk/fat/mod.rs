//! FAT16 and FAT32: our own bounded reader, and a writer on top of fatfs.

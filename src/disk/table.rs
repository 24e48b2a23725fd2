//! Partition tables: MBR, GPT and GPT with a hybrid MBR.

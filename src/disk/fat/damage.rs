//! What is wrong with a damaged FAT, as values.

/// Fields of the boot sector that contradict each other, the partition or this reader's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BootDamage {
    #[error("invalid cluster size: {sectors} sectors of {sector_bytes} bytes")]
    ClusterSize { sectors: u32, sector_bytes: u32 },
    #[error("invalid layout: {reserved} reserved sectors and {tables} allocation tables")]
    Layout { reserved: u16, tables: u8 },
    #[error(
        "invalid layout: allocation tables of {table_sectors} sectors and {root_slots} root directory slots"
    )]
    TableOrRoot { table_sectors: u32, root_slots: u32 },
    #[error("the volume has {bytes} bytes, its partition only {partition}")]
    LargerThanPartition { bytes: u64, partition: u64 },
    #[error("an allocation table of {table_bytes} bytes is too small for {clusters} clusters")]
    TableTooSmall { table_bytes: u64, clusters: u32 },
    #[error("the volume has no clusters")]
    NoClusters,
    #[error("{0} clusters are too many for a boot partition")]
    TooManyClusters(u32),
    #[error("{0} clusters are too many for FAT16")]
    TooManyForFat16(u32),
    #[error("{clusters} clusters are too few for FAT32, which has at least {least}")]
    TooFewForFat32 { clusters: u32, least: u32 },
    #[error("unknown FAT32 version {0}")]
    Version(u16),
    #[error("the root directory begins at cluster {cluster}, which is not among the {clusters} clusters")]
    RootCluster { cluster: u32, clusters: u32 },
    #[error("the active allocation table is number {active} of {tables}, counted from 0")]
    ActiveTable { active: u8, tables: u8 },
}

/// Damage in the allocation table, the `FSInfo` sector or a directory. Paths are those on the FAT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FatDamage {
    #[error("the copies of the allocation table differ")]
    TablesDiffer,
    #[error("the FSInfo sector is missing")]
    NoFsInfo,
    #[error("the FSInfo sector has wrong signatures")]
    FsInfoSignatures,
    #[error("the dirty flag is still set")]
    StillDirty,
    #[error("in `{path}`: {damage}")]
    Directory { path: String, damage: DirectoryDamage },
    #[error("the root directory has an entry `.` or `..`")]
    DotsInRoot,
    #[error("the folder `{0}` has a wrong entry `.` or `..`")]
    Dots(String),
    #[error("duplicate name: `{path}` has two entries named `{name}`")]
    DuplicateName { path: String, name: String },
    #[error("cluster {cluster} of `{path}` is cross-linked with another file or folder")]
    CrossLinked { path: String, cluster: u32 },
    #[error("`{0}` has size 0, but a cluster chain")]
    ChainOfEmptyFile(String),
    #[error("`{path}` has size {size}, more than the whole volume")]
    LargerThanVolume { path: String, size: u32 },
    #[error("the cluster chain of `{path}` is too short for its size {size}")]
    ChainTooShort { path: String, size: u32 },
    #[error("the cluster chain of `{0}` is too long or loops")]
    ChainTooLong(String),
    #[error("the cluster chain of `{path}` contains {cluster}, which is not a usable cluster")]
    InvalidCluster { path: String, cluster: u32 },
    #[error("`{0}` has no cluster chain")]
    NoChain(String),
    #[cfg(test)]
    #[error("the folder `{0}` contains itself")]
    FolderLoop(String),
    #[cfg(test)]
    #[error("more than {0} entries")]
    TooManyEntries(usize),
}

/// Damage in the slots of one directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DirectoryDamage {
    #[error("entries after the end mark")]
    EntriesAfterEnd,
    #[error("slots of a long name out of order")]
    LongNameOrder,
    #[error("a long name without an entry")]
    OrphanedLongName,
    #[error("an invalid long name for `{0}`")]
    LongName(String),
    #[error("an invalid short name `{0}`")]
    ShortName(String),
    #[error("an entry with invalid attributes {0:#04x}")]
    Attributes(u8),
}

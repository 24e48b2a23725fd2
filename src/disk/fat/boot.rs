//! The boot sector: where table, root directory and clusters are. Every number is checked against the
//! others and the partition's length before it is used.

use super::{FatError, SLOT};

/// More clusters than any boot partition has: their links would take more than 64 MiB of memory.
const MAX_CLUSTERS: u32 = 1 << 24;
/// Fewer are FAT12.
const MIN_FAT16: u32 = 4085;
/// More can't be numbered with 16 bits, and fatfs takes fewer for no FAT32.
pub(super) const MIN_FAT32: u32 = 65525;

/// Places in bytes from the partition's beginning.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    /// 16 or 32: bits in a link of the allocation table.
    pub(super) bits: u8,
    pub(super) cluster_bytes: u32,
    /// How many there are; they are numbered from 2.
    pub(super) clusters: u32,
    /// The allocation table in use.
    pub(super) table: u64,
    pub(super) table_bytes: u64,
    /// Where its copies are, when they are kept equal.
    pub(super) copies: Vec<u64>,
    /// The root directory of FAT16, and how many slots it has; it can't grow.
    pub(super) root: u64,
    pub(super) root_slots: u32,
    /// The root directory's first cluster on FAT32.
    pub(super) root_cluster: u32,
    /// Cluster 2.
    pub(super) data: u64,
    /// The sector with the number of free clusters on FAT32.
    pub(super) fs_info: Option<u64>,
    /// The byte that has the dirty flag.
    pub(super) state_at: u64,
    pub(super) state: u8,
    pub(super) volume_id: u32,
    pub(super) label: [u8; 11],
}

/// The raw fields that FAT16 and FAT32 share.
struct Fields<'a> {
    sector: &'a [u8; 512],
}

impl Fields<'_> {
    fn u8(&self, at: usize) -> u8 {
        self.sector[at]
    }
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.sector[at], self.sector[at + 1]])
    }
    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }
    /// A 16-bit field that gives way to a 32-bit one when it is zero.
    fn u16_or_u32(&self, short: usize, long: usize) -> u32 {
        match self.u16(short) {
            0 => self.u32(long),
            short => short.into(),
        }
    }
    /// Volume id and label, if the signature in front of them says that they are there.
    fn identity(&self, at: usize) -> (u32, [u8; 11]) {
        let label = self.sector[at + 5..].first_chunk().copied();
        if self.u8(at) == 0x29 { (self.u32(at + 1), label.unwrap_or_default()) } else { (0, [b' '; 11]) }
    }
}

fn damaged<T>(why: impl Into<String>) -> Result<T, FatError> {
    Err(FatError::Boot(why.into()))
}

impl Geometry {
    /// Reads the boot sector of a partition of `len` bytes.
    pub(super) fn parse(sector: &[u8; 512], len: u64) -> Result<Self, FatError> {
        let fields = Fields { sector };
        let sector_bytes = u32::from(fields.u16(11));
        if sector[510..] != [0x55, 0xAA] || !matches!(sector_bytes, 512 | 1024 | 2048 | 4096) {
            return Err(FatError::NotFat);
        }
        let (cluster_sectors, reserved, fats) = (u32::from(fields.u8(13)), fields.u16(14), fields.u8(16));
        let cluster_bytes = cluster_sectors * sector_bytes;
        if !cluster_sectors.is_power_of_two() || cluster_bytes > 64 << 10 {
            return damaged(format!("{cluster_sectors} sectors of {sector_bytes} bytes make no cluster"));
        }
        if reserved == 0 || !matches!(fats, 1 | 2) {
            return damaged(format!("{reserved} reserved sectors and {fats} allocation tables"));
        }
        // Linux goes by this field too: with it the volume is FAT12 or FAT16.
        let wide = fields.u16(22) == 0;
        let table_sectors = fields.u16_or_u32(22, 36);
        let root_slots = u32::from(fields.u16(17));
        if table_sectors == 0 || wide != (root_slots == 0) {
            return damaged(format!(
                "{table_sectors} sectors for a table, {root_slots} slots in the root directory"
            ));
        }
        let sectors = u64::from(fields.u16_or_u32(19, 32));
        let bytes = sectors * u64::from(sector_bytes);
        if bytes > len {
            return damaged(format!("it claims {bytes} bytes in a partition of {len}"));
        }
        let table_bytes = u64::from(table_sectors) * u64::from(sector_bytes);
        let first_table = u64::from(reserved) * u64::from(sector_bytes);
        let root = first_table + table_bytes * u64::from(fats);
        let root_bytes = (u64::from(root_slots) * SLOT as u64).next_multiple_of(sector_bytes.into());
        let data = root + root_bytes;
        let clusters = bytes.saturating_sub(data) / u64::from(cluster_bytes);
        let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
        let bits = kind(wide, clusters)?;
        if table_bytes * 8 / u64::from(bits) < u64::from(clusters) + 2 {
            return damaged(format!("its table of {table_bytes} bytes is too small for {clusters} clusters"));
        }
        let geometry = Self {
            bits,
            cluster_bytes,
            clusters,
            table: first_table,
            table_bytes,
            copies: (1..u64::from(fats)).map(|n| first_table + n * table_bytes).collect(),
            root,
            root_slots,
            root_cluster: 0,
            data,
            fs_info: None,
            state_at: 37,
            state: fields.u8(37),
            volume_id: fields.identity(38).0,
            label: fields.identity(38).1,
        };
        if wide { geometry.widen(&fields, sector_bytes, reserved, fats) } else { Ok(geometry) }
    }

    /// The fields that FAT32 has elsewhere or alone.
    fn widen(self, fields: &Fields, sector_bytes: u32, reserved: u16, fats: u8) -> Result<Self, FatError> {
        let (flags, version, root_cluster, fs_info) =
            (fields.u16(40), fields.u16(42), fields.u32(44), fields.u16(48));
        if version != 0 {
            return damaged(format!("version {version} of FAT32 is unknown"));
        }
        if !(2..self.clusters + 2).contains(&root_cluster) {
            return damaged(format!(
                "its root directory begins at cluster {root_cluster} of {}",
                self.clusters
            ));
        }
        // With bit 7 only one of the tables is kept up to date.
        let (alone, active) = (flags & 0x80 != 0, u64::from(flags & 0x0F));
        if alone && active >= fats.into() {
            return damaged(format!("it uses allocation table {active} of {fats}"));
        }
        Ok(Self {
            root_cluster,
            table: self.table + if alone { active * self.table_bytes } else { 0 },
            copies: if alone { Vec::new() } else { self.copies },
            fs_info: (1..reserved).contains(&fs_info).then(|| u64::from(fs_info) * u64::from(sector_bytes)),
            state_at: 65,
            state: fields.u8(65),
            volume_id: fields.identity(66).0,
            label: fields.identity(66).1,
            ..self
        })
    }

    /// Where a cluster begins; its number must have been checked.
    pub(super) fn offset_of(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster.saturating_sub(2)) * u64::from(self.cluster_bytes)
    }
}

/// Bits in a link.
fn kind(wide: bool, clusters: u32) -> Result<u8, FatError> {
    match (wide, clusters) {
        (_, 0) => damaged("it leaves no room for clusters"),
        (_, MAX_CLUSTERS..) => {
            damaged(format!("it has {clusters} clusters, too many to be a boot partition"))
        }
        (true, _) => Ok(32),
        (false, ..MIN_FAT16) => Err(FatError::Fat12(clusters)),
        (false, MIN_FAT32..) => damaged(format!("{clusters} clusters are too many for FAT16")),
        (false, _) => Ok(16),
    }
}

//! The boot sector: where allocation table, root directory and clusters are. Every number is checked against
//! the others and the partition's length before it is used.

use super::damage::BootDamage;
use super::{FatError, SLOT};

/// More clusters than any boot partition has: their links would take more than 64 MiB of memory.
const MAX_CLUSTERS: u32 = 1 << 24;
/// A volume with fewer clusters is FAT12.
const MIN_FAT16: u32 = 4085;
/// 16-bit links can't number more clusters, and fatfs rejects a FAT32 with fewer.
pub(super) const MIN_FAT32: u32 = 65525;

/// Offsets and lengths in bytes, counted from the partition's first byte.
#[derive(Debug, Clone)]
pub(super) struct Geometry {
    /// Bits in a link of the allocation table: 16 or 32.
    pub(super) bits: u8,
    pub(super) cluster_bytes: u32,
    /// Number of clusters; they are numbered from 2.
    pub(super) clusters: u32,
    /// The active allocation table.
    pub(super) table: u64,
    pub(super) table_bytes: u64,
    /// The other allocation tables; empty when mirroring is off.
    pub(super) copies: Vec<u64>,
    /// FAT16 only: the root directory, which has a fixed number of slots.
    pub(super) root: u64,
    pub(super) root_slots: u32,
    /// FAT32 only: the first cluster of the root directory.
    pub(super) root_cluster: u32,
    /// Cluster 2.
    pub(super) data: u64,
    /// FAT32 only: the `FSInfo` sector, which has the number of free clusters.
    pub(super) fs_info: Option<u64>,
    /// The byte with the dirty flag, and its value.
    pub(super) state_at: u64,
    pub(super) state: u8,
    pub(super) volume_id: u32,
    pub(super) label: [u8; 11],
}

/// The sector's raw fields by their offsets.
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
    /// The 16-bit field `short`, or the 32-bit field `long` where `short` is zero.
    fn u16_or_u32(&self, short: usize, long: usize) -> u32 {
        match self.u16(short) {
            0 => self.u32(long),
            short => short.into(),
        }
    }
    /// Volume id and label, if the extended boot signature at `at` is there.
    fn identity(&self, at: usize) -> (u32, [u8; 11]) {
        let label = std::array::from_fn(|index| self.sector[at + 5 + index]);
        if self.u8(at) == 0x29 { (self.u32(at + 1), label) } else { (0, [b' '; 11]) }
    }
}

/// The BIOS parameter block: the checked fields that decide where everything is.
struct Parameters {
    sector_bytes: u32,
    cluster_bytes: u32,
    reserved_sectors: u16,
    tables: u8,
    table_sectors: u32,
    root_slots: u32,
    sectors: u32,
    /// FAT32: 32-bit links, and a root directory in clusters.
    wide: bool,
}

impl Parameters {
    fn read(fields: &Fields) -> Result<Self, FatError> {
        let sector_bytes = u32::from(fields.u16(11));
        if fields.sector[510..] != [0x55, 0xAA] || !matches!(sector_bytes, 512 | 1024 | 2048 | 4096) {
            return Err(FatError::NotFat);
        }
        let sectors = u32::from(fields.u8(13));
        let cluster_bytes = sectors * sector_bytes;
        if !sectors.is_power_of_two() || cluster_bytes > 64 << 10 {
            return Err(BootDamage::ClusterSize { sectors, sector_bytes }.into());
        }
        let (reserved, tables) = (fields.u16(14), fields.u8(16));
        if reserved == 0 || !matches!(tables, 1 | 2) {
            return Err(BootDamage::Layout { reserved, tables }.into());
        }
        // Linux decides by this field too: where it is set, the volume is FAT12 or FAT16.
        let wide = fields.u16(22) == 0;
        let table_sectors = fields.u16_or_u32(22, 36);
        let root_slots = u32::from(fields.u16(17));
        if table_sectors == 0 || wide != (root_slots == 0) {
            return Err(BootDamage::TableOrRoot { table_sectors, root_slots }.into());
        }
        Ok(Self {
            sector_bytes,
            cluster_bytes,
            reserved_sectors: reserved,
            tables,
            table_sectors,
            root_slots,
            sectors: fields.u16_or_u32(19, 32),
            wide,
        })
    }

    fn bytes(&self, sectors: u32) -> u64 {
        u64::from(sectors) * u64::from(self.sector_bytes)
    }
}

impl Geometry {
    /// Parses the boot sector of a partition of `len` bytes.
    pub(super) fn parse(sector: &[u8; 512], len: u64) -> Result<Self, FatError> {
        let fields = Fields { sector };
        let parameters = Parameters::read(&fields)?;
        let geometry = Self::of_fat16(&fields, &parameters, len)?;
        if parameters.wide { geometry.into_fat32(&fields, &parameters) } else { Ok(geometry) }
    }

    fn of_fat16(fields: &Fields, parameters: &Parameters, len: u64) -> Result<Self, FatError> {
        let &Parameters { cluster_bytes, root_slots, tables, .. } = parameters;
        let bytes = parameters.bytes(parameters.sectors);
        if bytes > len {
            return Err(BootDamage::LargerThanPartition { bytes, partition: len }.into());
        }
        let table_bytes = parameters.bytes(parameters.table_sectors);
        let table = parameters.bytes(parameters.reserved_sectors.into());
        let root = table + table_bytes * u64::from(tables);
        let root_bytes =
            (u64::from(root_slots) * SLOT as u64).next_multiple_of(parameters.sector_bytes.into());
        let data = root + root_bytes;
        let clusters = bytes.saturating_sub(data) / u64::from(cluster_bytes);
        let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
        let bits = link_bits(parameters.wide, clusters)?;
        if table_bytes * 8 / u64::from(bits) < u64::from(clusters) + 2 {
            return Err(BootDamage::TableTooSmall { table_bytes, clusters }.into());
        }
        let (volume_id, label) = fields.identity(38);
        Ok(Self {
            bits,
            cluster_bytes,
            clusters,
            table,
            table_bytes,
            copies: (1..u64::from(tables)).map(|number| table + number * table_bytes).collect(),
            root,
            root_slots,
            root_cluster: 0,
            data,
            fs_info: None,
            state_at: 37,
            state: fields.u8(37),
            volume_id,
            label,
        })
    }

    /// Adds the fields that only FAT32 has, or has at other offsets.
    fn into_fat32(self, fields: &Fields, parameters: &Parameters) -> Result<Self, FatError> {
        let (flags, version, fs_info) = (fields.u16(40), fields.u16(42), fields.u16(48));
        let (root_cluster, clusters, tables) = (fields.u32(44), self.clusters, parameters.tables);
        if version != 0 {
            return Err(BootDamage::Version(version).into());
        }
        if !(2..clusters + 2).contains(&root_cluster) {
            return Err(BootDamage::RootCluster { cluster: root_cluster, clusters }.into());
        }
        // Bit 7 turns mirroring off: only the active table is kept up to date.
        let (unmirrored, active) = (flags & 0x80 != 0, fields.u8(40) & 0x0F);
        if unmirrored && active >= tables {
            return Err(BootDamage::ActiveTable { active, tables }.into());
        }
        let has_fs_info = (1..parameters.reserved_sectors).contains(&fs_info);
        let (volume_id, label) = fields.identity(66);
        Ok(Self {
            root_cluster,
            table: self.table + if unmirrored { u64::from(active) * self.table_bytes } else { 0 },
            copies: if unmirrored { Vec::new() } else { self.copies },
            fs_info: has_fs_info.then(|| parameters.bytes(fs_info.into())),
            state_at: 65,
            state: fields.u8(65),
            volume_id,
            label,
            ..self
        })
    }

    /// The offset of a cluster whose number was checked.
    pub(super) fn offset_of(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster.saturating_sub(2)) * u64::from(self.cluster_bytes)
    }
}

fn link_bits(wide: bool, clusters: u32) -> Result<u8, FatError> {
    match (wide, clusters) {
        (_, 0) => Err(BootDamage::NoClusters.into()),
        (_, MAX_CLUSTERS..) => Err(BootDamage::TooManyClusters(clusters).into()),
        (true, _) => Ok(32),
        (false, ..MIN_FAT16) => Err(FatError::Fat12(clusters)),
        (false, MIN_FAT32..) => Err(BootDamage::TooManyForFat16(clusters).into()),
        (false, _) => Ok(16),
    }
}

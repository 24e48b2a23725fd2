//! The disk of an image: the shape that the plan asks for, held against the base's partitions.

use crate::base::layout::{Layout, PartitionContent, partitions};
use crate::disk::table::{self, ChangeError, Partition, PartitionTable};
use crate::error::{Exit, Explain};
use crate::image::disk_check;
use crate::plan::{DiskShape, ExpectedDisk, SECTOR, TableKind};
use crate::text::{escaped, size};

/// Partitions begin and end at whole MiB, as partitioning tools align them. In sectors.
const ALIGN: u64 = 2048;

/// The disk of a finished image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageDisk {
    /// Of the raw image, in bytes.
    pub(crate) size: u64,
    pub(in crate::image) before: PartitionTable,
    pub(in crate::image) after: PartitionTable,
    /// The PARTUUIDs that change, old and new.
    pub(in crate::image) renamed: Vec<(String, String)>,
}

/// The base's disk can't get the shape.
#[derive(Debug, thiserror::Error)]
pub(in crate::image) enum ShapeError {
    #[error("`image.size` is {} ({asked} bytes), but the base has {} ({base} bytes)", size(*.asked), size(*.base))]
    SmallerThanBase { asked: u64, base: u64 },
    #[error("`image.root_size` is {asked} bytes, but the base's root partition has {base} bytes")]
    RootShrinks { asked: u64, base: u64 },
    #[error("the partitions need {needed} bytes, but `image.size` is {size} bytes: {} are missing", needed - size)]
    TooSmall { needed: u64, size: u64 },
    #[error("the root partition {root} can't grow, and no partition can follow it: {} {} behind it", partitions(.behind), if .behind.len() == 1 { "lies" } else { "lie" })]
    RootNotLast { root: u32, behind: Vec<u32> },
    #[error("the label `{label}` of the extra partition is the one of partition {number} of the base")]
    LabelTaken { label: String, number: u32 },
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl Explain for ShapeError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::SmallerThanBase { .. } => "write a larger size, or none for the base's size".into(),
            Self::RootShrinks { .. } => "write a larger size, or none".into(),
            Self::TooSmall { .. } => "write a larger `size`, or smaller partitions".into(),
            Self::RootNotLast { .. } => {
                "use this base without `size`, `root_size` and `extra_partition` under `[image]`".into()
            }
            Self::LabelTaken { .. } => "set another `label` in `image.extra_partition`".into(),
            Self::Change(ChangeError::PastMbr { .. }) => "write smaller sizes: an MBR ends at 2 TiB".into(),
            Self::Change(_) => "use another base, or fewer partitions".into(),
        })
    }
}

impl ImageDisk {
    /// What the manifest records.
    pub(crate) fn expected(&self) -> ExpectedDisk {
        ExpectedDisk {
            size: self.size,
            table: self.after.kind,
            id: self.after.id.clone(),
            partitions: self.after.partitions.iter().map(disk_check::entry).collect(),
        }
    }

    /// Whether the partition table must be written.
    pub(in crate::image) fn is_changed(&self, base_size: u64) -> bool {
        self.before != self.after || self.size != base_size
    }
}

/// The disk that an image of a base of `base_size` bytes gets.
pub(in crate::image) fn resolve(
    layout: &Layout,
    base_size: u64,
    shape: &DiskShape,
) -> Result<ImageDisk, ShapeError> {
    let partitions = layout.parts.iter().map(|part| part.partition.clone()).collect();
    let before = PartitionTable { kind: layout.table, id: layout.id.clone(), partitions };
    let (mut after, mut root, mut renamed) = (before.clone(), layout.root().clone(), Vec::new());
    if shape.as_mbr && before.kind != TableKind::Mbr {
        after = table::as_mbr(&before, layout.boot().number, root.number)?;
        renamed = renamed_uuids(&before, &after);
        root = at(&after, root.first_lba).cloned().unwrap_or(root);
    }
    let mut sectors = base_size / SECTOR;
    if shape.size.is_some() || shape.fixes_root() {
        check(layout, &after, &root, base_size, shape)?;
        let ends = Ends::of(after.kind, sectors, &root, shape)?;
        if let Some(root) = after.partitions.iter_mut().find(|part| part.number == root.number) {
            root.sectors = ends.root - root.first_lba;
        }
        if let (Some(extra), Some(first)) = (&shape.extra, ends.extra_first) {
            after = table::added(&after, first, ends.extra - first, &extra.label)?;
        }
        sectors = ends.disk;
    }
    check_mbr(&after)?;
    let size = if sectors == base_size / SECTOR { base_size } else { sectors * SECTOR };
    Ok(ImageDisk { size, before, after, renamed })
}

fn at(table: &PartitionTable, first: u64) -> Option<&Partition> {
    table.partitions.iter().find(|part| part.first_lba == first)
}

fn renamed_uuids(before: &PartitionTable, after: &PartitionTable) -> Vec<(String, String)> {
    let pair = |old: &Partition| Some((old.uuid.clone(), at(after, old.first_lba)?.uuid.clone()));
    before.partitions.iter().filter_map(pair).collect()
}

fn check(
    layout: &Layout,
    table: &PartitionTable,
    root: &Partition,
    base: u64,
    shape: &DiskShape,
) -> Result<(), ShapeError> {
    if let Some(asked) = shape.size.filter(|asked| *asked < base) {
        return Err(ShapeError::SmallerThanBase { asked, base });
    }
    if let Some(asked) = shape.root_size.filter(|asked| *asked < root.bytes()) {
        return Err(ShapeError::RootShrinks { asked, base: root.bytes() });
    }
    let behind = table.partitions.iter().filter(|part| part.first_lba > root.first_lba || part.extended);
    let behind: Vec<u32> = behind.map(|part| part.number).collect();
    if !behind.is_empty() {
        return Err(ShapeError::RootNotLast { root: root.number, behind });
    }
    let Some(extra) = &shape.extra else { return Ok(()) };
    let has_label = |content: &PartitionContent| match content {
        PartitionContent::Fat(info) => info.label.eq_ignore_ascii_case(&extra.label),
        PartitionContent::Ext { label, .. } => *label == extra.label,
        _ => false,
    };
    match layout.parts.iter().find(|part| has_label(&part.content)) {
        Some(part) => {
            Err(ShapeError::LabelTaken { label: escaped(&extra.label), number: part.partition.number })
        }
        None => Ok(()),
    }
}

fn check_mbr(table: &PartitionTable) -> Result<(), ChangeError> {
    let is_past = |part: &&Partition| part.first_lba + part.sectors > u64::from(u32::MAX);
    match table.partitions.iter().find(is_past) {
        Some(part) if table.kind == TableKind::Mbr => Err(ChangeError::PastMbr { number: part.number }),
        _ => Ok(()),
    }
}

/// Where things end, in sectors.
struct Ends {
    root: u64,
    extra_first: Option<u64>,
    extra: u64,
    disk: u64,
}

impl Ends {
    fn of(kind: TableKind, base: u64, root: &Partition, shape: &DiskShape) -> Result<Self, ShapeError> {
        let old_end = root.first_lba + root.sectors;
        let extra_size = shape.extra.as_ref().map(|extra| extra.size.map(|bytes| align_up(bytes / SECTOR)));
        let wanted =
            shape.root_size.map(|bytes| align_up(root.first_lba + bytes.div_ceil(SECTOR)).max(old_end));
        let Some(disk) = shape.size.map(|bytes| bytes / SECTOR) else {
            return Ok(Self::without_size(kind, base, wanted.unwrap_or(old_end), extra_size.flatten()));
        };
        let usable = table::usable_end(kind, disk);
        let end = usable / ALIGN * ALIGN;
        // What the parts need at least, with the root partition as it is or as asked.
        let least = wanted.unwrap_or(old_end);
        let needed = match extra_size {
            None => least,
            Some(extra) => align_up(least) + extra.unwrap_or(ALIGN * 16),
        };
        if needed > if extra_size.is_some() { end } else { usable } {
            let needed = (needed + disk - end) * SECTOR;
            return Err(ShapeError::TooSmall { needed, size: disk * SECTOR });
        }
        let (root, extra_first) = match extra_size {
            None => (wanted.unwrap_or(end.max(old_end)), None),
            Some(None) => (least, Some(align_up(least))),
            Some(Some(extra)) => (wanted.unwrap_or(end - extra), Some(wanted.map_or(end - extra, align_up))),
        };
        let extra = match (extra_first, extra_size.flatten()) {
            (Some(first), Some(size)) => first + size,
            _ => end,
        };
        Ok(Self { root, extra_first, extra, disk })
    }

    /// The disk is as long as its parts need, and at least as long as the base.
    fn without_size(kind: TableKind, base: u64, root: u64, extra: Option<u64>) -> Self {
        let extra_first = extra.map(|_| align_up(root));
        let end = extra_first.map_or(root, |first| first + extra.unwrap_or(0));
        // The backup GPT gets a MiB of its own.
        let tail = if kind == TableKind::Mbr { 0 } else { ALIGN };
        let disk = if table::usable_end(kind, base) >= end { base } else { align_up(end) + tail };
        Self { root, extra_first, extra: end, disk }
    }
}

fn align_up(sector: u64) -> u64 {
    sector.div_ceil(ALIGN) * ALIGN
}

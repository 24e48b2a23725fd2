//! Draws an inspection as text: the partitions to scale, then a list of facts.

use std::fmt::Write as _;

use crate::base::layout::PartitionContent;
use crate::disk::table::{Partition, TableKind};
use crate::image::inspect::{InspectedPartition, Inspection};
use crate::text;

/// Columns of the narrowest box, enough for a partition number or `free`.
const MIN_CELLS: usize = 5;

/// `width` is in columns.
pub(super) fn draw(inspection: &Inspection, width: usize) -> String {
    let mut text = String::new();
    let kind = match inspection.table {
        TableKind::Mbr => "MBR",
        TableKind::Gpt => "GPT",
        TableKind::HybridGpt => "GPT with a hybrid MBR",
    };
    let compressed = if inspection.compressed { ", compressed" } else { "" };
    let _ = writeln!(text, "{}", inspection.file.display());
    let _ = writeln!(text, "{}{compressed}, {kind}, disk {}\n", text::size(inspection.size), inspection.id);
    text.push_str(&bar(inspection, width));
    for part in &inspection.partitions {
        text.push_str(&describe(part));
    }
    text.push('\n');
    for (name, value) in facts(inspection) {
        let _ = writeln!(text, "{name:9} {value}");
    }
    text
}

/// Columns by `COLUMNS`, else of the terminal, 80 without a terminal.
pub(super) fn columns() -> usize {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal =
        || terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0));
    wanted.or_else(terminal).unwrap_or(80).clamp(40, 160)
}

/// A row of boxes, each as wide as its share of the disk and at least [`MIN_CELLS`] wide.
fn bar(inspection: &Inspection, width: usize) -> String {
    let mut parts: Vec<(u64, u64, String)> = Vec::new();
    let mut end = 0;
    let all = || inspection.partitions.iter().map(|part| &part.probed.partition);
    // An extended partition is drawn as its logical ones and the space between them.
    let has_logical = |one: &Partition| {
        let range = one.start() + 1..one.start() + one.bytes();
        one.extended && all().any(|other| range.contains(&other.start()))
    };
    let mut sorted: Vec<_> = all().filter(|partition| !has_logical(partition)).collect();
    sorted.sort_by_key(|p| p.first_lba);
    for partition in sorted {
        if partition.start() > end {
            parts.push((end, partition.start(), String::new()));
        }
        end = partition.start() + partition.bytes();
        parts.push((partition.start(), end, partition.number.to_string()));
    }
    if inspection.size > end {
        parts.push((end, inspection.size, String::new()));
    }
    // Small gaps between partitions (the table itself, alignment) get no box.
    let visible =
        |(start, end, name): &(u64, u64, String)| !name.is_empty() || (end - start) * 20 > inspection.size;
    parts.retain(visible);
    let total: u64 = parts.iter().map(|(start, end, _)| end - start).sum();
    let room = width.saturating_sub(2 + parts.len() * (MIN_CELLS + 1));
    let (mut edge, mut middle) = (String::from("  +"), String::from("  |"));
    for (start, end, name) in &parts {
        let share = u128::from(end - start) * room as u128 / u128::from(total.max(1));
        let cells = MIN_CELLS + usize::try_from(share).unwrap_or(0);
        let label = if name.is_empty() { "free" } else { name };
        let _ = write!(edge, "{}+", "-".repeat(cells));
        let _ = write!(middle, "{label:^cells$}|");
    }
    format!("{edge}\n{middle}\n{edge}\n")
}

fn describe(part: &InspectedPartition) -> String {
    let partition = &part.probed.partition;
    let mut what = part.probed.content.to_string();
    if let PartitionContent::Fat(fat) = &part.probed.content {
        let free = u64::from(fat.free_clusters) * u64::from(fat.cluster_bytes);
        let _ = write!(what, ", {} free", text::size(free));
    }
    if let Some(ext4) = &part.ext4 {
        let free = ext4.free_blocks.saturating_mul(u64::from(ext4.block_size));
        let _ = write!(what, ", {} free, {} inodes free", text::size(free), ext4.free_inodes);
    }
    if let Some(problem) = &part.problem {
        let _ = write!(what, ": {problem}");
    }
    format!(
        "  {:>2}  sector {:<9} {:>10}  {}\n      {what}\n",
        partition.number,
        partition.first_lba,
        text::size(partition.bytes()),
        partition.type_name
    )
}

fn facts(inspection: &Inspection) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(system) = &inspection.system {
        let architecture = if system.architecture.is_empty() { "" } else { ", " };
        facts.push(("system", format!("{}{architecture}{}", system.name, system.architecture)));
        let hostname = if system.hostname.is_empty() { "none" } else { &system.hostname };
        facts.push(("hostname", hostname.to_owned()));
    }
    if !inspection.kernels.is_empty() {
        facts.push(("kernel", inspection.kernels.join(", ")));
    }
    match &inspection.sysconf {
        None => facts.push(("sysconf", "none".into())),
        Some(values) if values.is_empty() => facts.push(("sysconf", "sets nothing".into())),
        Some(values) => {
            for (key, value) in values {
                facts.push(("sysconf", format!("{key}={value}")));
            }
        }
    }
    if let Some(build) = &inspection.manifest {
        let sample = if build.sample { ", the built-in sample: not for flashing" } else { "" };
        facts.push(("node", format!("{} of cluster {}", build.node, build.cluster)));
        facts.push(("base", format!("{}{sample}", build.base)));
    }
    facts
}

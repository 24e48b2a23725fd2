//! Images with another size or another partition table than their base, judged by sfdisk, sgdisk and fsck.

#![allow(clippy::pedantic)] // pedantic lints are for the crate, not for tests

mod common;

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use common::bases::{Base, MAKERS, Table, sha256};
use common::image::{Image, JUDGES};
use common::tools::{arg, have, run};
use common::{Profile, Sandbox};

const TABLE_JUDGES: [&str; 2] = ["sfdisk", "sgdisk"];
const MIB: u64 = 1 << 20;
const SAMPLE_SIZE: u64 = 224 * MIB;
const SAMPLE_B_SIZE: u64 = 218 * MIB;
/// An extra partition of 64 MiB.
const EXTRA: &str = "extra_partition = { size = \"64MiB\", mount = \"/var/lib/data\" }";

/// A partition as sfdisk reports it, in sectors.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Entry {
    number: u32,
    start: u64,
    sectors: u64,
    kind: String,
    uuid: String,
    name: String,
}

struct Built {
    sandbox: Sandbox,
    path: std::path::PathBuf,
    image: Image,
}

fn have_all() -> bool {
    have(&JUDGES) && have(&TABLE_JUDGES)
}

/// Builds caspar on `base` with these lines in `[image]`, and lets other programs check the file systems.
fn built(base: &str, image: &str) -> Built {
    built_from(Profile::small(&["common"]).base(base).image(image))
}

fn built_from(profile: Profile) -> Built {
    let sandbox = Sandbox::new();
    profile.write(&sandbox);
    sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
    let path = sandbox.work("out/magi-caspar.img");
    let image = Image::open(&path);
    image.judge();
    sandbox.run(&["verify", "out/magi-caspar.img", "-q"]).ok();
    Built { sandbox, path, image }
}

impl Built {
    fn entries(&self) -> Vec<Entry> {
        entries(&self.path)
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).expect("read the metadata").len()
    }

    fn manifest(&self) -> serde_json::Value {
        let text = fs::read(self.sandbox.work("out/magi-caspar.manifest.json")).expect("read the manifest");
        serde_json::from_slice(&text).expect("parse the manifest")
    }

    /// 16 bytes of each slot of the MBR.
    fn mbr_slots(&self) -> Vec<[u8; 16]> {
        let sector = read(&self.path, 0, 512);
        sector[446..510].chunks_exact(16).map(|slot| slot.try_into().expect("16 bytes")).collect()
    }
}

fn read(path: &Path, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fs::File::open(path).and_then(|file| file.read_exact_at(&mut bytes, at)).expect("read the image");
    bytes
}

/// The partitions by number; sfdisk must find no error.
fn entries(path: &Path) -> Vec<Entry> {
    let verified = run("sfdisk", &["--verify", arg(path)]);
    assert!(verified.contains("No errors detected"), "{verified}");
    let table = run("sfdisk", &["--json", arg(path)]);
    let table: serde_json::Value = serde_json::from_str(&table).expect("parse the JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let partitions = table["partitiontable"]["partitions"].as_array().expect("partitions are a list");
    let mut entries: Vec<Entry> = partitions
        .iter()
        .map(|entry| Entry {
            number: text(&entry["node"]).rsplit("img").next().expect("a number").parse().expect("a number"),
            start: entry["start"].as_u64().expect("a number"),
            sectors: entry["size"].as_u64().expect("a number"),
            kind: text(&entry["type"]).to_lowercase(),
            uuid: text(&entry["uuid"]).to_lowercase(),
            name: text(&entry["name"]),
        })
        .collect();
    entries.sort_by_key(|entry| entry.number);
    entries
}

#[track_caller]
fn assert_gpt_is_valid(path: &Path) {
    let judged = run("sgdisk", &["-v", arg(path)]);
    assert!(judged.contains("No problems found"), "{judged}");
}

fn raw(base: &Base, sandbox: &Sandbox) {
    let raw = base.make(&sandbox.path("work"), "base.img");
    fs::write(sandbox.work("base.img.sha256"), format!("{}  base.img\n", sha256(&raw))).expect("write it");
}

#[test]
fn larger_image_has_root_to_its_end_and_stays_sparse() {
    if !have_all() {
        return;
    }
    let built = built("sample", "size = \"1GiB\"");
    assert_eq!(built.length(), 1024 * MIB);
    let [fat, root] = &built.entries()[..] else { panic!("{:?}", built.entries()) };
    assert_eq!((fat.number, fat.start, fat.sectors), (1, 8192, 64 * 2048));
    assert_eq!((root.start, root.start + root.sectors), (8192 + 64 * 2048, 1024 * 2048));
    assert_eq!(root.kind, "83");
    let allocated = fs::metadata(&built.path).expect("read the metadata").blocks() * 512;
    assert!(allocated < SAMPLE_SIZE, "{allocated} bytes are allocated");
    let disk = &built.manifest()["disk"];
    assert_eq!((disk["size"].as_u64(), disk["table"].as_str()), (Some(1024 * MIB), Some("mbr")));
    assert_eq!(disk["partitions"][1]["sectors"].as_u64(), Some(root.sectors));
}

#[test]
fn extra_partition_lies_at_the_end_of_an_mbr() {
    if !have_all() {
        return;
    }
    for base in ["sample", "sample-c"] {
        let built = built(base, &format!("size = \"1GiB\"\n{EXTRA}"));
        let [_, root, extra] = &built.entries()[..] else { panic!("{:?}", built.entries()) };
        assert_eq!((extra.number, extra.start, extra.sectors), (3, 960 * 2048, 64 * 2048));
        assert_eq!(root.start + root.sectors, extra.start);
        assert_eq!(extra.kind, "83");
    }
}

#[test]
fn hybrid_gpt_stays_in_step_with_its_mbr() {
    if !have_all() {
        return;
    }
    let plain = built("sample-b", "");
    let built = built("sample-b", &format!("size = \"1GiB\"\nroot_size = \"512MiB\"\n{EXTRA}"));
    assert_gpt_is_valid(&built.path);
    let (before, after) = (plain.entries(), built.entries());
    let [root, extra, fat] = &after[..] else { panic!("{after:?}") };
    assert_eq!((root.number, extra.number, fat.number), (1, 2, 15));
    // Place, type and PARTUUID stay.
    assert_eq!(*root, Entry { sectors: 512 * 2048, ..before[0].clone() });
    assert_eq!(*fat, before[1]);
    assert_eq!((extra.start, extra.sectors), (root.start + root.sectors, 64 * 2048));
    assert_eq!((extra.name.as_str(), extra.kind.as_str()), ("data", "0fc63daf-8483-4772-8e79-3d69d8477de4"));
    // The slot of the FAT stays; the protective slot of the root reaches to the new end.
    let (old, new) = (plain.mbr_slots(), built.mbr_slots());
    assert_eq!(old[..2], new[..2]);
    let end = |slot: &[u8; 16]| {
        let number = |at: usize| u32::from_le_bytes(slot[at..at + 4].try_into().expect("four bytes"));
        u64::from(number(8)) + u64::from(number(12))
    };
    assert_eq!((end(&old[2]), end(&new[2])), (SAMPLE_B_SIZE / 512, 1024 * 2048));
    assert_eq!((new[2][4], new[3]), (0xEE, [0; 16]));
    assert_eq!(read(&plain.path, 0, 446), read(&built.path, 0, 446));
    // No stale backup header inside the root partition.
    assert_eq!(read(&built.path, SAMPLE_B_SIZE - 512, 512), [0; 512]);
    assert_eq!(read(&built.path, 1024 * MIB - 512, 8), b"EFI PART");
}

#[test]
fn plain_and_hybrid_gpt_of_sgdisk_grow() {
    if !(have_all() && have(&MAKERS)) {
        return;
    }
    for table in [Table::Gpt, Table::HybridGpt] {
        let sandbox = Sandbox::alone();
        let fstab = b"LABEL=RASPIROOT / ext4 rw 0 1\n".to_vec();
        raw(
            &Base { table, numbers: (15, 1), on_ext4: vec![("/etc/fstab", fstab)], ..Base::default() },
            &sandbox,
        );
        Profile::small(&["common"])
            .base("base.img")
            .image(&format!("size = \"300MB\"\n{EXTRA}"))
            .write(&sandbox);
        sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).ok();
        let image = sandbox.work("out/magi-caspar.img");
        assert_gpt_is_valid(&image);
        let numbers: Vec<u32> = entries(&image).iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, [1, 2, 15], "{table:?}");
        assert_eq!(fs::metadata(&image).expect("read the metadata").len(), 300_000_000 / 512 * 512);
        Image::open(&image).judge();
        let shown = sandbox.run(&["inspect", "out/magi-caspar.img", "--json"]).ok().json();
        let kind = if table == Table::Gpt { "gpt" } else { "hybrid-gpt" };
        assert_eq!(shown["table"], kind);
        assert_eq!(shown["manifest"]["disk"]["table"], kind);
    }
}

#[test]
fn image_without_size_is_as_long_as_its_partitions_need() {
    if !have_all() {
        return;
    }
    let mbr = built("sample", EXTRA);
    assert_eq!(mbr.length(), mbr.entries().last().map(|e| (e.start + e.sectors) * 512).expect("a partition"));
    let gpt = built("sample-b", "root_size = \"256MiB\"");
    assert_gpt_is_valid(&gpt.path);
    assert_eq!(gpt.entries()[0].sectors, 256 * 2048);
    assert_eq!(gpt.length() % MIB, 0);
}

#[test]
fn rest_is_the_space_behind_root() {
    if !have_all() {
        return;
    }
    let rest = "extra_partition = { size = \"rest\", mount = \"/srv/x\", label = \"store\" }";
    let built = built("sample-b", &format!("size = \"1GiB\"\nroot_size = \"256MiB\"\n{rest}"));
    let entries = built.entries();
    assert_eq!(entries[1].name, "store");
    assert_eq!(entries[1].start + entries[1].sectors, 1023 * 2048, "a MiB is left for the backup GPT");
}

#[test]
fn rewritten_table_is_the_same_in_every_build() {
    if !have_all() {
        return;
    }
    let image = format!("size = \"512MiB\"\n{EXTRA}");
    let (one, other) = (built("sample-b", &image), built("sample-b", &image));
    assert_eq!(sha256(&one.path), sha256(&other.path));
}

#[test]
fn changed_partition_table_is_found_by_verify() {
    if !have_all() {
        return;
    }
    let built = built("sample", &format!("size = \"512MiB\"\n{EXTRA}"));
    run("sfdisk", &["--quiet", "--delete", arg(&built.path), "3"]);
    let verified = built.sandbox.run(&["verify", "out/magi-caspar.img", "-q"]);
    assert_eq!(verified.code, Some(3));
    assert!(verified.stderr.contains("partition 3 is missing"), "{}", verified.stderr);
}

#[test]
fn impossible_shapes_are_refused() {
    if !have_all() {
        return;
    }
    let sandbox = Sandbox::new();
    let refused = |base: &str, image: &str| {
        Profile::small(&["common"]).base(base).image(image).write(&sandbox);
        sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).failed(2)
    };
    for (image, message) in [
        ("size = \"100MiB\"", "`image.size` is 100.0 MiB (104857600 bytes), but the base has 224.0 MiB"),
        ("root_size = \"100MiB\"", "`image.root_size` is 104857600 bytes, but the base's root partition has"),
        ("size = \"225MiB\"\nextra_partition = { size = \"1GiB\", mount = \"/x\" }", "are missing"),
        (
            "size = \"1GiB\"\nextra_partition = { size = \"64MiB\", mount = \"/x\", label = \"RASPIROOT\" }",
            "the label `RASPIROOT` of the extra partition is the one of partition 2",
        ),
    ] {
        let said = refused("sample", image);
        assert!(said.contains(message) && said.contains("hint: "), "{image}: {said}");
    }
}

#[test]
fn root_that_is_not_the_last_partition_cannot_grow() {
    if !(have_all() && have(&MAKERS)) {
        return;
    }
    let sandbox = Sandbox::alone();
    raw(&Base { root_first: true, ..Base::default() }, &sandbox);
    Profile::small(&["common"]).base("base.img").image("size = \"1GiB\"").write(&sandbox);
    let said = sandbox.run(&["build", "--all", "-p", "magi.toml", "-q"]).failed(2);
    assert!(said.contains("the root partition 2 can't grow"), "{said}");
    assert!(said.contains("partition 1 lies behind it"), "{said}");
}

#[test]
fn plan_shows_the_disk() {
    let sandbox = Sandbox::new();
    Profile::small(&["common"]).image(&format!("size = \"1GiB\"\n{EXTRA}")).write(&sandbox);
    let text = sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).ok().stdout;
    assert!(text.contains("  disk: 1.0 GiB, partition `data` 64.0 MiB\n"), "{text}");
    let json = sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q", "--json"]).ok().json();
    assert_eq!(json[0]["disk"]["extra"]["size"], 64 * MIB);
}

#[test]
fn raspberry_pi_os_does_not_grow_root_over_an_extra_partition() {
    if !have_all() {
        return;
    }
    let words = |image: &str| built("sample-c", image).image.on_fat("cmdline.txt");
    let is_resized = |words: &str| words.split_ascii_whitespace().any(|word| word == "resize");
    assert!(is_resized(&words("size = \"1GiB\"")));
    assert!(!is_resized(&words(&format!("size = \"1GiB\"\n{EXTRA}"))));
}

#[test]
fn gpt_becomes_an_mbr_with_its_partuuids() {
    if !have_all() {
        return;
    }
    let plain = built("sample-b", "");
    let mbr = Profile::small(&["common"]).base("sample-b").base_lines("table = \"mbr\"");
    for image in ["", "size = \"1GiB\"\nextra_partition = { size = \"64MiB\", mount = \"/srv\" }"] {
        let built = built_from(mbr.clone().image(image));
        let (gpt, entries) = (plain.entries(), built.entries());
        let (root, fat) = (&gpt[0], &gpt[1]);
        assert_eq!((entries[0].number, entries[0].start, entries[0].sectors), (1, fat.start, fat.sectors));
        assert_eq!((entries[1].number, entries[1].start), (2, root.start));
        assert_eq!((entries[0].kind.as_str(), entries[1].kind.as_str()), ("c", "83"));
        let table = run("sfdisk", &["--json", arg(&built.path)]);
        assert!(table.contains("\"label\":\"dos\"") || table.contains("\"label\": \"dos\""), "{table}");
        let shown = built.sandbox.run(&["inspect", "out/magi-caspar.img", "--json"]).ok().json();
        let id = shown["id"].as_str().expect("an id").to_owned();
        assert_ne!(id, "00000000");
        let words = built.image.on_fat("cmdline.txt");
        assert!(
            words.contains(&format!("root=PARTUUID={id}-02")) && words.contains("net.ifnames=0"),
            "{words}"
        );
        let fstab = built.image.cat("/etc/fstab");
        assert!(fstab.contains(&format!("PARTUUID={id}-01 /boot/firmware")), "{fstab}");
        assert!(fstab.contains(&format!("PARTUUID={id}-02 / ")), "{fstab}");
        let firmware = built.image.cat("/etc/default/raspi-firmware");
        assert!(firmware.contains(&format!("ROOTPART=PARTUUID={id}-02")), "{firmware}");
        for uuid in [&root.uuid, &fat.uuid] {
            assert!(!(words.clone() + &fstab + &firmware).contains(uuid.as_str()));
        }
        // Both copies of the GPT are gone.
        for at in [512, SAMPLE_B_SIZE - 512] {
            assert_eq!(read(&built.path, at, 512), [0; 512]);
        }
    }
}

#[test]
fn mbr_asked_for_on_an_mbr_changes_nothing() {
    if !have_all() {
        return;
    }
    let plain = built("sample-c", "");
    let same = built_from(Profile::small(&["common"]).base("sample-c").base_lines("table = \"mbr\""));
    assert_eq!(plain.entries(), same.entries());
    assert_eq!(plain.image.on_fat("cmdline.txt"), same.image.on_fat("cmdline.txt"));
}

#[test]
fn extra_partition_is_mounted_by_label_and_root_does_not_grow_over_it() {
    if !have_all() {
        return;
    }
    let built = built("sample-b", &format!("size = \"1GiB\"\n{EXTRA}"));
    let fstab = built.image.cat("/etc/fstab");
    let line = "\nLABEL=data /var/lib/data ext4 defaults,noatime,nofail,x-systemd.device-timeout=30s 0 2\n";
    assert!(fstab.ends_with(line) && fstab.matches("LABEL=data").count() == 1, "{fstab}");
    let step = |name: &str| format!("/usr/local/lib/magi/firstboot.d/{name}");
    assert!(!built.image.has(&step("05-grow-root")));
    assert!(built.image.has(&step("06-card")) && built.image.has(&step("40-data")));
    let conf = built.image.cat("/etc/magi/magi.conf");
    assert!(conf.contains("\nMAGI_IMAGE_SIZE=1073741824\n"), "{conf}");
    assert!(conf.contains("\nMAGI_DATA_DEVICE=''\nMAGI_DATA_LABEL='data'\n"), "{conf}");
}

#[test]
fn named_disk_is_used_without_a_change_of_the_table() {
    if !have_all() {
        return;
    }
    let built = built("sample-b", "extra_partition = { device = \"/dev/sda\", mount = \"/srv\" }");
    assert_eq!(built.length(), SAMPLE_B_SIZE);
    assert_eq!(built.entries().len(), 2);
    assert!(built.image.has("/usr/local/lib/magi/firstboot.d/05-grow-root"));
    assert!(built.image.cat("/etc/magi/magi.conf").contains("\nMAGI_DATA_DEVICE='/dev/sda'\n"));
}

#[test]
fn cluster_data_can_be_put_on_the_extra_partition() {
    if !have_all() {
        return;
    }
    let on = |label: &str| {
        Profile::small(&["common", "k3s"]).settings("k3s", &format!("data_dir_on = \"{label}\""))
    };
    let built = built_from(on("data").image(&format!("size = \"1GiB\"\n{EXTRA}")));
    let unit = built.image.cat("/etc/systemd/system/var-lib-rancher.mount");
    assert!(unit.contains("What=/var/lib/data/rancher\nWhere=/var/lib/rancher\n"), "{unit}");
    assert!(built.image.has("/etc/systemd/system/k3s.service.d/20-data.conf"));
    let sandbox = Sandbox::new();
    on("other").image(EXTRA).write(&sandbox);
    let said = sandbox.run(&["plan", "--all", "-p", "magi.toml", "-q"]).failed(2);
    assert!(said.contains("`data_dir_on` is `other`, but the profile has no extra partition"), "{said}");
}

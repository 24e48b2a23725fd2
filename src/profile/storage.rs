//! `[image]`: the size of the image, of the root partition, and an additional file system for data.

use super::size;
use super::{ExtraPlace, ExtraVolume, ImageSettings};
use crate::document::{DocumentError, Located, RawValue, Section};
use crate::plan::path;

type Result<T> = std::result::Result<T, DocumentError>;

/// `mkfs.ext4` takes at most this many bytes.
const LONGEST_LABEL: usize = 16;

/// First boot gives this label to a file system that it is still making.
const UNFINISHED: &str = "magi-new";

/// File systems whose `mkfs` is on every base: e2fsprogs is part of Debian's minimal system.
const FILE_SYSTEMS: [&str; 1] = ["ext4"];

/// Smaller partitions hold no ext4 with a journal. In bytes.
const SMALLEST_EXTRA: u64 = 16 << 20;

/// Folders that the system needs before, or instead of, an additional mount: neither they nor what is below.
const SYSTEM_TREES: [&str; 17] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/apt",
    "/var/lib/cloud",
    "/var/lib/dpkg",
    "/var/lib/magi",
    "/var/lib/systemd",
];
/// Folders that hold files of the base; folders below can be a mount point.
const SYSTEM_FOLDERS: [&str; 6] = ["/home", "/opt", "/tmp", "/var", "/var/lib", "/var/log"];

pub(super) fn image(section: Section<'_>) -> Result<ImageSettings> {
    let size = bytes(&section, "size")?;
    let root_size = bytes(&section, "root_size")?;
    let extra = section.section("extra_partition")?.map(extra).transpose()?;
    let at = extra.as_ref().map_or(section.at(), |extra| extra.at);
    let extra = extra.map(|extra| extra.value);
    if let Some(ExtraPlace::Card { size: None }) = extra.as_ref().map(|extra| &extra.place) {
        let missing = match (&size, &root_size) {
            (None, _) => Some("`image.size`"),
            (_, None) => Some("`image.root_size`"),
            _ => None,
        };
        if let Some(missing) = missing {
            let what = format!("`image.extra_partition.size` is `rest`, which needs {missing}");
            return Err(section
                .error_at(at, what)
                .hinting("set it, or write the partition's size, as in `4GiB`"));
        }
    }
    if let (Some(size), Some(root)) = (&size, &root_size)
        && root.value >= size.value
    {
        return Err(section.error_at(root.at, "`image.root_size` must be smaller than `image.size`"));
    }
    section.finish()?;
    Ok(ImageSettings { size: size.map(|s| s.value), root_size: root_size.map(|s| s.value), extra })
}

/// A size in bytes, written as a string or an integer.
fn bytes(section: &Section<'_>, key: &str) -> Result<Option<Located<u64>>> {
    let Some((value, span)) = section.value(key) else { return Ok(None) };
    let shown = section.below(key);
    let text = match RawValue::of(value) {
        RawValue::Integer(number) => number.to_string(),
        RawValue::Text(text) => text,
        _ => {
            let what = format!("`{shown}` must be a size, not of type {}", value.type_str());
            return Err(section.error_at(span.start, what).hinting(SIZE_HINT));
        }
    };
    let value = size::parse(&text)
        .map_err(|error| section.error_at(span.start, format!("`{shown}`: {error}")).hinting(SIZE_HINT))?;
    Ok(Some(Located { value, at: span.start }))
}

const SIZE_HINT: &str = "write a size such as `8GiB`, `4000MiB`, `16GB`, or a number of bytes";

fn extra(section: Section<'_>) -> Result<Located<ExtraVolume>> {
    let place = place(&section)?;
    let mount = section.required("mount")?;
    check_mount(&section, &mount)?;
    let filesystem = filesystem(&section)?;
    let label = label(&section)?;
    let at = section.at();
    section.finish()?;
    Ok(Located { value: ExtraVolume { place, mount: mount.value, filesystem, label }, at })
}

/// Either `size` or `device`.
fn place(section: &Section<'_>) -> Result<ExtraPlace> {
    let device = section.string("device")?;
    let is_rest = matches!(section.value("size"), Some((value, _)) if value.as_str() == Some("rest"));
    let size = if is_rest { None } else { bytes(section, "size")? };
    match (device, size) {
        (Some(device), None) if !is_rest => {
            check_device(section, &device)?;
            Ok(ExtraPlace::Device(device.value))
        }
        (Some(device), _) => {
            let what = "`image.extra_partition` has both `size` and `device`";
            Err(section.error_at(device.at, what).hinting("`device` names another disk, which is used whole"))
        }
        (None, Some(size)) if size.value < SMALLEST_EXTRA => {
            Err(section.error_at(size.at, "`image.extra_partition.size` must be at least 16MiB"))
        }
        (None, Some(size)) => Ok(ExtraPlace::Card { size: Some(size.value) }),
        (None, None) if is_rest => Ok(ExtraPlace::Card { size: None }),
        (None, None) => {
            let error = section.error("`image.extra_partition` lacks `size`");
            Err(error.hinting("write a size, `rest`, or a `device` such as `/dev/sda`"))
        }
    }
}

fn check_device(section: &Section<'_>, device: &Located<String>) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/._:+-".contains(c);
    let name = device.value.strip_prefix("/dev/").filter(|name| name.chars().all(is_allowed));
    let shown = device.value.escape_debug();
    let what = match name {
        Some(name) if name.starts_with("mmcblk0") => {
            format!("`{shown}` is the card of the node itself: write `size`")
        }
        Some(name) if is_whole_disk(name) && path::checked(&device.value).is_ok() => return Ok(()),
        _ => format!("`image.extra_partition.device`: `{shown}` is not a whole disk"),
    };
    Err(section
        .error_at(device.at, what)
        .hinting("write a path such as `/dev/sda` or `/dev/disk/by-id/usb-…`"))
}

/// `sda`, `nvme0n1`, `mmcblk1`, or a link to a whole disk (Linux, `Documentation/admin-guide/devices.txt`).
fn is_whole_disk(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(link) = name.strip_prefix("disk/by-id/").or_else(|| name.strip_prefix("disk/by-path/")) {
        let part = link.rsplit_once("-part").map(|(_, number)| number);
        return !link.is_empty() && !link.contains('/') && !part.is_some_and(is_number);
    }
    let is_letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let scsi = name.strip_prefix("sd").or_else(|| name.strip_prefix("vd"));
    let nvme = name.strip_prefix("nvme").and_then(|rest| rest.split_once('n'));
    scsi.is_some_and(is_letters)
        || name.strip_prefix("mmcblk").is_some_and(is_number)
        || nvme.is_some_and(|(controller, namespace)| is_number(controller) && is_number(namespace))
}

fn check_mount(section: &Section<'_>, mount: &Located<String>) -> Result<()> {
    let folder = mount.value.as_str();
    let shown = folder.escape_debug();
    let hint = "write a folder such as `/var/lib/data`";
    let wrong = |what: String| Err(section.error_at(mount.at, what).hinting(hint));
    if let Err(why) = path::checked(folder) {
        return wrong(format!("`image.extra_partition.mount`: `{shown}` {why}"));
    }
    // What fstab would have to escape.
    if let Some(c) = folder.chars().find(|c| !(c.is_ascii_alphanumeric() || "/._-".contains(*c))) {
        return wrong(format!("`image.extra_partition.mount`: `{shown}` has the character {c:?}"));
    }
    let is_below =
        |tree: &&str| folder.strip_prefix(*tree).is_some_and(|r| r.is_empty() || r.starts_with('/'));
    if SYSTEM_TREES.iter().any(is_below) || SYSTEM_FOLDERS.contains(&folder) {
        return wrong(format!("`image.extra_partition.mount`: `{shown}` belongs to the system"));
    }
    Ok(())
}

fn filesystem(section: &Section<'_>) -> Result<String> {
    let Some(written) = section.string("filesystem")? else { return Ok(FILE_SYSTEMS[0].to_owned()) };
    if FILE_SYSTEMS.contains(&written.value.as_str()) {
        return Ok(written.value);
    }
    let what = format!("`{}` is not a supported file system", written.value.escape_debug());
    Err(section
        .error_at(written.at, what)
        .hinting("only `ext4`, whose tools are on every base, is supported"))
}

fn label(section: &Section<'_>) -> Result<String> {
    let Some(written) = section.string("label")? else { return Ok("data".to_owned()) };
    let label = written.value.as_str();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if label == UNFINISHED {
        let what = format!("the label `{label}` is reserved for unfinished file systems");
        return Err(section.error_at(written.at, what).hinting("choose another one, such as `data`"));
    }
    if (1..=LONGEST_LABEL).contains(&label.len()) && label.chars().all(is_allowed) {
        return Ok(written.value);
    }
    let what = format!("`{}` is not a valid label", label.escape_debug());
    Err(section.error_at(written.at, what).hinting("use 1 to 16 letters, digits, `.`, `_` or `-`"))
}

#[cfg(test)]
mod tests {
    use crate::document::SourceText;
    use crate::profile::{ExtraPlace, Profile};

    fn parse(image: &str) -> Result<Profile, String> {
        let text = format!(
            "[cluster]\nname = \"m\"\nvip = \"10.0.0.100\"\n[base]\nimage = \"sample\"\n[overlays]\nuse = []\n\
             [[node]]\nname = \"a\"\n[image]\n{image}"
        );
        Profile::parse(SourceText::new("p.toml", text), "".into(), None).map_err(|e| e.to_string())
    }

    #[test]
    fn image_sizes_and_extra_partition_are_read() {
        let profile = parse(
            "size = \"8GiB\"\nroot_size = \"4000MiB\"\nextra_partition = { size = \"rest\", mount = \"/srv/x\" }",
        );
        let image = profile.unwrap().image;
        assert_eq!((image.size, image.root_size), (Some(8 << 30), Some(4000 << 20)));
        let extra = image.extra.unwrap();
        assert_eq!((extra.place, extra.mount.as_str()), (ExtraPlace::Card { size: None }, "/srv/x"));
        assert_eq!((extra.filesystem.as_str(), extra.label.as_str()), ("ext4", "data"));
        let usb =
            parse("extra_partition = { device = \"/dev/sda\", mount = \"/srv\", label = \"usb\" }").unwrap();
        assert_eq!(usb.image.extra.unwrap().place, ExtraPlace::Device("/dev/sda".into()));
    }

    #[test]
    fn wrong_image_settings_name_key_and_reason() {
        let extra = |inside: &str| format!("extra_partition = {{ {inside} }}");
        for (image, message) in [
            ("sise = \"8GiB\"".to_owned(), "unknown key `sise` in `[image]`"),
            (
                "size = \"8G\"".to_owned(),
                "`image.size`: `8G` is not a size: a whole number, and a unit such as `MiB` or `GB`",
            ),
            ("size = true".to_owned(), "`image.size` must be a size, not of type boolean"),
            (
                "size = 1000".to_owned(),
                "`image.size`: `1000` is in bytes without a unit, and not a multiple of 512",
            ),
            (
                "size = \"1GiB\"\nroot_size = \"1GiB\"".to_owned(),
                "`image.root_size` must be smaller than `image.size`",
            ),
            (extra("mount = \"/x\""), "`image.extra_partition` lacks `size`"),
            (extra("size = \"1GiB\""), "`[image.extra_partition]` lacks `mount`"),
            (extra("size = \"1MiB\", mount = \"/x\""), "`image.extra_partition.size` must be at least 16MiB"),
            (
                extra("size = \"1GiB\", device = \"/dev/sda\", mount = \"/x\""),
                "`image.extra_partition` has both `size` and `device`",
            ),
            (extra("device = \"sda\", mount = \"/x\""), "`sda` is not a whole disk"),
            (extra("device = \"/dev/sda1\", mount = \"/x\""), "`/dev/sda1` is not a whole disk"),
            (
                extra("device = \"/dev/mmcblk0\", mount = \"/x\""),
                "is the card of the node itself: write `size`",
            ),
            (
                extra("size = \"rest\", mount = \"/x\""),
                "`image.extra_partition.size` is `rest`, which needs `image.size`",
            ),
            (
                extra("size = \"1GiB\", mount = \"/x\", filesystem = \"btrfs\""),
                "`btrfs` is not a supported file system",
            ),
            (
                extra("size = \"1GiB\", mount = \"/x\", label = \"much-too-long-label\""),
                "`much-too-long-label` is not a valid label",
            ),
        ] {
            let error = parse(&image).unwrap_err();
            assert!(error.ends_with(message), "{image}: {error}");
        }
    }

    #[test]
    fn mount_must_be_a_folder_of_its_own() {
        for (mount, why) in [
            ("data", "is not an absolute path"),
            ("/", "is the root of the file system"),
            ("/boot", "belongs to the system"),
            ("/boot/firmware/x", "belongs to the system"),
            ("/var/lib", "belongs to the system"),
            ("/etc/x", "belongs to the system"),
            ("/srv/../etc", "has a part `.` or `..`"),
            ("/srv/a b", "has the character ' '"),
        ] {
            let error =
                parse(&format!("extra_partition = {{ size = \"1GiB\", mount = \"{mount}\" }}")).unwrap_err();
            assert!(error.ends_with(why), "{mount}: {error}");
        }
        for mount in ["/data", "/var/lib/data", "/srv", "/home/data", "/bootstrap"] {
            assert!(
                parse(&format!("extra_partition = {{ size = \"1GiB\", mount = \"{mount}\" }}")).is_ok(),
                "{mount}"
            );
        }
    }

    #[test]
    fn only_mbr_can_be_asked_for_as_table() {
        let text = |table: &str| {
            let text = format!(
                "[cluster]\nname = \"m\"\nvip = \"10.0.0.100\"\n[base]\nimage = \"sample\"\ntable = \"{table}\"\n\
                 [overlays]\nuse = []\n[[node]]\nname = \"a\"\n"
            );
            Profile::parse(SourceText::new("p.toml", text), "".into(), None).map_err(|e| e.to_string())
        };
        assert!(text("mbr").unwrap().shape().as_mbr);
        assert_eq!(text("gpt").unwrap_err(), "`p.toml` line 6: `base.table` can only be `mbr`, not `gpt`");
    }
}

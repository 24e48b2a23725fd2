/// The file system of an image that a path is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Area {
    /// The FAT, which the firmware reads.
    Boot,
    /// The ext4 root file system.
    Root,
}

impl Area {
    /// `path` as in messages and `overlay.toml`: `boot:/…` on the FAT.
    pub(crate) fn shown(self, path: &str) -> String {
        match self {
            Self::Boot => format!("boot:{path}"),
            Self::Root => path.to_owned(),
        }
    }

    /// Splits a path of `overlay.toml` into its area and the path there.
    pub(crate) fn split(written: &str) -> (Self, &str) {
        written.strip_prefix("boot:").map_or((Self::Root, written), |path| (Self::Boot, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_prefix_selects_the_fat() {
        assert_eq!(Area::split("boot:/cmdline.txt"), (Area::Boot, "/cmdline.txt"));
        assert_eq!(Area::split("/etc/hosts"), (Area::Root, "/etc/hosts"));
        assert_eq!(Area::Boot.shown("/cmdline.txt"), "boot:/cmdline.txt");
    }
}

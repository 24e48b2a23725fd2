//! Families of base images: one driver for each says how it is recognised and how a node is set up on it.
//!
//! A driver is a value: its [`BaseFacts`] tell overlays and `compose` what the base does by itself, what must be
//! brought, and where settings last. Overlays ask for what they need in these terms and don't know the family.

mod debian_cloud;
mod debian_sysconf;
mod evidence;
mod raspberry_pi_os;

pub(super) use evidence::Evidence;
pub(crate) use evidence::InstalledSystem;

use crate::error::{Exit, Explain};
use crate::plan::BaseFacts;
use crate::text::escaped;

/// What is known of a family.
struct Driver {
    /// As messages call it.
    title: &'static str,
    /// What an image of this family has.
    marks: &'static str,
    recognises: fn(&Evidence) -> bool,
    /// Why an image that is recognised can't be built on, if so.
    refuses: fn(&Evidence) -> Option<Refusal>,
    facts: fn(&Evidence) -> BaseFacts,
}

/// The families by the name that templates see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    DebianSysconf,
    DebianCloud,
    RaspberryPiOs,
}

impl Family {
    fn driver(self) -> &'static Driver {
        match self {
            Self::DebianSysconf => &debian_sysconf::DRIVER,
            Self::DebianCloud => &debian_cloud::DRIVER,
            Self::RaspberryPiOs => &raspberry_pi_os::DRIVER,
        }
    }

    /// As messages call it.
    pub(crate) fn title(self) -> &'static str {
        self.driver().title
    }

    /// The facts of an image of this family that isn't there yet, with Debian's name of its release.
    pub(crate) fn expected_facts(self, codename: &str) -> BaseFacts {
        let facts = (self.driver().facts)(&Evidence::default());
        BaseFacts { codename: codename.to_owned(), arch: "arm64".into(), ..facts }
    }
}

/// In the order in which they are tried. An image of the later families that was built with this tool has a
/// `sysconf.txt` as well, so the family that is known by that file alone comes last.
const DRIVERS: [&Driver; 3] = [&raspberry_pi_os::DRIVER, &debian_cloud::DRIVER, &debian_sysconf::DRIVER];

/// A recognised image that can't be built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    /// To follow "is …".
    what: &'static str,
    hint: &'static str,
}

/// An image of no family that this tool builds on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FamilyError {
    #[error("the base is {found}, which belongs to no supported family of images; {}", marks())]
    Unknown {
        /// The system's own name, or what is known instead.
        found: String,
    },
    #[error("the base is {what}, which is not supported")]
    Refused { what: &'static str, hint: &'static str },
}

/// The marks of all families, for messages.
fn marks() -> String {
    let mark = |driver: &&Driver| format!("{} has {}", driver.title, driver.marks);
    DRIVERS.iter().map(mark).collect::<Vec<_>>().join("; ")
}

impl Explain for FamilyError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } => "`magi-image base list` shows the bases that work".into(),
            Self::Refused { hint, .. } => (*hint).into(),
        })
    }
}

/// The facts of the family that an image belongs to.
pub(super) fn facts(evidence: &Evidence) -> Result<BaseFacts, FamilyError> {
    let Some(driver) = DRIVERS.iter().find(|driver| (driver.recognises)(evidence)) else {
        return Err(FamilyError::Unknown { found: escaped(&evidence.system_name()) });
    };
    match (driver.refuses)(evidence) {
        Some(Refusal { what, hint }) => Err(FamilyError::Refused { what, hint }),
        None => Ok((driver.facts)(evidence)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BaseNetwork, BaseSsh};

    const DEBIAN_12: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n";
    const DEBIAN_13: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n";
    const FIRMWARE: [&str; 2] = ["cmdline.txt", "config.txt"];

    #[test]
    fn each_family_is_recognised_by_its_content() {
        let a = facts(&Evidence::of(&["sysconf.txt"], DEBIAN_12, "", &[], &[])).unwrap();
        assert_eq!((a.family, a.network, a.applies_sysconf), ("raspi-debian", BaseNetwork::Ifupdown, true));
        let b =
            facts(&Evidence::of(&FIRMWARE, DEBIAN_13, "ID=raspi\n", &["/etc/cloud-release"], &[])).unwrap();
        assert_eq!((b.family, b.network, b.ssh), ("debian-cloud", BaseNetwork::Netplan, BaseSsh::Missing));
        assert_eq!(
            (b.codename.as_str(), b.packages, b.grows_root),
            ("trixie", &["openssh-server"][..], false)
        );
        let c = facts(&Evidence::of(&FIRMWARE, DEBIAN_13, "", &["/etc/rpi-issue"], &["cloud-init"])).unwrap();
        assert_eq!((c.family, c.network), ("raspberry-pi-os", BaseNetwork::NetworkManager));
        assert_eq!((c.ssh, c.grows_root), (BaseSsh::Disabled, true));
    }

    #[test]
    fn image_that_this_tool_built_keeps_its_family() {
        let fat = ["cmdline.txt", "sysconf.txt"];
        let b = Evidence::of(&fat, DEBIAN_13, "ID=raspi\n", &["/etc/cloud-release"], &["openssh-server"]);
        let b = facts(&b).unwrap();
        assert_eq!((b.family, b.ssh, b.packages), ("debian-cloud", BaseSsh::Enabled, &[][..]));
    }

    #[test]
    fn unsupported_images_are_refused_by_name() {
        let refused = |evidence: &Evidence| {
            let error = facts(evidence).unwrap_err();
            assert!(error.hint().is_some());
            error.to_string()
        };
        let ubuntu = "PRETTY_NAME=\"Ubuntu 24.04.3 LTS\"\nID=ubuntu\nID_LIKE=debian\n";
        assert_eq!(
            refused(&Evidence::of(&FIRMWARE, ubuntu, "", &[], &[])),
            "the base is Ubuntu 24.04.3 LTS, which belongs to no supported family of images; Raspberry Pi OS has \
             an `/etc/rpi-issue`; Debian's cloud image `raspi` has `ID=raspi` in `/etc/cloud-release`; Debian of \
             raspi.debian.net has a `sysconf.txt` on its boot partition"
        );
        let dietpi = Evidence::of(&["dietpi.txt"], DEBIAN_12, "", &[], &[]);
        assert!(refused(&dietpi).starts_with("the base is DietPi, which belongs to no supported family"));
        let armbian = Evidence::of(&FIRMWARE, DEBIAN_12, "", &["/etc/armbian-release"], &[]);
        assert!(refused(&armbian).starts_with("the base is Armbian, which belongs to no supported family"));
        // Debian's other cloud images have the same file.
        let generic = Evidence::of(&[], DEBIAN_13, "ID=genericcloud\n", &["/etc/cloud-release"], &[]);
        assert!(
            refused(&generic).starts_with("the base is Debian GNU/Linux 13 (trixie), which belongs to no")
        );
        let desktop = Evidence::of(&FIRMWARE, DEBIAN_13, "", &["/etc/rpi-issue"], &["lightdm"]);
        assert_eq!(refused(&desktop), "the base is Raspberry Pi OS with a desktop, which is not supported");
    }
}

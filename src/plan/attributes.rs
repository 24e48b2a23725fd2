//! Permission bits and owner, for plans and file systems.

use serde::{Deserialize, Serialize};

/// The arguments of `chmod` and `chown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    /// The lower twelve bits of `st_mode`.
    #[serde(with = "octal")]
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Modes as octal text: `"0644"`.
mod octal {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn serialize<S: Serializer>(mode: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        u16::from_str_radix(&text, 8).map_err(|_| D::Error::custom(format!("`{text}` is not an octal mode")))
    }
}

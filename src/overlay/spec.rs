//! `overlay.toml`: what an overlay needs and does besides its files. `docs/overlays.md` describes the format.
//!
//! Templates and expressions are text here; `compose` renders them for each node.

use regex::Regex;

use super::settings::SettingSpec;
use crate::digest::Sha256;
use crate::document::Located;
use crate::secrets::SecretSpec;

/// Text with template variables.
pub(crate) type Template = Located<String>;
/// A template expression without braces.
pub(crate) type Expression = Located<String>;

/// The content of `overlay.toml`.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlaySpec {
    /// Overlays that are applied before this one.
    pub(crate) needs: Vec<Located<String>>,
    pub(crate) settings: Vec<SettingSpec>,
    /// Debian packages, installed at first boot.
    pub(crate) packages: Vec<NamesSpec>,
    /// systemd units, enabled at first boot.
    pub(crate) services: Vec<NamesSpec>,
    pub(crate) fetches: Vec<FetchSpec>,
    pub(crate) includes: Vec<IncludeSpec>,
    pub(crate) files: Vec<FileSpec>,
    pub(crate) dirs: Vec<DirSpec>,
    pub(crate) links: Vec<LinkSpec>,
    pub(crate) patches: Vec<PatchSpec>,
    /// Words of the kernel's command line.
    pub(crate) kernel_words: Vec<BootSpec>,
    /// Lines of `config.txt`, which the Pi's firmware reads.
    pub(crate) firmware_lines: Vec<BootSpec>,
    pub(crate) checks: Vec<CheckSpec>,
    pub(crate) secrets: Vec<SecretSpec>,
}

/// `[[packages]]` or `[[services]]`: either `names` or `from`.
#[derive(Debug, Clone)]
pub(crate) struct NamesSpec {
    pub(crate) names: Vec<Template>,
    /// Gives a list of names.
    pub(crate) from: Option<Expression>,
    pub(crate) when: Option<Expression>,
}

/// `[[fetch]]`: a file that is fetched when the image is built.
#[derive(Debug, Clone)]
pub(crate) struct FetchSpec {
    pub(crate) path: Template,
    pub(crate) attributes: AttributesSpec,
    pub(crate) url: Template,
    /// The path of a local file that replaces the URL, or empty.
    pub(crate) local: Option<Expression>,
    /// The expected SHA-256, or empty.
    pub(crate) sha256: Option<Expression>,
    /// Expected hashes by the value of `pin_key`.
    pub(crate) pins: Vec<(String, Sha256)>,
    pub(crate) pin_key: Option<Expression>,
    pub(crate) sums: Option<SumsSpec>,
    /// The OpenPGP fingerprint of a file that is a key.
    pub(crate) fingerprint: Option<String>,
    pub(crate) when: Option<Expression>,
}

/// A checksum file.
#[derive(Debug, Clone)]
pub(crate) struct SumsSpec {
    pub(crate) url: Template,
    /// The name of the fetched file in the checksum file.
    pub(crate) name: String,
}

/// `[[include]]`: the user's own files, named by a setting.
#[derive(Debug, Clone)]
pub(crate) struct IncludeSpec {
    /// A setting of type `path` or `paths`.
    pub(crate) setting: Located<String>,
    /// The folder in the image.
    pub(crate) into: Template,
    pub(crate) attributes: AttributesSpec,
    /// Allowed file extensions; all if empty.
    pub(crate) extensions: Vec<String>,
    pub(crate) format: Option<IncludeFormat>,
    /// Pattern of file names.
    pub(crate) names: Option<Regex>,
    /// The hint when a name does not match.
    pub(crate) names_hint: Option<String>,
    /// Names of files and folders, up to the first dot, that are refused.
    pub(crate) reserved: Vec<String>,
    /// Whether file names must differ up to the first dot, across folders.
    pub(crate) one_per_stem: bool,
    pub(crate) when: Option<Expression>,
}

/// What an included file must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeFormat {
    /// YAML or JSON documents, each a Kubernetes object.
    Kubernetes,
    /// One YAML mapping.
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttributesSpec {
    /// Permission bits; `None` for the default of the kind of file.
    pub(crate) mode: Option<u16>,
    /// User and group number.
    pub(crate) owner: (u32, u32),
}

/// `[[file]]`: attributes of a file in the overlay's folder.
#[derive(Debug, Clone)]
pub(crate) struct FileSpec {
    /// In the image; `boot:/…` on the FAT.
    pub(crate) path: Located<String>,
    pub(crate) attributes: AttributesSpec,
    /// Whether the file is omitted when it is empty after rendering.
    pub(crate) skip_empty: bool,
    pub(crate) when: Option<Expression>,
}

/// `[[dir]]`.
#[derive(Debug, Clone)]
pub(crate) struct DirSpec {
    pub(crate) path: Template,
    pub(crate) attributes: AttributesSpec,
    pub(crate) when: Option<Expression>,
}

/// `[[link]]`: a symlink.
#[derive(Debug, Clone)]
pub(crate) struct LinkSpec {
    pub(crate) path: Template,
    pub(crate) target: Template,
    pub(crate) when: Option<Expression>,
}

/// `[[patch]]`: a replacement in a file of the base.
#[derive(Debug, Clone)]
pub(crate) struct PatchSpec {
    /// `boot:/…` on the FAT.
    pub(crate) path: Template,
    /// `^` and `$` match at each line.
    pub(crate) pattern: Regex,
    /// Rendered first; then `$1` and the like are groups of the pattern.
    pub(crate) replace: Template,
    /// Whether no match is an error.
    pub(crate) required: bool,
    pub(crate) when: Option<Expression>,
}

/// `[[kernel]]` or `[[firmware]]`: settings that are read before the kernel runs.
#[derive(Debug, Clone)]
pub(crate) struct BootSpec {
    /// Each one word or one line.
    pub(crate) settings: Vec<Template>,
    pub(crate) when: Option<Expression>,
}

/// `[[check]]`: a condition that must or should hold.
#[derive(Debug, Clone)]
pub(crate) struct CheckSpec {
    pub(crate) that: Expression,
    pub(crate) message: Template,
    pub(crate) hint: Option<Template>,
    /// Whether a condition that doesn't hold is only told, not an error.
    pub(crate) warn: bool,
}

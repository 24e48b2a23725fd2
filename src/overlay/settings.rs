//! Settings: declared by an overlay, set in the profile's `[overlays.NAME]`, checked here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use toml::de::DeValue;

use super::{Overlay, read};
use crate::document::{DocumentError, Located, RawSettings, RawValue, Section, SourceText, integer};
use crate::files::home;
use crate::text::{listed, nearest, printable};

type Result<T, E = DocumentError> = std::result::Result<T, E>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingType {
    String,
    Integer,
    Boolean,
    List,
    /// The user's file or folder, relative to the profile.
    Path,
    Paths,
}

/// A setting as `overlay.toml` declares it.
#[derive(Debug, Clone)]
pub(crate) struct SettingSpec {
    pub(super) name: String,
    pub(super) kind: SettingType,
    default: Option<SettingValue>,
    /// Whether it may be absent without a default.
    optional: bool,
    /// Allowed texts; all if empty.
    one_of: Vec<String>,
    pattern: Option<Regex>,
    min: Option<i64>,
    max: Option<i64>,
    /// One line of description, the hint of errors.
    help: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum SettingValue {
    /// Text or one path.
    Text(String),
    Integer(i64),
    Boolean(bool),
    /// Texts or paths.
    List(Vec<String>),
}

/// All settings of an overlay, with defaults.
pub(crate) type Settings = BTreeMap<String, SettingValue>;

/// Why a value is refused.
#[derive(Debug)]
enum SettingFlaw {
    Type(SettingType),
    ControlCharacter,
    NotOneOf(String, Vec<String>),
    Pattern(String, Regex),
    Range { value: i64, min: Option<i64>, max: Option<i64> },
    Missing,
    NoSuchFile(PathBuf),
}

/// Patterns that are longer explain nothing, so messages omit them; the hint describes the setting.
const MAX_SHOWN_PATTERN: usize = 48;

impl SettingFlaw {
    /// The message, with the setting as `overlays.vip.router_id`.
    fn message(&self, setting: &str) -> String {
        match self {
            Self::Type(kind) => format!("`{setting}` must be {}", kind.description()),
            Self::ControlCharacter => format!("`{setting}` has a control character"),
            Self::NotOneOf(value, allowed) => {
                format!("`{setting}` is `{value}`, not one of {}", listed(allowed.iter()))
            }
            Self::Pattern(value, pattern) if pattern.as_str().len() > MAX_SHOWN_PATTERN => {
                format!("`{setting}`: `{value}` is not a valid value")
            }
            Self::Pattern(value, pattern) => format!("`{setting}`: `{value}` does not match `{pattern}`"),
            Self::Range { value, min: Some(min), max: Some(max) } => {
                format!("`{setting}` is {value}, not between {min} and {max}")
            }
            Self::Range { value, min: Some(min), .. } => format!("`{setting}` is {value}, less than {min}"),
            Self::Range { value, max: Some(max), .. } => format!("`{setting}` is {value}, more than {max}"),
            Self::Range { value, .. } => format!("`{setting}` is {value}, out of range"),
            Self::Missing => format!("`{setting}` is missing"),
            Self::NoSuchFile(path) => format!("`{setting}`: `{}` does not exist", printable(path)),
        }
    }
}

impl SettingSpec {
    pub(super) fn read(name: &str, section: &Section<'_>) -> Result<Self> {
        let kind = SettingType::read(section)?;
        let default = match section.value("default") {
            None => None,
            Some((value, span)) => Some(kind.default(value).ok_or_else(|| {
                section.error_at(span.start, format!("`default` must be {}", kind.description()))
            })?),
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            default,
            optional: section.boolean("optional")?.is_some_and(|b| b.value),
            one_of: section.strings("one_of")?.unwrap_or_default().into_iter().map(|l| l.value).collect(),
            pattern: read::pattern(section, "pattern")?,
            min: section.integer("min")?.map(|i| i.value),
            max: section.integer("max")?.map(|i| i.value),
            help: section.required("help")?.value,
        })
    }

    /// The value if the profile does not set it.
    fn absent(&self) -> Option<SettingValue> {
        let empty = match self.kind {
            SettingType::String | SettingType::Path => SettingValue::Text(String::new()),
            SettingType::Integer => SettingValue::Integer(0),
            SettingType::Boolean => SettingValue::Boolean(false),
            SettingType::List | SettingType::Paths => SettingValue::List(Vec::new()),
        };
        self.default.clone().or(self.optional.then_some(empty))
    }

    /// Checks a value of the profile, whose paths start from `folder`.
    fn accept(&self, raw: &RawValue, folder: &Path) -> Result<SettingValue, SettingFlaw> {
        match (self.kind, raw) {
            (SettingType::Integer, RawValue::Integer(number)) => self.accept_number(*number),
            (SettingType::Boolean, RawValue::Boolean(value)) => Ok(SettingValue::Boolean(*value)),
            (SettingType::String | SettingType::Path, RawValue::Text(text)) => {
                self.accept_text(text, folder).map(SettingValue::Text)
            }
            (SettingType::List | SettingType::Paths, RawValue::List(list)) => {
                let texts = list.iter().map(|text| self.accept_text(text, folder));
                texts.collect::<Result<_, _>>().map(SettingValue::List)
            }
            (SettingType::List | SettingType::Paths, RawValue::Text(text)) => {
                Ok(SettingValue::List(vec![self.accept_text(text, folder)?]))
            }
            _ => Err(SettingFlaw::Type(self.kind)),
        }
    }

    fn accept_text(&self, text: &str, folder: &Path) -> Result<String, SettingFlaw> {
        if text.chars().any(char::is_control) {
            return Err(SettingFlaw::ControlCharacter);
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|o| o == text) {
            return Err(SettingFlaw::NotOneOf(text.to_owned(), self.one_of.clone()));
        }
        if let Some(pattern) = self.pattern.as_ref().filter(|p| !p.is_match(text)) {
            return Err(SettingFlaw::Pattern(text.to_owned(), pattern.clone()));
        }
        match self.kind {
            SettingType::Path if text.is_empty() => Ok(String::new()),
            SettingType::Path | SettingType::Paths => existing(home::resolve(text, folder)),
            _ => Ok(text.to_owned()),
        }
    }

    fn accept_number(&self, value: i64) -> Result<SettingValue, SettingFlaw> {
        let (min, max) = (self.min, self.max);
        if (min.unwrap_or(i64::MIN)..=max.unwrap_or(i64::MAX)).contains(&value) {
            return Ok(SettingValue::Integer(value));
        }
        Err(SettingFlaw::Range { value, min, max })
    }
}

fn existing(path: PathBuf) -> Result<String, SettingFlaw> {
    if path.exists() { Ok(path.display().to_string()) } else { Err(SettingFlaw::NoSuchFile(path)) }
}

impl SettingType {
    const NAMES: [(&str, Self); 6] = [
        ("string", Self::String),
        ("integer", Self::Integer),
        ("boolean", Self::Boolean),
        ("list", Self::List),
        ("path", Self::Path),
        ("paths", Self::Paths),
    ];

    fn read(section: &Section<'_>) -> Result<Self> {
        let written = section.required("type")?;
        let known = Self::NAMES.iter().find(|(name, _)| *name == written.value);
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let names = listed(Self::NAMES.iter().map(|(name, _)| name));
            section.error_at(written.at, format!("`type` must be one of {names}"))
        })
    }

    fn description(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::List => "a list of strings",
            Self::Path => "a path",
            Self::Paths => "a path or a list of paths",
        }
    }

    fn default(self, value: &DeValue<'_>) -> Option<SettingValue> {
        Some(match self {
            Self::String | Self::Path => SettingValue::Text(value.as_str()?.to_owned()),
            Self::Integer => SettingValue::Integer(integer(value)?),
            Self::Boolean => SettingValue::Boolean(value.as_bool()?),
            Self::List | Self::Paths => {
                let texts = value.as_array()?.iter().map(|v| v.get_ref().as_str().map(str::to_owned));
                SettingValue::List(texts.collect::<Option<_>>()?)
            }
        })
    }
}

/// `[overlays.NAME]` of a profile.
#[derive(Clone, Copy)]
pub(crate) struct ProfileSettings<'a> {
    /// The profile.
    pub(crate) source: &'a SourceText,
    /// Relative paths start here.
    pub(crate) folder: &'a Path,
    pub(crate) raw: Option<&'a Located<RawSettings>>,
}

/// Checks the settings of `overlay` and adds defaults.
pub(crate) fn check(overlay: &Overlay, given: ProfileSettings<'_>) -> Result<Settings> {
    let none = Located { value: RawSettings::new(), at: 0 };
    let raw = given.raw.unwrap_or(&none);
    let specs = &overlay.spec.settings;
    if let Some((key, value)) = raw.value.iter().find(|(key, _)| !specs.iter().any(|s| s.name == **key)) {
        return Err(unknown(overlay, key, value.at, given.source));
    }
    let mut settings = Settings::new();
    for spec in specs {
        let (accepted, at) = match raw.value.get(&spec.name) {
            Some(value) => (spec.accept(&value.value, given.folder), value.at),
            None => (spec.absent().ok_or(SettingFlaw::Missing), raw.at),
        };
        let value = accepted.map_err(|flaw| {
            let message = flaw.message(&format!("overlays.{}.{}", overlay.name, spec.name));
            let error = given.source.error(at, message);
            let is_described = !matches!(flaw, SettingFlaw::NoSuchFile(_));
            if is_described { error.hinting(spec.help.clone()) } else { error }
        })?;
        settings.insert(spec.name.clone(), value);
    }
    Ok(settings)
}

fn unknown(overlay: &Overlay, key: &str, at: usize, source: &SourceText) -> DocumentError {
    let error = source.error(at, format!("unknown key `{key}` in `[overlays.{}]`", overlay.name));
    let known = || overlay.spec.settings.iter().map(|s| s.name.as_str());
    match nearest(key, known()) {
        Some(near) => error.hinting(format!("did you mean `{near}`?")),
        None if known().next().is_none() => error.hinting("this overlay has no settings"),
        None => error.hinting(format!("known keys: {}", listed(known()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = r#"
        summary = "x"
        [settings.router_id]
        type = "integer"
        default = 51
        min = 1
        max = 255
        help = "unique on the LAN"
        [settings.version]
        type = "string"
        pattern = '^v\d+$'
        help = "a release"
    "#;

    fn checked(settings: &str) -> String {
        let source = SourceText::new("overlay.toml", SPEC);
        let spec = read::overlay_spec(&source).unwrap();
        let overlay = Overlay { name: "vip".into(), source, spec, files: Vec::new(), client: Vec::new() };
        let profile = SourceText::new("p.toml", format!("[overlays.vip]\n{settings}\n"));
        let table = profile.parse().unwrap();
        let root = profile.root(&table);
        let section = root.section("overlays").unwrap().unwrap().section("vip").unwrap().unwrap();
        let mut raw = RawSettings::new();
        for key in section.keys() {
            let value = RawValue::of(section.value(&key.value).unwrap().0);
            raw.insert(key.value, Located { value, at: key.at });
        }
        let settings = Located { value: raw, at: section.at() };
        let given = ProfileSettings { source: &profile, folder: "".as_ref(), raw: Some(&settings) };
        match check(&overlay, given) {
            Ok(values) => format!("{values:?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn settings_are_checked_and_defaults_added() {
        let valid = checked("version = \"v1\"");
        assert!(valid.contains("\"router_id\": Integer(51)"), "{valid}");
        assert_eq!(
            checked("version = \"v1\"\nrouter_id = 256"),
            "`p.toml` line 3: `overlays.vip.router_id` is 256, not between 1 and 255"
        );
        assert!(checked("version = \"1\"").contains("`1` does not match"));
        assert!(checked("version = 1").ends_with("must be a string"));
        assert!(checked("").ends_with("`overlays.vip.version` is missing"));
        assert!(checked("verson = \"v1\"").contains("unknown key `verson` in `[overlays.vip]`"));
    }
}

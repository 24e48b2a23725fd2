//! Settings: an overlay says what it takes, the profile's `[overlays.NAME]` is held against that.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use toml::de::DeValue;

use super::Overlay;
use crate::document::{DocumentError, Located, RawSettings, RawValue, Section, SourceText, integer};
use crate::files::home;
use crate::text::{listed, nearest};

type Result<T, E = DocumentError> = std::result::Result<T, E>;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Several texts.
    List,
    /// A file or folder of the user's, relative to the profile.
    Path,
    /// Several of them.
    Paths,
}

/// A setting as `overlay.toml` declares it.
#[derive(Debug, Clone)]
pub(crate) struct SettingSpec {
    /// Its key.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: SettingType,
    /// What it is when the profile doesn't say.
    pub(crate) default: Option<SettingValue>,
    /// Whether it may be absent without a default.
    pub(crate) optional: bool,
    /// The only texts allowed; any if empty.
    pub(crate) one_of: Vec<String>,
    /// What texts must match.
    pub(crate) pattern: Option<Regex>,
    /// Smallest number.
    pub(crate) min: Option<i64>,
    /// Largest number.
    pub(crate) max: Option<i64>,
    /// One line for people.
    pub(crate) help: String,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum SettingValue {
    /// Text, or one path.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// Several texts or paths.
    List(Vec<String>),
}

/// All settings of one overlay, defaults filled in.
pub(crate) type Settings = BTreeMap<String, SettingValue>;

impl SettingSpec {
    pub(super) fn read(name: &str, section: &Section<'_>) -> Result<Self> {
        let kind_name = section.required("type")?;
        let kind = match kind_name.value.as_str() {
            "string" => SettingType::String,
            "integer" => SettingType::Integer,
            "boolean" => SettingType::Boolean,
            "list" => SettingType::List,
            "path" => SettingType::Path,
            "paths" => SettingType::Paths,
            _ => {
                let known = ["string", "integer", "boolean", "list", "path", "paths"];
                let what = format!("`type` must be one of {}", listed(known.iter()));
                return Err(section.error_at(kind_name.at, what));
            }
        };
        let pattern =
            match section.string("pattern")? {
                None => None,
                Some(p) => Some(Regex::new(&p.value).map_err(|e| {
                    section.error_at(p.at, format!("`pattern` isn't a regular expression: {e}"))
                })?),
            };
        let default = match section.value("default") {
            None => None,
            Some((value, span)) => Some(default(kind, value).ok_or_else(|| {
                section.error_at(span.start, format!("`default` isn't of type `{}`", kind_name.value))
            })?),
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            default,
            optional: section.boolean("optional")?.is_some_and(|b| b.value),
            one_of: section.strings("one_of")?.unwrap_or_default().into_iter().map(|l| l.value).collect(),
            pattern,
            min: section.integer("min")?.map(|i| i.value),
            max: section.integer("max")?.map(|i| i.value),
            help: section.required("help")?.value,
        })
    }

    /// What templates see when nobody set it.
    fn absent(&self) -> Option<SettingValue> {
        let empty = match self.kind {
            SettingType::String | SettingType::Path => SettingValue::Text(String::new()),
            SettingType::Integer => SettingValue::Integer(0),
            SettingType::Boolean => SettingValue::Boolean(false),
            SettingType::List | SettingType::Paths => SettingValue::List(Vec::new()),
        };
        self.default.clone().or(self.optional.then_some(empty))
    }

    /// The value if `raw` is of the right kind, or what is wrong with it, to follow "`overlays.x.y` ".
    fn accept(&self, raw: &RawValue) -> Result<SettingValue, String> {
        let value = match (self.kind, raw) {
            (SettingType::String | SettingType::Path, RawValue::Text(text)) => {
                SettingValue::Text(text.clone())
            }
            (SettingType::Integer, RawValue::Integer(number)) => SettingValue::Integer(*number),
            (SettingType::Boolean, RawValue::Boolean(value)) => SettingValue::Boolean(*value),
            (SettingType::List | SettingType::Paths, RawValue::List(list)) => {
                SettingValue::List(list.clone())
            }
            (SettingType::List | SettingType::Paths, RawValue::Text(one)) => {
                SettingValue::List(vec![one.clone()])
            }
            _ => return Err(format!("must be {}", self.kind.wanted())),
        };
        match &value {
            SettingValue::Text(text) => self.accept_text(text)?,
            SettingValue::List(list) => list.iter().try_for_each(|text| self.accept_text(text))?,
            SettingValue::Integer(number) => self.accept_number(*number)?,
            SettingValue::Boolean(_) => {}
        }
        Ok(value)
    }

    fn accept_text(&self, text: &str) -> Result<(), String> {
        if text.chars().any(char::is_control) {
            return Err("holds a control character".into());
        }
        if !self.one_of.is_empty() && !self.one_of.iter().any(|o| o == text) {
            return Err(format!("is `{text}`, not one of {}", listed(self.one_of.iter())));
        }
        match &self.pattern {
            Some(p) if p.is_match(text) => Ok(()),
            // A long pattern explains nothing; the hint, the setting's meaning, does.
            Some(p) if p.as_str().len() > 48 => Err(format!("is `{text}`, which can't be")),
            Some(p) => Err(format!("is `{text}`, which doesn't match `{p}`")),
            None => Ok(()),
        }
    }

    fn accept_number(&self, number: i64) -> Result<(), String> {
        let (min, max) = (self.min.unwrap_or(i64::MIN), self.max.unwrap_or(i64::MAX));
        if (min..=max).contains(&number) {
            return Ok(());
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) => Err(format!("is {number}, not between {min} and {max}")),
            (Some(min), None) => Err(format!("is {number}, less than {min}")),
            _ => Err(format!("is {number}, more than {max}")),
        }
    }
}

impl SettingType {
    fn wanted(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::List => "a list of strings",
            Self::Path => "a path",
            Self::Paths => "a path or a list of paths",
        }
    }
}

fn default(kind: SettingType, value: &DeValue<'_>) -> Option<SettingValue> {
    Some(match kind {
        SettingType::String | SettingType::Path => SettingValue::Text(value.as_str()?.to_owned()),
        SettingType::Integer => SettingValue::Integer(integer(value)?),
        SettingType::Boolean => SettingValue::Boolean(value.as_bool()?),
        SettingType::List | SettingType::Paths => {
            let texts = value.as_array()?.iter().map(|v| v.get_ref().as_str().map(str::to_owned));
            SettingValue::List(texts.collect::<Option<_>>()?)
        }
    })
}

/// Where the settings of an overlay were written.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The profile's text, for messages about its lines.
    pub(crate) source: &'a SourceText,
    /// The folder that relative paths start from.
    pub(crate) folder: &'a Path,
    /// `[overlays.NAME]`, if the profile has it.
    pub(crate) settings: Option<&'a Located<RawSettings>>,
}

/// The settings of `overlay` as written, checked, with defaults for the others.
pub(crate) fn check(overlay: &Overlay, written: Written<'_>) -> Result<Settings> {
    let nothing = Located { value: BTreeMap::new(), at: 0 };
    let raw = written.settings.unwrap_or(&nothing);
    let specs = &overlay.spec.settings;
    let complain = |at: usize, what: String| written.source.error(at, what);
    if let Some((key, value)) = raw.value.iter().find(|(key, _)| !specs.iter().any(|s| s.name == **key)) {
        return Err(unknown(overlay, key, value.at, written.source));
    }
    let mut values = Settings::new();
    for spec in specs {
        let dotted = format!("`overlays.{}.{}`", overlay.name, spec.name);
        let value = match raw.value.get(&spec.name) {
            Some(given) => {
                let value = spec.accept(&given.value).map_err(|why| {
                    complain(given.at, format!("{dotted} {why}")).hinting(spec.help.clone())
                })?;
                resolved(spec.kind, value, written.folder)
                    .map_err(|why| complain(given.at, format!("{dotted} {why}")))?
            }
            None => spec
                .absent()
                .ok_or_else(|| complain(raw.at, format!("{dotted} is missing")).hinting(spec.help.clone()))?,
        };
        values.insert(spec.name.clone(), value);
    }
    Ok(values)
}

/// The error for a setting that the overlay doesn't declare.
fn unknown(overlay: &Overlay, key: &str, at: usize, source: &SourceText) -> DocumentError {
    let error = source.error(at, format!("unknown key `{key}` in `[overlays.{}]`", overlay.name));
    let known = || overlay.spec.settings.iter().map(|s| s.name.as_str());
    match nearest(key, known()) {
        Some(near) => error.hinting(format!("did you mean `{near}`?")),
        None if known().next().is_none() => error.hinting("this overlay has no settings"),
        None => error.hinting(format!("known keys: {}", listed(known()))),
    }
}

/// Paths are relative to the profile and must exist.
fn resolved(kind: SettingType, value: SettingValue, folder: &Path) -> Result<SettingValue, String> {
    let find = |written: String| {
        let path = home::resolve(&written, folder);
        if path.exists() {
            Ok(path.display().to_string())
        } else {
            Err(format!("names `{}`, which isn't there", path.display()))
        }
    };
    match (kind, value) {
        (SettingType::Path, SettingValue::Text(written)) if !written.is_empty() => {
            find(written).map(SettingValue::Text)
        }
        (SettingType::Paths, SettingValue::List(list)) => {
            list.into_iter().map(find).collect::<Result<_, _>>().map(SettingValue::List)
        }
        (_, value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::spec;

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

    fn values(settings: &str) -> String {
        let source = SourceText::new("overlay.toml", SPEC);
        let spec = spec::read(&source).unwrap();
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
        let written = Written { source: &profile, folder: "".as_ref(), settings: Some(&settings) };
        match check(&overlay, written) {
            Ok(values) => format!("{values:?}"),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn settings_are_held_against_their_declaration() {
        let fine = values("version = \"v1\"");
        assert!(fine.contains("\"router_id\": Integer(51)"), "{fine}");
        assert_eq!(
            values("version = \"v1\"\nrouter_id = 256"),
            "`p.toml` line 3: `overlays.vip.router_id` is 256, not between 1 and 255"
        );
        assert!(values("version = \"1\"").contains("which doesn't match"));
        assert!(values("version = 1").ends_with("must be a string"));
        assert!(values("").ends_with("`overlays.vip.version` is missing"));
        assert!(values("verson = \"v1\"").contains("unknown key `verson` in `[overlays.vip]`"));
    }
}

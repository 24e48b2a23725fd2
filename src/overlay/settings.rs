//! Settings: an overlay says what it takes, the profile's `[overlays.NAME]` is held against that.

use std::collections::BTreeMap;

use regex::Regex;
use toml::de::DeValue;

use super::Overlay;
use crate::document::{DocumentError, Located, Section, integer, listed, nearest};
use crate::profile::{Profile, RawValue};

type Result<T, E = DocumentError> = std::result::Result<T, E>;

/// What a setting holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
pub struct SettingSpec {
    /// Its key.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// What it is when the profile doesn't say.
    pub default: Option<Value>,
    /// Whether it may be absent without a default.
    pub optional: bool,
    /// The only texts allowed; any if empty.
    pub one_of: Vec<String>,
    /// What texts must match.
    pub pattern: Option<Regex>,
    /// Smallest number.
    pub min: Option<i64>,
    /// Largest number.
    pub max: Option<i64>,
    /// One line for people.
    pub help: String,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
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
pub type Values = BTreeMap<String, Value>;

impl SettingSpec {
    pub(super) fn read(name: &str, section: &Section<'_>) -> Result<Self> {
        let kind_name = section.required("type")?;
        let kind = match kind_name.value.as_str() {
            "string" => Kind::String,
            "integer" => Kind::Integer,
            "boolean" => Kind::Boolean,
            "list" => Kind::List,
            "path" => Kind::Path,
            "paths" => Kind::Paths,
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
    fn absent(&self) -> Option<Value> {
        let empty = match self.kind {
            Kind::String | Kind::Path => Value::Text(String::new()),
            Kind::Integer => Value::Integer(0),
            Kind::Boolean => Value::Boolean(false),
            Kind::List | Kind::Paths => Value::List(Vec::new()),
        };
        self.default.clone().or(self.optional.then_some(empty))
    }

    /// The value if `raw` is of the right kind, or what is wrong with it, to follow "`overlays.x.y` ".
    fn accept(&self, raw: &RawValue) -> Result<Value, String> {
        let value = match (self.kind, raw) {
            (Kind::String | Kind::Path, RawValue::Text(text)) => Value::Text(text.clone()),
            (Kind::Integer, RawValue::Integer(number)) => Value::Integer(*number),
            (Kind::Boolean, RawValue::Boolean(value)) => Value::Boolean(*value),
            (Kind::List | Kind::Paths, RawValue::List(list)) => Value::List(list.clone()),
            (Kind::List | Kind::Paths, RawValue::Text(one)) => Value::List(vec![one.clone()]),
            _ => return Err(format!("must be {}", self.kind.wanted())),
        };
        match &value {
            Value::Text(text) => self.accept_text(text)?,
            Value::List(list) => list.iter().try_for_each(|text| self.accept_text(text))?,
            Value::Integer(number) => self.accept_number(*number)?,
            Value::Boolean(_) => {}
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

impl Kind {
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

fn default(kind: Kind, value: &DeValue<'_>) -> Option<Value> {
    Some(match kind {
        Kind::String | Kind::Path => Value::Text(value.as_str()?.to_owned()),
        Kind::Integer => Value::Integer(integer(value)?),
        Kind::Boolean => Value::Boolean(value.as_bool()?),
        Kind::List | Kind::Paths => {
            let texts = value.as_array()?.iter().map(|v| v.get_ref().as_str().map(str::to_owned));
            Value::List(texts.collect::<Option<_>>()?)
        }
    })
}

/// The settings of `overlay` as `profile` has them, checked.
pub fn check(overlay: &Overlay, profile: &Profile) -> Result<Values> {
    let nothing = Located { value: BTreeMap::new(), at: 0 };
    let raw = profile.settings.get(&overlay.name).unwrap_or(&nothing);
    let specs = &overlay.spec.settings;
    let complain = |at: usize, what: String| profile.source.error(at, what);
    for (key, value) in &raw.value {
        if specs.iter().any(|s| s.name == *key) {
            continue;
        }
        let error = complain(value.at, format!("unknown key `{key}` in `[overlays.{}]`", overlay.name));
        let known = || specs.iter().map(|s| s.name.as_str());
        return Err(match nearest(key, known()) {
            Some(near) => error.hinting(format!("did you mean `{near}`?")),
            None if specs.is_empty() => error.hinting("this overlay has no settings"),
            None => error.hinting(format!("known keys: {}", listed(known()))),
        });
    }
    let mut values = Values::new();
    for spec in specs {
        let dotted = format!("`overlays.{}.{}`", overlay.name, spec.name);
        let value = match raw.value.get(&spec.name) {
            Some(given) => {
                let value = spec.accept(&given.value).map_err(|why| {
                    complain(given.at, format!("{dotted} {why}")).hinting(spec.help.clone())
                })?;
                resolved(spec.kind, value, profile)
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

/// Paths are relative to the profile and must be there.
fn resolved(kind: Kind, value: Value, profile: &Profile) -> Result<Value, String> {
    let find = |written: String| {
        let path = profile.resolve(&written);
        if path.exists() {
            Ok(path.display().to_string())
        } else {
            Err(format!("names `{}`, which isn't there", path.display()))
        }
    };
    match (kind, value) {
        (Kind::Path, Value::Text(written)) if !written.is_empty() => find(written).map(Value::Text),
        (Kind::Paths, Value::List(list)) => {
            list.into_iter().map(find).collect::<Result<_, _>>().map(Value::List)
        }
        (_, value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Source;
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
        let source = Source::new("overlay.toml", SPEC);
        let spec = spec::read(&source).unwrap();
        let overlay = Overlay { name: "vip".into(), source, spec, files: Vec::new(), client: Vec::new() };
        let profile = format!(
            "[cluster]\nname = \"m\"\nvip = \"10.0.0.1\"\n[base]\nimage = \"sample\"\n[[node]]\nname = \"a\"\n\
             [overlays]\nuse = [\"vip\"]\n[overlays.vip]\n{settings}\n"
        );
        let profile = Profile::parse(Source::new("p.toml", profile), "".into(), None).unwrap();
        match check(&overlay, &profile) {
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
            "`p.toml` line 12: `overlays.vip.router_id` is 256, not between 1 and 255"
        );
        assert!(values("version = \"1\"").contains("which doesn't match"));
        assert!(values("version = 1").ends_with("must be a string"));
        assert!(values("").ends_with("`overlays.vip.version` is missing"));
        assert!(values("verson = \"v1\"").contains("unknown key `verson` in `[overlays.vip]`"));
    }
}

//! The user's YAML as a tree whose nodes know their lines.
//!
//! Plain scalars have their YAML 1.1 meaning, as in Kubernetes: an unquoted `yes` is not text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::granit_parser::ErrorKind;
use serde_saphyr::localizer::ExternalMessageSource;
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Error, MessageFormatter as _, Options, Spanned, UserMessageFormatter};

use crate::guard::{self, Panicked};
use crate::text::escaped;

/// Limit on the values of a file, each alias counted with all that it refers to: three times the largest
/// bundle of definitions known.
const MAX_NODES: usize = 1 << 20;
/// Limit on mappings and lists inside each other.
const MAX_DEPTH: usize = 255;
/// Stack of the parser, which recurses, in bytes: a debug build takes up to 64 KiB for each level.
const STACK_SIZE: usize = 32 << 20;

/// A value and the line where it begins, counted from 1.
#[derive(Debug)]
pub(super) struct YamlNode {
    pub(super) line: usize,
    pub(super) value: YamlValue,
}

#[derive(Debug)]
pub(super) enum YamlValue {
    Null,
    Text(Box<str>),
    NumberOrBoolean,
    List(Vec<YamlNode>),
    /// With the keys that `<<` merges in.
    Mapping(Vec<(YamlNode, YamlNode)>),
}

/// What is wrong, and on which line, counted from 1.
#[derive(Debug)]
pub(super) struct YamlError {
    pub(super) line: usize,
    pub(super) problem: YamlProblem,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum YamlProblem {
    #[error("more than one document")]
    SecondDocument,
    #[error("duplicate key `{}`", escaped(.0))]
    DuplicateKey(String),
    #[error("recursive alias")]
    RecursiveAlias,
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    #[error("more than {MAX_NODES} values, counted with what aliases refer to")]
    Size,
    #[error("control character U+{0:04X}")]
    ControlCharacter(u32),
    #[error("not YAML: {}", escaped(.0))]
    Syntax(String),
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl YamlNode {
    /// Reads the only document of `text`; nothing but comments is null.
    pub(super) fn parse(text: &str) -> Result<Self, YamlError> {
        refuse_control_characters(text)?;
        let parse = || serde_saphyr::from_str_with_options(text, options()).map_err(|e| YamlError::from(&e));
        let failed = |problem| YamlError { line: 1, problem };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
            let thread = thread.spawn_scoped(scope, || guard::catch("serde-saphyr", parse));
            let parsed = thread.map_err(|e| failed(YamlProblem::Thread(e)))?.join();
            parsed.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(|e| failed(e.into()))?
        })
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            YamlValue::Null => "null",
            YamlValue::Text(_) => "text",
            YamlValue::NumberOrBoolean => "a number or boolean",
            YamlValue::List(_) => "a list",
            YamlValue::Mapping(_) => "a mapping",
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let YamlValue::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, YamlValue::Null)
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.value, YamlValue::Mapping(_))
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        if let YamlValue::List(items) = &self.value { Some(items) } else { None }
    }

    /// The value of a mapping's key, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let YamlValue::Mapping(pairs) = &self.value else { return None };
        let (_, value) = pairs.iter().find(|(k, _)| k.text() == Some(key))?;
        Some(value).filter(|v| !v.is_null())
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

impl<'de> Deserialize<'de> for YamlNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<YamlValue>::deserialize(deserializer)?;
        Ok(Self { line: line(defined), value })
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = YamlValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_unit<E>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }
    fn visit_str<E>(self, text: &str) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(text.into()))
    }
    fn visit_bool<E>(self, _: bool) -> Result<YamlValue, E> {
        Ok(YamlValue::NumberOrBoolean)
    }
    fn visit_i64<E>(self, _: i64) -> Result<YamlValue, E> {
        Ok(YamlValue::NumberOrBoolean)
    }
    fn visit_u64<E>(self, _: u64) -> Result<YamlValue, E> {
        Ok(YamlValue::NumberOrBoolean)
    }
    fn visit_f64<E>(self, _: f64) -> Result<YamlValue, E> {
        Ok(YamlValue::NumberOrBoolean)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<YamlValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(YamlValue::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<YamlValue, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = mapping.next_entry()? {
            pairs.push(pair);
        }
        Ok(YamlValue::Mapping(pairs))
    }
}

impl From<&Error> for YamlError {
    fn from(error: &Error) -> Self {
        let problem = match error {
            Error::AliasError { error, .. } => return Self::from(&**error),
            Error::MultipleDocuments { .. } => YamlProblem::SecondDocument,
            Error::DuplicateMappingKey { key: Some(key), .. } => YamlProblem::DuplicateKey(key.clone()),
            Error::RecursiveReferencesRequireWeakTypes { .. } => YamlProblem::RecursiveAlias,
            Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => YamlProblem::Depth,
            Error::ExternalMessage { source, .. } if is_too_deep(source) => YamlProblem::Depth,
            Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => YamlProblem::Size,
            other => YamlProblem::Syntax(UserMessageFormatter.format_message(other).into_owned()),
        };
        Self { line: error.location().map_or(1, line), problem }
    }
}

/// The scanner has its own limit, which `[[[…` reaches before the deserializer sees a value.
fn is_too_deep(source: &ExternalMessageSource) -> bool {
    matches!(source, ExternalMessageSource::Parser(e) if matches!(e.kind(), ErrorKind::RecursionLimitExceeded))
}

fn line(location: serde_saphyr::Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX).max(1)
}

/// The parser takes them for text; YAML and Kubernetes allow none but blanks and line ends.
fn refuse_control_characters(text: &str) -> Result<(), YamlError> {
    let is_forbidden = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let Some((at, found)) = text.char_indices().find(|(_, c)| is_forbidden(*c)) else { return Ok(()) };
    let line = 1 + text[..at].matches('\n').count();
    Err(YamlError { line, problem: YamlProblem::ControlCharacter(found.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = YamlNode::parse(text).map(drop).unwrap_err();
        format!("{}: {}", error.line, error.problem)
    }

    #[test]
    fn lookups_follow_aliases_and_merges_and_know_lines() {
        let text = "base: &base {name: web, namespace: shop}\nmetadata:\n  <<: *base\n  name: other\n";
        let yaml = YamlNode::parse(text).unwrap();
        let metadata = yaml.get("metadata").unwrap();
        assert_eq!((metadata.line, metadata.get("name").unwrap().text()), (3, Some("other")));
        let namespace = metadata.get("namespace").unwrap();
        assert_eq!((namespace.line, namespace.text()), (1, Some("shop")));
        assert!(metadata.get("nothing").is_none());
    }

    #[test]
    fn plain_scalars_have_yaml_1_1_types() {
        let types = |text: &str| {
            let list = YamlNode::parse(text).unwrap();
            list.list().unwrap().iter().map(YamlNode::kind).collect::<Vec<_>>()
        };
        assert!(types("[a, 'yes', 1.2.3, infinity, !!str 1, 2024-01-01]").iter().all(|k| *k == "text"));
        let numbers = types("[yes, On, 12, 1_0, 0x1f, .5, .inf, -1, 010, 1e3]");
        assert!(numbers.iter().all(|k| *k == "a number or boolean"), "{numbers:?}");
        assert_eq!(types("- ~\n-\n- null\n"), ["null", "null", "null"]);
    }

    #[test]
    fn hostile_input_is_an_error() {
        assert_eq!(error("a: 1\nb: 2\na: 3\n"), "3: duplicate key `a`");
        assert_eq!(error("a: &x [1, *x]\n"), "1: recursive alias");
        assert_eq!(error("a: b\u{0}\n"), "1: control character U+0000");
        assert_eq!(error("a: 1\n---\nb: 1\n"), "3: more than one document");
        assert!(error("a:\n\tb: 1\n").starts_with("2: "));
        assert!(error("a: *unknown\n").starts_with("1: "));
        assert!(error(&"[".repeat(100_000)).ends_with("nested more than 255 levels deep"));
        assert!(error(&"- ".repeat(100_000)).ends_with("nested more than 255 levels deep"));
        assert!(error(&"- a\n".repeat(MAX_NODES + 1)).contains("more than 1048576 values"));
    }

    #[test]
    fn alias_bombs_are_refused() {
        let bomb = |first: &str, item: fn(usize) -> String| {
            let items: Vec<String> = (1..64).map(|i| format!("a{i}: &a{i} {}\n", item(i - 1))).collect();
            error(&format!("a0: &a0 {first}\n{}", items.concat()))
        };
        assert!(bomb("[lol]", |i| format!("[{}]", vec![format!("*a{i}"); 10].join(", "))).contains("values"));
        assert!(bomb("{x: 1}", |i| format!("\n  <<: [*a{i}, *a{i}]")).contains("values"));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in "(?s)[-a{}\\[\\]:,&*<'\"|>#!%? \t\n~]{0,80}") {
            if let Ok(document) = YamlNode::parse(&text) {
                let _ = document.get("a");
            }
        }
    }
}

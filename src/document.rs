//! TOML files written by people: every key is asked for by name, what nobody asked for is refused with
//! the nearest known key, and every complaint names file and line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Exit, Explain};
use crate::text::{escaped, listed, nearest};

/// Something is wrong in a file that the user wrote.
#[derive(Debug, thiserror::Error)]
#[error("`{}` line {line}: {what}", escaped(file))]
pub(crate) struct DocumentError {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: String,
    hint: Option<String>,
}

impl DocumentError {
    /// About `line`, counted from 1, of a file that isn't TOML.
    pub(crate) fn at_line(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), hint: None }
    }

    /// With the next step.
    #[must_use]
    pub(crate) fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Explain for DocumentError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

type Result<T, E = DocumentError> = std::result::Result<T, E>;

/// A file's text under the name that messages use.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    /// The file as the user named it, or `built-in …`.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

impl SourceText {
    /// Pairs a name with its text; a byte-order mark is not content.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text: String = text.into();
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
        Self { name: name.into(), text }
    }

    /// Takes bytes that should be UTF-8.
    pub(crate) fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Result<Self> {
        let name = name.into();
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(e) => {
                let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                Err(DocumentError::at_line(&name, line, "not UTF-8").hinting("save it as UTF-8"))
            }
        }
    }

    /// Parses the text; the table borrows from it.
    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'_>>> {
        DeTable::parse(&self.text).map_err(|e| self.not_toml(&e))
    }

    fn not_toml(&self, error: &toml::de::Error) -> DocumentError {
        let span = error.span().unwrap_or_default();
        let what = error.message().trim_end_matches('.');
        if what == "duplicate key" {
            let key = self.text.get(span.clone()).unwrap_or_default();
            return self
                .error(span.start, format!("`{key}` is there twice"))
                .hinting("take one of the two out");
        }
        self.error(span.start, what)
            .hinting("this is TOML: texts stand in quotes, lists and table names in brackets")
    }

    /// The whole file as a section.
    pub(crate) fn root<'a>(&'a self, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        Section::new(self, table.get_ref(), String::new(), 0)
    }

    /// A complaint about the line that holds byte `offset`.
    pub(crate) fn error(&self, offset: usize, what: impl Into<String>) -> DocumentError {
        DocumentError { file: self.name.clone(), line: self.line(offset), what: what.into(), hint: None }
    }

    /// The line of byte `offset`, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count()
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Byte offset in its file.
    pub(crate) at: usize,
}

/// A table whose keys are taken one by one.
pub(crate) struct Section<'a> {
    source: &'a SourceText,
    table: &'a DeTable<'a>,
    /// Dotted, as `overlays.k3s`; empty for the file itself.
    path: String,
    at: usize,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    fn new(source: &'a SourceText, table: &'a DeTable<'a>, path: String, at: usize) -> Self {
        Self { source, table, path, at, asked: RefCell::default() }
    }

    /// A complaint about this table as a whole.
    pub(crate) fn error(&self, what: impl Into<String>) -> DocumentError {
        self.source.error(self.at, what)
    }

    /// A complaint about byte `at` of this file.
    pub(crate) fn error_at(&self, at: usize, what: impl Into<String>) -> DocumentError {
        self.source.error(at, what)
    }

    /// Byte offset of this table.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Every key there is, in the order of their names, marked as known.
    pub(crate) fn keys(&self) -> Vec<Located<String>> {
        let keys: Vec<_> = self
            .table
            .keys()
            .map(|k| Located { value: k.get_ref().to_string(), at: k.span().start })
            .collect();
        self.asked.borrow_mut().extend(keys.iter().map(|k| k.value.clone()));
        keys
    }

    /// The raw value of a key.
    pub(crate) fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.table.get(key).map(|v| (v.get_ref(), v.span()))
    }

    /// A string.
    pub(crate) fn string(&self, key: &str) -> Result<Option<Located<String>>> {
        self.typed(key, "a string", |v| v.as_str().map(str::to_owned))
    }

    /// A string that must be there.
    pub(crate) fn required(&self, key: &str) -> Result<Located<String>> {
        self.string(key)?.ok_or_else(|| self.lacks(key))
    }

    /// A complaint that a key isn't there; a misspelt one that is, is what the user wants to hear of.
    fn lacks(&self, key: &str) -> DocumentError {
        let asked = self.asked.borrow();
        let strangers = self.table.keys().filter(|k| !asked.contains(k.get_ref().as_ref()));
        for stranger in strangers {
            if nearest(stranger.get_ref(), std::iter::once(key)).is_some() {
                let what = format!("unknown key `{}` in {}", stranger.get_ref(), self.called());
                return self.error_at(stranger.span().start, what).hinting(format!("did you mean `{key}`?"));
            }
        }
        self.error(format!("{} lacks `{key}`", self.called()))
            .hinting(format!("add a line `{key} = …` to it"))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<Located<bool>>> {
        self.typed(key, "true or false", |value| match value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// A whole number.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<Located<i64>>> {
        self.typed(key, "a whole number", integer)
    }

    /// A list of strings; one string stands for a list of one.
    pub(crate) fn strings(&self, key: &str) -> Result<Option<Vec<Located<String>>>> {
        let Some((value, span)) = self.value(key) else { return Ok(None) };
        let wrong = |at| self.wrong_type(key, "a string or a list of strings", value, at);
        if let Some(one) = value.as_str() {
            return Ok(Some(vec![Located { value: one.to_owned(), at: span.start }]));
        }
        let list = value.as_array().ok_or_else(|| wrong(span.start))?;
        let item = |v: &Spanned<DeValue>| {
            let text = v.get_ref().as_str().map(str::to_owned).ok_or_else(|| {
                let (key, kind) = (self.below(key), v.get_ref().type_str());
                let what = format!("`{key}` must be a list of strings, but one is of type {kind}");
                self.error_at(v.span().start, what)
            })?;
            Ok(Located { value: text, at: v.span().start })
        };
        list.iter().map(item).collect::<Result<_>>().map(Some)
    }

    /// A table under this one.
    pub(crate) fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        let Some((value, span)) = self.value(key) else { return Ok(None) };
        let table = value.as_table().ok_or_else(|| self.wrong_type(key, "a table", value, span.start))?;
        Ok(Some(Section::new(self.source, table, self.below(key), span.start)))
    }

    /// An array of tables, `[[key]]`; none is an empty list.
    pub(crate) fn sections(&self, key: &str) -> Result<Vec<Section<'a>>> {
        let Some((value, span)) = self.value(key) else { return Ok(Vec::new()) };
        let wrong = || self.wrong_type(key, "tables, as in `[[…]]`", value, span.start);
        let list = value.as_array().ok_or_else(wrong)?;
        let section = |v: &'a Spanned<DeValue<'a>>| match v.get_ref().as_table() {
            Some(table) => Ok(Section::new(self.source, table, self.below(key), v.span().start)),
            None => Err(wrong()),
        };
        list.iter().map(section).collect()
    }

    /// A table of strings.
    pub(crate) fn string_map(&self, key: &str) -> Result<Vec<(String, String)>> {
        let Some(section) = self.section(key)? else { return Ok(Vec::new()) };
        section.keys().into_iter().map(|k| Ok((k.value.clone(), section.required(&k.value)?.value))).collect()
    }

    /// Refuses keys that nobody asked for, with the nearest one that is known.
    pub(crate) fn finish(self) -> Result<()> {
        let asked = self.asked.borrow();
        let Some(key) = self.table.keys().find(|k| !asked.contains(k.get_ref().as_ref())) else {
            return Ok(());
        };
        let name = key.get_ref();
        let error = self.error_at(key.span().start, format!("unknown key `{name}` in {}", self.called()));
        Err(match nearest(name, asked.iter().map(String::as_str)) {
            Some(known) => error.hinting(format!("did you mean `{known}`?")),
            None => error.hinting(format!("known keys: {}", listed(asked.iter()))),
        })
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<Located<T>>> {
        let Some((value, span)) = self.value(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(Located { value: converted, at: span.start })),
            None => Err(self.wrong_type(key, expected, value, span.start)),
        }
    }

    /// A complaint that `key` holds another type than `expected`.
    pub(crate) fn wrong_type(
        &self,
        key: &str,
        expected: &str,
        found: &DeValue<'_>,
        at: usize,
    ) -> DocumentError {
        let kind = found.type_str();
        self.error_at(at, format!("`{}` must be {expected}, not of type {kind}", self.below(key)))
    }

    fn called(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { format!("`[{}]`", self.path) }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The settings of one overlay as the profile has them, by key.
pub(crate) type RawSettings = BTreeMap<String, Located<RawValue>>;

/// A setting's value as TOML has it, before the overlay's declaration is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
    /// Anything else, by TOML's name for its type.
    Other(&'static str),
}

impl RawValue {
    /// The value of a key.
    pub(crate) fn of(value: &DeValue<'_>) -> Self {
        let other = Self::Other(value.type_str());
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Integer(_) => integer(value).map_or(other, Self::Integer),
            DeValue::Array(list) => {
                let texts: Option<_> = list.iter().map(|v| v.get_ref().as_str().map(str::to_owned)).collect();
                texts.map_or(other, Self::List)
            }
            _ => other,
        }
    }
}

/// A TOML integer of any radix, if it fits.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    value.as_integer().and_then(|i| i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_line_and_nearest_name() {
        let source = SourceText::new("magi.toml", "[cluster]\nname = \"magi\"\nvipp = \"10.0.0.1\"\n");
        let table = source.parse().unwrap();
        let root = source.root(&table);
        let cluster = root.section("cluster").unwrap().unwrap();
        cluster.required("name").unwrap();
        assert_eq!(cluster.required("vip").unwrap_err().line, 3);
        cluster.string("vip").unwrap();
        let error = cluster.finish().unwrap_err();
        assert_eq!(error.to_string(), "`magi.toml` line 3: unknown key `vipp` in `[cluster]`");
        assert_eq!(error.hint().as_deref(), Some("did you mean `vip`?"));
    }

    #[test]
    fn a_wrong_type_and_a_syntax_error_name_their_lines() {
        let source = SourceText::new("a", "x = 1\n\ny = [\"a\", 2]\n");
        let table = source.parse().unwrap();
        let root = source.root(&table);
        assert_eq!(
            root.string("x").unwrap_err().to_string(),
            "`a` line 1: `x` must be a string, not of type integer"
        );
        assert_eq!(root.strings("y").unwrap_err().line, 3);
        assert_eq!(SourceText::new("a", "x = 1\ny = \n").parse().unwrap_err().line, 2);
    }

    #[test]
    fn a_key_or_table_that_is_there_twice_is_named() {
        for (text, line, key) in
            [("a = 1\na = 2\n", 2, "a"), ("[a]\n[b]\n[a]\n", 3, "a"), ("a.b = 1\na = 2\n", 2, "a")]
        {
            let error = SourceText::new("f", text).parse().unwrap_err();
            assert_eq!(error.to_string(), format!("`f` line {line}: `{key}` is there twice"));
            assert!(error.hint().is_some());
        }
    }
}

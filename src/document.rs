//! TOML files of the user. Code takes every key by name; [`Section::finish`] refuses the keys that no code took,
//! with the nearest known key as a hint. Every message names file and line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::error::{Exit, Explain};
use crate::text::{escaped, listed, nearest};

/// An error in a file that the user wrote.
#[derive(Debug, thiserror::Error)]
#[error("`{}` line {line}: {problem}", escaped(file))]
pub(crate) struct DocumentError {
    /// The file as the user named it.
    pub(crate) file: String,
    /// Counted from 1.
    pub(crate) line: usize,
    problem: Box<Problem>,
    hint: Option<String>,
}

/// Keys are dotted, such as `cluster.vip`. A table's path is empty for the file itself.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("{}", .0.message().trim_end_matches('.'))]
    Syntax(toml::de::Error),
    #[error("duplicate key `{0}`")]
    DuplicateKey(String),
    #[error("unknown key `{key}` in {}", table_name(.table))]
    UnknownKey { key: String, table: String, known: Vec<String> },
    #[error("{} lacks `{key}`", table_name(.table))]
    MissingKey { key: String, table: String },
    #[error("`{key}` must be {expected}, not of type {found}")]
    Type { key: String, expected: &'static str, found: &'static str },
    /// `item` counts from 1.
    #[error("`{key}` must be a list of strings, but item {item} is of type {found}")]
    ItemType { key: String, item: usize, found: &'static str },
    /// An error of the code that takes the keys.
    #[error("{0}")]
    Content(String),
}

fn table_name(path: &str) -> String {
    if path.is_empty() { "the file".to_owned() } else { format!("`[{path}]`") }
}

impl Problem {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotUtf8 => Some("save the file as UTF-8".into()),
            Self::Syntax(_) => {
                Some("TOML syntax: strings need quotes, lists and table names need brackets".into())
            }
            Self::DuplicateKey(_) => Some("remove one of the two".into()),
            Self::UnknownKey { key, known, .. } => {
                Some(match nearest(key, known.iter().map(String::as_str)) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("known keys: {}", listed(known.iter())),
                })
            }
            Self::MissingKey { key, .. } => Some(format!("add a line `{key} = …`")),
            Self::Type { .. } | Self::ItemType { .. } | Self::Content(_) => None,
        }
    }
}

impl DocumentError {
    /// An error on `line`, counted from 1, of a file of any format.
    pub(crate) fn at_line(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(file, line, Problem::Content(what.into()))
    }

    fn new(file: &str, line: usize, problem: Problem) -> Self {
        Self { file: file.to_owned(), line, problem: Box::new(problem), hint: None }
    }

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
        self.hint.clone().or_else(|| self.problem.hint())
    }
}

type Result<T, E = DocumentError> = std::result::Result<T, E>;

/// A file's text, and the file's name for messages.
#[derive(Debug, Clone)]
pub(crate) struct SourceText {
    /// The file as the user named it, or `built-in …`.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl SourceText {
    /// A byte-order mark at the beginning of `text` is removed.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Self { name: name.into(), text }
    }

    pub(crate) fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Result<Self> {
        let name = name.into();
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(e) => {
                let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                Err(DocumentError::new(&name, line, Problem::NotUtf8))
            }
        }
    }

    /// Parses the text; the table borrows from it.
    pub(crate) fn parse(&self) -> Result<Spanned<DeTable<'_>>> {
        DeTable::parse(&self.text).map_err(|e| self.syntax_error(e))
    }

    fn syntax_error(&self, error: toml::de::Error) -> DocumentError {
        // Errors of the parser always have a span.
        let span = error.span().unwrap_or(0..0);
        // The `toml` crate tells the kinds of errors apart only by their messages.
        let key = self.text.get(span.clone()).filter(|_| error.message() == "duplicate key");
        let problem = match key {
            Some(key) => Problem::DuplicateKey(key.to_owned()),
            None => Problem::Syntax(error),
        };
        self.problem(span.start, problem)
    }

    /// The root table.
    pub(crate) fn root<'a>(&'a self, table: &'a Spanned<DeTable<'a>>) -> Section<'a> {
        Section::new(self, table.get_ref(), String::new(), 0)
    }

    /// An error on the line of byte `offset`.
    pub(crate) fn error(&self, offset: usize, what: impl Into<String>) -> DocumentError {
        self.problem(offset, Problem::Content(what.into()))
    }

    fn problem(&self, offset: usize, problem: Problem) -> DocumentError {
        DocumentError::new(&self.name, self.line(offset), problem)
    }

    /// The line of byte `offset`, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    /// Byte offset in the file.
    pub(crate) at: usize,
}

/// A table whose keys are taken one by one; see [`Section::finish`].
pub(crate) struct Section<'a> {
    source: &'a SourceText,
    table: &'a DeTable<'a>,
    /// Dotted, such as `ssh.keys`; empty for the root table.
    path: String,
    at: usize,
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    fn new(source: &'a SourceText, table: &'a DeTable<'a>, path: String, at: usize) -> Self {
        Self { source, table, path, at, known: RefCell::default() }
    }

    /// An error on the table's line.
    pub(crate) fn error(&self, what: impl Into<String>) -> DocumentError {
        self.source.error(self.at, what)
    }

    /// An error on the line of byte `at` of this file.
    pub(crate) fn error_at(&self, at: usize, what: impl Into<String>) -> DocumentError {
        self.source.error(at, what)
    }

    /// Byte offset of this table.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// All keys in alphabetical order; all of them become known.
    pub(crate) fn keys(&self) -> Vec<Located<String>> {
        let keys: Vec<_> = self
            .table
            .keys()
            .map(|k| Located { value: k.get_ref().to_string(), at: k.span().start })
            .collect();
        self.known.borrow_mut().extend(keys.iter().map(|k| k.value.clone()));
        keys
    }

    /// The raw value of a key, and its span in bytes.
    pub(crate) fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        self.known.borrow_mut().insert(key.to_owned());
        self.table.get(key).map(|v| (v.get_ref(), v.span()))
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<Located<String>>> {
        self.typed(key, "a string", |v| v.as_str().map(str::to_owned))
    }

    /// A missing key is an error.
    pub(crate) fn required(&self, key: &str) -> Result<Located<String>> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// The error for a missing key, or for an unknown key that is probably a misspelling of `key`.
    fn missing(&self, key: &str) -> DocumentError {
        let known = self.known.borrow();
        let mut unknown = self.table.keys().filter(|k| !known.contains(k.get_ref().as_ref()));
        let misspelt = unknown.find(|unknown| nearest(unknown.get_ref(), std::iter::once(key)).is_some());
        if let Some(misspelt) = misspelt {
            return self.unknown(misspelt, vec![key.to_owned()]);
        }
        let problem = Problem::MissingKey { key: key.to_owned(), table: self.path.clone() };
        self.source.problem(self.at, problem)
    }

    fn unknown(&self, key: &Spanned<DeString<'_>>, known: Vec<String>) -> DocumentError {
        let problem = Problem::UnknownKey { key: key.get_ref().to_string(), table: self.path.clone(), known };
        self.source.problem(key.span().start, problem)
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<Located<bool>>> {
        self.typed(key, "true or false", |value| match value {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        })
    }

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
        let item = |(item, value): (usize, &Spanned<DeValue>)| {
            let (at, found) = (value.span().start, value.get_ref().type_str());
            match value.get_ref().as_str() {
                Some(text) => Ok(Located { value: text.to_owned(), at }),
                None => Err(self.source.problem(at, Problem::ItemType { key: self.below(key), item, found })),
            }
        };
        (1..).zip(list.iter()).map(item).collect::<Result<_>>().map(Some)
    }

    /// A table in this table.
    pub(crate) fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        let Some((value, span)) = self.value(key) else { return Ok(None) };
        let table = value.as_table().ok_or_else(|| self.wrong_type(key, "a table", value, span.start))?;
        Ok(Some(Section::new(self.source, table, self.below(key), span.start)))
    }

    /// An array of tables, `[[key]]`; empty if the key is missing.
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

    /// A table of strings; empty if the key is missing.
    pub(crate) fn string_map(&self, key: &str) -> Result<Vec<(String, String)>> {
        let Some(section) = self.section(key)? else { return Ok(Vec::new()) };
        section.keys().into_iter().map(|k| Ok((k.value.clone(), section.required(&k.value)?.value))).collect()
    }

    /// Refuses keys that were not taken.
    pub(crate) fn finish(self) -> Result<()> {
        let known = self.known.borrow();
        match self.table.keys().find(|k| !known.contains(k.get_ref().as_ref())) {
            Some(key) => Err(self.unknown(key, known.iter().cloned().collect())),
            None => Ok(()),
        }
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &'static str,
        convert: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<Located<T>>> {
        let Some((value, span)) = self.value(key) else { return Ok(None) };
        match convert(value) {
            Some(converted) => Ok(Some(Located { value: converted, at: span.start })),
            None => Err(self.wrong_type(key, expected, value, span.start)),
        }
    }

    fn wrong_type(&self, key: &str, expected: &'static str, found: &DeValue<'_>, at: usize) -> DocumentError {
        let problem = Problem::Type { key: self.below(key), expected, found: found.type_str() };
        self.source.problem(at, problem)
    }

    /// The dotted path of a key.
    pub(crate) fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The settings of one overlay in the profile, by key.
pub(crate) type RawSettings = BTreeMap<String, Located<RawValue>>;

/// The value of a setting before its declaration in the overlay is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawValue {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
    /// The name of any other TOML type.
    Other(&'static str),
}

impl RawValue {
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

/// A TOML integer of any radix; `None` for other types and for integers of more than 64 bits.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<i64> {
    value.as_integer().and_then(|i| i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_is_refused_with_line_and_nearest_name() {
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
    fn type_and_syntax_errors_have_their_line() {
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
    fn duplicate_key_is_named() {
        for (text, line, key) in
            [("a = 1\na = 2\n", 2, "a"), ("[a]\n[b]\n[a]\n", 3, "a"), ("a.b = 1\na = 2\n", 2, "a")]
        {
            let error = SourceText::new("f", text).parse().unwrap_err();
            assert_eq!(error.to_string(), format!("`f` line {line}: duplicate key `{key}`"));
            assert!(error.hint().is_some());
        }
    }
}

//! The format of a kubeconfig: three lists of named entries, in YAML or JSON.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::KubeconfigError;

/// A list of a kubeconfig. Each entry has a `name` and its content under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryList {
    pub(super) key: &'static str,
    pub(super) content: &'static str,
}

pub(super) const CLUSTERS: EntryList = EntryList { key: "clusters", content: "cluster" };
pub(super) const USERS: EntryList = EntryList { key: "users", content: "user" };
pub(super) const CONTEXTS: EntryList = EntryList { key: "contexts", content: "context" };
pub(super) const LISTS: [EntryList; 3] = [CLUSTERS, USERS, CONTEXTS];

/// Why a text isn't a kubeconfig, without a word of the text: it may be a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    #[error("it isn't UTF-8")]
    NotUtf8,
    #[error("it can't be read as YAML (line {line})")]
    Yaml { line: u64 },
    /// The parser knows no line.
    #[error("it can't be read as YAML")]
    YamlAnywhere,
    #[error("it isn't a mapping")]
    NotAMapping,
    #[error("its `{key}` isn't `{expected}`")]
    Header { key: &'static str, expected: &'static str },
    #[error("it has neither `kind` nor clusters, users or contexts")]
    NoKnownKey,
    #[error("its `{list}` isn't a list")]
    NotAList { list: &'static str },
    #[error("an entry of its `{list}` has no name")]
    NoName { list: &'static str },
    #[error("an entry of its `{list}` has a `{content}` that isn't a mapping")]
    ContentNotAMapping { list: &'static str, content: &'static str },
    #[error("it has no context")]
    NoContext,
}

/// A kubeconfig whose three lists have the right form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kubeconfig(pub(super) Map<String, Value>);

impl Kubeconfig {
    /// Reads YAML or JSON. A text without content is an empty kubeconfig.
    pub(super) fn parse(text: &str) -> Result<Self, FormatError> {
        let config = Self(mapping(text)?);
        config.check_header()?;
        for list in LISTS {
            config.check_entries(list)?;
        }
        Ok(config)
    }

    fn check_header(&self) -> Result<(), FormatError> {
        for (key, expected) in [("apiVersion", "v1"), ("kind", "Config")] {
            if self.0.get(key).is_some_and(|v| v != expected) {
                return Err(FormatError::Header { key, expected });
            }
        }
        let is_known = |key: &String| key == "kind" || LISTS.iter().any(|list| list.key == key);
        if self.0.is_empty() || self.0.keys().any(is_known) { Ok(()) } else { Err(FormatError::NoKnownKey) }
    }

    fn check_entries(&self, EntryList { key: list, content }: EntryList) -> Result<(), FormatError> {
        let entries = match self.0.get(list) {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(FormatError::NotAList { list }),
        };
        for entry in entries {
            if !entry.get("name").is_some_and(Value::is_string) {
                return Err(FormatError::NoName { list });
            }
            if entry.get(content).is_some_and(|held| !held.is_object() && !held.is_null()) {
                return Err(FormatError::ContentNotAMapping { list, content });
            }
        }
        Ok(())
    }

    pub(super) fn to_yaml(&self) -> Result<Zeroizing<String>, KubeconfigError> {
        serde_saphyr::to_string(&self.0).map(Zeroizing::new).map_err(|_| KubeconfigError::Unwritable)
    }

    pub(super) fn entries(&self, list: EntryList) -> impl Iterator<Item = &Value> {
        self.0.get(list.key).and_then(Value::as_array).into_iter().flatten()
    }

    /// All entries called `name`. kubectl reads the first one only.
    pub(super) fn entries_named(&self, list: EntryList, name: &str) -> impl Iterator<Item = &Value> {
        self.entries(list).filter(move |e| e.get("name").is_some_and(|n| n == name))
    }

    pub(super) fn entry(&self, list: EntryList, name: &str) -> Option<&Value> {
        self.entries_named(list, name).next()
    }

    pub(super) fn names(&self, list: EntryList) -> impl Iterator<Item = &str> {
        self.entries(list).filter_map(|e| e.get("name")?.as_str())
    }

    /// The name of the current context, or of the first one.
    pub(super) fn context(&self) -> Option<&str> {
        let current = self.0.get("current-context").and_then(Value::as_str).filter(|c| !c.is_empty());
        current.or_else(|| self.names(CONTEXTS).next())
    }
}

fn mapping(text: &str) -> Result<Map<String, Value>, FormatError> {
    let is_blank = |line: &str| matches!(line.trim(), "" | "---") || line.trim().starts_with('#');
    if text.lines().all(is_blank) {
        return Ok(Map::new());
    }
    // The parser's own message shows the line, which may be a key.
    let value = serde_saphyr::from_str(text).map_err(|e| {
        e.location().map_or(FormatError::YamlAnywhere, |at| FormatError::Yaml { line: at.line() })
    })?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(FormatError::NotAMapping),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_kubeconfig_is_refused_without_quoting_its_content() {
        let cases = [
            ("- s3cr3t", "it isn't a mapping"),
            ("s3cr3t", "it isn't a mapping"),
            ("a: [s3cr3t", "it can't be read as YAML (line 1)"),
            ("kind: Config\nkind: Config", "it can't be read as YAML (line 2)"),
            ("kind: Config\n---\nkind: Config", "it can't be read as YAML (line 3)"),
            ("kind: Secret", "its `kind` isn't `Config`"),
            ("kind: Config\napiVersion: v2", "its `apiVersion` isn't `v1`"),
            ("s3cr3t: 1", "it has neither `kind` nor clusters, users or contexts"),
            ("clusters: s3cr3t", "its `clusters` isn't a list"),
            ("users: [{user: s3cr3t}]", "an entry of its `users` has no name"),
            ("users: [{name: a, user: s3cr3t}]", "an entry of its `users` has a `user` that isn't a mapping"),
        ];
        for (text, why) in cases {
            assert_eq!(Kubeconfig::parse(text).unwrap_err().to_string(), why, "{text}");
        }
    }
}

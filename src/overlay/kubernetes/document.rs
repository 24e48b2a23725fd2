//! The documents of a manifest: cut at lines that begin with `---`, as Kubernetes does, then parsed. A
//! document that begins with `{` must be JSON, others are YAML.

use super::Result;
use crate::document::{DocumentError, SourceText};
use crate::overlay::yaml::{YamlError, YamlNode, YamlProblem};

/// One document of a file.
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    /// Counted from 1.
    first_line: usize,
    pub(super) root: YamlNode,
}

impl<'a> Document<'a> {
    pub(super) fn parse(file: &'a str, text: &str, first_line: usize) -> Result<Self> {
        let error = |line: usize, what: String| {
            let error = DocumentError::at_line(file, first_line + line - 1, what);
            let is_template = text.contains("{{");
            if is_template {
                error.hinting("render templates first, for example with `helm template`")
            } else {
                error
            }
        };
        let yaml_error = |e: YamlError| {
            let error = error(e.line, e.problem.to_string());
            match e.problem {
                YamlProblem::SecondDocument => error.hinting(
                    "put a line with only `---` between manifests; move other documents to files of their own",
                ),
                _ => error,
            }
        };
        let body = text.trim_start();
        let root = if body.starts_with('{') {
            serde_json::from_str::<serde::de::IgnoredAny>(body).map_err(|e| {
                let line = text[..text.len() - body.len()].matches('\n').count() + e.line();
                error(line, format!("not JSON, although it begins with `{{`: {}", json_problem(&e)))
            })?;
            // JSON has tabs only between its parts, where YAML wants blanks.
            YamlNode::parse(&text.replace('\t', " "))
        } else {
            YamlNode::parse(text)
        };
        Ok(Self { file, first_line, root: root.map_err(yaml_error)? })
    }

    /// The line of `node` in the file, counted from 1.
    pub(super) fn line(&self, node: &YamlNode) -> usize {
        self.first_line + node.line - 1
    }

    pub(super) fn error(&self, node: &YamlNode, what: impl Into<String>) -> DocumentError {
        DocumentError::at_line(self.file, self.line(node), what)
    }

    /// An error about the value of `key`, or about `mapping` if the key is missing.
    pub(super) fn error_at(&self, mapping: &YamlNode, key: &str, what: impl Into<String>) -> DocumentError {
        self.error(mapping.get(key).unwrap_or(mapping), what)
    }

    /// The text of an optional key.
    pub(super) fn text<'n>(&self, mapping: &'n YamlNode, key: &str) -> Result<Option<&'n str>> {
        let Some(found) = mapping.get(key) else { return Ok(None) };
        found.text().map(Some).ok_or_else(|| {
            let error = self.error(found, format!("`{key}` must be text, not {}", found.kind()));
            let is_scalar = !found.is_mapping() && found.list().is_none();
            if is_scalar { error.hinting("put the value in quotes") } else { error }
        })
    }
}

/// What `serde_json` says, without its line: that is a line of the document, not of the file.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// The documents that hold anything, each with the number of its first line.
pub(super) fn split(source: &SourceText) -> Vec<(usize, &str)> {
    let text = source.text.as_str();
    let is_blank = |line: &str| matches!(line.trim(), "" | "---" | "...") || line.trim().starts_with('#');
    let mut found = Vec::new();
    let (mut start, mut first_line, mut at) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let after = line.strip_prefix("---").map(str::trim);
        let is_separator = after.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'));
        if is_separator && at > start {
            found.push((first_line, &text[start..at]));
            (start, first_line) = (at + line.len(), number + 1);
        }
        at += line.len();
    }
    found.push((first_line, &text[start..]));
    found.retain(|(_, document)| !document.lines().all(is_blank));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_as_kubernetes_splits_them() {
        let text = "# top\n---\n---  # one\na: 1\n---x\n---\n\n# nothing\n---\nb: 2\n--- \nc: 3";
        let source = SourceText::new("a.yaml", text);
        let lines: Vec<_> = split(&source).into_iter().map(|(line, text)| (line, text.trim())).collect();
        assert_eq!(lines, [(3, "---  # one\na: 1\n---x"), (10, "b: 2"), (12, "c: 3")]);
        assert_eq!(split(&SourceText::new("a.yaml", "---\n---\n# a\n\r\n")), []);
    }
}

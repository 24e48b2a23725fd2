//! YAML of the user's, read into nodes that know their lines.
//!
//! Aliases stay references, so a file takes no more memory than its length allows, however it refers to
//! itself. What a plain scalar means follows YAML 1.1, as Kubernetes reads it: `yes` is no text there.

use std::collections::{BTreeSet, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use crate::guard;

/// Values that a file may have: three times the largest bundle of definitions known.
const MOST_NODES: usize = 1 << 20;

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct YamlError {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

type Result<T> = std::result::Result<T, YamlError>;

/// All nodes of a text.
#[derive(Debug)]
pub(super) struct Yaml {
    nodes: Vec<Node>,
    roots: Vec<usize>,
}

#[derive(Debug)]
struct Node {
    line: usize,
    value: NodeValue,
}

#[derive(Debug)]
enum NodeValue {
    Null,
    Text(Box<str>),
    /// A number, true or false.
    Other(Box<str>),
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
}

/// A node, seen from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    yaml: &'a Yaml,
    node: &'a Node,
}

impl Yaml {
    /// Reads `text`, whose first line is line `first` of its file.
    pub(super) fn parse(text: &str, first: usize) -> Result<Self> {
        let before = first.saturating_sub(1);
        let shift = |e: YamlError| YamlError { line: e.line.max(1) + before, what: e.what };
        no_controls(text).map_err(shift)?;
        let read = guard::catch("granit-parser", || Builder::default().read(text, before));
        read.map_err(|e| YamlError { line: first, what: e.to_string() })?
    }

    /// The documents in their order.
    pub(super) fn documents(&self) -> impl Iterator<Item = Item<'_>> {
        self.roots.iter().filter_map(|id| self.item(*id))
    }

    fn item(&self, id: usize) -> Option<Item<'_>> {
        self.nodes.get(id).map(|node| Item { yaml: self, node })
    }
}

impl<'a> Item<'a> {
    /// Where it begins, counted from 1.
    pub(super) fn line(self) -> usize {
        self.node.line
    }

    /// What it is, for messages.
    pub(super) fn kind(self) -> &'static str {
        match &self.node.value {
            NodeValue::Null => "nothing",
            NodeValue::Text(_) => "a text",
            NodeValue::Other(_) => "a number, true or false",
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
        }
    }

    /// Its text, if it is one.
    pub(super) fn text(self) -> Option<&'a str> {
        if let NodeValue::Text(text) = &self.node.value { Some(text) } else { None }
    }

    /// How a number, true or false is written.
    pub(super) fn written(self) -> Option<&'a str> {
        if let NodeValue::Other(text) = &self.node.value { Some(text) } else { None }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(self) -> bool {
        matches!(self.node.value, NodeValue::Null)
    }

    /// Whether it is a mapping.
    pub(super) fn is_map(self) -> bool {
        matches!(self.node.value, NodeValue::Map(_))
    }

    /// The items of a list.
    pub(super) fn list(self) -> Option<impl Iterator<Item = Item<'a>>> {
        let NodeValue::List(ids) = &self.node.value else { return None };
        let yaml = self.yaml;
        Some(ids.iter().filter_map(move |id| yaml.item(*id)))
    }

    /// What a mapping has under `key`, by itself or merged in with `<<`; nothing if that is empty.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        // Each mapping is looked into once, whatever refers to it.
        let (mut open, mut seen) = (vec![self], BTreeSet::new());
        while let Some(item) = open.pop() {
            let NodeValue::Map(pairs) = &item.node.value else { continue };
            if !seen.insert(std::ptr::from_ref(item.node)) {
                continue;
            }
            if let Some(found) = item.own(pairs, key) {
                return Some(found).filter(|i| !i.is_empty());
            }
            if let Some(merged) = item.own(pairs, "<<") {
                match merged.list() {
                    Some(several) => open.extend(several.collect::<Vec<_>>().into_iter().rev()),
                    None => open.push(merged),
                }
            }
        }
        None
    }

    fn own(self, pairs: &[(usize, usize)], key: &str) -> Option<Self> {
        let is_key = |id: usize| self.yaml.item(id).and_then(Item::text) == Some(key);
        pairs.iter().find(|(k, _)| is_key(*k)).and_then(|(_, v)| self.yaml.item(*v))
    }
}

/// A collection that isn't closed yet.
struct Open {
    id: usize,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<usize>,
    /// The keys of a mapping and their lines.
    keys: HashMap<Box<str>, usize>,
}

#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    open: Vec<Open>,
    anchors: HashMap<usize, usize>,
    before: usize,
}

impl Builder {
    fn read(mut self, text: &str, before: usize) -> Result<Yaml> {
        self.before = before;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|e| self.scan_error(&e))?;
            self.event(event, span)?;
        }
        Ok(Yaml { nodes: self.nodes, roots: self.roots })
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let line = span.start.line() + self.before;
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = match &tag {
                    Some(tag) => !tag.is_yaml_core_schema_tag("str"),
                    None => style == ScalarStyle::Plain,
                };
                let id =
                    self.add(line, if is_plain { plain(&text) } else { NodeValue::Text(text.into()) })?;
                self.anchors.insert(anchor, id);
                self.place(id)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(line, NodeValue::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.begin(line, NodeValue::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = self.open.pop() else { return Ok(()) };
                self.anchors.insert(done.anchor, done.id);
                self.place(done.id)
            }
            // Only what is complete can be referred to: nothing holds itself.
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(id) if anchor != 0 => self.place(*id),
                _ => Err(YamlError { line, what: "an alias refers to what it is in".into() }),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, value: NodeValue, anchor: usize) -> Result<()> {
        let id = self.add(line, value)?;
        self.open.push(Open { id, anchor, key: None, keys: HashMap::new() });
        Ok(())
    }

    fn add(&mut self, line: usize, value: NodeValue) -> Result<usize> {
        if self.nodes.len() >= MOST_NODES {
            return Err(YamlError { line, what: format!("more than {MOST_NODES} values are too many") });
        }
        self.nodes.push(Node { line, value });
        Ok(self.nodes.len() - 1)
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, id: usize) -> Result<()> {
        let Some(open) = self.open.last_mut() else {
            self.roots.push(id);
            return Ok(());
        };
        if let Some(Node { value: NodeValue::List(items), .. }) = self.nodes.get_mut(open.id) {
            items.push(id);
            return Ok(());
        }
        let Some(key) = open.key.take() else {
            open.key = Some(id);
            return unique(&self.nodes, &mut open.keys, id);
        };
        if let Some(Node { value: NodeValue::Map(pairs), .. }) = self.nodes.get_mut(open.id) {
            pairs.push((key, id));
        }
        Ok(())
    }

    fn scan_error(&self, error: &ScanError) -> YamlError {
        let what = match error.kind() {
            ErrorKind::RecursionLimitExceeded => "it is nested too deeply".into(),
            _ => error.info(),
        };
        YamlError { line: error.marker().line() + self.before, what }
    }
}

/// Refuses a key that its mapping has already: all but the last would be lost without a word.
fn unique(nodes: &[Node], keys: &mut HashMap<Box<str>, usize>, id: usize) -> Result<()> {
    let Some(Node { line, value: NodeValue::Text(key) | NodeValue::Other(key) }) = nodes.get(id) else {
        return Ok(());
    };
    match keys.insert(key.clone(), *line) {
        Some(first) if &**key != "<<" => {
            Err(YamlError { line: *line, what: format!("the key `{key}` is there already, in line {first}") })
        }
        _ => Ok(()),
    }
}

/// What an unquoted scalar is.
fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => NodeValue::Null,
        _ if is_boolean(text) || is_number(text) => NodeValue::Other(text.into()),
        _ => NodeValue::Text(text.into()),
    }
}

fn is_boolean(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_cased = text == lower
        || text == lower.to_ascii_uppercase()
        || text.get(1..).is_some_and(|rest| lower.ends_with(rest));
    is_cased && matches!(lower.as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false")
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "");
    let lower = digits.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
        }
    }
    matches!(lower.as_str(), ".inf" | ".nan")
        || (lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') && lower.parse::<f64>().is_ok())
}

/// YAML allows no control characters but the blanks among them.
fn no_controls(text: &str) -> Result<()> {
    let stray = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let Some(at) = text.find(stray) else { return Ok(()) };
    let line = 1 + text[..at].bytes().filter(|b| *b == b'\n').count();
    let code = text[at..].chars().next().map_or(0, u32::from);
    Err(YamlError { line, what: format!("the control character U+{code:04X} can't be in YAML") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let error = Yaml::parse(text, 1).map(|_| ()).unwrap_err();
        format!("{}: {}", error.line, error.what)
    }

    #[test]
    fn nodes_know_their_lines_and_aliases_and_merges_are_followed() {
        let text = "base: &base {name: web, namespace: shop}\nmetadata:\n  <<: *base\n  name: other\n";
        let yaml = Yaml::parse(text, 11).unwrap();
        let metadata = yaml.documents().next().unwrap().get("metadata").unwrap();
        assert_eq!((metadata.line(), metadata.get("name").unwrap().text()), (13, Some("other")));
        assert_eq!(metadata.get("namespace").unwrap().text(), Some("shop"));
        assert!(metadata.get("nothing").is_none());
    }

    #[test]
    fn scalars_mean_what_kubernetes_takes_them_for() {
        let yaml = Yaml::parse("[a, 'yes', yes, On, oN, 12, 1_0, 0x1f, 1.2.3, .5, infinity, ~, !!str 1]", 1)
            .unwrap();
        let list = yaml.documents().next().unwrap().list().unwrap();
        let texts: Vec<_> = list.map(Item::text).collect();
        let is = |t| Some(t);
        let none = None;
        assert_eq!(
            texts,
            [
                is("a"),
                is("yes"),
                none,
                none,
                is("oN"),
                none,
                none,
                none,
                is("1.2.3"),
                none,
                is("infinity"),
                none,
                is("1")
            ]
        );
    }

    #[test]
    fn hostile_texts_are_errors() {
        assert_eq!(error("a: 1\nb: 2\na: 3\n"), "3: the key `a` is there already, in line 1");
        assert_eq!(error("a: &x [1, *x]\n"), "1: an alias refers to what it is in");
        assert_eq!(error("a: b\u{0}\n"), "1: the control character U+0000 can't be in YAML");
        assert!(error("a:\n\tb: 1\n").starts_with("2: "));
        assert!(error("a: *nobody\n").starts_with("1: "));
        assert!(error(&"[".repeat(100_000)).starts_with("1: "));
        assert!(error(&"- ".repeat(100_000)).starts_with("1: "));
        assert!(error(&"- a\n".repeat(MOST_NODES + 1)).contains("too many"));
    }

    #[test]
    fn a_billion_laughs_take_no_more_than_their_text() {
        let mut text = String::from("a0: &a0 [lol]\n");
        for i in 1..64 {
            let alias = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", [alias.as_str(); 10].join(", ")));
        }
        assert!(Yaml::parse(&text, 1).unwrap().nodes.len() < 1000);
        let mut merges = String::from("a0: &a0 {x: 1}\n");
        for i in 1..64 {
            merges.push_str(&format!("a{i}: &a{i}\n  <<: [*a{0}, *a{0}]\n", i - 1));
        }
        let yaml = Yaml::parse(&merges, 1).unwrap();
        let last = yaml.documents().next().unwrap().get("a63").unwrap();
        assert!(last.get("x").is_some() && last.get("y").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[-a{}\\[\\]:,&*<'\"|>#!%? \t\n~]{0,80}") {
            if let Ok(yaml) = Yaml::parse(&text, 1) {
                for document in yaml.documents() {
                    let _ = document.get("a").map(Item::line);
                }
            }
        }
    }
}

//! Manifests: whether Kubernetes could take them, as far as that is known without a cluster.
//!
//! A file is cut into documents as Kubernetes does it, at lines that begin with `---`; a document that
//! begins with `{` must be JSON, others are YAML.

use std::collections::BTreeMap;

use super::yaml::{Item, Yaml, YamlError};
use crate::document::{DocumentError, SourceText};

type Result<T> = std::result::Result<T, DocumentError>;

/// API groups whose objects may have any name that fits into a URL, such as `system:reader`.
const FREE_NAMES: [&str; 2] = ["rbac.authorization.k8s.io", "certificates.k8s.io"];
/// Kinds of the core group whose names are labels: no dots, and shorter.
const LABEL_NAMES: [&str; 2] = ["Namespace", "Service"];

/// Every object seen so far, and where.
#[derive(Debug, Default)]
pub(super) struct Objects {
    seen: BTreeMap<Identity, String>,
}

/// What Kubernetes tells objects apart by; a version isn't among it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

impl Objects {
    /// Checks the manifest `bytes`, which messages call `file`.
    pub(super) fn add(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let source = SourceText::from_bytes(file, bytes)?;
        for (first, text) in documents(&source.text) {
            let yaml = parse(file, text, first)?;
            let Some(document) = only(file, &yaml)? else { continue };
            self.document(file, document)?;
        }
        Ok(())
    }

    fn document(&mut self, file: &str, document: Item<'_>) -> Result<()> {
        let items = document.is_map().then(|| document.get("items")).flatten().and_then(Item::list);
        let Some(items) = items else { return self.object(file, document, None) };
        let list = required(file, document, "kind", "a list")?;
        let kind = list.strip_suffix("List").filter(|kind| !kind.is_empty());
        let version = document.get("apiVersion").and_then(Item::text);
        for item in items {
            // What the items of a `PodList` are, the list says.
            self.object(file, item, kind.zip(version))?;
        }
        Ok(())
    }

    /// Checks one object; `list` is kind and version that the list it is in gives to what has none.
    fn object(&mut self, file: &str, object: Item<'_>, list: Option<(&str, &str)>) -> Result<()> {
        if !object.is_map() {
            let what = format!("an object must be a mapping, not {}", object.kind());
            return Err(complain(file, object, what)
                .hinting("a manifest begins with `apiVersion`, `kind` and `metadata`"));
        }
        let given = |key: &str, from_list: Option<&str>| match (object.get(key), from_list) {
            (None, Some(text)) => Ok(text.to_owned()),
            _ => required(file, object, key, "the object").map(str::to_owned),
        };
        let version = given("apiVersion", list.map(|l| l.1))?;
        let kind = given("kind", list.map(|l| l.0))?;
        let group = group(file, object, &version)?;
        is_kind(file, object, &kind)?;
        let Some(metadata) = object.get("metadata").filter(|m| m.is_map()) else {
            return Err(nameless(file, object, &group, &kind));
        };
        let namespace = text(file, metadata, "namespace")?.unwrap_or_default();
        if !namespace.is_empty() && !is_label(namespace) {
            let what = format!("the {kind}'s namespace `{}` can't be one", namespace.escape_debug());
            return Err(complain(file, at(metadata, "namespace"), what).hinting(label_hint()));
        }
        let Some(name) = text(file, metadata, "name")? else {
            return match text(file, metadata, "generateName")? {
                // What Kubernetes appends are letters and digits.
                Some(start) => {
                    legal_name(file, at(metadata, "generateName"), &group, &kind, &format!("{start}x"))
                }
                None => Err(nameless(file, object, &group, &kind)),
            };
        };
        legal_name(file, at(metadata, "name"), &group, &kind, name)?;
        let namespace = if namespace == "default" { "" } else { namespace };
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        self.remember(file, object, Identity { group, kind, namespace, name })
    }

    fn remember(&mut self, file: &str, object: Item<'_>, identity: Identity) -> Result<()> {
        let Identity { kind, namespace, name, .. } = &identity;
        let within = if namespace.is_empty() { String::new() } else { format!(" in `{namespace}`") };
        let what = format!("the {kind} `{name}`{within} is there already");
        let place = format!("`{file}` line {}", object.line());
        match self.seen.insert(identity, place) {
            None => Ok(()),
            Some(first) => Err(complain(file, object, format!("{what}, in {first}"))
                .hinting("the one applied last would replace the other; rename or remove one")),
        }
    }
}

/// Checks that `bytes` are YAML with one mapping, or nothing.
pub(super) fn one_mapping(file: &str, bytes: &[u8]) -> Result<()> {
    let source = SourceText::from_bytes(file, bytes)?;
    let yaml = parse(file, &source.text, 1)?;
    match only(file, &yaml)? {
        Some(document) if !document.is_map() && !document.is_empty() => {
            let what = format!("the file must hold keys with values, not {}", document.kind());
            Err(complain(file, document, what))
        }
        _ => Ok(()),
    }
}

/// The documents of a manifest that hold anything, each with the number of its first line.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let is_blank = |line: &str| matches!(line.trim(), "" | "---") || line.trim().starts_with('#');
    let mut found = Vec::new();
    let (mut start, mut first, mut at) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let after = line.strip_prefix("---").map(str::trim);
        let is_separator = after.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'));
        if is_separator && at > start {
            found.push((first, &text[start..at]));
            (start, first) = (at + line.len(), number + 1);
        }
        at += line.len();
    }
    found.push((first, &text[start..]));
    found.retain(|(_, document)| !document.lines().all(is_blank));
    found
}

fn parse(file: &str, text: &str, first: usize) -> Result<Yaml> {
    let trouble = |line: usize, what: String| {
        let error = DocumentError::at_line(file, line, what);
        if text.contains("{{") {
            return error.hinting("templates aren't rendered here: give what `helm template` prints");
        }
        error
    };
    let not_yaml = |e: YamlError| trouble(e.line, format!("not YAML: {}", e.what));
    let body = text.trim_start();
    if !body.starts_with('{') {
        return Yaml::parse(text, first).map_err(not_yaml);
    }
    if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(body) {
        let before = text[..text.len() - body.len()].matches('\n').count();
        let (what, line) = (e.to_string(), first + before + e.line().saturating_sub(1));
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        return Err(trouble(line, format!("not JSON, though it begins with `{{`: {what}")));
    }
    // Between the parts of JSON a tab is as good as a blank, and inside of them there is none.
    Yaml::parse(&text.replace('\t', " "), first).map_err(not_yaml)
}

/// The only document of what was read.
fn only<'a>(file: &str, yaml: &'a Yaml) -> Result<Option<Item<'a>>> {
    let mut documents = yaml.documents();
    let first = documents.next();
    match documents.next() {
        None => Ok(first),
        Some(second) => {
            Err(complain(file, second, "a second document begins here, and nobody would read it").hinting(
                "put a line `---` before it, alone; where one document is wanted, make another file of it",
            ))
        }
    }
}

fn complain(file: &str, item: Item<'_>, what: impl Into<String>) -> DocumentError {
    DocumentError::at_line(file, item.line(), what)
}

/// What `key` of `map` is, or the map, for the line of a complaint.
fn at<'a>(map: Item<'a>, key: &str) -> Item<'a> {
    map.get(key).unwrap_or(map)
}

/// A text that may be absent.
fn text<'a>(file: &str, map: Item<'a>, key: &str) -> Result<Option<&'a str>> {
    let Some(found) = map.get(key) else { return Ok(None) };
    if let Some(text) = found.text() {
        return Ok(Some(text));
    }
    let error = complain(file, found, format!("`{key}` must be a text, not {}", found.kind()));
    Err(match found.written() {
        Some(written) => error.hinting(format!("put it in quotes: `\"{written}\"`")),
        None => error,
    })
}

fn required<'a>(file: &str, map: Item<'a>, key: &str, what: &str) -> Result<&'a str> {
    let missing = || complain(file, map, format!("{what} has no `{key}`"));
    let hint = "a manifest begins with `apiVersion`, `kind` and `metadata`";
    text(file, map, key)?.ok_or_else(|| missing().hinting(hint))
}

fn nameless(file: &str, object: Item<'_>, group: &str, kind: &str) -> DocumentError {
    let error = complain(file, at(object, "metadata"), format!("the {kind} has no `metadata.name`"));
    match group {
        "kustomize.config.k8s.io" => {
            error.hinting("give what `kubectl kustomize` prints, outside this folder")
        }
        _ => error.hinting("every object has a name"),
    }
}

/// The group of an `apiVersion`, which is `version` or `group/version`.
fn group(file: &str, object: Item<'_>, version: &str) -> Result<String> {
    let (group, number) = version.split_once('/').unwrap_or(("", version));
    if is_label(number) && (!version.contains('/') || is_subdomain(group)) {
        return Ok(group.to_owned());
    }
    let what = format!("`{}` can't be an `apiVersion`", version.escape_debug());
    Err(complain(file, at(object, "apiVersion"), what).hinting("it is `v1`, or as `apps/v1`"))
}

fn is_kind(file: &str, object: Item<'_>, kind: &str) -> Result<()> {
    if kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.len() <= 63
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Ok(());
    }
    let what = format!("`{}` can't be a `kind`", kind.escape_debug());
    Err(complain(file, at(object, "kind"), what).hinting("it is a word as `Deployment`"))
}

fn legal_name(file: &str, place: Item<'_>, group: &str, kind: &str, name: &str) -> Result<()> {
    let is_label_kind = group.is_empty() && LABEL_NAMES.contains(&kind);
    let is_legal = if FREE_NAMES.contains(&group) {
        !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '%'])
    } else if is_label_kind {
        is_label(name)
    } else {
        is_subdomain(name)
    };
    if is_legal {
        return Ok(());
    }
    let what = format!("`{}` can't be the name of a {kind}", name.escape_debug());
    let hint = if is_label_kind {
        label_hint()
    } else if FREE_NAMES.contains(&group) {
        "without `/` and `%`"
    } else {
        "at most 253 lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
    };
    Err(complain(file, place, what).hinting(hint))
}

fn label_hint() -> &'static str {
    "at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends"
}

/// RFC 1123's label, in lower case.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_subdomain(text)
}

/// RFC 1123's subdomain as Kubernetes has it: its parts may be longer than labels.
fn is_subdomain(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(is_inner)
    };
    (1..=253).contains(&text.len()) && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str) -> std::result::Result<(), String> {
        Objects::default().add("a.yaml", text.as_bytes()).map_err(|e| e.to_string())
    }

    /// An object with more in its metadata.
    fn object(version: &str, kind: &str, metadata: &str) -> String {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\n")
    }

    fn named(version: &str, kind: &str, name: &str) -> bool {
        add(&object(version, kind, &format!("name: {name:?}"))).is_ok()
    }

    #[test]
    fn documents_are_cut_as_kubernetes_cuts_them() {
        let text = "# top\n---\n---  # one\na: 1\n---x\n---\n\n# nothing\n---\nb: 2\n--- \nc: 3";
        let cut = documents(text);
        let lines: Vec<_> = cut.iter().map(|(line, text)| (*line, text.trim())).collect();
        assert_eq!(lines, [(3, "---  # one\na: 1\n---x"), (10, "b: 2"), (12, "c: 3")]);
        assert_eq!(documents("---\n---\n# a\n\r\n"), []);
    }

    #[test]
    fn names_are_as_their_kind_wants_them() {
        assert!(named("v1", "ConfigMap", "a.b-c.0"));
        assert!(named("v1", "ConfigMap", &"a".repeat(253)));
        assert!(!named("v1", "ConfigMap", &"a".repeat(254)));
        for wrong in ["", "A", "a_b", "a.", "-a", "a/b", "a..b", "a\n"] {
            assert!(!named("v1", "ConfigMap", wrong), "{wrong:?}");
        }
        assert!(!named("v1", "Service", "a.b") && !named("v1", "Namespace", &"a".repeat(64)));
        assert!(named("serving.knative.dev/v1", "Service", "a.b"));
        assert!(named("rbac.authorization.k8s.io/v1", "ClusterRole", "system:A_b"));
        assert!(!named("rbac.authorization.k8s.io/v1", "ClusterRole", "a/b"));
        assert!(add(&object("v1", "Pod", "generateName: web-")).is_ok());
        assert!(add(&object("v1", "Pod", "generateName: Web-")).is_err());
        assert!(!named("apps//v1", "Pod", "a") && !named("", "Pod", "a") && !named("v1", "a b", "a"));
    }

    #[test]
    fn what_tells_objects_apart() {
        let pair = |a: String, b: String| add(&format!("{a}---\n{b}"));
        let web = |version| object(version, "Ingress", "name: web");
        let twice = pair(web("networking.k8s.io/v1"), web("networking.k8s.io/v1beta1")).unwrap_err();
        assert_eq!(twice, "`a.yaml` line 5: the Ingress `web` is there already, in `a.yaml` line 1");
        assert!(pair(web("networking.k8s.io/v1"), web("traefik.io/v1")).is_ok());
        let within = |more: &str| object("v1", "Service", &format!("name: web{more}"));
        assert!(pair(within(", namespace: a"), within(", namespace: b")).is_ok());
        assert!(pair(within(""), within(", namespace: default")).is_err());
        assert!(pair(object("v1", "Pod", "generateName: a"), object("v1", "Pod", "generateName: a")).is_ok());
    }

    #[test]
    fn lists_are_looked_into() {
        let list = |items: &str| format!("apiVersion: v1\nkind: ConfigMapList\nitems:\n{items}");
        assert!(add(&list("- metadata: {name: a}\n- metadata: {name: b}\n")).is_ok());
        assert_eq!(
            add(&list("- metadata: {name: a}\n- metadata: {name: a}\n")).unwrap_err(),
            "`a.yaml` line 5: the ConfigMap `a` is there already, in `a.yaml` line 4"
        );
        assert!(add(&list("- 3\n")).unwrap_err().contains("line 4: an object must be a mapping"));
        let plain = "apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}\n";
        assert_eq!(add(plain).unwrap_err(), "`a.yaml` line 4: the object has no `apiVersion`");
        assert!(add("apiVersion: v1\nkind: List\nitems: []\n").is_ok());
    }

    #[test]
    fn json_is_json() {
        let json =
            "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"A\"}\n}\n";
        assert_eq!(add(json).unwrap_err(), "`a.yaml` line 4: `A` can't be the name of a Pod");
        assert!(add(&json.replace("\"A\"", "\"a\"")).is_ok());
        let flow = add("# x\n---\n\n{apiVersion: v1, kind: Pod}").unwrap_err();
        assert!(flow.starts_with("`a.yaml` line 4: not JSON"), "{flow}");
        let deep = add(&"{\"a\":".repeat(100_000)).unwrap_err();
        assert!(deep.starts_with("`a.yaml` line 1: not JSON"), "{deep}");
    }

    #[test]
    fn settings_are_one_mapping() {
        let check = |text: &str| one_mapping("c.yaml", text.as_bytes()).map_err(|e| e.to_string());
        assert!(check("").is_ok() && check("# a\n").is_ok() && check("---\na: 1\n").is_ok());
        assert!(check("- a\n").unwrap_err().contains("line 1: the file must hold keys"));
        assert!(check("a: 1\n---\nb: 2\n").unwrap_err().contains("line 3: a second document"));
        assert!(check("a: 1\na: 2\n").unwrap_err().contains("line 2: not YAML: the key `a`"));
    }
}

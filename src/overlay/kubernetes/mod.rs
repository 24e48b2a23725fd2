//! Manifests: whether Kubernetes accepts them, as far as that is known without a cluster.

mod document;
mod names;

use std::collections::BTreeMap;

use super::yaml::YamlNode;
use crate::document::{DocumentError, SourceText};
use crate::text::escaped;
use document::Document;
use names::NameRule;

type Result<T, E = DocumentError> = std::result::Result<T, E>;

const MANIFEST_HINT: &str = "a manifest begins with `apiVersion`, `kind` and `metadata`";

/// Every object seen so far, with its file and line.
#[derive(Debug, Default)]
pub(super) struct Objects {
    seen: BTreeMap<ObjectIdentity, (String, usize)>,
}

/// What distinguishes objects; the version does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ObjectIdentity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

/// `kind` and `apiVersion` that a list such as `PodList` gives to items without their own.
type ListType<'a> = (&'a str, &'a str);

impl Objects {
    /// Checks the manifest `bytes` of `file`.
    pub(super) fn add(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let source = SourceText::from_bytes(file, bytes)?;
        for (first_line, text) in document::split(&source) {
            self.add_document(&Document::parse(file, text, first_line)?)?;
        }
        Ok(())
    }

    fn add_document(&mut self, document: &Document<'_>) -> Result<()> {
        let root = &document.root;
        let Some(items) = root.get("items").and_then(YamlNode::list) else {
            return self.add_object(document, root, None);
        };
        let kind = required(document, root, "kind", "a list")?;
        let kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        let version = root.get("apiVersion").and_then(YamlNode::text);
        items.iter().try_for_each(|item| self.add_object(document, item, kind.zip(version)))
    }

    fn add_object(
        &mut self,
        document: &Document<'_>,
        object: &YamlNode,
        list: Option<ListType<'_>>,
    ) -> Result<()> {
        if !object.is_mapping() {
            let what = format!("an object must be a mapping, not {}", object.kind());
            return Err(document.error(object, what).hinting(MANIFEST_HINT));
        }
        let (group, kind) = object_type(document, object, list)?;
        let Some(metadata) = object.get("metadata").filter(|m| m.is_mapping()) else {
            return Err(nameless(document, object, &group, &kind));
        };
        let namespace = namespace(document, metadata)?;
        if let Some(name) = document.text(metadata, "name")? {
            check_name(document, metadata, "name", &group, &kind, name)?;
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            return self.remember(document, object, ObjectIdentity { group, kind, namespace, name });
        }
        match document.text(metadata, "generateName")? {
            // Kubernetes appends letters and digits.
            Some(prefix) => {
                check_name(document, metadata, "generateName", &group, &kind, &format!("{prefix}x"))
            }
            None => Err(nameless(document, object, &group, &kind)),
        }
    }

    fn remember(
        &mut self,
        document: &Document<'_>,
        object: &YamlNode,
        identity: ObjectIdentity,
    ) -> Result<()> {
        let place = (document.file.to_owned(), document.line(object));
        let Some((file, line)) = self.seen.insert(identity.clone(), place) else { return Ok(()) };
        let ObjectIdentity { kind, namespace, name, .. } = identity;
        let within =
            if namespace.is_empty() { String::new() } else { format!(" in namespace `{namespace}`") };
        let what = format!("duplicate object: {kind} `{name}`{within} is also in `{file}` line {line}");
        Err(document
            .error(object, what)
            .hinting("the object applied last would replace the other; rename or remove one"))
    }
}

/// Checks that `bytes` are YAML with one mapping, or nothing.
pub(super) fn check_one_mapping(file: &str, bytes: &[u8]) -> Result<()> {
    let source = SourceText::from_bytes(file, bytes)?;
    let document = Document::parse(file, &source.text, 1)?;
    let root = &document.root;
    if root.is_mapping() || root.is_null() {
        return Ok(());
    }
    Err(document.error(root, format!("the file must be a mapping, not {}", root.kind())))
}

/// API group and kind.
fn object_type(
    document: &Document<'_>,
    object: &YamlNode,
    list: Option<ListType<'_>>,
) -> Result<(String, String)> {
    let given = |key: &str, from_list: Option<&str>| match (object.get(key), from_list) {
        (None, Some(text)) => Ok(text.to_owned()),
        _ => required(document, object, key, "the object").map(str::to_owned),
    };
    let version = given("apiVersion", list.map(|l| l.1))?;
    let kind = given("kind", list.map(|l| l.0))?;
    let invalid = |key: &str, value: &str| {
        document.error_at(object, key, format!("`{}` is not a valid `{key}`", escaped(value)))
    };
    let group = names::api_group(&version)
        .ok_or_else(|| invalid("apiVersion", &version).hinting("write `v1`, or a group as in `apps/v1`"))?;
    if !names::is_kind(&kind) {
        return Err(invalid("kind", &kind).hinting("write one word, such as `Deployment`"));
    }
    Ok((group.to_owned(), kind))
}

/// The namespace; that of objects without one, `default`, is empty.
fn namespace<'n>(document: &Document<'_>, metadata: &'n YamlNode) -> Result<&'n str> {
    let namespace = match document.text(metadata, "namespace")? {
        None | Some("" | "default") => return Ok(""),
        Some(namespace) => namespace,
    };
    if NameRule::Label.allows(namespace) {
        return Ok(namespace);
    }
    let what = format!("`{}` is not a valid namespace", escaped(namespace));
    Err(document.error_at(metadata, "namespace", what).hinting(NameRule::Label.hint()))
}

fn required<'n>(document: &Document<'_>, mapping: &'n YamlNode, key: &str, owner: &str) -> Result<&'n str> {
    let missing = || document.error(mapping, format!("{owner} has no `{key}`")).hinting(MANIFEST_HINT);
    document.text(mapping, key)?.ok_or_else(missing)
}

fn nameless(document: &Document<'_>, object: &YamlNode, group: &str, kind: &str) -> DocumentError {
    let error = document.error_at(object, "metadata", format!("the {kind} has no `metadata.name`"));
    match group {
        "kustomize.config.k8s.io" => {
            error.hinting("include the output of `kubectl kustomize`, saved outside this folder")
        }
        _ => error.hinting("every object needs a name"),
    }
}

fn check_name(
    document: &Document<'_>,
    metadata: &YamlNode,
    key: &str,
    group: &str,
    kind: &str,
    name: &str,
) -> Result<()> {
    let rule = NameRule::of(group, kind);
    if rule.allows(name) {
        return Ok(());
    }
    let what = format!("`{}` is not a valid name for a {kind}", escaped(name));
    Err(document.error_at(metadata, key, what).hinting(rule.hint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(text: &str) -> std::result::Result<(), String> {
        Objects::default().add("a.yaml", text.as_bytes()).map_err(|e| e.to_string())
    }

    fn object(version: &str, kind: &str, metadata: &str) -> String {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{{metadata}}}\n")
    }

    fn named(version: &str, kind: &str, name: &str) -> bool {
        add(&object(version, kind, &format!("name: {name:?}"))).is_ok()
    }

    #[test]
    fn name_rules_depend_on_kind() {
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
    fn same_object_in_two_versions_is_duplicate() {
        let pair = |a: String, b: String| add(&format!("{a}---\n{b}"));
        let web = |version| object(version, "Ingress", "name: web");
        let twice = pair(web("networking.k8s.io/v1"), web("networking.k8s.io/v1beta1")).unwrap_err();
        assert_eq!(twice, "`a.yaml` line 5: duplicate object: Ingress `web` is also in `a.yaml` line 1");
        assert!(pair(web("networking.k8s.io/v1"), web("traefik.io/v1")).is_ok());
        let within = |more: &str| object("v1", "Service", &format!("name: web{more}"));
        assert!(pair(within(", namespace: a"), within(", namespace: b")).is_ok());
        assert!(pair(within(""), within(", namespace: default")).is_err());
        assert!(pair(object("v1", "Pod", "generateName: a"), object("v1", "Pod", "generateName: a")).is_ok());
    }

    #[test]
    fn list_items_are_checked() {
        let list = |items: &str| format!("apiVersion: v1\nkind: ConfigMapList\nitems:\n{items}");
        assert!(add(&list("- metadata: {name: a}\n- metadata: {name: b}\n")).is_ok());
        assert_eq!(
            add(&list("- metadata: {name: a}\n- metadata: {name: a}\n")).unwrap_err(),
            "`a.yaml` line 5: duplicate object: ConfigMap `a` is also in `a.yaml` line 4"
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
        assert_eq!(add(json).unwrap_err(), "`a.yaml` line 4: `A` is not a valid name for a Pod");
        assert!(add(&json.replace("\"A\"", "\"a\"")).is_ok());
        let flow = add("# x\n---\n\n{apiVersion: v1, kind: Pod}").unwrap_err();
        assert!(flow.starts_with("`a.yaml` line 4: not JSON"), "{flow}");
        let deep = add(&"{\"a\":".repeat(100_000)).unwrap_err();
        assert!(deep.starts_with("`a.yaml` line 1: not JSON"), "{deep}");
    }

    #[test]
    fn configuration_is_one_mapping() {
        let check = |text: &str| check_one_mapping("c.yaml", text.as_bytes()).map_err(|e| e.to_string());
        assert!(check("").is_ok() && check("# a\n").is_ok() && check("---\na: 1\n").is_ok());
        assert!(check("- a\n").unwrap_err().contains("line 1: the file must be a mapping"));
        assert!(check("a: 1\n---\nb: 2\n").unwrap_err().contains("line 3: more than one document"));
        assert!(check("a: 1\na: 2\n").unwrap_err().contains("line 2: duplicate key `a`"));
    }
}

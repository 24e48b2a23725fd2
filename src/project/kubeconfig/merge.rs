//! Merges one kubeconfig into another: only the entries of the added one change, or nothing does.

use serde_json::Value;

use super::config::{CLUSTERS, CONTEXTS, EntryList, Kubeconfig, LISTS, USERS};

/// An entry that has the name of an added one and belongs to another cluster.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Conflict {
    #[error("cluster `{0}` with another server")]
    Cluster(String),
    #[error("context `{0}` for another cluster")]
    Context(String),
    #[error("user `{0}` of another cluster")]
    User(String),
}

impl Kubeconfig {
    /// Takes over all entries of `added`. An entry of the same name is replaced if it is for the same server,
    /// or with `force`.
    pub(super) fn merge(mut self, added: &Self, force: bool) -> Result<Self, Conflict> {
        if !force && let Some(conflict) = self.conflict(added) {
            return Err(conflict);
        }
        for key in ["apiVersion", "kind"] {
            if let Some(value) = added.0.get(key) {
                self.0.entry(key).or_insert_with(|| value.clone());
            }
        }
        for list in LISTS {
            for entry in added.entries(list) {
                self.put(list, entry);
            }
        }
        let current = self.0.get("current-context");
        if current.is_none_or(|c| c.is_null() || c == "")
            && let Some(context) = added.0.get("current-context")
        {
            self.0.insert("current-context".into(), context.clone());
        }
        Ok(self)
    }

    fn conflict(&self, added: &Self) -> Option<Conflict> {
        let differing = |list, key| added.names(list).find(|name| self.differs(added, list, key, name));
        let cluster = differing(CLUSTERS, "server").map(|name| Conflict::Cluster(name.to_owned()));
        let context = || differing(CONTEXTS, "cluster").map(|name| Conflict::Context(name.to_owned()));
        let user = || added.names(USERS).find(|name| self.is_used_elsewhere(added, name));
        cluster.or_else(context).or_else(|| user().map(|name| Conflict::User(name.to_owned())))
    }

    /// Whether an entry called `name` has another value under `key` than the entry of `added`. Of several
    /// entries with one name kubectl reads the first, but none may be lost.
    fn differs(&self, added: &Self, list: EntryList, key: &str, name: &str) -> bool {
        let value = |entry: &Value| entry.get(list.content)?.get(key).cloned();
        let new = added.entry(list, name).and_then(value);
        self.entries_named(list, name).any(|entry| value(entry) != new)
    }

    /// Whether the user called `user` exists and belongs to another cluster: no cluster of `added` is known
    /// here, or a context of another cluster uses this user.
    fn is_used_elsewhere(&self, added: &Self, user: &str) -> bool {
        let uses = |entry: &Value| {
            let field = |key: &str| entry.get(CONTEXTS.content)?.get(key)?.as_str();
            field("user") == Some(user) && !added.names(CLUSTERS).any(|name| field("cluster") == Some(name))
        };
        self.entry(USERS, user).is_some()
            && (!added.names(CLUSTERS).any(|name| self.entry(CLUSTERS, name).is_some())
                || self.entries(CONTEXTS).any(uses))
    }

    /// Replaces the first entry of the same name and removes the others, or appends.
    pub(super) fn put(&mut self, list: EntryList, entry: &Value) {
        let slot = self.0.entry(list.key).or_insert(Value::Null);
        let mut entries = match slot.take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        let has_its_name = |e: &Value| e.get("name") == entry.get("name");
        let mut entry = entry.clone();
        let at = entries.iter().position(has_its_name).unwrap_or(entries.len());
        if list == CONTEXTS
            && let Some(old) = entries.get(at)
        {
            keep_other_keys(old, &mut entry);
        }
        entries.retain(|e| !has_its_name(e));
        entries.insert(at, entry);
        *slot = Value::Array(entries);
    }
}

/// Keeps what the user added to a context, such as a namespace.
fn keep_other_keys(old: &Value, new: &mut Value) {
    let old = old.get(CONTEXTS.content).and_then(Value::as_object);
    if let (Some(old), Some(new)) = (old, new.get_mut(CONTEXTS.content).and_then(Value::as_object_mut)) {
        for (key, value) in old {
            new.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: &Value) -> Kubeconfig {
        Kubeconfig::parse(&value.to_string()).unwrap()
    }

    pub(in super::super) fn added() -> Kubeconfig {
        named("magi", "https://10.0.0.100:6443")
    }

    pub(in super::super) fn named(name: &str, server: &str) -> Kubeconfig {
        config(&json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": "QQ=="}}],
            "users": [{"name": name, "user": {"client-key-data": "Qg=="}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }))
    }

    fn merged(config: &Kubeconfig, force: bool) -> Result<Kubeconfig, String> {
        config.clone().merge(&added(), force).map_err(|conflict| conflict.to_string())
    }

    #[test]
    fn merge_into_empty_file_is_idempotent() {
        for text in [
            "",
            "\n# nothing\n",
            "---\n",
            "kind: Config\nclusters: null\n",
            "apiVersion: v1\nkind: Config\nusers: []\n",
        ] {
            let once = merged(&Kubeconfig::parse(text).unwrap(), false).unwrap();
            assert_eq!(once, added(), "{text}");
            assert_eq!(merged(&once, false).unwrap(), once);
            let written = once.to_yaml().unwrap();
            assert_eq!(Kubeconfig::parse(&written).unwrap(), once, "{}", *written);
        }
    }

    #[test]
    fn merge_keeps_all_other_entries_and_keys() {
        let mut work = named("work", "https://work:6443").0;
        work.insert("preferences".into(), json!({"colors": true}));
        work.insert("extensions".into(), json!([{"name": "x", "extension": {"yes": "no", "n": "0123"}}]));
        let work = Kubeconfig(work);
        let merged = merged(&work, false).unwrap();
        assert_eq!(merged.0["current-context"], "work");
        for list in LISTS {
            assert_eq!(merged.names(list).collect::<Vec<_>>(), ["work", "magi"], "{list:?}");
            assert_eq!(merged.entry(list, "work"), work.entry(list, "work"));
        }
        let written = merged.to_yaml().unwrap();
        let written = written.as_str();
        assert_eq!(Kubeconfig::parse(written).unwrap(), merged, "{written}");
        assert_eq!(merged.0["extensions"], work.0["extensions"]);
        // kubectl's YAML 1.1 would read these as a boolean and a number without quotes.
        assert!(written.contains("\"no\"") || written.contains("'no'"), "{written}");
        assert!(written.contains("\"0123\"") || written.contains("'0123'"), "{written}");
    }

    #[test]
    fn merge_replaces_entries_in_place_and_keeps_the_namespace() {
        let mut config = named("magi", "https://10.0.0.100:6443");
        config.0["clusters"][0]["cluster"]["certificate-authority-data"] = "b2xk".into();
        config.0["users"][0]["user"] = json!({"token": "old"});
        config.0["contexts"][0]["context"]["namespace"] = "blog".into();
        let work = named("work", "https://work:6443");
        for list in LISTS {
            config.put(list, work.entry(list, "work").unwrap());
        }
        let merged = merged(&config, false).unwrap();
        assert_eq!(merged.entry(CLUSTERS, "magi"), added().entry(CLUSTERS, "magi"));
        assert_eq!(merged.entry(USERS, "magi"), added().entry(USERS, "magi"));
        assert_eq!(merged.entry(CONTEXTS, "magi").unwrap()["context"]["namespace"], "blog");
        assert_eq!(merged.names(USERS).collect::<Vec<_>>(), ["magi", "work"]);
    }

    #[test]
    fn same_name_with_other_server_needs_force() {
        let cluster = "cluster `magi` with another server";
        let (context, user) = ("context `magi` for another cluster", "user `magi` of another cluster");
        let with_server = json!({"name": "magi", "cluster": {"server": "https://10.0.0.100:6443"}});
        let cases = [
            (named("magi", "https://192.168.1.5:6443"), cluster),
            (config(&json!({"contexts": [{"name": "magi", "context": {"cluster": "work"}}]})), context),
            (config(&json!({"users": [{"name": "magi", "user": {}}]})), user),
            (config(&json!({"clusters": [{"name": "magi"}]})), cluster),
            (
                config(&json!({"clusters": [
                    with_server,
                    {"name": "magi", "cluster": {"server": "https://work:6443"}},
                ]})),
                cluster,
            ),
            (
                config(&json!({
                    "clusters": [with_server],
                    "users": [{"name": "magi", "user": {"token": "prod's"}}],
                    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "magi"}}],
                })),
                user,
            ),
        ];
        for (config, conflict) in cases {
            assert_eq!(merged(&config, false).unwrap_err(), conflict);
            let forced = merged(&config, true).unwrap();
            assert_eq!(forced.entry(CLUSTERS, "magi"), added().entry(CLUSTERS, "magi"));
        }
    }
}

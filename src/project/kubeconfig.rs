//! A kubeconfig, put into the one that kubectl reads: only what is ours changes, or nothing does.
//!
//! What a cluster's kubeconfig says is an overlay's affair; this knows the file's form alone.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Options, Project};
use crate::error::{Exit, Explain, FileError, Result};
use crate::files::private;
use crate::progress::Progress;

/// The lists of entries with a `name`, and what each entry holds under which key.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("users", "user"), ("contexts", "context")];

/// Why a kubeconfig is refused. None of them quotes it: it holds keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubeconfigError {
    /// It isn't one.
    #[error("`{whose}` isn't a kubeconfig: {why}")]
    Form {
        /// The file.
        whose: String,
        /// What is wrong with it, without its content.
        why: String,
    },
    /// An entry of our name is about something else.
    #[error("`{}` has {what} of the same name for another server", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// Which entry.
        what: String,
    },
    /// Neither `KUBECONFIG` nor a home.
    #[error("no kubeconfig to merge into: neither `KUBECONFIG` nor a home folder is known")]
    Nowhere,
    /// A device, a fifo, or what its owner doesn't want changed.
    #[error("`{}` {what}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why it can't be merged into.
        what: &'static str,
    },
    /// Somebody else writes, or was cut off while writing.
    #[error("`{}` says that another program is writing the kubeconfig", .0.display())]
    Locked(PathBuf),
}

impl Explain for KubeconfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Form { .. } => "it is left as it is; mend it, or name another in `KUBECONFIG`".into(),
            Self::Taken { .. } => {
                "`--force` replaces it; or call this cluster otherwise in the profile, or name another file in \
                 `KUBECONFIG`"
                    .into()
            }
            Self::Nowhere => "name a file in `KUBECONFIG`".into(),
            Self::Unfit { .. } => "it is left as it is; name another file in `KUBECONFIG`".into(),
            Self::Locked(_) => "try again; if it stays and no kubectl runs, remove it".into(),
        })
    }
}

/// A kubeconfig that was rendered for the user.
pub(crate) struct RenderedKubeconfig {
    text: Zeroizing<String>,
    config: Kubeconfig,
}

impl RenderedKubeconfig {
    /// As the overlay's template writes it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The same as JSON, which kubectl reads as well.
    pub(crate) fn json(&self) -> &Map<String, Value> {
        &self.config.0
    }
}

/// Where a kubeconfig was merged to, and the context to use it with.
#[derive(Debug, serde::Serialize)]
pub(crate) struct MergedKubeconfig {
    pub(crate) file: String,
    pub(crate) context: String,
}

/// The cluster's kubeconfig. Makes and saves the cluster's secrets if they don't exist.
pub(crate) fn kubeconfig(options: Options, progress: &dyn Progress) -> Result<RenderedKubeconfig> {
    let project = Project::without_ssh_keys(options, progress)?;
    let text = Zeroizing::new(project.client_file("kubeconfig")?.text);
    let config = Kubeconfig::parse("client/kubeconfig.j2", &text)?;
    Ok(RenderedKubeconfig { text, config })
}

/// Merges the cluster's kubeconfig into the user's; with `force` also over entries of another cluster.
pub(crate) fn merge_kubeconfig(
    options: Options,
    force: bool,
    progress: &dyn Progress,
) -> Result<MergedKubeconfig> {
    let config = kubeconfig(options, progress)?.config;
    let path = users_file()?;
    merge_into(&path, &config, force)?;
    let context = config.context().unwrap_or_default().to_owned();
    Ok(MergedKubeconfig { file: path.display().to_string(), context })
}

/// A kubeconfig, as far as its form goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kubeconfig(Map<String, Value>);

impl Kubeconfig {
    /// Reads YAML or JSON; `whose` names it in errors. Nothing at all is an empty one.
    pub(crate) fn parse(whose: &str, text: &str) -> Result<Self, KubeconfigError> {
        let form = |why: &str| KubeconfigError::Form { whose: whose.to_owned(), why: why.to_owned() };
        let bare = text.lines().all(|line| matches!(line.trim(), "" | "---") || line.trim().starts_with('#'));
        // The parser's own message shows the line, which may be a key.
        let value: Value = match serde_saphyr::from_str(text) {
            _ if bare => Value::Null,
            Ok(value) => value,
            Err(e) => {
                let at = e.location().map_or(String::new(), |l| format!(" (line {})", l.line()));
                return Err(form(&format!("it can't be read as YAML{at}")));
            }
        };
        let map = match value {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => return Err(form("it isn't a mapping")),
        };
        for (key, expected) in [("apiVersion", "v1"), ("kind", "Config")] {
            if map.get(key).is_some_and(|v| v != expected) {
                return Err(form(&format!("its `{key}` isn't `{expected}`")));
            }
        }
        let known = |key: &str| key == "kind" || LISTS.iter().any(|(list, _)| *list == key);
        if !map.is_empty() && !map.keys().any(|key| known(key)) {
            return Err(form("it has neither `kind` nor clusters, users or contexts"));
        }
        for (list, inner) in LISTS {
            entries_are_named(&map, list, inner).map_err(|why| form(&why))?;
        }
        Ok(Self(map))
    }

    /// Takes over all entries of `ours`, in the place of those that have their names. Those must be about the
    /// same server, or `force` must say so; `path` names the file in the complaint.
    pub(crate) fn merge(mut self, ours: &Self, force: bool, path: &Path) -> Result<Self, KubeconfigError> {
        if !force && let Some(what) = self.stranger(ours) {
            return Err(KubeconfigError::Taken { path: path.to_owned(), what });
        }
        for key in ["apiVersion", "kind"] {
            if let Some(value) = ours.0.get(key) {
                self.0.entry(key).or_insert_with(|| value.clone());
            }
        }
        for (list, inner) in LISTS {
            for entry in ours.entries(list) {
                self.put(list, inner, entry);
            }
        }
        let current = |config: &Self| config.0.get("current-context").cloned();
        let none = current(&self).is_none_or(|c| c.is_null() || c == "");
        if let Some(context) = current(ours).filter(|_| none) {
            self.0.insert("current-context".into(), context);
        }
        Ok(self)
    }

    /// An entry that has the name of one of `ours` but isn't for the same server, or that a context of another
    /// cluster uses. Of several with one name kubectl takes the first, but none may be lost.
    fn stranger(&self, ours: &Self) -> Option<String> {
        let differs = |list: &str, inner: &str, key: &str, name: &str| {
            let held = |entry: &Value| entry.get(inner)?.get(key).cloned();
            let ours = ours.entry(list, name).and_then(held);
            self.all(list, name).any(|entry| held(entry) != ours)
        };
        if let Some(name) = ours.names("clusters").find(|n| differs("clusters", "cluster", "server", n)) {
            return Some(format!("a cluster `{name}`"));
        }
        if let Some(name) = ours.names("contexts").find(|n| differs("contexts", "context", "cluster", n)) {
            return Some(format!("a context `{name}`"));
        }
        let same = ours.names("clusters").any(|name| self.entry("clusters", name).is_some());
        let users = ours.names("users").filter(|name| self.entry("users", name).is_some());
        let uses = |entry: &Value, user: &str| {
            let context = entry.get("context");
            let named = |key: &str| context.and_then(|c| c.get(key)?.as_str());
            named("user") == Some(user) && !ours.names("clusters").any(|ours| named("cluster") == Some(ours))
        };
        users
            .filter(|user| !same || self.entries("contexts").any(|entry| uses(entry, user)))
            .map(|user| format!("a user `{user}`"))
            .next()
    }

    /// Puts `entry` where one of its name is, else at the end.
    fn put(&mut self, list: &str, inner: &str, entry: &Value) {
        let name = entry.get("name").cloned();
        let slot = self.0.entry(list).or_insert(Value::Null);
        let mut entries = slot.as_array().cloned().unwrap_or_default();
        let at = entries.iter().position(|e| e.get("name") == name.as_ref());
        let mut entry = entry.clone();
        if let (Some(old), Some(new)) = (
            at.and_then(|at| entries[at].get(inner)?.as_object().cloned()),
            entry.get_mut(inner).and_then(Value::as_object_mut),
        ) && inner == "context"
        {
            // The namespace somebody chose stays.
            for (key, value) in old {
                new.entry(key).or_insert(value);
            }
        }
        entries.retain(|e| e.get("name") != name.as_ref());
        entries.insert(at.unwrap_or(entries.len()).min(entries.len()), entry);
        *slot = Value::Array(entries);
    }

    fn entries(&self, list: &str) -> impl Iterator<Item = &Value> {
        self.0.get(list).and_then(Value::as_array).into_iter().flatten()
    }

    fn all(&self, list: &str, name: &str) -> impl Iterator<Item = &Value> {
        self.entries(list).filter(move |e| e.get("name").is_some_and(|n| n == name))
    }

    fn entry(&self, list: &str, name: &str) -> Option<&Value> {
        self.all(list, name).next()
    }

    fn names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.entries(list).filter_map(|e| e.get("name")?.as_str())
    }

    /// The name of the context that it makes current, or of its first.
    pub(crate) fn context(&self) -> Option<&str> {
        let current = self.0.get("current-context").and_then(Value::as_str).filter(|c| !c.is_empty());
        current.or_else(|| self.names("contexts").next())
    }

    fn to_yaml(&self) -> Result<String, KubeconfigError> {
        serde_saphyr::to_string(&self.0).map_err(|_| KubeconfigError::Form {
            whose: "the result".into(),
            why: "it can't be written as YAML".into(),
        })
    }
}

fn entries_are_named(map: &Map<String, Value>, list: &str, inner: &str) -> Result<(), String> {
    let entries = match map.get(list) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(format!("its `{list}` isn't a list")),
    };
    for entry in entries {
        if !entry.get("name").is_some_and(Value::is_string) {
            return Err(format!("an entry of its `{list}` has no name"));
        }
        if entry.get(inner).is_some_and(|held| !held.is_object() && !held.is_null()) {
            return Err(format!("an entry of its `{list}` has a `{inner}` that isn't a mapping"));
        }
    }
    Ok(())
}

/// The file that kubectl would write: the first of `KUBECONFIG`, else `~/.kube/config`.
pub(crate) fn users_file() -> Result<PathBuf, KubeconfigError> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let first = std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty());
    let beside_home = || std::env::home_dir().filter(|h| h.is_absolute()).map(|h| h.join(".kube/config"));
    first.or_else(beside_home).ok_or(KubeconfigError::Nowhere)
}

/// Merges `ours` into the file at `path`, which need not be there yet, as a whole or not at all. A symlink
/// stays one, and what it leads to changes.
pub(crate) fn merge_into(path: &Path, ours: &Kubeconfig, force: bool) -> Result<()> {
    let target = private::followed(path).map_err(FileError::named(path))?;
    // Before it's opened: a fifo would keep us waiting for ever, and a device be replaced.
    if let Ok(meta) = target.metadata() {
        let unfit = |what| KubeconfigError::Unfit { path: path.to_owned(), what };
        match meta {
            meta if !meta.is_file() => return Err(unfit("isn't a regular file").into()),
            meta if meta.permissions().readonly() => return Err(unfit("is read-only").into()),
            _ => (),
        }
    }
    private_folder(&target)?;
    let _locked = KubeconfigLock::take(&target)?;
    let theirs = Kubeconfig::parse(&path.display().to_string(), &existing(&target, path)?)?;
    let merged = theirs.merge(ours, force, path)?;
    let text = Zeroizing::new(merged.to_yaml()?);
    Ok(private::write(&target, text.as_bytes())?)
}

/// What is in the file; nothing if it isn't there yet.
fn existing(target: &Path, named: &Path) -> Result<Zeroizing<String>> {
    match std::fs::read_to_string(target) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            let (whose, why) = (named.display().to_string(), "it isn't UTF-8".into());
            Err(KubeconfigError::Form { whose, why }.into())
        }
        Err(e) => Err(FileError::named(named)(e).into()),
    }
}

/// kubectl's own lock, a file beside its config, so that neither of two writers loses what the other wrote.
struct KubeconfigLock(PathBuf);

impl KubeconfigLock {
    /// Waits as long as a write can take; kubectl itself doesn't wait.
    fn take(target: &Path) -> Result<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        for _ in 0..100 {
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => (),
                Err(e) => return Err(FileError::new("create", &lock)(e).into()),
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(KubeconfigError::Locked(lock).into())
    }
}

impl Drop for KubeconfigLock {
    fn drop(&mut self) {
        // One that stays is named by whoever meets it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn private_folder(file: &Path) -> Result<(), FileError> {
    let Some(folder) = file.parent().filter(|f| !f.as_os_str().is_empty() && !f.exists()) else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(FileError::new("create", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: &Value) -> Kubeconfig {
        Kubeconfig::parse("a", &value.to_string()).unwrap()
    }

    fn ours() -> Kubeconfig {
        named("magi", "https://10.0.0.100:6443")
    }

    fn named(name: &str, server: &str) -> Kubeconfig {
        config(&json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": "QQ=="}}],
            "users": [{"name": name, "user": {"client-key-data": "Qg=="}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }))
    }

    fn merged(theirs: &Kubeconfig, force: bool) -> Result<Kubeconfig, String> {
        theirs.clone().merge(&ours(), force, Path::new("c")).map_err(|e| e.to_string())
    }

    #[test]
    fn into_nothing_goes_all_and_again_changes_nothing() {
        for text in [
            "",
            "\n# nothing\n",
            "---\n",
            "kind: Config\nclusters: null\n",
            "apiVersion: v1\nkind: Config\nusers: []\n",
        ] {
            let theirs = Kubeconfig::parse("c", text).unwrap();
            let once = merged(&theirs, false).unwrap();
            assert_eq!(once, ours(), "{text}");
            assert_eq!(merged(&once, false).unwrap(), once);
            let written = once.to_yaml().unwrap();
            assert_eq!(Kubeconfig::parse("c", &written).unwrap(), once, "{written}");
        }
    }

    #[test]
    fn what_is_others_stays() {
        let mut theirs = named("work", "https://work:6443").0;
        theirs.insert("preferences".into(), json!({"colors": true}));
        theirs.insert("extensions".into(), json!([{"name": "x", "extension": {"yes": "no", "n": "0123"}}]));
        let merged = merged(&Kubeconfig(theirs.clone()), false).unwrap();
        assert_eq!(merged.0["current-context"], "work");
        for (list, _) in LISTS {
            let names: Vec<_> = merged.names(list).collect();
            assert_eq!(names, ["work", "magi"], "{list}");
            assert_eq!(merged.entry(list, "work"), Kubeconfig(theirs.clone()).entry(list, "work"));
        }
        let written = merged.to_yaml().unwrap();
        assert_eq!(Kubeconfig::parse("c", &written).unwrap(), merged, "{written}");
        assert_eq!(merged.0["extensions"], theirs["extensions"]);
        // What YAML 1.1, kubectl's, would take for a boolean or a number.
        assert!(written.contains("\"no\"") || written.contains("'no'"), "{written}");
        assert!(written.contains("\"0123\"") || written.contains("'0123'"), "{written}");
    }

    #[test]
    fn ours_are_replaced_where_they_stand_but_a_chosen_namespace_stays() {
        let mut theirs = named("magi", "https://10.0.0.100:6443");
        theirs.0["clusters"][0]["cluster"]["certificate-authority-data"] = "b2xk".into();
        theirs.0["users"][0]["user"] = json!({"token": "old"});
        theirs.0["contexts"][0]["context"]["namespace"] = "blog".into();
        let other = named("work", "https://work:6443");
        for (list, inner) in LISTS {
            theirs.put(list, inner, other.entry(list, "work").unwrap());
        }
        let merged = merged(&theirs, false).unwrap();
        assert_eq!(merged.entry("clusters", "magi"), ours().entry("clusters", "magi"));
        assert_eq!(merged.entry("users", "magi"), ours().entry("users", "magi"));
        assert_eq!(merged.entry("contexts", "magi").unwrap()["context"]["namespace"], "blog");
        assert_eq!(merged.names("users").collect::<Vec<_>>(), ["magi", "work"]);
    }

    #[test]
    fn strangers_of_our_name_are_refused_unless_forced() {
        let strangers = [
            (named("magi", "https://192.168.1.5:6443"), "a cluster `magi`"),
            (
                config(&json!({"contexts": [{"name": "magi", "context": {"cluster": "work"}}]})),
                "a context `magi`",
            ),
            (config(&json!({"users": [{"name": "magi", "user": {}}]})), "a user `magi`"),
            (config(&json!({"clusters": [{"name": "magi"}]})), "a cluster `magi`"),
            (
                config(&json!({"clusters": [
                    {"name": "magi", "cluster": {"server": "https://10.0.0.100:6443"}},
                    {"name": "magi", "cluster": {"server": "https://work:6443"}},
                ]})),
                "a cluster `magi`",
            ),
            (
                config(&json!({
                    "clusters": [{"name": "magi", "cluster": {"server": "https://10.0.0.100:6443"}}],
                    "users": [{"name": "magi", "user": {"token": "prod's"}}],
                    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "magi"}}],
                })),
                "a user `magi`",
            ),
        ];
        for (theirs, what) in strangers {
            let refused = merged(&theirs, false).unwrap_err();
            assert_eq!(refused, format!("`c` has {what} of the same name for another server"));
            let forced = merged(&theirs, true).unwrap();
            assert_eq!(forced.entry("clusters", "magi"), ours().entry("clusters", "magi"));
        }
    }

    #[test]
    fn what_isnt_a_kubeconfig_is_refused_without_quoting_it() {
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
            let refused = Kubeconfig::parse("c", text).unwrap_err().to_string();
            assert_eq!(refused, format!("`c` isn't a kubeconfig: {why}"), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_and_folders_are_private_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (link, file) = (dir.path().join("link"), dir.path().join("kube/config"));
        symlink("kube/config", &link).unwrap();
        merge_into(&link, &ours(), false).unwrap();
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert!(link.is_symlink() && !file.is_symlink());
        let text = "a: [s3cr3t";
        std::fs::write(&file, text).unwrap();
        merge_into(&link, &ours(), true).unwrap_err();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        std::fs::remove_file(&link).unwrap();
        symlink("link", &link).unwrap();
        assert!(merge_into(&link, &ours(), false).unwrap_err().to_string().contains("too many levels"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_of_ours_to_write_is_refused_before_it_is_opened() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| {
            let error = merge_into(path, &ours(), true).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
            error.to_string().replace(&dir.path().display().to_string(), "")
        };
        let listening = dir.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&listening).unwrap();
        assert_eq!(refused(&listening), "`/socket` isn't a regular file");
        assert_eq!(refused(Path::new("/dev/null")), "`/dev/null` isn't a regular file");
        let file = dir.path().join("config");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(refused(&file), "`/config` is read-only");
        assert_eq!(std::fs::read(&file).unwrap(), b"");
    }

    #[test]
    fn writers_wait_for_each_other_and_for_kubectl() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let file = &file;
                let config = named(&format!("c{number}"), "https://10.0.0.100:6443");
                scope.spawn(move || merge_into(file, &config, false).unwrap());
            }
        });
        let merged = Kubeconfig::parse("c", &std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(merged.names("clusters").count(), 8);
        let lock = dir.path().join("config.lock");
        std::fs::write(&lock, "").unwrap();
        let refused = merge_into(&file, &ours(), false).unwrap_err();
        assert!(refused.to_string().contains("another program is writing"), "{refused}");
        assert!(refused.hint().unwrap().contains("remove it"));
        assert!(lock.exists());
    }
}

//! Profiles, put together.

use super::Sandbox;

/// A profile to be written; starts as three nodes on the sample.
#[derive(Debug, Clone)]
pub struct Profile {
    cluster: String,
    base: String,
    keys: String,
    uses: Vec<String>,
    tables: String,
    nodes: Vec<String>,
}

impl Default for Profile {
    fn default() -> Self {
        let uses = ["common", "docker", "k3s", "vip", "ingress", "firewall"];
        Self {
            cluster: "name = \"magi\"\nvip = \"10.0.0.100\"\n".into(),
            base: "image = \"sample\"\n".into(),
            keys: String::new(),
            uses: uses.map(str::to_owned).to_vec(),
            tables: String::new(),
            nodes: ["melchior", "balthazar", "caspar"].map(|name| format!("name = \"{name}\"\n")).to_vec(),
        }
    }
}

impl Profile {
    /// Three nodes with addresses of their own.
    pub fn fixed() -> Self {
        let mut profile = Self::default().cluster("gateway = \"10.0.0.1\"\ndns = [\"10.0.0.1\"]\n");
        for (node, last) in profile.nodes.iter_mut().zip(11..) {
            node.push_str(&format!("address = \"10.0.0.{last}/24\"\n"));
        }
        profile
    }

    /// One node, and only what `uses` says.
    pub fn small(uses: &[&str]) -> Self {
        let mut profile = Self::default().uses(uses);
        profile.nodes = vec!["name = \"caspar\"\n".into()];
        profile
    }

    /// More lines in `[cluster]`.
    #[must_use]
    pub fn cluster(mut self, lines: &str) -> Self {
        self.cluster.push_str(lines);
        self
    }

    /// Another `[cluster]`.
    #[must_use]
    pub fn cluster_instead(mut self, lines: &str) -> Self {
        self.cluster = lines.into();
        self
    }

    /// Another base: a name, a URL or a path.
    #[must_use]
    pub fn base(mut self, image: &str) -> Self {
        self.base = format!("image = \"{image}\"\n");
        self
    }

    /// The base's hash.
    #[must_use]
    pub fn pin(mut self, sha256: &str) -> Self {
        self.base.push_str(&format!("sha256 = \"{sha256}\"\n"));
        self
    }

    /// `authorized_keys`, as TOML has it inside its brackets.
    #[must_use]
    pub fn keys(mut self, list: &str) -> Self {
        self.keys = list.into();
        self
    }

    /// Other overlays.
    #[must_use]
    pub fn uses(mut self, uses: &[&str]) -> Self {
        self.uses = uses.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Settings of one overlay.
    #[must_use]
    pub fn settings(mut self, overlay: &str, lines: &str) -> Self {
        self.tables.push_str(&format!("[overlays.{overlay}]\n{lines}\n"));
        self
    }

    /// Other nodes, each with its lines.
    #[must_use]
    pub fn nodes(mut self, nodes: &[&str]) -> Self {
        self.nodes = nodes.iter().map(|&lines| format!("{lines}\n")).collect();
        self
    }

    /// The text.
    pub fn text(&self) -> String {
        let Self { cluster, base, keys, uses, tables, .. } = self;
        let nodes: String = self.nodes.iter().map(|lines| format!("[[node]]\n{lines}\n")).collect();
        format!(
            "[cluster]\n{cluster}\n[base]\n{base}\n[ssh]\nauthorized_keys = [{keys}]\n\n\
             [overlays]\nuse = {uses:?}\n\n{tables}{nodes}"
        )
    }

    /// Writes it as `work/magi.toml`, with the secrets beside it.
    pub fn write(&self, sandbox: &Sandbox) {
        sandbox.write("work/magi.toml", self.text());
        sandbox.write_secrets("work/magi.secrets.toml");
    }
}

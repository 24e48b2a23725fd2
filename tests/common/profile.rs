//! Builder for profiles.

use super::Sandbox;

/// A profile to write; the default has three nodes on the sample.
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
    /// Three nodes with static addresses.
    pub fn fixed() -> Self {
        let mut profile = Self::default().cluster("gateway = \"10.0.0.1\"\ndns = [\"10.0.0.1\"]\n");
        for (node, last) in profile.nodes.iter_mut().zip(11..) {
            node.push_str(&format!("address = \"10.0.0.{last}/24\"\n"));
        }
        profile
    }

    /// One node with only the overlays in `uses`.
    pub fn small(uses: &[&str]) -> Self {
        let mut profile = Self::default().uses(uses);
        profile.nodes = vec!["name = \"caspar\"\n".into()];
        profile
    }

    /// Appends lines to `[cluster]`.
    #[must_use]
    pub fn cluster(mut self, lines: &str) -> Self {
        self.cluster.push_str(lines);
        self
    }

    /// Replaces the lines of `[cluster]`.
    #[must_use]
    pub fn cluster_instead(mut self, lines: &str) -> Self {
        self.cluster = lines.into();
        self
    }

    /// Sets the base: a name, a URL or a path.
    #[must_use]
    pub fn base(mut self, image: &str) -> Self {
        self.base = format!("image = \"{image}\"\n");
        self
    }

    /// Sets the checksum of the base.
    #[must_use]
    pub fn pin(mut self, sha256: &str) -> Self {
        self.base.push_str(&format!("sha256 = \"{sha256}\"\n"));
        self
    }

    /// Adds lines to `[base]`.
    #[must_use]
    pub fn base_lines(mut self, lines: &str) -> Self {
        self.base.push_str(&format!("{lines}\n"));
        self
    }

    /// Adds `[image]` with these lines.
    #[must_use]
    pub fn image(mut self, lines: &str) -> Self {
        self.tables.push_str(&format!("[image]\n{lines}\n"));
        self
    }

    /// Sets `authorized_keys`; `list` is the TOML between the brackets.
    #[must_use]
    pub fn keys(mut self, list: &str) -> Self {
        self.keys = list.into();
        self
    }

    /// Replaces the list of overlays.
    #[must_use]
    pub fn uses(mut self, uses: &[&str]) -> Self {
        self.uses = uses.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Adds settings of one overlay.
    #[must_use]
    pub fn settings(mut self, overlay: &str, lines: &str) -> Self {
        self.tables.push_str(&format!("[overlays.{overlay}]\n{lines}\n"));
        self
    }

    /// Replaces the nodes; each item has the lines of one node.
    #[must_use]
    pub fn nodes(mut self, nodes: &[&str]) -> Self {
        self.nodes = nodes.iter().map(|&lines| format!("{lines}\n")).collect();
        self
    }

    /// The profile as TOML.
    pub fn text(&self) -> String {
        let Self { cluster, base, keys, uses, tables, .. } = self;
        let nodes: String = self.nodes.iter().map(|lines| format!("[[node]]\n{lines}\n")).collect();
        format!(
            "[cluster]\n{cluster}\n[base]\n{base}\n[ssh]\nauthorized_keys = [{keys}]\n\n\
             [overlays]\nuse = {uses:?}\n\n{tables}{nodes}"
        )
    }

    /// Writes the profile to `work/magi.toml` and the secrets to `work/magi.secrets.toml`.
    pub fn write(&self, sandbox: &Sandbox) {
        sandbox.write("work/magi.toml", self.text());
        sandbox.write_secrets("work/magi.secrets.toml");
    }
}

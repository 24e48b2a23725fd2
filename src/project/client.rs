//! Files that an overlay has for the user's own machine, such as a kubeconfig.

use super::Project;
use crate::compose::PlanError;
use crate::compose::render::{Rendered, TemplateScope};
use crate::error::{Exit, Explain, Result};
use crate::text::listed;

/// Why there is no such file for the user's machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientFileError {
    /// No overlay has it.
    #[error("no overlay of this profile has `client/{name}.j2`")]
    Nobody {
        /// Its name.
        name: String,
        /// The overlays there are.
        uses: Vec<String>,
    },
    /// Two have it.
    #[error("overlays `{first}` and `{second}` both have `client/{name}.j2`")]
    Both {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// Its name.
        name: String,
    },
}

impl Explain for ClientFileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nobody { uses, .. } if uses.is_empty() => "`overlays.use` is empty".into(),
            Self::Nobody { uses, .. } => {
                format!("add one that has it to `overlays.use`; this profile has {}", listed(uses.iter()))
            }
            Self::Both { .. } => "remove one of them from `overlays.use`".into(),
        })
    }
}

impl Project<'_> {
    /// Renders the client file `name` of the overlay that has it. Makes and saves the secrets of all nodes if
    /// they don't exist.
    pub(super) fn client_file(&self, name: &str) -> Result<Rendered> {
        let mut found = self.overlays.iter().flat_map(|o| o.client.iter().map(move |file| (o, file)));
        let mut named = found.by_ref().filter(|(_, file)| file.name == name);
        let Some((overlay, file)) = named.next() else {
            return Err(ClientFileError::Nobody { name: name.to_owned(), uses: self.overlay_names() }.into());
        };
        if let Some((other, _)) = named.next() {
            let (first, second) = (overlay.name.clone(), other.name.clone());
            return Err(ClientFileError::Both { first, second, name: name.to_owned() }.into());
        }
        let nodes = self.profile.nodes.iter().map(Some);
        let shared =
            self.saved_secrets_of(nodes.chain([None]), self.secret_store()?)?.pop().unwrap_or_default();
        let own = shared.get(&overlay.name).cloned().unwrap_or_default();
        let scope = TemplateScope::new(overlay, self.cluster_values(overlay, None), own);
        let text =
            std::str::from_utf8(&file.bytes).map_err(|_| PlanError::TemplateEncoding(file.shown.clone()))?;
        Ok(scope.file(&file.shown, text)?)
    }
}

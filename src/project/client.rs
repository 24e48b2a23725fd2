//! Client files: files that an overlay renders for the user's own machine, such as a kubeconfig.

use super::Project;
use crate::compose::PlanError;
use crate::compose::render::{Rendered, TemplateScope};
use crate::error::{Exit, Explain, Result};
use crate::text::listed;

#[derive(Debug, thiserror::Error)]
enum ClientFileError {
    #[error("no overlay of this profile has `client/{name}.j2`")]
    Missing {
        name: String,
        /// The overlays of the profile.
        overlays: Vec<String>,
    },
    #[error("overlays `{first}` and `{second}` both have `client/{name}.j2`")]
    Duplicate { first: String, second: String, name: String },
}

impl Explain for ClientFileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { overlays, .. } if overlays.is_empty() => "`overlays.use` is empty".into(),
            Self::Missing { overlays, .. } => format!(
                "add an overlay with this file to `overlays.use`; this profile has {}",
                listed(overlays.iter())
            ),
            Self::Duplicate { .. } => "remove one of them from `overlays.use`".into(),
        })
    }
}

impl Project<'_> {
    /// Renders the client file `name` of the overlay that has it. Generates and saves missing secrets of all
    /// nodes.
    pub(super) fn client_file(&self, name: &str) -> Result<Rendered> {
        let mut found = self.overlays.iter().flat_map(|o| o.client.iter().map(move |file| (o, file)));
        let mut named = found.by_ref().filter(|(_, file)| file.name == name);
        let Some((overlay, file)) = named.next() else {
            let overlays = self.overlay_names();
            return Err(ClientFileError::Missing { name: name.to_owned(), overlays }.into());
        };
        if let Some((other, _)) = named.next() {
            let (first, second) = (overlay.name.clone(), other.name.clone());
            return Err(ClientFileError::Duplicate { first, second, name: name.to_owned() }.into());
        }
        let secrets = self.shared_secrets()?.remove(&overlay.name).unwrap_or_default();
        let scope = TemplateScope::new(overlay, self.cluster_values(overlay, None), secrets);
        let text =
            std::str::from_utf8(&file.bytes).map_err(|_| PlanError::TemplateEncoding(file.shown.clone()))?;
        Ok(scope.file(&file.shown, text)?)
    }
}

//! `kubeconfig`: the cluster's kubeconfig, printed or merged into the file that kubectl reads.
//!
//! An overlay's template writes the content. This folder knows the format of the file only.

mod config;
mod file;
mod merge;

use std::path::PathBuf;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Options, Project};
use crate::error::{Exit, Explain, Result};
use crate::progress::Progress;
use crate::text::printable;
use config::{FormatError, Kubeconfig};
use merge::Conflict;

/// The client file that the cluster's kubeconfig is rendered from.
const TEMPLATE: &str = "kubeconfig";

/// Why a kubeconfig is refused. No message quotes the file: it holds keys.
#[derive(Debug, thiserror::Error)]
enum KubeconfigError {
    #[error("`client/{TEMPLATE}.j2` isn't a kubeconfig: {0}")]
    Template(FormatError),
    #[error("`{}` isn't a kubeconfig: {error}", printable(path))]
    File { path: PathBuf, error: FormatError },
    #[error("`{}` already has a {conflict}", printable(path))]
    Conflict { path: PathBuf, conflict: Conflict },
    #[error("no kubeconfig to merge into: neither `KUBECONFIG` nor a home folder is known")]
    NoPath,
    #[error("`{}` isn't a regular file", printable(.0))]
    NotRegular(PathBuf),
    #[error("`{}` is read-only", printable(.0))]
    ReadOnly(PathBuf),
    #[error("`{}` exists: another program is writing the kubeconfig", printable(.0))]
    Locked(PathBuf),
    /// Without the serialiser's message, which may quote a key.
    #[error("the merged kubeconfig can't be written as YAML")]
    Unwritable,
}

impl Explain for KubeconfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Template(_) => Some("correct the template in the overlay that has it".into()),
            Self::File { .. } => {
                Some("the file was not changed; correct it, or name another file in `KUBECONFIG`".into())
            }
            Self::Conflict { .. } => Some(
                "replace the entry with `--force`, rename this cluster in the profile, or name another file in \
                 `KUBECONFIG`"
                    .into(),
            ),
            Self::NoPath => Some("name a file in `KUBECONFIG`".into()),
            Self::NotRegular(_) | Self::ReadOnly(_) => {
                Some("the file was not changed; name another file in `KUBECONFIG`".into())
            }
            Self::Locked(_) => {
                Some("try again; if no kubectl is running, the lock file is stale: remove it".into())
            }
            Self::Unwritable => None,
        }
    }
}

/// The cluster's kubeconfig, rendered for the user.
pub(crate) struct RenderedKubeconfig {
    text: Zeroizing<String>,
    config: Kubeconfig,
}

impl RenderedKubeconfig {
    /// The YAML that the overlay's template writes.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The same content as JSON, which kubectl reads as well.
    pub(crate) fn json(&self) -> &Map<String, Value> {
        &self.config.0
    }
}

/// Where a kubeconfig was merged to, and the context that selects it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct MergedKubeconfig {
    pub(crate) file: String,
    pub(crate) context: String,
}

/// Renders the cluster's kubeconfig. Generates and saves the cluster's secrets if they don't exist.
pub(crate) fn kubeconfig(options: Options, progress: &dyn Progress) -> Result<RenderedKubeconfig> {
    let project = Project::without_ssh_keys(options, progress)?;
    let text = Zeroizing::new(project.client_file(TEMPLATE)?.text);
    let config = Kubeconfig::parse(&text).map_err(KubeconfigError::Template)?;
    Ok(RenderedKubeconfig { text, config })
}

/// Merges the cluster's kubeconfig into the user's; with `force` also over entries of another cluster.
pub(crate) fn merge_kubeconfig(
    options: Options,
    force: bool,
    progress: &dyn Progress,
) -> Result<MergedKubeconfig> {
    let config = kubeconfig(options, progress)?.config;
    let context = config.context().ok_or(KubeconfigError::Template(FormatError::NoContext))?;
    let path = file::users_path()?;
    file::merge_into(&path, &config, force)?;
    Ok(MergedKubeconfig { file: path.display().to_string(), context: context.to_owned() })
}

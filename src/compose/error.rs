//! Why no plan can be made.

use super::conflicts::SYSCONF;
use super::render::TemplateError;
use crate::error::{Exit, Explain};
use crate::plan::NotFetched;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// A template or an expression.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A file of `[[fetch]]` that was not fetched before.
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    /// A `[[check]]` that doesn't hold.
    #[error("overlay `{overlay}`: {message}")]
    Check {
        /// Whose.
        overlay: String,
        /// What it says.
        message: String,
        /// The next step.
        hint: Option<String>,
    },
    /// A path that can't be.
    #[error("overlay `{overlay}`: the path `{path}` {why}")]
    Path {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two want the same path.
    #[error("{}", conflict(first, second, path))]
    Conflict {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// Where.
        path: String,
    },
    /// A file where a folder is needed.
    #[error("overlay `{overlay}` writes `{path}`, but `{parent}` is no folder in overlay `{other}`")]
    Inside {
        /// One.
        overlay: String,
        /// Its path.
        path: String,
        /// The other.
        other: String,
        /// Its path.
        parent: String,
    },
    /// A secret that others could read.
    #[error("overlay `{overlay}`: `{path}` holds a secret but would be readable by all (mode {mode:04o})")]
    OpenSecret {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
        /// Its mode.
        mode: u16,
    },
    /// A secret on the FAT, which has no permissions.
    #[error("overlay `{overlay}`: `boot/{path}` would put a secret on the FAT, which everybody can read")]
    SecretOnBoot {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
    /// A template that isn't text.
    #[error("`{0}` ends in `.j2` but isn't UTF-8")]
    NotText(String),
    /// A `[[file]]` for nothing.
    #[error("overlay `{overlay}`: `[[file]]` is about `{path}`, which the overlay doesn't have")]
    Stray {
        /// Whose.
        overlay: String,
        /// Which.
        path: String,
    },
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Template(error) => error.hint(),
            Self::NotFetched(error) => error.hint(),
            Self::Check { hint, .. } => hint.clone(),
            Self::Path { .. } => Some("write a plain absolute path, as `/etc/hosts`".into()),
            Self::Conflict { first, second, .. } if first == SYSCONF || second == SYSCONF => {
                Some("leave it out; what else it should say goes into a `[[patch]]`".into())
            }
            Self::Conflict { first, second, .. } if first == second => {
                Some("perhaps with and without `.j2`; remove one".into())
            }
            Self::Conflict { .. } | Self::Inside { .. } => {
                Some("leave it to one of them, or remove one from `overlays.use`".into())
            }
            Self::OpenSecret { .. } => Some("give it a `[[file]]` with mode `0600` or `0640`".into()),
            Self::SecretOnBoot { .. } => Some("put it under `files/`".into()),
            Self::NotText(_) => Some("rename it, or save it as UTF-8".into()),
            Self::Stray { .. } => Some("its `path` is the path in the image, without `.j2`".into()),
        }
    }
}

/// Says who writes `path` twice.
fn conflict(first: &str, second: &str, path: &str) -> String {
    match (first, second) {
        (SYSCONF, overlay) | (overlay, SYSCONF) => {
            format!("overlay `{overlay}` replaces `{path}`, which the profile's hostname and key go into")
        }
        _ if first == second => format!("overlay `{first}` has `{path}` twice"),
        _ => format!("overlays `{first}` and `{second}` both write `{path}`"),
    }
}

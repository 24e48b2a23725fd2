//! Why a plan cannot be made.

use super::render::TemplateError;
use crate::error::{Exit, Explain};
use crate::plan::NotFetched;

#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
    /// A `[[check]]` of an overlay fails.
    #[error("overlay `{overlay}`: {message}")]
    Check { overlay: String, message: String, hint: Option<String> },
    #[error("overlay `{overlay}`: the path `{path}` {why}")]
    Path { overlay: String, path: String, why: &'static str },
    #[error("overlays `{first}` and `{second}` both write `{path}`")]
    Conflict { first: String, second: String, path: String },
    #[error("overlay `{overlay}` writes `{path}` twice")]
    Twice { overlay: String, path: String },
    #[error("overlay `{overlay}` replaces `{path}`, where the profile's hostname and ssh key are written")]
    Sysconf { overlay: String, path: String },
    #[error("overlay `{overlay}` writes `{path}`, but `{parent}` is not a folder in overlay `{other}`")]
    ParentIsNoFolder { overlay: String, path: String, other: String, parent: String },
    #[error("overlay `{overlay}`: `{path}` holds a secret, but all users could read it (mode {mode:04o})")]
    ReadableSecret { overlay: String, path: String, mode: u16 },
    #[error("overlay `{overlay}`: `{path}` holds a secret, but the FAT has no permissions")]
    SecretOnFat { overlay: String, path: String },
    #[error("`{0}` ends in `.j2` but is not UTF-8")]
    TemplateEncoding(String),
    /// A `[[file]]` without a file.
    #[error("overlay `{overlay}`: `[[file]]` names `{path}`, but the overlay has no such file")]
    NoSuchFile { overlay: String, path: String },
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Template(error) => return error.hint(),
            Self::NotFetched(error) => return error.hint(),
            Self::Check { hint, .. } => return hint.clone(),
            Self::Path { .. } => "write a plain absolute path, such as `/etc/hosts`",
            Self::Sysconf { .. } => "remove the file; change other keys with a `[[patch]]`",
            Self::Twice { .. } => "remove one; a file with and one without `.j2` have the same path",
            Self::Conflict { .. } | Self::ParentIsNoFolder { .. } => {
                "remove it from one overlay, or remove one overlay from `overlays.use`"
            }
            Self::ReadableSecret { .. } => "set mode `0600` or `0640` in a `[[file]]`",
            Self::SecretOnFat { .. } => "move it to `files/`",
            Self::TemplateEncoding(_) => "save it as UTF-8, or remove the ending `.j2`",
            Self::NoSuchFile { .. } => "`path` is the path in the image, without `.j2`",
        };
        Some(hint.to_owned())
    }
}

//! Prints data to stdout, as text or JSON.

use std::io::Write as _;

use serde::Serialize;

use crate::error::{Explain, Result};

#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
pub(super) struct OutputError(#[source] pub(super) std::io::Error);

impl Explain for OutputError {}

pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| OutputError(e.into()))?;
    print(format!("{text}\n"))
}

/// A closed pipe is no error: the reader, such as `head`, needs no more.
pub(super) fn print(content: impl AsRef<[u8]>) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(content.as_ref()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.map_err(OutputError)?),
    }
}

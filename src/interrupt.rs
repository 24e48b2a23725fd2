//! Ctrl-C and SIGTERM. Long loops call [`check`] and return [`Interrupted`], so that temporary files are removed
//! on the way out. `cli::run` decides the exit code for every error after a signal.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Explain;

static RAISED: AtomicBool = AtomicBool::new(false);

/// The user or the system asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl Explain for Interrupted {}

/// Records a signal; the signal handler calls it.
pub(crate) fn raise() {
    RAISED.store(true, Ordering::Relaxed);
}

/// Fails once a signal was recorded. Cheap enough for every block of a copy.
pub(crate) fn check() -> Result<(), Interrupted> {
    if RAISED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// [`check`] for code that returns `std::io::Error`.
pub(crate) fn check_io() -> std::io::Result<()> {
    check().map_err(std::io::Error::other)
}

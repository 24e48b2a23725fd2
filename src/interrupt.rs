//! Ctrl-C and SIGTERM: long loops ask [`check`], fail with [`Interrupted`], and what was temporary goes
//! with the unwinding stack. Nothing is killed half-way.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Exit, Explain};

static RAISED: AtomicBool = AtomicBool::new(false);

/// The user or the system asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

impl Explain for Interrupted {
    fn exit(&self) -> Exit {
        Exit::Interrupted
    }
}

/// Notes that a signal came; called by the handler.
pub(crate) fn raise() {
    RAISED.store(true, Ordering::Relaxed);
}

/// Fails once a signal has come. Cheap enough for every block of a copy.
pub(crate) fn check() -> Result<(), Interrupted> {
    if RAISED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// The same for loops that speak `std::io`.
pub(crate) fn check_io() -> std::io::Result<()> {
    check().map_err(std::io::Error::other)
}

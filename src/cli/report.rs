//! Prints errors: message, causes, hint.

use std::fmt::Write as _;

use crate::error::Error;

/// Message, causes and hint, each on its own line.
pub(super) fn error(error: &Error, styled: bool) -> String {
    let paint = |code: &str, text: &str| {
        if styled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut text = String::new();
    for (depth, message) in error.chain().iter().enumerate() {
        let message = printable(message);
        let _ = match depth {
            0 => writeln!(text, "{}: {message}", paint("1;31", "error")),
            _ => writeln!(text, "  caused by: {message}"),
        };
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "{}: {}", paint("1;36", "hint"), printable(&hint));
    }
    text
}

/// Replaces control characters, which names from images and servers may contain.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

//! Turns panics of third-party crates into errors: a corrupt file can violate one of their assertions.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs [`catch`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A third-party crate panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{library}` panicked: {message}")]
pub(crate) struct Panicked {
    library: &'static str,
    message: String,
}

impl From<Panicked> for std::io::Error {
    fn from(panicked: Panicked) -> Self {
        Self::other(panicked)
    }
}

/// Runs `work`, which calls into `library`; a panic is returned and not printed. After an error the library's
/// objects may be inconsistent and must not be used.
pub(crate) fn catch<T>(library: &'static str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_guarded_threads();
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    outcome.map_err(|payload| Panicked { library, message: message_of(payload.as_ref()) })
}

/// Wraps the process's panic hook once, so that it prints nothing for guarded threads.
fn silence_guarded_threads() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                print(info);
            }
        }));
    });
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    // Assertions have several lines; the first line identifies the assertion.
    text.and_then(|text| text.lines().next()).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error_also_when_nested() {
        assert_eq!(catch("sums", || 1 + 1), Ok(2));
        let error = catch("sums", || assert_eq!(1, 2, "the numbers")).expect_err("a panic");
        assert!(error.to_string().starts_with("`sums` panicked: assertion"), "{error}");
        let nested = catch("outer", || {
            let _ = catch("inner", || panic!("{}", "first"));
            panic!("second")
        });
        assert_eq!(nested.map(|()| 0).expect_err("a panic").message, "second");
        assert!(!GUARDED.get());
    }
}

//! Panics of third-party crates become errors: a lie in a file may trip an assertion of theirs.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside of [`catch`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A third-party crate panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{library}` can't make sense of it: {message}")]
pub(crate) struct Panicked {
    /// The crate's name.
    pub(crate) library: &'static str,
    /// What it said.
    pub(crate) message: String,
}

impl From<Panicked> for std::io::Error {
    fn from(panicked: Panicked) -> Self {
        Self::other(panicked)
    }
}

/// Runs `work`, which calls into `library`; a panic in there is returned and nothing is printed. What the
/// closure touched may be half done: don't use the library's objects after an error.
pub(crate) fn catch<T>(library: &'static str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    silence_guarded_threads();
    let outer = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    outcome.map_err(|payload| Panicked { library, message: message_of(payload.as_ref()) })
}

/// Puts a hook before the one that prints, once for the process.
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
    // An assertion's message has several lines; the first says which one it was.
    text.and_then(|text| text.lines().next()).unwrap_or("it panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_thread_goes_on() {
        assert_eq!(catch("sums", || 1 + 1), Ok(2));
        let error = catch("sums", || assert_eq!(1, 2, "the numbers")).expect_err("a panic");
        assert!(error.to_string().starts_with("`sums` can't make sense of it: assertion"), "{error}");
        let nested = catch("outer", || {
            let _ = catch("inner", || panic!("{}", "first"));
            panic!("second")
        });
        assert_eq!(nested.map(|()| 0).expect_err("a panic").message, "second");
        assert!(!GUARDED.get());
    }
}

//! For unit tests: a [`Progress`] that records its notes.

use std::sync::Mutex;

use crate::progress::{Progress, Silent, Task};

#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn notes(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Recorder {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

//! Progress reports of the library; the command line draws them.

/// Shows a line or a bar for each task.
pub(crate) trait Progress: Sync {
    /// Starts a task; `total` is in bytes, if known.
    fn start(&self, label: &str, total: Option<u64>) -> Box<dyn Task>;
    /// Tells the user something once, such as "made a new ssh key".
    fn note(&self, text: &str);
}

/// A running task. Dropping it without [`Task::finish`] means that it failed.
pub(crate) trait Task: Send + Sync {
    /// Adds `bytes` to what is done.
    fn advance(&self, bytes: u64);
    fn finish(&self);
}

/// Shows nothing; for `--quiet` and tests.
pub(crate) struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Silent)
    }
    fn note(&self, _: &str) {}
}

impl Task for Silent {
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Arc, Mutex};

    use super::{Progress, Task};

    /// Counts the bytes of all tasks and keeps the notes. Clones share one record.
    #[derive(Clone, Default)]
    pub(crate) struct Recorder(Arc<Mutex<Record>>);

    #[derive(Default)]
    struct Record {
        bytes: u64,
        notes: Vec<String>,
    }

    impl Recorder {
        pub(crate) fn bytes(&self) -> u64 {
            self.0.lock().unwrap().bytes
        }

        pub(crate) fn notes(&self) -> Vec<String> {
            self.0.lock().unwrap().notes.clone()
        }
    }

    impl Progress for Recorder {
        fn start(&self, _: &str, _: Option<u64>) -> Box<dyn Task> {
            Box::new(self.clone())
        }
        fn note(&self, text: &str) {
            self.0.lock().unwrap().notes.push(text.to_owned());
        }
    }

    impl Task for Recorder {
        fn advance(&self, bytes: u64) {
            self.0.lock().unwrap().bytes += bytes;
        }
        fn finish(&self) {}
    }
}

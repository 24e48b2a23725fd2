//! What is told while work goes on. The library knows only these two traits; the command line draws.

/// Makes a line (or a bar) for each piece of work.
pub(crate) trait Progress: Sync {
    /// Starts one; `total` is in bytes where it is known.
    fn start(&self, label: &str, total: Option<u64>) -> Box<dyn Task>;
    /// Says something the user should see once, such as "made a new ssh key".
    fn note(&self, text: &str);
}

/// One piece of work under way. Dropping it without [`Task::finish`] means it failed.
pub(crate) trait Task: Send + Sync {
    /// `bytes` more are done.
    fn advance(&self, bytes: u64);
    /// It is complete.
    fn finish(&self);
}

/// Says nothing; for `--quiet` and tests.
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

//! Progress on stderr: bars on a terminal, one plain line for each finished task elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::progress::{Progress, Silent, Task};
use crate::text;

/// Label, bar, bytes, rate, time left. At 40 columns there is no bar, and the rest just fits.
const KNOWN: &str = "{msg:21!} {wide_bar} {size:>5} {rate:>7} {eta:>3}";
const KNOWN_IN_COLOUR: &str = "{msg:21!} {wide_bar:.cyan/dim} {size:>5} {rate:>7} {eta:>3}";
/// Without a total there is neither bar nor time left.
const UNKNOWN: &str = "{wide_msg} {size:>5} {rate:>7}    ";

/// Nothing with `quiet`, bars if stderr is a terminal, else lines.
pub(super) fn on_stderr(quiet: bool) -> Box<dyn Progress> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if quiet {
        Box::new(Silent)
    } else if io::stderr().is_terminal() && set("TERM").is_none_or(|term| term != "dumb") {
        Box::new(Bars::new(ProgressDrawTarget::stderr(), set("NO_COLOR").is_none()))
    } else {
        Box::new(Lines::new(io::stderr()))
    }
}

/// The line for a finished task.
fn done(label: &str, bytes: u64) -> String {
    if bytes == 0 { format!("{label} … done") } else { format!("{label} … done ({})", text::size(bytes)) }
}

/// One line for each finished task and each note: no bars, no colours, no times.
struct Lines<W>(Arc<Mutex<W>>);

impl<W: Write> Lines<W> {
    fn new(out: W) -> Self {
        Self(Arc::new(Mutex::new(out)))
    }

    fn say(&self, text: &str) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed stderr must not fail a build.
        let _ = writeln!(out, "{text}");
    }
}

impl<W: Write + Send + 'static> Progress for Lines<W> {
    fn start(&self, label: &str, _: Option<u64>) -> Box<dyn Task> {
        Box::new(Line { out: Self(self.0.clone()), label: label.to_owned(), bytes: AtomicU64::new(0) })
    }

    fn note(&self, text: &str) {
        self.say(text);
    }
}

struct Line<W> {
    out: Lines<W>,
    label: String,
    bytes: AtomicU64,
}

impl<W: Write + Send> Task for Line<W> {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn finish(&self) {
        self.out.say(&done(&self.label, self.bytes.load(Ordering::Relaxed)));
    }
}

/// A bar for each running task. A finished task leaves a line above the bars.
struct Bars {
    bars: MultiProgress,
    colour: bool,
}

impl Bars {
    fn new(target: ProgressDrawTarget, colour: bool) -> Self {
        Self { bars: MultiProgress::with_draw_target(target), colour }
    }
}

impl Progress for Bars {
    fn start(&self, label: &str, total: Option<u64>) -> Box<dyn Task> {
        let template = match (total, self.colour) {
            (None, _) => UNKNOWN,
            (Some(_), false) => KNOWN,
            (Some(_), true) => KNOWN_IN_COLOUR,
        };
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let bar = self.bars.add(bar.with_style(style(template)).with_message(label.to_owned()));
        bar.tick();
        Box::new(Bar { bars: self.bars.clone(), bar })
    }

    fn note(&self, text: &str) {
        let _ = self.bars.println(text);
    }
}

struct Bar {
    bars: MultiProgress,
    bar: ProgressBar,
}

impl Task for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
        let _ = self.bars.println(done(&self.bar.message(), self.bar.position()));
    }
}

impl Drop for Bar {
    /// Removes the bar of a failed task, which would stay half full above the error.
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
        self.bars.remove(&self.bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸ ")
        .with_key("size", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&text::short_size(state.pos()));
        })
        .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // The cast saturates, and a rate is never negative.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rate = state.per_sec() as u64;
            let _ = write!(out, "{}/s", text::short_size(rate));
        })
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps its output.
    #[derive(Debug, Clone)]
    struct FakeTerminal {
        columns: u16,
        text: Arc<Mutex<String>>,
    }

    impl FakeTerminal {
        fn bars(columns: u16) -> (Bars, Self) {
            let terminal = Self { columns, text: Arc::default() };
            (Bars::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())), false), terminal)
        }

        fn read(&self) -> String {
            self.text.lock().unwrap().clone()
        }
    }

    impl TermLike for FakeTerminal {
        fn width(&self) -> u16 {
            self.columns
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            self.write_str("\n")
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            self.write_str("\n")
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        /// Bars are padded to the full width and have no line end: each call is a line.
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.text.lock().unwrap().extend([text.trim_end(), "\n"]);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_fit_the_terminal() {
        for columns in [10, 40, 41, 80, 200] {
            let (bars, terminal) = FakeTerminal::bars(columns);
            let known = bars.start("balthazar: compressing", Some(2_621_440_000));
            let unknown = bars.start("k3s-arm64", None);
            for task in [&known, &unknown] {
                task.advance(1_048_575);
                task.advance(1_000_000_000);
            }
            bars.note("made a key");
            let text = terminal.read();
            let longest = text.lines().map(|line| line.chars().count()).max();
            if columns >= 40 {
                assert!(longest <= Some(columns.into()), "{columns} columns:\n{text}");
                assert!(text.contains("balthazar: compressin") && text.contains("954M"), "{text}");
            }
            assert_eq!(text.contains('━'), columns > 41, "{text}");
            assert!(text.contains("made a key"));
        }
    }

    #[test]
    fn finished_task_leaves_a_line_and_failed_task_leaves_none() {
        let (bars, terminal) = FakeTerminal::bars(80);
        let task = bars.start("caspar: writing", Some(100));
        task.advance(100);
        task.finish();
        drop(task);
        assert!(terminal.read().contains("caspar: writing … done (100 bytes)"));
        drop(bars.start("melchior: writing", Some(100)));
        assert!(!terminal.read().contains("melchior: writing … done"));
        assert!(!terminal.read().contains('\u{1b}'), "{:?}", terminal.read());
    }

    #[test]
    fn lines_are_printed_for_finished_tasks_only() {
        let lines = Lines::new(Vec::new());
        let first = lines.start("melchior: writing", Some(12_897_484));
        lines.start("caspar: fails", None).advance(5);
        lines.note("made a key");
        first.advance(12_897_484);
        first.finish();
        lines.start("plan", None).finish();
        drop(first);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "made a key\nmelchior: writing … done (12.2 MiB)\nplan … done\n");
    }
}

//! Progress on stderr: bars on a terminal, one plain line for each finished piece of work elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::progress::{Progress, Silent, Task};
use crate::text;

/// Label, bar, bytes, rate, time left. At 40 columns the bar is gone and the rest just fits.
const KNOWN: &str = "{msg:21!} {wide_bar} {size:>5} {rate:>7} {eta:>3}";
const KNOWN_IN_COLOUR: &str = "{msg:21!} {wide_bar:.cyan/dim} {size:>5} {rate:>7} {eta:>3}";
/// Without a total there is neither bar nor time left.
const UNKNOWN: &str = "{wide_msg} {size:>5} {rate:>7}    ";

/// What this process should use: silence if `quiet`, bars if stderr is a terminal, else lines.
#[must_use]
pub(crate) fn on_stderr(quiet: bool) -> Box<dyn Progress> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if quiet {
        Box::new(Silent)
    } else if io::stderr().is_terminal() && set("TERM").is_none_or(|term| term != "dumb") {
        Box::new(Bars::new(ProgressDrawTarget::stderr(), set("NO_COLOR").is_none()))
    } else {
        Box::new(Lines::new(io::stderr()))
    }
}

/// What a finished piece of work leaves on the screen or in the log.
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
        // A closed stderr is no reason to fail a build.
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

/// A bar for each task under way; finished ones leave a line above.
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
    /// What failed shouldn't stand above its error as a half-full bar.
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
            // Saturates, and a rate is never negative.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rate = state.per_sec() as u64;
            let _ = write!(out, "{}/s", text::short_size(rate));
        })
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what it is given.
    #[derive(Debug, Clone)]
    struct Paper {
        columns: u16,
        text: Arc<Mutex<String>>,
    }

    impl Paper {
        fn bars(columns: u16) -> (Bars, Self) {
            let paper = Self { columns, text: Arc::default() };
            (Bars::new(ProgressDrawTarget::term_like(Box::new(paper.clone())), false), paper)
        }

        fn read(&self) -> String {
            self.text.lock().unwrap().clone()
        }
    }

    impl TermLike for Paper {
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
        /// Bars are padded to the full width instead of ended, so each piece is a line.
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
            let (bars, paper) = Paper::bars(columns);
            let known = bars.start("balthazar: compressing", Some(2_621_440_000));
            let unknown = bars.start("k3s-arm64", None);
            for task in [&known, &unknown] {
                task.advance(1_048_575);
                task.advance(1_000_000_000);
            }
            bars.note("made a key");
            let text = paper.read();
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
    fn a_finished_bar_leaves_a_line_and_a_failed_one_nothing() {
        let (bars, paper) = Paper::bars(80);
        let task = bars.start("caspar: writing", Some(100));
        task.advance(100);
        task.finish();
        drop(task);
        assert!(paper.read().contains("caspar: writing … done (100 bytes)"));
        drop(bars.start("melchior: writing", Some(100)));
        assert!(!paper.read().contains("melchior: writing … done"));
        assert!(!paper.read().contains('\u{1b}'), "{:?}", paper.read());
    }

    #[test]
    fn lines_come_at_the_end_only() {
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

//! `--progress`: what is going on, on standard error; a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ringlog_io::{Clock as _, SystemClock};

const TICK: Duration = Duration::from_millis(200);
/// Where there is no terminal a line is printed this often.
const LINE_NS: u64 = 5_000_000_000;
const BAR: &str = "{spinner} [{bar:24}] {pos}/{len} records, {per_sec}, {elapsed} {msg}";
const SPINNER: &str = "{spinner} {pos} records, {per_sec}, {elapsed} {msg}";

/// Shows how many records are done.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    clock: SystemClock,
    printed_ns: u64,
}

impl Progress {
    /// `records`: how many there will be, where that is known.
    pub(crate) fn new(records: Option<u64>) -> Self {
        let clock = SystemClock::new();
        let bar = std::io::stderr().is_terminal().then(|| {
            let (bar, template) = match records {
                Some(records) => (ProgressBar::new(records), BAR),
                None => (ProgressBar::no_length(), SPINNER),
            };
            // The templates are constants: a default bar is what is left were they wrong.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, printed_ns: clock.read().0, clock }
    }

    pub(crate) fn show(&mut self, done: u64, failed: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            if failed > 0 {
                bar.set_message(format!("{failed} failed"));
            }
            return;
        }
        let now_ns = self.clock.read().0;
        if now_ns - self.printed_ns >= LINE_NS {
            self.printed_ns = now_ns;
            errln!("progress: {done} records done, {failed} failed");
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

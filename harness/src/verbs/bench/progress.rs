//! What is going on: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::{Plan, Watch};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(200);
/// The bar's look.
const TEMPLATE: &str = "{spinner} [{bar:24}] {pos}/{len} {msg} {elapsed}";

/// Shows the steps of a run on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    total: u64,
}

impl Progress {
    /// For the steps of a plan and one for the preparation.
    #[must_use]
    pub(crate) fn new(plan: &Plan) -> Self {
        let total = plan.steps() + 1;
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            // The template is a constant: a default bar is what is left were it wrong.
            bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, done: 0, total }
    }

    /// A step that is not a round. There may be more steps than were planned: rounds go on until there are enough.
    pub(crate) fn say(&mut self, what: &str) {
        self.done += 1;
        self.total = self.total.max(self.done);
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.total);
                bar.set_position(self.done.saturating_sub(1));
                bar.set_message(what.to_owned());
            }
            None => errln!("[{}/{}] {what}", self.done, self.total),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Progress {
    fn step(&mut self, target: &str, what: &str, round: u32, about: Duration) {
        self.say(&format!("{what}, round {round}: {target}, about {:.1} s", about.as_secs_f64()));
    }

    fn refused(&mut self, target: &str, what: &str, round: u32, why: &str) {
        let line = format!("{what}, round {round}, against {target} has no figures: {why}");
        match &self.bar {
            Some(bar) => bar.println(line),
            None => errln!("{line}"),
        }
    }
}

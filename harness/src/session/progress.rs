//! What is going on: a bar on a terminal, plain lines elsewhere; both say how long it still takes.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::{Left, Watch};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(200);
/// The bar's look.
const TEMPLATE: &str = "{spinner} [{bar:24}] {pos}/{len} {msg} {elapsed}";

/// Shows the steps of a run on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    total: u64,
    clock: Clock,
    stays: Vec<Stays>,
}

/// A topic that a broker did not delete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stays {
    pub(crate) target: String,
    pub(crate) topic: String,
    pub(crate) why: String,
}

/// Works out the time that is left: measured seconds that are left, times what a measured second has taken so far.
#[derive(Debug, Default)]
struct Clock {
    /// When the first trial began, and how many measured seconds were left then.
    first: Option<(Instant, f64)>,
    left: Option<Duration>,
}

/// What a measured second takes before any was measured: topics are made, records read back, topics deleted.
const OVERHEAD_AT_FIRST: f64 = 1.6;

impl Progress {
    /// For so many steps.
    #[must_use]
    pub(crate) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            // The template is a constant: a default bar is what is left were it wrong.
            bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, done: 0, total, clock: Clock::default(), stays: Vec::new() }
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

    /// The topics that are still there.
    pub(crate) fn stays(&self) -> &[Stays] {
        &self.stays
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Clock {
    fn note(&mut self, seconds_left: f64, now: Instant) {
        let (began, at_first) = *self.first.get_or_insert((now, seconds_left));
        let (spent, done) = (now.duration_since(began).as_secs_f64(), at_first - seconds_left);
        // A search that finds more to do than was planned makes `done` small or negative: then nothing is known.
        let factor = if done > 0.0 { spent / done } else { OVERHEAD_AT_FIRST };
        self.left = Duration::try_from_secs_f64(seconds_left * factor).ok();
    }

    fn words(&self) -> String {
        match self.left.map(|it| it.as_secs()) {
            None | Some(0) => String::new(),
            Some(seconds @ 1..=89) => format!(", about {seconds} s left"),
            Some(seconds @ 90..=5399) => format!(", about {} min left", (seconds + 30) / 60),
            Some(seconds) => format!(", about {:.1} h left", seconds as f64 / 3600.0),
        }
    }
}

impl Watch for Progress {
    fn left(&mut self, left: Left) {
        self.total = self.done + left.steps;
        self.clock.note(left.seconds, Instant::now());
    }

    fn step(&mut self, target: &str, what: &str, round: u32, about: Duration) {
        let left = self.clock.words();
        self.say(&format!("{what}, round {round}: {target}, about {:.1} s{left}", about.as_secs_f64()));
    }

    fn topic_stays(&mut self, target: &str, topic: &str, why: &str) {
        let (target, topic, why) = (target.to_owned(), topic.to_owned(), why.to_owned());
        self.stays.push(Stays { target, topic, why });
    }

    fn refused(&mut self, target: &str, what: &str, round: u32, why: &str) {
        let line = format!("{what}, round {round}, against {target} has no figures: {why}");
        match &self.bar {
            Some(bar) => bar.println(line),
            None => errln!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_left_follows_what_was_spent_so_far() {
        let (mut clock, began) = (Clock::default(), Instant::now());
        assert_eq!(clock.words(), "");
        clock.note(100.0, began);
        assert_eq!(clock.words(), ", about 3 min left", "100 s and what they cost beside");
        clock.note(90.0, began + Duration::from_secs(30));
        assert_eq!(clock.words(), ", about 5 min left", "three times as long");
        clock.note(10.0, began + Duration::from_secs(270));
        assert_eq!(clock.words(), ", about 30 s left");
        clock.note(120.0, began + Duration::from_secs(300));
        assert_eq!(clock.words(), ", about 3 min left", "a search found more to do");
    }
}

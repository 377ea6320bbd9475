//! The events of a trial, done when their time comes, on a thread of their own.
//!
//! ```text
//!   measured time begins --at_s--> event --> target::Control, or a group that is paused
//! ```
//!
//! An event takes as long as it takes: a Kafka that starts again needs seconds, and the next event waits for it. What was
//! done when is told in the trial's lines. Whatever happens, the target is left running.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::RunError;
use super::along::Readers;
use super::beside::Beside;
use crate::load::signals::Stop;
use crate::load::tally::Shared;
use crate::spec::event::{Action, Event};
use crate::target::Control;
use crate::target::control::ControlError;

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_millis(2);
/// How long a group that was behind may take until it has what it missed.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);

/// What came of a group that read nothing for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lagged {
    /// What it had to read when it went on.
    pub records: u64,
    /// How long it took for that.
    pub took: Duration,
}

/// What a timeline works on.
pub(super) struct Stage<'a> {
    pub(super) control: Option<Control>,
    pub(super) counts: &'a Beside,
    pub(super) readers: &'a Readers,
    pub(super) stop: &'a Stop,
}

impl Stage<'_> {
    /// Does the events. A trial that ended before its time has none more.
    fn play(&self, events: &[Event]) -> Result<Option<Lagged>, RunError> {
        while !self.counts.is_open() {
            if self.is_over() {
                return Ok(None);
            }
            sleep(LOOK);
        }
        let (begin, mut lagged) = (Instant::now(), None);
        for event in events {
            if !self.wait_until(begin + Duration::from_secs_f64(event.at_s)) {
                break;
            }
            if event.action == Action::LagGroup {
                lagged = self.lag(Duration::from_secs_f64(event.for_s.unwrap_or(0.0)));
            } else {
                self.act(event.action).map_err(|error| RunError::client(event.action.name(), error))?;
            }
        }
        Ok(lagged)
    }

    /// Does the events while `work` is done, and leaves a target that runs, whatever came of either.
    pub(super) fn around<T>(
        &self,
        events: &[Event],
        work: impl FnOnce() -> Result<T, RunError>,
    ) -> (Result<T, RunError>, Result<Option<Lagged>, RunError>) {
        if events.is_empty() {
            return (work(), Ok(None));
        }
        scope(|scope| {
            let playing = scope.spawn(|| {
                let played = self.play(events);
                // Writers and readers wait for a target that runs.
                let restored = self.restore();
                if played.is_err() || restored.is_err() {
                    self.stop.request();
                }
                restored.and(played)
            });
            let done = work();
            self.counts.end();
            let panicked = |_| Err(RunError::client("events", "their thread panicked: see above"));
            let played = playing.join().unwrap_or_else(panicked);
            (done, played)
        })
    }

    /// Leaves the target as it was before the first event.
    fn restore(&self) -> Result<(), RunError> {
        let restored = self.control.as_ref().map_or(Ok(()), Control::restore);
        restored.map_err(|error| RunError::BrokerGone(format!("it could not be brought back: {error}")))
    }

    fn act(&self, action: Action) -> Result<(), ControlError> {
        let Some(control) = &self.control else { return Ok(()) };
        match action {
            Action::Kill => {
                control.kill();
                Ok(())
            }
            Action::Restart => control.restart(),
            Action::RollingRestart => control.rolling_restart(),
            Action::Pause => control.pause(),
            Action::Resume => control.resume(),
            Action::FillDisk => control.fill_disk(),
            Action::FreeDisk => control.free_disk(),
            Action::LagGroup => Ok(()),
        }
    }

    /// The first group reads nothing for so long. What it missed is the newer the longer it takes: what counts is what was
    /// acknowledged when it went on.
    fn lag(&self, pause: Duration) -> Option<Lagged> {
        let group: &Shared = self.readers.first_group()?;
        group.pause(true);
        self.wait_until(Instant::now() + pause);
        let (acknowledged, read) = (self.counts.acknowledged_records(), group.total().read.records);
        group.pause(false);
        let begin = Instant::now();
        while group.total().read.records < acknowledged {
            if self.stop.requested() || begin.elapsed() > CATCH_UP_MAX {
                return None;
            }
            sleep(LOOK);
        }
        Some(Lagged { records: acknowledged.saturating_sub(read), took: begin.elapsed() })
    }

    /// False where the trial was over before.
    fn wait_until(&self, at: Instant) -> bool {
        while Instant::now() < at {
            if self.is_over() {
                return false;
            }
            sleep(LOOK);
        }
        true
    }

    fn is_over(&self) -> bool {
        self.stop.requested() || self.counts.is_over()
    }
}

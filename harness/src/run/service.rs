//! What a writer notices of an operation: how long nothing was acknowledged, and when it was as before.
//!
//! ```text
//!   acknowledgements   | | | |               | | | | |          gap: the longest time without one
//!   intervals of 100 ms, by when records were due:
//!                      ok ok LATE LATE LATE LATE ok ok ok        recovery: from the first event to the end of the last LATE
//!                           ^ event                              late: 1 of 100 records waited longer than p99_ms_max
//! ```

use std::time::Duration;

use crate::client::Mark;

/// How long the intervals are.
const INTERVAL_NS: u64 = 100_000_000;
/// More intervals than this are none of a trial's: about 28 hours.
const INTERVALS_MAX: usize = 1_000_000;
/// One of so many records may be late.
const LATE_ONE_IN: u64 = 100;

/// Counts of a trial with events, by all its writers.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// When the measured time began, and when something was acknowledged last.
    from_ns: Option<u64>,
    last_ns: u64,
    gap_ns: u64,
    limit_ns: Option<u64>,
    intervals: Vec<Interval>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Interval {
    records: u64,
    late: u64,
}

/// What was noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disruption {
    /// The longest time without an acknowledgement.
    pub gap: Duration,
    /// From the first event until 99 of 100 records were within the stated time again, for good. `None` where no time was
    /// stated, or it was never so again.
    pub recovery: Option<Duration>,
    /// Whether a time was stated and was not kept at the end.
    pub is_late_at_the_end: bool,
}

impl Service {
    /// `limit` is the time that is stated for 99 of 100 records.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self { limit_ns: limit.map(nanos), ..Self::default() }
    }

    /// The measured time begins.
    pub(super) fn open(&mut self, now_ns: u64) {
        (self.from_ns, self.last_ns) = (Some(now_ns), now_ns);
    }

    pub(super) fn acknowledged(&mut self, marks: &[Mark], done_ns: u64) {
        let Some(from_ns) = self.from_ns else { return };
        self.gap_ns = self.gap_ns.max(done_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(done_ns);
        let Some(limit_ns) = self.limit_ns else { return };
        for mark in marks {
            let Some(due_ns) = mark.intended_ns.checked_sub(from_ns) else { continue };
            let at = usize::try_from(due_ns / INTERVAL_NS).unwrap_or(usize::MAX);
            if at >= INTERVALS_MAX {
                continue;
            }
            if at >= self.intervals.len() {
                self.intervals.resize(at + 1, Interval::default());
            }
            self.intervals[at].records += 1;
            self.intervals[at].late += u64::from(done_ns.saturating_sub(mark.intended_ns) > limit_ns);
        }
    }

    /// What was noticed of events of which the first was so long after the measured time began.
    pub(super) fn disruption(&self, first: Duration) -> Disruption {
        let is_late = |it: &Interval| it.late * LATE_ONE_IN > it.records;
        let last_late = self.intervals.iter().rposition(is_late);
        let is_late_at_the_end = last_late.is_some_and(|at| at + 1 == self.intervals.len());
        let over = Duration::from_nanos(last_late.map_or(0, |at| (at as u64 + 1) * INTERVAL_NS));
        let is_known = self.limit_ns.is_some() && !self.intervals.is_empty() && !is_late_at_the_end;
        Disruption {
            gap: Duration::from_nanos(self.gap_ns),
            recovery: is_known.then(|| over.saturating_sub(first)),
            is_late_at_the_end,
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const START: u64 = 5_000 * MS;

    /// A record each 10 ms for so long, answered after 1 ms; those due while the broker is away wait for its return.
    fn ran(until_ms: u64, away_ms: std::ops::Range<u64>, limit_ms: Option<u64>) -> Disruption {
        let mut service = Service::new(limit_ms.map(Duration::from_millis));
        let ack = |service: &mut Service, due_ns: u64, done_ns: u64| {
            let mark = Mark { intended_ns: due_ns, sent_ns: due_ns, tag: 0, bytes: 10 };
            service.acknowledged(&[mark], done_ns);
        };
        ack(&mut service, START - 10 * MS, START - 9 * MS);
        service.open(START);
        for ms in (0..until_ms).step_by(10) {
            let back_ms = if away_ms.contains(&ms) { away_ms.end } else { ms };
            ack(&mut service, START + ms * MS, START + (back_ms + 1) * MS);
        }
        service.disruption(Duration::from_millis(1000))
    }

    #[test]
    fn the_gap_is_the_longest_time_without_an_acknowledgement_and_recovery_ends_with_the_last_late_interval() {
        let seen = ran(4000, 1000..2500, Some(50));
        assert_eq!(seen.gap, Duration::from_millis(1510), "from 991 to 2501");
        assert_eq!((seen.recovery, seen.is_late_at_the_end), (Some(Duration::from_millis(1500)), false));
        let calm = ran(4000, 0..0, Some(50));
        assert_eq!((calm.gap, calm.recovery), (Duration::from_millis(10), Some(Duration::ZERO)));
    }

    #[test]
    fn what_was_not_stated_or_never_came_back_has_no_recovery() {
        assert_eq!(ran(4000, 1000..2500, None).recovery, None);
        let seen = ran(4000, 1000..9000, Some(50));
        assert_eq!((seen.recovery, seen.is_late_at_the_end), (None, true));
    }
}

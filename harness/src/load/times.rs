//! What one client of several has to do, and the times of its loop.
//!
//! ```text
//!   |-- warm-up: records, time or bytes --|-- steady state: time or bytes --|
//!   start                                 warm                              end      (open loop: as long again)
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::ear::Ear;
use super::steady::Steadiness;
use crate::client::Producer;
use crate::measure::ClientCounts;
use crate::spec::{Produce, Until, Warmup};

/// What one client of several does: its share of the records, of the rate and of the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) client: u64,
    pub(super) clients: u64,
    pub(super) records: u64,
    /// Records per second; below 0 where there is no limit.
    pub(super) throughput: f64,
    pub(super) warmup_records: Option<u64>,
    bytes: Option<u64>,
}

impl Share {
    /// The share of client number `client` of `clients`. What does not divide goes to the first ones.
    pub(super) fn of(spec: &Produce, client: usize) -> Self {
        let (client, clients) = (client as u64, spec.clients as u64);
        let part = |whole: u64| whole / clients + u64::from(client < whole % clients);
        let Until { records, bytes, .. } = spec.until;
        Self {
            client,
            clients,
            records: records.map_or(u64::MAX, part),
            throughput: spec.pace.records_s() / clients as f64,
            warmup_records: match spec.warmup {
                Warmup::Records(records) => Some(part(records)),
                Warmup::Without | Warmup::Time(_) | Warmup::Found(_) => None,
            },
            bytes: bytes.map(part),
        }
    }
}

/// The times of a loop, nanoseconds of the monotonic clock.
pub(super) struct Times {
    /// Looks for the end of the warm-up, where that is not known before.
    steadiness: Option<Arc<Steadiness>>,
    /// From then on, what is left.
    measured_ns: u64,
    start_ns: u64,
    pub(super) end_ns: u64,
    warm_ns: u64,
    pub(super) is_warming_up: bool,
    last_sent_ns: u64,
    pub(super) budget: Budget,
}

/// Payload bytes that may still be sent, where they are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    left: u64,
    /// What the time after the warm-up may send.
    steady: u64,
    /// How long that time is.
    steady_ns: u64,
}

impl Budget {
    /// Of so many bytes, of which the warm-up has its share by time.
    fn new(bytes: Option<u64>, duration: Option<Duration>, warmup: Option<Duration>) -> Self {
        let (Some(bytes), Some(duration)) = (bytes, duration) else {
            return Self { left: u64::MAX, steady: u64::MAX, steady_ns: u64::MAX };
        };
        let warmup = warmup.unwrap_or_default();
        let warm = (bytes as f64 * warmup.as_secs_f64() / duration.as_secs_f64().max(f64::MIN_POSITIVE)) as u64;
        let steady = bytes.saturating_sub(warm);
        let steady_ns = nanos(duration.saturating_sub(warmup));
        Self { left: if warmup.is_zero() { steady } else { warm }, steady, steady_ns }
    }

    /// Whether nothing is left after so many more bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes as u64);
        self.left == 0
    }
}

impl Times {
    /// Of a loop that begins now.
    pub(super) fn new(spec: &Produce, share: &Share, start_ns: u64, steadiness: Option<Arc<Steadiness>>) -> Self {
        let after = |span: Option<Duration>| span.map_or(u64::MAX, |span| start_ns.saturating_add(nanos(span)));
        let warmup = match spec.warmup {
            Warmup::Time(span) => Some(span),
            Warmup::Found(found) => Some(found.most),
            Warmup::Without | Warmup::Records(_) => None,
        };
        let measured_ns =
            spec.until.duration.map_or(u64::MAX, |it| nanos(it.saturating_sub(warmup.unwrap_or_default())));
        Self {
            steadiness,
            measured_ns,
            start_ns,
            end_ns: after(spec.until.duration),
            warm_ns: after(warmup),
            is_warming_up: spec.warmup != Warmup::Without,
            last_sent_ns: 0,
            budget: Budget::new(share.bytes, spec.until.duration, warmup),
        }
    }

    /// How long what was due before the end may still be sent after it: as long again.
    pub(super) fn give_up_ns(&self) -> u64 {
        self.end_ns.saturating_add(self.end_ns.saturating_sub(self.start_ns))
    }

    /// The bytes of a phase are used up, and all of it is answered. True where it was the last phase.
    pub(super) fn is_last_phase(&mut self, now_ns: u64) -> bool {
        if self.is_warming_up {
            self.warm_ns = 0;
            self.end_ns = now_ns.saturating_add(self.budget.steady_ns);
            self.budget.left = self.budget.steady;
            return false;
        }
        true
    }

    /// When the throttle wants record `index`; now, where it is sent ahead of that.
    pub(super) fn intended_ns(&self, index: u64, sent_ns: u64, period_ns: f64) -> u64 {
        sent_ns.min(self.start_ns.saturating_add((index as f64 * period_ns) as u64))
    }

    /// Whether the warm-up is over with record `index`, which is sent (in an open loop: due) at that time.
    pub(super) fn is_warm(&self, index: u64, at_ns: u64, records: Option<u64>) -> bool {
        let is_steady = || self.steadiness.as_ref().is_some_and(|it| it.is_reached());
        at_ns >= self.warm_ns || is_steady() || records.is_some_and(|records| index >= records)
    }

    /// When a record of the warm-up, or the first one after it, is sent: that one later than the record before, however
    /// coarse the clock is, for times tell on which side a record is.
    #[cold]
    pub(super) fn after_the_last(&mut self, sent_ns: u64, is_steady: bool, producer: &mut Producer<Ear>) -> u64 {
        let last_sent_ns = std::mem::replace(&mut self.last_sent_ns, sent_ns);
        let mut sent_ns = sent_ns;
        while is_steady && sent_ns <= last_sent_ns {
            sent_ns = producer.driver().read().0;
        }
        sent_ns
    }

    #[cold]
    pub(super) fn begin_steady_state(
        &mut self,
        counts: &mut ClientCounts,
        (sent_ns, intended_ns): (u64, u64),
        producer: &mut Producer<Ear>,
    ) {
        self.is_warming_up = false;
        if self.steadiness.is_some() {
            self.end_ns = intended_ns.saturating_add(self.measured_ns);
        }
        self.budget.left = self.budget.steady;
        *counts = super::sender::counted(producer);
        producer.sink().steady(sent_ns, intended_ns);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Pace;

    #[test]
    fn clients_share_all_records_and_the_first_ones_take_what_does_not_divide() {
        let spec = Produce {
            clients: 3,
            pace: Pace::Throttled(30.0),
            until: Until { records: Some(11), ..Until::default() },
            warmup: Warmup::Records(4),
            ..crate::load::tests::spec("h:1")
        };
        let shares: Vec<Share> = (0..3).map(|client| Share::of(&spec, client)).collect();
        assert_eq!(shares.iter().map(|share| share.records).collect::<Vec<_>>(), [4, 4, 3]);
        assert_eq!(shares.iter().map(|share| share.warmup_records).collect::<Vec<_>>(), [Some(2), Some(1), Some(1)]);
        assert!(shares.iter().all(|share| (share.throughput - 10.0).abs() < 1e-9));
    }

    #[test]
    fn each_phase_has_its_share_of_the_bytes() {
        let (two, ten) = (Some(Duration::from_secs(2)), Some(Duration::from_secs(10)));
        let mut budget = Budget::new(Some(1000), ten, two);
        assert_eq!(budget, Budget { left: 200, steady: 800, steady_ns: 8_000_000_000 });
        assert!(!budget.spend(199) && budget.spend(5));
        assert_eq!(Budget::new(Some(1000), ten, None).left, 1000);
        assert!(!Budget::new(None, ten, two).spend(usize::MAX / 2), "without a limit nothing is used up");
    }

    #[test]
    fn a_record_is_intended_for_its_place_in_the_rate_and_never_after_it_was_sent() {
        let budget = Budget::new(None, None, None);
        let (end_ns, warm_ns) = (u64::MAX, u64::MAX);
        let (steadiness, measured_ns) = (None, u64::MAX);
        let times = Times {
            steadiness,
            measured_ns,
            start_ns: 1000,
            end_ns,
            warm_ns,
            is_warming_up: false,
            last_sent_ns: 0,
            budget,
        };
        assert_eq!(times.intended_ns(0, 1500, 100.0), 1000);
        assert_eq!(times.intended_ns(4, 9000, 100.0), 1400, "a stall before it is part of its response time");
        assert_eq!(times.intended_ns(40, 2000, 100.0), 2000, "a burst of the throttle runs ahead");
    }
}

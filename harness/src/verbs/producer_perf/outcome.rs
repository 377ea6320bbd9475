//! What became of the records, as the tool counts it: one account for all clients.
//!
//! ```text
//!   client 0: Outcome --.
//!   client 1: Outcome --+--> Totals (whole, steady, failures)  --> lines
//!   client 2: Outcome --'    locked once per batch
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::options::Options;
use super::stats::Stats;
use crate::cli::compat::Compat;
use crate::cli::{Warnings, same_kind};
use crate::client::{Delivered, Failed, SendError};
use crate::load::ear::Observer;
use crate::load::to_ms;

/// What all clients of a run count together. Readable at any time, also while a client waits in a send.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Totals>>);

pub(crate) struct Totals {
    plan: Plan,
    whole: Option<Stats>,
    steady: Option<Stats>,
    pub(crate) failures: Failures,
    pub(crate) acknowledged: u64,
    warnings: Warnings,
}

/// A number of records of which the original keeps every latency.
const SAMPLES_UNKNOWN: u64 = 500_000;

/// What the lines need to know of the options.
#[derive(Clone, Copy, Debug)]
struct Plan {
    records: u64,
    warmup_records: u64,
    reporting_interval_ms: i64,
    compat: Compat,
}

impl Shared {
    /// `records_known`: how many there are at most, where that is known. Otherwise the samples are thinned as they come.
    pub(crate) fn new(options: &Options, records_known: bool) -> Self {
        let plan = Plan {
            records: if records_known { options.records } else { SAMPLES_UNKNOWN },
            warmup_records: options.warmup_records,
            reporting_interval_ms: options.reporting_interval_ms,
            compat: options.compat,
        };
        let totals = Totals {
            plan,
            whole: None,
            steady: None,
            failures: Failures::default(),
            acknowledged: 0,
            warnings: Warnings::default(),
        };
        Self(Arc::new(Mutex::new(totals)))
    }

    /// A client that panicked leaves counters that are still true.
    pub(crate) fn totals(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    /// The first client to send begins the run.
    fn start(&mut self, now_ns: u64) {
        let Plan { records, reporting_interval_ms, .. } = self.plan;
        self.whole.get_or_insert_with(|| Stats::new(records, reporting_interval_ms, false, to_ms(now_ns)));
    }

    /// The first client whose warm-up is over begins the steady state.
    fn begin_steady_state(&mut self, now_ns: u64) {
        let Plan { records, warmup_records, reporting_interval_ms, .. } = self.plan;
        let left = if records > warmup_records { records - warmup_records } else { records };
        self.steady.get_or_insert_with(|| Stats::new(left, reporting_interval_ms, true, to_ms(now_ns)));
        self.whole.iter_mut().for_each(Stats::silence);
    }

    /// The final lines. Nothing was sent where no client began: then the times are those of now.
    pub(crate) fn lines(&mut self, now_ms: i64) -> Vec<String> {
        let Plan { records, reporting_interval_ms, .. } = self.plan;
        let whole = self.whole.get_or_insert_with(|| Stats::new(records, reporting_interval_ms, false, now_ms));
        let whole = whole.total(now_ms);
        std::iter::once(whole).chain(self.steady.as_mut().map(|steady| steady.total(now_ms))).collect()
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.failures.count(&words(batch.error, self.plan.compat), batch.marks.len() as u64);
    }

    fn delivered(&mut self, batch: &Delivered<'_>, steady_since_ns: u64) {
        let now_ms = to_ms(batch.done_ns);
        let mut print = |line| outln!("{line}");
        self.acknowledged += batch.marks.len() as u64;
        let Some(whole) = &mut self.whole else { return };
        for mark in batch.marks {
            let latency_ms = i32::try_from(now_ms - to_ms(mark.sent_ns)).unwrap_or(i32::MAX);
            let bytes = u64::from(mark.bytes);
            whole.record(latency_ms, bytes, now_ms, &mut print);
            // A record belongs to the steady state by when it was sent, not by when it was acknowledged.
            if let Some(steady) = self.steady.as_mut().filter(|_| mark.sent_ns >= steady_since_ns) {
                steady.record(latency_ms, bytes, now_ms, &mut print);
            }
        }
    }
}

/// What one client tells the account.
pub(crate) struct Outcome {
    shared: Shared,
    /// When this client's warm-up ended; beyond all times until then.
    steady_since_ns: u64,
}

impl Outcome {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self { shared: shared.clone(), steady_since_ns: u64::MAX }
    }
}

impl Observer for Outcome {
    fn started(&mut self, now_ns: u64) {
        self.shared.totals().start(now_ns);
    }

    fn steady(&mut self, now_ns: u64) {
        self.steady_since_ns = now_ns;
        self.shared.totals().begin_steady_state(now_ns);
    }

    fn delivered(&mut self, batch: &Delivered<'_>) {
        self.shared.totals().delivered(batch, self.steady_since_ns);
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.shared.totals().failed(batch);
    }

    fn unreachable(&mut self, reason: &str) {
        self.shared.totals().warnings.unreachable(reason);
    }
}

/// The text of that line of Kafka: until 3.9 an expired batch has one sentence.
fn words(error: &SendError, compat: Compat) -> String {
    let text = error.to_string();
    match error {
        SendError::Expired { .. } if compat.is_3_9() => text.split(". ").next().unwrap_or(&text).to_owned(),
        _ => text,
    }
}

/// Failed sends by their text. The first of a kind is reported at once.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(String, u64)>);

/// Texts that are told apart: a batch's own numbers would make each one new.
const FAILURE_KINDS_MAX: usize = 20;

impl Failures {
    fn count(&mut self, text: &str, records: u64) {
        let known = self.0.iter().position(|(kind, _)| same_kind(kind, text));
        let at = known.unwrap_or_else(|| {
            if self.0.len() < FAILURE_KINDS_MAX {
                errln!("send failed: {text}");
                self.0.push((text.to_owned(), 0));
            }
            self.0.len() - 1
        });
        self.0[at].1 += records;
    }

    pub(crate) fn report(&self, disconnect: Option<&str>) {
        for (text, count) in &self.0 {
            errln!("{count} records failed, such as: {text}");
        }
        if let Some(reason) = disconnect.filter(|_| !self.0.is_empty()) {
            errln!("the last connection ended because: {reason}");
        }
    }

    /// The texts and how often each came.
    pub(crate) fn kinds(&self) -> &[(String, u64)] {
        &self.0
    }

    /// Records that failed.
    pub(crate) fn records(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_expired_is_told_in_the_words_of_either_line_of_kafka() {
        let error = SendError::Expired {
            records: 5,
            partition: "a.b-0".into(),
            waited_ms: 1501,
            why: Some("NOT_LEADER_OR_FOLLOWER"),
        };
        let old = "Expiring 5 record(s) for a.b-0:1501 ms has passed since batch creation";
        let new = "The request has not been sent, or no server response has been received yet.";
        assert_eq!(words(&error, Compat::V3_9), old);
        assert_eq!(words(&error, Compat::V4_3), format!("{old}. {new}"));
    }
}

//! A topic read back, beside the ledger of what was written.
//!
//! ```text
//!   LedgerFile (written) -----.
//!                             +--> settle --> verdict
//!   load::consume --> ReadLedger '
//! ```
//!
//! All partitions are read from their beginnings, without a group: nobody's offsets stand in the way. It ends when every
//! acknowledged record was read and then nothing came for [`SILENCE_AT_END`] (records that were doubled at the end show
//! only there), or when nothing came for so long that what is missing is lost.

use std::sync::Arc;
use std::time::Duration;

use super::consume::Load;
use super::signals::Stop;
use super::tally::{ReadObserver, Shared};
use crate::cli::PerfError;
use crate::client::config::ConsumerConfig;
use crate::client::properties::Properties;
use crate::measure::ledger::{AcknowledgedBy, LedgerFile, Verdict, settle};
use crate::spec::consume::settings;
use crate::spec::{Consume, What};

/// After the last acknowledged record the topic must stay silent for so long.
pub(crate) const SILENCE_AT_END: Duration = Duration::from_secs(1);
/// Without a record for so long, what is missing is lost.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How often the two ledgers are laid beside each other meanwhile.
const SETTLE_EVERY_NS: u64 = 200_000_000;

/// A verdict and whether it adds up.
pub(crate) type Judged = Option<(Verdict, bool)>;

/// What of a producer's properties a consumer needs: the way to the brokers.
pub(crate) fn way_of(properties: &Properties, ledger: &LedgerFile) -> Properties {
    let mut way = Properties::new();
    for (name, value) in properties.iter() {
        let is_way = ["bootstrap.", "security.", "ssl.", "sasl."].iter().any(|prefix| name.starts_with(prefix));
        if is_way {
            way.set(name, value);
        }
    }
    way.set("client.id", "perf-verify-client");
    way.set("auto.offset.reset", "earliest");
    way.set("isolation.level", if ledger.reads_committed() { "read_committed" } else { "read_uncommitted" });
    way
}

/// Reads the ledger's topic with the way to the brokers that a producer's properties say. `None` where it was told to
/// stop before the end.
pub(crate) fn read_back(
    properties: &Properties,
    ledger: &LedgerFile,
    silence_max: Duration,
    stop: &Stop,
) -> Result<Option<Verdict>, PerfError> {
    let parsed = ConsumerConfig::parse(&way_of(properties, ledger))?;
    let spec = Consume {
        clients: 1,
        what: What::Beside(ledger.clone()),
        records: u64::MAX,
        silence_ms: i64::try_from(silence_max.as_millis()).unwrap_or(i64::MAX),
        duration: None,
        is_timed_from_the_first: false,
        has_series: false,
        settings: settings(&parsed.effective),
        config: parsed.config,
    };
    let shared = Shared::new(1, Some(ledger));
    let load = Load {
        spec: Arc::new(spec),
        shared: &shared,
        seats: &[None],
        stop,
        observers: Arc::new(|_| Box::new(Deaf)),
        metrics: None,
        on_second: None,
    };
    load.run(&mut |_| ())?;
    Ok((!stop.requested()).then(|| settle(&ledger.writers, &shared.read_ledger())))
}

/// Nobody waits for figures here.
struct Deaf;

impl ReadObserver for Deaf {}

/// When all is read, or nothing more will come.
#[derive(Debug)]
pub(crate) struct Patience {
    last_record_ns: u64,
    settled_ns: u64,
    silence_max_ns: u64,
    /// Nothing that was acknowledged is missing any more.
    has_all: bool,
}

impl Patience {
    /// `silence_max`: without a record for so long, what is missing is lost.
    pub(crate) fn new(now_ns: u64, silence_max: Duration) -> Self {
        let silence_max_ns = u64::try_from(silence_max.as_nanos()).unwrap_or(u64::MAX);
        Self { last_record_ns: now_ns, settled_ns: 0, silence_max_ns, has_all: false }
    }

    /// After a poll that brought so many records. `missing` counts what was acknowledged and not read: it is asked
    /// seldom.
    pub(crate) fn is_over(&mut self, records: usize, now_ns: u64, missing: &mut dyn FnMut() -> u64) -> bool {
        if records > 0 {
            self.last_record_ns = now_ns;
        }
        if !self.has_all && now_ns.saturating_sub(self.settled_ns) >= SETTLE_EVERY_NS {
            self.settled_ns = now_ns;
            self.has_all = missing() == 0;
        }
        let silence_ns = now_ns.saturating_sub(self.last_record_ns);
        let silence_at_end_ns = u64::try_from(SILENCE_AT_END.as_nanos()).unwrap_or(u64::MAX);
        silence_ns >= if self.has_all { silence_at_end_ns } else { self.silence_max_ns }
    }
}

/// The line that tells a verdict, and whether it adds up.
pub(crate) fn line(verdict: &Verdict, ledger: &LedgerFile) -> (String, bool) {
    let is_empty = ledger.proves_nothing(verdict);
    let adds_up = ledger.explains(verdict) && !is_empty;
    let again = match ledger.resent {
        Some(0) => String::new(),
        Some(resent) => format!("; {resent} were sent again without idempotence, which may double and reorder so many"),
        None => "; unknown how many were sent again without idempotence, which may double and reorder them".into(),
    };
    let word = match (adds_up, is_empty) {
        (true, _) => "adds up",
        (false, true) => "PROVES NOTHING: nothing was acknowledged, so nothing was there to be read back",
        (false, false) => "DOES NOT ADD UP",
    };
    let other = match ledger.acknowledged_by {
        AcknowledgedBy::Broker => String::new(),
        AcknowledgedBy::Nobody => format!(
            "; acks=0 acknowledges nothing, so nothing counts as lost: {} of {} were not read",
            ledger.missing(verdict),
            verdict.stamped
        ),
        AcknowledgedBy::Commit { .. } => {
            let Verdict { aborted, aborted_read, .. } = verdict;
            format!("; {aborted} were aborted, {aborted_read} of them read")
        }
    };
    (format!("ledger: {verdict}: {word}{again}{other}"), adds_up)
}

#[cfg(test)]
mod tests {
    use ringlog_io::driver;

    use super::*;
    use crate::client::config::ProducerConfig;
    use crate::client::{Delivered, DeliverySink, Failed, NewRecord, Producer};
    use crate::measure::ledger::WriteLedger;
    use crate::target::faulty::{Fault, start};

    const SECOND: u64 = 1_000_000_000;

    /// Keeps the ledger of a producer.
    struct Kept(WriteLedger);

    impl DeliverySink for Kept {
        fn delivered(&mut self, batch: &Delivered<'_>) {
            batch.marks.iter().for_each(|mark| self.0.acknowledged(batch.partition, mark.tag));
        }
        fn failed(&mut self, batch: &Failed<'_>) {
            panic!("{}", batch.error);
        }
    }

    /// Writes 3000 records to a broker that does this wrong, reads them back, and judges.
    fn judge(fault: Fault) -> Verdict {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", &start(fault));
        let config = ProducerConfig::parse(&properties).unwrap().config;
        let driver = driver::open(driver::DriverOptions::default()).unwrap();
        let mut producer = Producer::open(config, driver, Kept(WriteLedger::new(7))).unwrap();
        let topic = producer.topic("t");
        for _ in 0..3000 {
            let sent_ns = producer.driver().read().0;
            let record =
                NewRecord { topic, partition: None, key: None, value: &[b'x'; 100], intended_ns: sent_ns, sent_ns };
            let stamp = |sink: &mut Kept, partition, value: &mut [u8]| sink.0.stamp(partition, value).unwrap();
            producer.send_with(&record, stamp).unwrap();
        }
        let writer = producer.close().unwrap().0;
        let ledger = LedgerFile { topic: "t".into(), resent: Some(0), writers: vec![writer], ..LedgerFile::default() };
        let verdict = read_back(&properties, &ledger, Duration::from_secs(3), &Stop::default());
        verdict.unwrap().expect("nobody stopped it")
    }

    #[test]
    fn a_broker_that_loses_doubles_reorders_or_changes_a_batch_is_found_and_an_honest_one_is_not() {
        let honest = judge(Fault::None);
        assert!(honest.adds_up() && honest.acknowledged == 3000 && honest.read == 3000, "{honest}");
        let lost = judge(Fault::Lose(3));
        assert!(lost.lost > 1 && lost.doubled + lost.out_of_order + lost.corrupt == 0, "{lost}");
        let doubled = judge(Fault::Double(3));
        assert!(doubled.doubled > 1 && doubled.lost + doubled.corrupt == 0, "{doubled}");
        let swapped = judge(Fault::Swap(3));
        assert!(swapped.out_of_order > 1 && swapped.lost + swapped.doubled + swapped.corrupt == 0, "{swapped}");
        let changed = judge(Fault::Change(3));
        assert!((changed.corrupt, changed.lost) == (1, 1), "{changed}: the record that was changed is missing too");
        assert!([lost, doubled, swapped, changed].iter().all(|verdict| !verdict.adds_up()));
    }

    #[test]
    fn it_ends_a_second_after_the_last_record_where_nothing_is_missing() {
        let mut patience = Patience::new(0, SILENCE_MAX);
        assert!(!patience.is_over(5, SECOND, &mut || 0));
        assert!(!patience.is_over(0, 2 * SECOND - 1, &mut || 0));
        assert!(!patience.is_over(1, 2 * SECOND, &mut || 0), "a doubled record: the silence begins again");
        assert!(patience.is_over(0, 3 * SECOND, &mut || 0));
    }

    #[test]
    fn what_is_missing_is_waited_for_as_long_as_was_said() {
        let mut patience = Patience::new(0, SILENCE_MAX);
        assert!(!patience.is_over(0, 10 * SECOND - 1, &mut || 1));
        assert!(patience.is_over(0, 10 * SECOND, &mut || 1));
    }

    #[test]
    fn a_producer_s_way_to_the_brokers_is_the_consumer_s() {
        let mut properties = Properties::new();
        for (name, value) in [("bootstrap.servers", "h:1"), ("acks", "1"), ("ssl.truststore.location", "x")] {
            properties.set(name, value);
        }
        let way = way_of(&properties, &LedgerFile::default());
        assert_eq!((way.get("bootstrap.servers"), way.get("ssl.truststore.location")), (Some("h:1"), Some("x")));
        assert_eq!((way.get("acks"), way.get("isolation.level")), (None, Some("read_uncommitted")));
        let acknowledged_by = AcknowledgedBy::Commit { transaction_timeout_ms: 1 };
        let way = way_of(&properties, &LedgerFile { acknowledged_by, ..LedgerFile::default() });
        assert_eq!(way.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn the_line_says_whether_it_adds_up_and_what_explains_it() {
        let ledger = |resent| LedgerFile { resent, ..LedgerFile::default() };
        let verdict = Verdict { acknowledged: 9, read: 9, doubled: 2, ..Verdict::default() };
        assert!(line(&verdict, &ledger(Some(0))).0.contains("2 doubled") && !line(&verdict, &ledger(Some(0))).1);
        let (text, adds_up) = line(&verdict, &ledger(Some(2)));
        assert!(adds_up && text.contains("adds up; 2 were sent again without idempotence"), "{text}");
        assert!(line(&verdict, &ledger(None)).1);
        let acknowledged_by = AcknowledgedBy::Commit { transaction_timeout_ms: 1 };
        let seen = Verdict { aborted: 9, aborted_read: 2, ..Verdict::default() };
        let (text, adds_up) = line(&seen, &LedgerFile { acknowledged_by, ..ledger(Some(0)) });
        assert!(!adds_up && text.ends_with("DOES NOT ADD UP; 9 were aborted, 2 of them read"), "{text}");
        let nobody = LedgerFile { acknowledged_by: AcknowledgedBy::Nobody, ..ledger(Some(0)) };
        let verdict = Verdict { stamped: 9, unknown: 9, read: 7, unacknowledged: 7, ..Verdict::default() };
        let (text, adds_up) = line(&verdict, &nobody);
        assert!(adds_up && text.ends_with("nothing counts as lost: 2 of 9 were not read"), "{text}");
    }
}

//! A load of producers: the clients' threads, the series and the ledgers that they keep, and what comes of it.
//!
//! ```text
//!   spec::Produce --> Load::run --> Sender (one a client) --> Produced
//!                                    '-> Ear -> Book, Observer
//! ```
//!
//! bench's trials and producer-perf run this and nothing else.

use std::sync::Arc;
use std::sync::mpsc::Sender as Channel;

use hdrhistogram::Histogram;
use ringlog_io::{Clock as _, SystemClock};
use ringlog_wire::Uuid;

use super::book::{Book, Keeping};
use super::clients::{self, Event};
use super::ear::{MetricsTable, Observers};
use super::records::Records;
use super::sender::{Lateness, Own, Report, Sender};
use super::signals::Stop;
use super::steady::{Steadiness, WarmUp};
use crate::cli::PerfError;
use crate::client::config::ProducerConfig;
use crate::measure::effort::{self, Efforts};
use crate::measure::ledger::{LedgerFile, WriteLedger};
use crate::measure::series::{Counts, Recorder, Row, Second, SecondSink, Series};
use crate::measure::{ClientCounts, Latencies};
use crate::spec::{Produce, Warmup};

/// A load that is about to run.
pub(crate) struct Load<'a> {
    pub(crate) spec: Arc<Produce>,
    /// Each client's own.
    pub(crate) records: Vec<Records>,
    /// Each client's core.
    pub(crate) seats: &'a [Option<usize>],
    pub(crate) stop: &'a Stop,
    pub(crate) observers: Observers,
    /// A table that each client's report is to have.
    pub(crate) metrics: Option<MetricsTable>,
    /// Where seconds are counted from, nanoseconds of the monotonic clock.
    pub(crate) origin_ns: u64,
    /// Takes the seconds as they are complete.
    pub(crate) on_second: Option<SecondSink<'a>>,
}

/// What came of a load.
pub(crate) struct Produced {
    /// `None` stands for a client that could not be waited for, or that failed.
    pub(crate) reports: Vec<Option<Report>>,
    pub(crate) counts: Counts,
    /// Of the steady state.
    pub(crate) latencies: Latencies,
    pub(crate) seconds: Vec<Row>,
    /// Each client's account of what it wrote, where the spec wants it.
    pub(crate) writers: Vec<WriteLedger>,
    /// Id of the topic that acknowledged the first record, where one is known.
    pub(crate) topic_id: Option<Uuid>,
    /// Why a record was given up, where one was.
    pub(crate) first_failure: Option<String>,
    /// Why a client could not go on. The others were stopped; what was counted until then is here all the same.
    pub(crate) failure: Option<PerfError>,
    /// What was found of the warm-up, where its end was looked for.
    pub(crate) warm_up: Option<WarmUp>,
}

impl Load<'_> {
    /// Runs the clients. `progress` is called several times a second, with what they have done.
    pub(crate) fn run(self, progress: &mut dyn FnMut(&Counts)) -> Produced {
        let books = books(&self.spec);
        let mut series = Series::new(self.spec.clients, self.on_second);
        let (spec, stop, own_books) = (Arc::clone(&self.spec), self.stop.clone(), books.clone());
        let (records, observers, metrics) = (Arc::new(self.records), self.observers, self.metrics);
        let origin_ns = self.origin_ns;
        let steadiness = match self.spec.warmup {
            Warmup::Found(found) => Some(Arc::new(Steadiness::new(found))),
            Warmup::Without | Warmup::Records(_) | Warmup::Time(_) => None,
        };
        let own_steadiness = steadiness.clone();
        let client = move |number: usize, events: Channel<Event<Second, Report>>| {
            let book = own_books.get(number).cloned();
            let recorder = spec.has_series.then(|| {
                let emit = Box::new(move |second| _ = events.send(Event::Second(second)));
                Recorder::new(number, origin_ns, spec.warmup != Warmup::Without, emit)
            });
            let config = config_of(&spec.config, number, spec.clients);
            let (records, observer) = (records[number].clone(), observers(number));
            let steadiness = own_steadiness.clone();
            let own = Own { number, config, records, observer, book, steadiness, metrics };
            Sender::open(&spec, &stop, own)?.run(recorder)
        };
        let reports = clients::run(self.seats, self.stop, client, &mut |second| {
            second.map_or(Ok(()), |second| series.take(second))?;
            progress(&series.counts);
            Ok(())
        });
        let (reports, mut failure) = match reports {
            Ok(reports) => (reports, None),
            Err(error) => (self.seats.iter().map(|_| None).collect(), Some(error)),
        };
        if let Err(error) = close(&mut series, &books) {
            failure.get_or_insert(error);
        }
        let first_failure = books.iter().find_map(|book| book.pages().first_failure.take());
        let topic_id = books.iter().find_map(|book| book.pages().topic_id);
        let writers = books.iter().filter_map(|book| book.pages().keeping.take()).map(|keeping| keeping.ledger);
        let writers = writers.collect();
        let Series { counts, total: latencies, rows: seconds, .. } = series;
        let warm_up = steadiness.map(|it| it.found());
        Produced { reports, counts, latencies, seconds, writers, topic_id, first_failure, failure, warm_up }
    }
}

/// What clients that could not be waited for have counted is in their books.
fn close(series: &mut Series<'_>, books: &[Book]) -> Result<(), PerfError> {
    let lasts = books.iter().filter_map(|book| book.pages().recorder.take()).map(Recorder::into_last);
    lasts.into_iter().try_for_each(|last| series.take(last))?;
    series.end()
}

/// One for each client, where a series or a ledger is kept.
fn books(spec: &Produce) -> Vec<Book> {
    let clock = SystemClock::new();
    let keeping = || {
        let ledger = WriteLedger::new((clock.random() >> 32) as u32);
        Some(Keeping { ledger, place: spec.stamps?, acknowledged_by: spec.acknowledged_by() })
    };
    let count = if spec.stamps.is_some() || spec.has_series { spec.clients } else { 0 };
    (0..count).map(|_| Book::new(keeping())).collect()
}

/// Several clients have client ids of their own: a broker's quotas and metrics tell them apart.
fn config_of(config: &ProducerConfig, client: usize, clients: usize) -> ProducerConfig {
    let mut config = config.clone();
    if clients > 1 {
        config.common.client_id = format!("{}-{client}", config.common.client_id);
        // One transactional id is one producer's: the others would be fenced.
        config.transactional_id = config.transactional_id.map(|id| format!("{id}-{client}"));
    }
    config
}

impl Produced {
    /// How far the clients together were from an open loop's schedule.
    pub(crate) fn lateness(&self) -> Lateness {
        self.reports.iter().flatten().fold(Lateness::default(), |sum, report| Lateness {
            late: sum.late + report.lateness.late,
            dropped: sum.dropped + report.lateness.dropped,
        })
    }

    /// Records that were sent more than once; of clients that could be waited for.
    pub(crate) fn retried_records(&self) -> u64 {
        self.reports.iter().flatten().map(Report::retried_records).sum()
    }

    /// What the clients counted in the steady state.
    pub(crate) fn client_counts(&self) -> ClientCounts {
        self.reports.iter().flatten().fold(ClientCounts::default(), |sum, report| sum.plus(report.counts))
    }

    /// How long the commits of the steady state took, ns; of clients that could be waited for. `None`: no transactions.
    pub(crate) fn commits(&self) -> Option<Histogram<u64>> {
        self.reports.iter().flatten().filter_map(|report| report.commits.clone()).reduce(|mut sum, more| {
            // Both begin as `empty` and grow alike: it cannot be refused.
            let _ = sum.add(&more);
            sum
        })
    }

    /// What the clients' threads took.
    pub(crate) fn efforts(&self) -> Efforts {
        self.reports.iter().flatten().map(|report| report.effort).collect()
    }

    /// When the first client began to send.
    pub(crate) fn began_ns(&self) -> Option<u64> {
        self.reports.iter().flatten().map(|report| report.effort.began_ns).min()
    }

    /// When the last client was done; now, where one could not be waited for.
    pub(crate) fn done_ns(&self) -> u64 {
        effort::done_ns(self.reports.iter().map(|report| Some(report.as_ref()?.effort)))
    }

    /// The account of the load, as it is kept and settled. It can be taken once.
    pub(crate) fn take_ledger(&mut self, spec: &Produce) -> LedgerFile {
        let retried: Option<u64> = self.reports.iter().map(|it| it.as_ref().map(|it| it.stats.retried_records)).sum();
        LedgerFile {
            topic: spec.topic.clone(),
            topic_id: self.topic_id,
            // An idempotent producer's second sending is the broker's to recognise.
            resent: if spec.config.idempotence { Some(0) } else { retried },
            acknowledged_by: spec.acknowledged_by(),
            writers: std::mem::take(&mut self.writers),
        }
    }
}

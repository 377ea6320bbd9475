//! A load of consumers: the clients' threads and the series that they keep.
//!
//! ```text
//!   spec::Consume --> Load::run --> Reader (one a client) --> Consumed
//!                                    '-> Tally -> Shared, ReadObserver
//! ```
//!
//! bench's trials, consumer-perf and every reading back run this and nothing else.

use std::sync::Arc;
use std::sync::mpsc::Sender as Channel;

use super::clients::{self, Event};
use super::reader::{MetricsTable, Reader, Report};
use super::signals::Stop;
use super::tally::{Read, ReadObservers, Shared};
use crate::cli::PerfError;
use crate::measure::effort::{self, Efforts};
use crate::measure::series::{Recorder, Row, Second, SecondSink, Series};
use crate::measure::{ClientCounts, Latencies};
use crate::spec::Consume;

/// A load that is about to run.
pub(crate) struct Load<'a> {
    pub(crate) spec: Arc<Consume>,
    /// Made for the spec's clients and ledger.
    pub(crate) shared: &'a Shared,
    /// Each client's core.
    pub(crate) seats: &'a [Option<usize>],
    pub(crate) stop: &'a Stop,
    pub(crate) observers: ReadObservers,
    /// A table that each client's report is to have.
    pub(crate) metrics: Option<MetricsTable>,
    /// Takes the seconds as they are complete.
    pub(crate) on_second: Option<SecondSink<'a>>,
}

/// What came of a load. How much was read, and the ledger of it, is in [`Shared`].
pub(crate) struct Consumed {
    /// `None` stands for a client that could not be waited for.
    pub(crate) reports: Vec<Option<Report>>,
    /// The ages of the records, as response times.
    pub(crate) latencies: Latencies,
    pub(crate) seconds: Vec<Row>,
}

impl Load<'_> {
    /// Runs the clients. `progress` is called several times a second.
    pub(crate) fn run(self, progress: &mut dyn FnMut(Read)) -> Result<Consumed, PerfError> {
        let mut series = Series::new(self.spec.clients, self.on_second);
        let (spec, shared, stop) = (self.spec, self.shared.clone(), self.stop.clone());
        let (observers, metrics) = (self.observers, self.metrics);
        let client = move |number: usize, events: Channel<Event<Second, Report>>| {
            let recorder = spec.has_series.then(|| {
                let emit = Box::new(move |second| _ = events.send(Event::Second(second)));
                Recorder::new(number, shared.start().0, false, emit)
            });
            Reader::open(&spec, number, (&shared, &stop), (observers(number), recorder))?.run(metrics)
        };
        let reports = clients::run(self.seats, self.stop, client, &mut |second| {
            second.map_or(Ok(()), |second| series.take(second))?;
            progress(self.shared.total().read);
            Ok(())
        })?;
        series.end()?;
        let Series { total: latencies, rows: seconds, .. } = series;
        Ok(Consumed { reports, latencies, seconds })
    }
}

impl Consumed {
    /// What the clients counted between their first record and their last.
    pub(crate) fn client_counts(&self) -> ClientCounts {
        self.reports.iter().flatten().fold(ClientCounts::default(), |sum, report| sum.plus(report.counts))
    }

    /// What the clients' threads took.
    pub(crate) fn efforts(&self) -> Efforts {
        self.reports.iter().flatten().map(|report| report.effort).collect()
    }

    /// When the last client was done; now, where one could not be waited for.
    pub(crate) fn done_ns(&self) -> u64 {
        effort::done_ns(self.reports.iter().map(|report| Some(report.as_ref()?.effort)))
    }
}

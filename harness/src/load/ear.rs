//! Who hears of a load: the book of what was sent and acknowledged, and an observer that prints or meters.
//!
//! ```text
//!   Producer --delivered, failed--> Ear --+--> Observer     a perf tool's lines, a trial's meter
//!   Sender --started, steady, ended-------'--> Book         series, ledger
//! ```

use std::sync::Arc;

use super::book::Book;
use super::steady::Steadiness;
use crate::client::{Delivered, DeliverySink, Failed, Producer};
use crate::measure::series::Recorder;

/// Hears of one client's part of a load, on the client's thread. Times are nanoseconds of the monotonic clock.
pub(crate) trait Observer {
    /// The client begins to send.
    fn started(&mut self, _now_ns: u64) {}
    /// The warm-up is over: what is sent at this time or later belongs to the steady state. Not called without a warm-up.
    fn steady(&mut self, _now_ns: u64) {}
    /// Everything is handed over; answers may be on their way.
    fn ended(&mut self, _now_ns: u64) {}
    /// A batch was acknowledged.
    fn delivered(&mut self, _batch: &Delivered<'_>) {}
    /// A batch was given up.
    fn failed(&mut self, _batch: &Failed<'_>) {}
    /// A broker could not be reached. It is tried again.
    fn unreachable(&mut self, _reason: &str) {}
}

/// Makes the observer of a client, on its thread.
pub(crate) type Observers = Arc<dyn Fn(usize) -> Box<dyn Observer> + Send + Sync>;

/// A table of a producer's metrics, for a topic and a client id.
pub(crate) type MetricsTable = fn(&mut Producer<Ear>, &str, &str) -> String;

/// A producer's sink.
pub(crate) struct Ear {
    observer: Box<dyn Observer>,
    book: Option<Book>,
    /// Looks for the end of the warm-up.
    steadiness: Option<Arc<Steadiness>>,
}

impl Ear {
    pub(crate) fn new(observer: Box<dyn Observer>, book: Option<Book>, steadiness: Option<Arc<Steadiness>>) -> Self {
        Self { observer, book, steadiness }
    }

    pub(crate) fn started(&mut self, now_ns: u64) {
        self.observer.started(now_ns);
    }

    /// The steady state begins with a record that is sent now and was due at `intended_ns`.
    pub(crate) fn steady(&mut self, now_ns: u64, intended_ns: u64) {
        self.observer.steady(now_ns);
        self.with_recorder(|recorder| recorder.begin_steady_state(now_ns, intended_ns));
    }

    pub(crate) fn ended(&mut self, now_ns: u64) {
        self.observer.ended(now_ns);
        self.with_recorder(|recorder| recorder.end_steady_state(now_ns));
    }

    fn with_recorder(&self, act: impl FnOnce(&mut Recorder)) {
        if let Some(book) = &self.book
            && let Some(recorder) = &mut book.pages().recorder
        {
            act(recorder);
        }
    }
}

impl DeliverySink for Ear {
    fn delivered(&mut self, batch: &Delivered<'_>) {
        self.observer.delivered(batch);
        if let Some(steadiness) = &self.steadiness {
            steadiness.acknowledged(batch.marks.len() as u64, batch.done_ns);
        }
        if let Some(book) = &self.book {
            book.pages().delivered(batch);
        }
    }

    fn failed(&mut self, batch: &Failed<'_>) {
        self.observer.failed(batch);
        if let Some(book) = &self.book {
            book.pages().failed(batch);
        }
    }

    fn unreachable(&mut self, reason: &str) {
        self.observer.unreachable(reason);
    }
}

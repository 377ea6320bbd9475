//! What one client keeps beyond the original's counts: its series and its ledger. Shared with the main thread, which reads
//! it also where the client could not be waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{Delivered, Failed, Mark, SendError};
use crate::ledger::WriteLedger;
use crate::measure::Sample;
use crate::perf_extras::series::Recorder;

/// Shared by the client's sink, its loop and the main thread. Nobody waits for it: one thread uses it while a run lasts.
#[derive(Clone)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) recorder: Option<Recorder>,
    pub(crate) ledger: Option<WriteLedger>,
}

impl Book {
    pub(crate) fn new(recorder: Option<Recorder>, ledger: Option<WriteLedger>) -> Self {
        Self(Arc::new(Mutex::new(Pages { recorder, ledger })))
    }

    /// A client that panicked leaves counters that are still true.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    pub(crate) fn sent(&mut self, now_ns: u64) {
        self.recorder.iter_mut().for_each(|recorder| recorder.sent(now_ns));
    }

    /// The record's tag: with a ledger its number in the partition, without one what the loop gave it.
    pub(crate) fn tag(&mut self, partition: i32, value: &mut [u8], number: u64) -> u64 {
        // Payloads that are too short were refused with the options.
        self.ledger.as_mut().map_or(number, |ledger| ledger.stamp(partition, value).unwrap_or(u64::MAX))
    }

    pub(crate) fn delivered(&mut self, batch: &Delivered<'_>) {
        for mark in batch.marks {
            if let Some(recorder) = &mut self.recorder {
                let Mark { intended_ns, sent_ns, bytes, .. } = *mark;
                recorder.done(&Sample { intended_ns, sent_ns, done_ns: batch.done_ns, bytes });
            }
            if let Some(ledger) = &mut self.ledger {
                ledger.acknowledged(batch.partition, mark.tag);
            }
        }
    }

    pub(crate) fn failed(&mut self, batch: &Failed<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.failed(batch.marks.len() as u64, batch.done_ns);
        }
        // A record without a partition was refused before it had a stamp. One without an answer stays unknown.
        let was_refused = batch.partition >= 0 && matches!(batch.error, SendError::Broker { .. });
        if let Some(ledger) = self.ledger.as_mut().filter(|_| was_refused) {
            batch.marks.iter().for_each(|mark| ledger.failed(batch.partition, mark.tag));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Topic;
    use crate::ledger::{ReadLedger, settle};

    #[test]
    fn what_the_broker_refused_has_failed_and_what_it_did_not_answer_is_unknown() {
        let book = Book::new(None, Some(WriteLedger::new(1)));
        let mut pages = book.pages();
        let mut mark = |_| {
            let tag = pages.tag(0, &mut [0; 20], 99);
            Mark { intended_ns: 0, sent_ns: 0, tag, bytes: 20 }
        };
        let marks: Vec<Mark> = (0..6).map(&mut mark).collect();
        let refused = SendError::Broker { code: 10, name: "MESSAGE_TOO_LARGE", message: String::new() };
        let failed = |error, partition, marks| Failed { topic: Topic(0), partition, error, done_ns: 0, marks };
        pages.failed(&failed(&refused, 0, &marks[..1]));
        pages.failed(&failed(&SendError::Disconnected, 0, &marks[1..3]));
        pages.failed(&failed(&SendError::TooLarge { size: 1, limit: 0 }, -1, &marks[..1]));
        pages.delivered(&Delivered { topic: Topic(0), partition: 0, base_offset: 0, done_ns: 0, marks: &marks[3..] });
        let verdict = settle(&[pages.ledger.take().unwrap()], &ReadLedger::new());
        assert_eq!((verdict.acknowledged, verdict.failed, verdict.unknown), (3, 1, 2));
    }
}

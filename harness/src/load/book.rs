//! What one client keeps beyond the original's counts: its series and its ledger. Shared with the main thread, which reads
//! it also where the client could not be waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlog_wire::Uuid;

use crate::client::{Delivered, Failed, InPlace, Mark, RecordHeader, SendError};
use crate::measure::Sample;
use crate::measure::ledger::{AcknowledgedBy, HEADER_KEY, STAMP_LEN, WriteLedger};
use crate::measure::series::Recorder;
use crate::spec::StampPlace;

/// Shared by the client's sink, its loop and the main thread. Nobody waits for it: one thread uses it while a run lasts.
#[derive(Clone)]
pub(crate) struct Book {
    pages: Arc<Mutex<Pages>>,
    place: StampPlace,
}

/// The ledger of one client, and how it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    pub(crate) ledger: WriteLedger,
    pub(crate) place: StampPlace,
    pub(crate) acknowledged_by: AcknowledgedBy,
}

impl Keeping {
    fn decides_by_batch(&self) -> bool {
        !matches!(self.acknowledged_by, AcknowledgedBy::Commit { .. })
    }
}

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) recorder: Option<Recorder>,
    pub(crate) keeping: Option<Keeping>,
    /// Why the first record was given up that was.
    pub(crate) first_failure: Option<String>,
    /// Id of the topic that acknowledged the first record.
    pub(crate) topic_id: Option<Uuid>,
}

/// Room for a stamp, which is written where the record lies in its batch.
const BLANK: &[RecordHeader<'_>] = &[RecordHeader { key: HEADER_KEY, value: Some(&[0; STAMP_LEN]) }];

impl Book {
    pub(crate) fn new(keeping: Option<Keeping>) -> Self {
        let place = keeping.as_ref().map(|keeping| keeping.place).unwrap_or_default();
        Self { pages: Arc::new(Mutex::new(Pages { keeping, ..Pages::default() })), place }
    }

    /// The headers that each record is sent with.
    pub(crate) fn headers(&self) -> &'static [RecordHeader<'static>] {
        match self.place {
            StampPlace::Payload => &[],
            StampPlace::Header => BLANK,
        }
    }

    /// A client that panicked leaves counters that are still true.
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    pub(crate) fn sent(&mut self, now_ns: u64) {
        self.recorder.iter_mut().for_each(|recorder| recorder.sent(now_ns));
    }

    /// The record's tag: with a ledger its number in the partition, without one what the loop gave it.
    pub(crate) fn tag(&mut self, partition: i32, record: InPlace<'_>, number: u64) -> u64 {
        let Some(Keeping { ledger, place, .. }) = &mut self.keeping else { return number };
        let stamped = match place {
            StampPlace::Payload => ledger.stamp(partition, record.value),
            StampPlace::Header => ledger.stamp_header(partition, record.value, record.headers),
        };
        // Payloads that are too short were refused with the options.
        stamped.unwrap_or(u64::MAX)
    }

    /// A transaction begins, ends with a commit, ends with an abort: what the ledger makes of it.
    pub(crate) fn transaction(&mut self, step: impl FnOnce(&mut WriteLedger)) {
        if let Some(keeping) = &mut self.keeping {
            step(&mut keeping.ledger);
        }
    }

    pub(crate) fn delivered(&mut self, batch: &Delivered<'_>) {
        if self.topic_id.is_none() && !batch.topic_id.is_zero() {
            self.topic_id = Some(batch.topic_id);
        }
        for mark in batch.marks {
            if let Some(recorder) = &mut self.recorder {
                let Mark { intended_ns, sent_ns, bytes, .. } = *mark;
                recorder.done(&Sample { intended_ns, sent_ns, done_ns: batch.done_ns, bytes });
            }
            if let Some(Keeping { ledger, acknowledged_by: AcknowledgedBy::Broker, .. }) = &mut self.keeping {
                ledger.acknowledged(batch.partition, mark.tag);
            }
        }
    }

    pub(crate) fn failed(&mut self, batch: &Failed<'_>) {
        self.first_failure.get_or_insert_with(|| batch.error.with_its_cause());
        if let Some(recorder) = &mut self.recorder {
            recorder.failed(batch.marks.len() as u64, batch.done_ns);
        }
        // A record without a partition was refused before it had a stamp. One without an answer stays unknown.
        let was_refused = batch.partition >= 0 && matches!(batch.error, SendError::Broker { .. });
        // Of a transaction the coordinator decides as a whole.
        let keeping = self.keeping.as_mut().filter(|keeping| keeping.decides_by_batch() && was_refused);
        if let Some(keeping) = keeping {
            batch.marks.iter().for_each(|mark| keeping.ledger.failed(batch.partition, mark.tag));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Topic;
    use crate::measure::ledger::{ReadLedger, settle};

    fn book(place: StampPlace, acknowledged_by: AcknowledgedBy) -> Book {
        Book::new(Some(Keeping { ledger: WriteLedger::new(1), place, acknowledged_by }))
    }

    #[test]
    fn what_the_broker_refused_has_failed_and_what_it_did_not_answer_is_unknown() {
        let book = book(StampPlace::Payload, AcknowledgedBy::Broker);
        let mut pages = book.pages();
        let mut mark = |_| {
            let tag = pages.tag(0, InPlace { value: &mut [0; 20], headers: &mut [0] }, 99);
            Mark { intended_ns: 0, sent_ns: 0, tag, bytes: 20 }
        };
        let marks: Vec<Mark> = (0..6).map(&mut mark).collect();
        let refused = SendError::Broker { code: 10, name: "MESSAGE_TOO_LARGE", message: String::new() };
        let failed = |error, partition, marks| Failed { topic: Topic(0), partition, error, done_ns: 0, marks };
        pages.failed(&failed(&refused, 0, &marks[..1]));
        pages.failed(&failed(&SendError::Disconnected, 0, &marks[1..3]));
        pages.failed(&failed(&SendError::TooLarge { size: 1, limit: 0 }, -1, &marks[..1]));
        pages.delivered(&Delivered::of_nobody(0, &marks[3..]));
        let verdict = settle(&[pages.keeping.take().unwrap().ledger], &ReadLedger::new());
        assert_eq!((verdict.acknowledged, verdict.failed, verdict.unknown), (3, 1, 2));
        assert_eq!(pages.first_failure, Some(refused.to_string()), "the first one says why");
    }

    #[test]
    fn in_a_transaction_answers_for_batches_decide_nothing() {
        let book = book(StampPlace::Payload, AcknowledgedBy::Commit { transaction_timeout_ms: 1 });
        let mut pages = book.pages();
        pages.transaction(WriteLedger::begin_transaction);
        let tag = pages.tag(0, InPlace { value: &mut [0; 20], headers: &mut [0] }, 99);
        let marks = [Mark { intended_ns: 0, sent_ns: 0, tag, bytes: 20 }];
        pages.delivered(&Delivered::of_nobody(0, &marks));
        let refused = SendError::Broker { code: 10, name: "MESSAGE_TOO_LARGE", message: String::new() };
        pages.failed(&Failed { topic: Topic(0), partition: 0, error: &refused, done_ns: 0, marks: &marks });
        let settled = |pages: &Pages| {
            let verdict = settle(&[pages.keeping.clone().unwrap().ledger], &ReadLedger::new());
            (verdict.acknowledged, verdict.failed, verdict.aborted, verdict.unknown)
        };
        assert_eq!(settled(&pages), (0, 0, 0, 1));
        pages.transaction(WriteLedger::abort_transaction);
        assert_eq!(settled(&pages), (0, 0, 1, 0));
    }

    #[test]
    fn with_acks_0_what_went_out_stays_unknown_and_what_was_read_is_told() {
        let book = book(StampPlace::Header, AcknowledgedBy::Nobody);
        let (mut pages, mut read) = (book.pages(), ReadLedger::new());
        for _ in 0..3 {
            let (mut value, mut headers) = (*b"as it is", [0; 33]);
            let tag = pages.tag(0, InPlace { value: &mut value, headers: &mut headers }, 99);
            let marks = [Mark { intended_ns: 0, sent_ns: 0, tag, bytes: 8 }];
            pages.delivered(&Delivered::of_nobody(-1, &marks));
            assert_eq!(&value, b"as it is");
            read.record(0, &value);
        }
        let verdict = settle(&[pages.keeping.take().unwrap().ledger], &read);
        assert_eq!((verdict.acknowledged, verdict.unknown, verdict.lost, verdict.corrupt), (0, 3, 0, 3), "no header");
    }
}

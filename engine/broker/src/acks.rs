//! Who waits until readers see the batches that were appended for them: at once, or (flush.messages=1) after the flush.

use std::collections::VecDeque;

use ringlog_storage::Appended;
use ringlog_wire::ErrorCode;

use crate::replica::{Settled, Ticket};

/// One that waits.
#[derive(Debug)]
struct Ack {
    ticket: Ticket,
    appended: Appended,
    /// What the batch added to the log; 0 for one that was there already.
    new_bytes: usize,
}

/// All that wait at one partition, by the offset that must be visible, then in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: VecDeque<Ack>,
}

impl Acks {
    /// A batch was appended, or was there already.
    pub(crate) fn enter(&mut self, ticket: Ticket, appended: Appended, new_bytes: usize) {
        let last_offset = appended.last_offset;
        let at = self.waiting.partition_point(|ack| ack.appended.last_offset <= last_offset);
        self.waiting.insert(at, Ack { ticket, appended, new_bytes });
    }

    /// Acknowledges all that are below `watermark`. Gives the bytes that they added to the log.
    pub(crate) fn advance(&mut self, watermark: i64, log_start_offset: i64, settled: &mut Vec<Settled>) -> usize {
        let mut new_bytes = 0;
        while let Some(first) = self.waiting.pop_front_if(|first| first.appended.last_offset < watermark) {
            new_bytes += first.new_bytes;
            settled.push(Settled { ticket: first.ticket, log_start_offset, result: Ok(first.appended) });
        }
        new_bytes
    }

    /// Refuses all.
    pub(crate) fn fail(&mut self, error: ErrorCode, log_start_offset: i64, settled: &mut Vec<Settled>) {
        let refused = |ack: Ack| Settled { ticket: ack.ticket, log_start_offset, result: Err(error) };
        settled.extend(self.waiting.drain(..).map(refused));
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

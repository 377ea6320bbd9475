//! A transaction begins with its first record and is committed after the first record that was sent so long after
//! (`--transaction-duration-ms`), or that is the last of so many (a workload's `transaction_records`). What is open at the end is committed; nothing is aborted but what an error stopped, and that
//! only beside a ledger, which is to know what became of it: the original leaves it to the coordinator's timeout.

use hdrhistogram::Histogram;

use super::book::Book;
use super::ear::Ear;
use super::to_ms;
use crate::cli::PerfError;
use crate::client::Producer;
use crate::measure::empty;
use crate::measure::ledger::WriteLedger;
use crate::spec::CommitWhen;

/// The transactions of one client.
pub(crate) struct Transactions {
    when: CommitWhen,
    begun_ms: Option<i64>,
    /// Of the open one.
    records: u64,
    /// How long commits took that were asked for, ns: of the steady state, once it has begun.
    commits: Histogram<u64>,
    /// Where a ledger may be kept.
    book: Option<Book>,
}

impl Transactions {
    /// Takes the producer's transactional id.
    pub(crate) fn open(producer: &mut Producer<Ear>, when: CommitWhen, book: Option<Book>) -> Result<Self, PerfError> {
        producer.init_transactions()?;
        Ok(Self { when, begun_ms: None, records: 0, commits: empty(), book })
    }

    /// A record is about to be sent.
    pub(crate) fn before(&mut self, producer: &mut Producer<Ear>) -> Result<(), PerfError> {
        if self.begun_ms.is_none() {
            producer.begin_transaction()?;
            self.note(WriteLedger::begin_transaction);
            self.begun_ms = Some(to_ms(producer.driver().read().0));
            self.records = 0;
        }
        Ok(())
    }

    /// A record was sent at that time.
    pub(crate) fn after(&mut self, producer: &mut Producer<Ear>, sent_ns: u64) -> Result<(), PerfError> {
        self.records += 1;
        let is_old = self.begun_ms.is_some_and(|begun_ms| self.when.ms <= to_ms(sent_ns) - begun_ms);
        if is_old || self.records >= self.when.records {
            self.end(producer)?;
        }
        Ok(())
    }

    /// Commits what is open.
    pub(crate) fn end(&mut self, producer: &mut Producer<Ear>) -> Result<(), PerfError> {
        if self.begun_ms.take().is_some() {
            let asked_ns = producer.driver().read().0;
            producer.commit_transaction()?;
            let took_ns = producer.driver().read().0.saturating_sub(asked_ns);
            self.commits.saturating_record(took_ns);
            self.note(WriteLedger::commit_transaction);
        }
        Ok(())
    }

    /// The steady state begins: what was committed before it is not counted.
    pub(crate) fn begin_steady_state(&mut self) {
        self.commits.reset();
    }

    /// How long commits took in the steady state.
    pub(crate) fn commits(&self) -> Histogram<u64> {
        self.commits.clone()
    }

    /// After an error. Where even this fails, what was in the transaction stays unknown.
    pub(crate) fn give_up(&mut self, producer: &mut Producer<Ear>) {
        let keeps = self.book.as_ref().is_some_and(|book| book.pages().keeping.is_some());
        if keeps && producer.abort_transaction().is_ok() {
            self.note(WriteLedger::abort_transaction);
        }
    }

    fn note(&self, step: impl FnOnce(&mut WriteLedger)) {
        if let Some(book) = &self.book {
            book.pages().transaction(step);
        }
    }
}

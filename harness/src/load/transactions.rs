//! `--transaction-duration-ms`: a transaction begins with its first record and is committed after the first record that
//! was sent so long after. What is open at the end is committed; nothing is aborted but what an error stopped, and that
//! only beside a ledger, which is to know what became of it: the original leaves it to the coordinator's timeout.

use super::book::Book;
use super::ear::Ear;
use super::to_ms;
use crate::cli::PerfError;
use crate::client::Producer;
use crate::measure::ledger::WriteLedger;

/// The transactions of one client.
pub(crate) struct Transactions {
    duration_ms: i64,
    begun_ms: Option<i64>,
    /// Where a ledger may be kept.
    book: Option<Book>,
}

impl Transactions {
    /// Takes the producer's transactional id.
    pub(crate) fn open(producer: &mut Producer<Ear>, duration_ms: i64, book: Option<Book>) -> Result<Self, PerfError> {
        producer.init_transactions()?;
        Ok(Self { duration_ms, begun_ms: None, book })
    }

    /// A record is about to be sent.
    pub(crate) fn before(&mut self, producer: &mut Producer<Ear>) -> Result<(), PerfError> {
        if self.begun_ms.is_none() {
            producer.begin_transaction()?;
            self.note(WriteLedger::begin_transaction);
            self.begun_ms = Some(to_ms(producer.driver().read().0));
        }
        Ok(())
    }

    /// A record was sent at that time.
    pub(crate) fn after(&mut self, producer: &mut Producer<Ear>, sent_ns: u64) -> Result<(), PerfError> {
        if self.begun_ms.is_some_and(|begun_ms| self.duration_ms <= to_ms(sent_ns) - begun_ms) {
            self.end(producer)?;
        }
        Ok(())
    }

    /// Commits what is open.
    pub(crate) fn end(&mut self, producer: &mut Producer<Ear>) -> Result<(), PerfError> {
        if self.begun_ms.take().is_some() {
            producer.commit_transaction()?;
            self.note(WriteLedger::commit_transaction);
        }
        Ok(())
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

//! The load: what clients do to a broker, record by record.
//!
//! ```text
//!   clients    threads, pinned           signals   the end that comes from outside
//!   pace       throttle (closed), schedule (open)
//!   shapes     sizes, keys, payloads, letters, records
//!   sender     one producer's loop --> book: what is kept of each record
//!   reader     one consumer's loop       readback  a topic beside its ledger
//!   write, read                          bench's
//! ```

pub(crate) mod book;
pub(crate) mod clients;
pub(crate) mod letters;
mod payload;
pub(crate) mod read;
pub(crate) mod readback;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod schedule;
pub(crate) mod sender;
pub(crate) mod shapes;
pub(crate) mod signals;
mod throttle;
mod transactions;
pub(crate) mod write;

/// The original's clock: whole milliseconds.
pub(crate) fn to_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

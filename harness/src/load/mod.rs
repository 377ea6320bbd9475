//! The load: what clients do to a broker, record by record. bench's trials and the perf tools run the same.
//!
//! ```text
//!   clients    threads, pinned           signals   the end that comes from outside
//!   pace       throttle (closed), schedule (open), steady (when a warm-up is over)
//!   shapes     sizes, keys, payloads, letters, records
//!   produce    a load of producers --> sender: one client's loop (times: its share) --> ear: who hears of it
//!                                                                    book: series and ledger
//!   consume    a load of consumers --> reader: one client's loop --> tally: what is counted, who hears of it
//!   readback   a topic beside its ledger: afterwards, or while it is written (spec::Along)
//! ```

pub(crate) mod book;
pub(crate) mod clients;
pub(crate) mod consume;
pub(crate) mod ear;
pub(crate) mod letters;
pub(crate) mod payload;
pub(crate) mod produce;
pub(crate) mod readback;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod schedule;
pub(crate) mod sender;
pub(crate) mod shapes;
pub mod signals;
pub(crate) mod steady;
pub(crate) mod tally;
mod throttle;
mod times;
mod transactions;

#[cfg(test)]
pub(crate) mod tests;

/// The original's clock: whole milliseconds.
pub(crate) fn to_ms(ns: u64) -> i64 {
    i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX)
}

//! What the perf tools have beyond Kafka's, all of it opt-in: without one of these options nothing here runs but the
//! clients' threads and the signals, and the tools' lines are the originals'.
//!
//! ```text
//!   args      options, taken out before the compatible parser      signals   Ctrl-C
//!   clients   N threads, pinned; events to the main thread         progress  what is going on, on stderr
//!   schedule  when records are due in an open loop                 shapes    sizes, keys, compressible payloads
//!   series    a run by its seconds --> hdr (interval log), document (JSON, percentiles)
//!   effort    what the clients' threads took                       readback  a topic beside its ledger
//! ```

pub(crate) mod args;
pub(crate) mod clients;
pub(crate) mod document;
pub(crate) mod effort;
pub(crate) mod hdr;
pub(crate) mod progress;
pub(crate) mod readback;
pub(crate) mod schedule;
pub(crate) mod series;
pub(crate) mod shapes;
pub(crate) mod signals;

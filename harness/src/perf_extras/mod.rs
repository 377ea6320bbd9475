//! What the perf tools have beyond Kafka's, all of it opt-in: without one of these options nothing here runs and the
//! tools' lines are the originals'.
//!
//! ```text
//!   args     options, taken out before the compatible parser           signals   Ctrl-C
//!   clients  N threads, pinned; events to the main thread
//! ```

pub(crate) mod args;
pub(crate) mod clients;
pub(crate) mod signals;

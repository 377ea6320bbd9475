//! What the perf tools have beyond Kafka's, all of it opt-in: without one of these options nothing here runs, and the tools'
//! lines are the originals'.
//!
//! ```text
//!   args      options, taken out before the compatible parser
//!   document  JSON, percentiles                                  progress  what is going on, on stderr
//! ```

pub(crate) mod args;
pub(crate) mod document;
pub(crate) mod progress;

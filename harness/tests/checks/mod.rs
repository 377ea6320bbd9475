//! What the checks of whole programs share (`scripts/truth`, `scripts/perf-extras`): brokers, tools, a reader of hdr logs, the
//! report.

#![allow(dead_code, reason = "each of the programs uses its part")]

pub(crate) mod brokers;
pub(crate) mod hlog;
pub(crate) mod report;
pub(crate) mod tools;

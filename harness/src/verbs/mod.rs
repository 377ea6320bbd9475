//! What a person runs: parse, run, print. Nothing is measured here.

pub mod bench;
pub(crate) mod compare;
pub(crate) mod consumer_perf;
pub(crate) mod e2e_latency;
pub(crate) mod export;
pub(crate) mod extras;
pub(crate) mod fit;
pub(crate) mod history;
pub(crate) mod plan;
pub(crate) mod producer_perf;
pub(crate) mod profile;
pub(crate) mod report;
pub(crate) mod rerun;
pub mod sweep;

//! What is asked for: a workload with every setting resolved, from a profile or from a perf tool's argv; and where it is to run.

#![allow(clippy::disallowed_methods, reason = "reads profiles")]

mod beside;
pub(crate) mod client;
pub(crate) mod consume;
pub mod document;
pub mod event;
pub mod hardware;
pub(crate) mod produce;
pub mod sweep;
pub mod workload;

pub(crate) use consume::{Along, Consume, Goal, What};
pub(crate) use produce::{
    CommitWhen, Found, Keys, Pace, PayloadSource, Produce, RecordShape, StampPlace, Until, Warmup,
};
pub use workload::{Kind, Workload};

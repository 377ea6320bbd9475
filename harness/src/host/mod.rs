//! What the machine is, and what it was doing while something was measured.
//!
//! ```text
//!   facts    once a run: processor, memory, kernel, limits, the file system of a path      -> manifest.toml
//!   usage    before and after: processor time of processes and of the machine, pressure    -> rows.csv
//!            (process, jvm, cgroup, network: where its counters come from)
//!   metrics  the same of a target that runs elsewhere, as its Prometheus endpoints say it
//!   memory   before the first run: pages touched, so that nobody pays for the first touch
//! ```
//!
//! Everything is read below a root folder (`/` in life, a made-up tree in tests). A fact that cannot be read is `None`
//! and says so in the manifest; it is never guessed.

#![allow(
    clippy::disallowed_methods,
    reason = "reads /proc and /sys and the clock; this is the instrument, not the broker"
)]

mod cgroup;
pub mod facts;
pub mod jvm;
pub mod memory;
pub mod metrics;
mod network;
pub mod process;
pub mod usage;

pub use facts::{HostFacts, PathFacts};
pub use jvm::JvmUsage;
pub use metrics::Observed;
pub use process::{CoreShare, Faults, ProcessUsage, has_ended};
pub use usage::{Meter, Usage};

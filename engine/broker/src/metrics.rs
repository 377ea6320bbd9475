//! Numbers to look at: what each shard counts, and who is told of it.
//!
//! ```text
//!   shard's thread                                             metrics' thread
//!     Watch: steps, phases, stalls --> Meter (counters) <------- Window: the last five minutes
//!     Replica: Traffic                   | ask, answer           Residency: the page cache
//!     Facts of now ----------------------+----> Board ---------> Server: HTTP --> page (names, text)
//!                                                '-- watchdog: a thread that looks whether shards wait for a disk
//! ```
//! Invariants: a shard never waits for who watches it; a counter has one writer; nothing is counted for a record; what is
//! shown is bounded ([`facts`], [`residency`]); a page has no name that [`names`] does not explain.

pub(crate) mod board;
pub(crate) mod facts;
mod http;
pub(crate) mod meter;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod residency;
pub(crate) mod server;
pub(crate) mod step;
mod text;
mod times;
pub(crate) mod traffic;
pub(crate) mod watchdog;
pub(crate) mod window;

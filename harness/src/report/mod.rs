//! What people see of a run: a table on the terminal, a page for the browser. Made from a run's folder alone.
//!
//! ```text
//!   results/<run>/ --> kept::Kept --> cells::Cells --> pictures --> page     report.html
//!                      rows, hlog      a line for       what they    one file, no script, no network
//!                      manifest        workload,        show, as
//!                                      settings,        numbers,
//!                                      target           then drawn --> table  the terminal
//! ```
//!
//! Invariants: nothing is measured or judged here, every figure comes from rows.csv, latency.hlog and manifest.toml; what a
//! run did not record is said, never drawn; the words beside a picture are worked out from the numbers that it shows.

pub mod cells;
pub mod clients;
mod comparison;
pub mod kept;
pub mod page;
mod pictures;
pub mod table;
mod text;

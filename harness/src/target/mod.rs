//! What is measured: how it is started, reached and watched.
//!
//! ```text
//!   machine   who sits on which core
//!   brokers   the brokers of a run, their folder  -->  process   one of them, with a ready line
//!   topics    made and deleted
//!   faulty    a broker that errs in a known way (test code)
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "makes folders and processes, reads the clock: the instrument, not the broker"
)]

pub(crate) mod brokers;
#[cfg(all(test, feature = "yardstick"))]
pub(crate) mod faulty;
pub mod machine;
pub mod process;
pub(crate) mod topics;

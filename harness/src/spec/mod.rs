//! What is asked for: a workload with every setting, from a profile.

#![allow(clippy::disallowed_methods, reason = "reads profiles")]

pub mod workload;

pub use workload::{Kind, Workload};

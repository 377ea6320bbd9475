//! What people see of a run. No arithmetic here: every figure comes from [`crate::run::rows`].

pub mod table;

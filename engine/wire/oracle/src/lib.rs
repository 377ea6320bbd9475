//! Nothing but tests: a crate of its own, because the other codec takes a minute to build (`cargo test -p ringlog-wire-oracle`).

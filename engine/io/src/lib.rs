//! The one door to the kernel: sockets, files, clock, randomness, signals, threads' places. The only `unsafe` lives here.
//!
//! ```text
//!   a shard, a client                 one thread, one Driver
//!     | recv, send, sync, ... (token)      ^
//!     v                                    | Event { token, .. }
//!   Driver::wait  ---- uring | epoll ----  kernel
//!     |
//!   Files (same thread, calls that return when they are done) ---- os | sim
//! ```
//!
//! Invariants:
//! - A buffer given to the driver is neither read, reused nor dropped before the event that gives it back.
//! - Every submitted operation ends in exactly one event, a closed socket's too (accept is the exception: it repeats).
//! - Nothing here knows a Kafka word.

pub mod buf;
pub mod driver;
pub mod files;

pub use buf::{Buf, Slice};
pub use driver::{
    Cache, Choice, Clock, Counters, Driver, Event, Kind, Listener, Nanos, Socket, SocketOptions, Token, Waker,
};
pub use files::{DirEntry, File, Files, Map, OpenMode, Residency};

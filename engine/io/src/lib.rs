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

// This crate is the door that clippy.toml's list keeps shut for everyone else.
#![allow(clippy::disallowed_methods)]

pub mod buf;
pub mod clock;
pub mod cpu_time;
pub mod driver;
mod epoll;
pub mod error;
pub mod files;
mod helper;
pub mod host;
pub mod job;
mod net;
pub mod notify;
#[cfg(feature = "plant")]
pub mod plant;
pub mod process;
mod sendlist;
pub mod sim;
mod slab;
mod sys;
pub mod threads;
mod uring;
pub mod usage;

pub use buf::{Buf, Buffers, Slice};
pub use clock::SystemClock;
pub use driver::{
    Cache, Choice, Clock, Counters, Driver, DriverOptions, Event, Kind, Listener, Nanos, Socket, SocketOptions, Token,
    Waker,
};
pub use error::{errno, is_full};
pub use files::os::OsFiles;
pub use files::{DirEntry, File, Files, OpenMode, Residency, Space, WRITE_EDGE_BYTES};
pub use job::Job;

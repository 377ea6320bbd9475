//! Every limit of the broker in one place, and the sums that must hold, checked when it is compiled.
//!
//! ```text
//!   a connection:  REQUESTS_IN_FLIGHT replies held in order, OUTPUT_BYTES of answers queued in memory
//!   a shard:       RECEIVE_BUFFERS x RECEIVE_BUFFER_BYTES lent to the kernel, CONNECTIONS connections
//! ```
//! What depends on the machine and on settings is shared out once, when the broker starts: [`Budget`]. Settings under
//! Kafka's names (message.max.bytes, socket.request.max.bytes, max.connections, ...) are limits too, and stand in
//! `settings`.

mod budget;

pub(crate) use budget::{Budget, Means};

/// Connections of one shard, where descriptors, memory and max.connections allow so many.
pub(crate) const CONNECTIONS: usize = 8_192;

/// Produce requests of one connection that may wait for their reply; of others there is one, as in Kafka. Clients pipeline 5
/// (Java) or more (librdkafka): beyond this the socket is not read.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 64;

/// Answer bytes, ranges of segments included, that may wait for one connection's socket before its next request is handled.
pub(crate) const OUTPUT_BYTES: usize = 8 << 20;

/// Answer bytes in memory that every connection may hold, however much the others do: below it answers leave in crumbs.
pub(crate) const OUTPUT_BYTES_MIN: usize = 16 << 10;

/// Requests of one connection that are handled in one turn: what one write of a client that pipelines produces holds.
pub(crate) const TURN_REQUESTS: usize = 64;

/// Answer bytes in memory that are made for one connection in one turn; the last answer may go beyond.
pub(crate) const TURN_ANSWER_BYTES: usize = OUTPUT_BYTES_MIN;

/// How long a connection may move nothing when others wait for the memory that its answers take, and how often it is
/// looked whether it does.
pub(crate) const STALLED_NS: u64 = 1_000_000_000;
pub(crate) const STALLED_LOOK_NS: u64 = STALLED_NS / 4;

/// Pooled receive buffers of one shard.
pub(crate) const RECEIVE_BUFFERS: u16 = 64;

/// Bytes of one pooled receive buffer: four 16 KiB produce requests fit.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 128 << 10;

/// The first allocation for a frame that is larger than what is there; it doubles as bytes arrive, so that a length that
/// lies costs no memory.
pub(crate) const FRAME_FIRST_BYTES: usize = 2 << 20;

/// One read of a file range on its way to a socket.
pub(crate) const TRANSFER_BYTES: usize = 512 << 10;

/// The shortest range that goes out by sendfile(2): below it a copy is as cheap (`docs/decisions/transfer-rule.md`).
pub(crate) const REFERENCE_BYTES_MIN: usize = 16 << 10;

/// Parts of one send.
pub(crate) const SEND_PARTS: usize = 64;

/// Pieces of mail that may wait on their way from one shard to another ([`crate::bus`]).
pub(crate) const LANE_MAIL: usize = 256;

/// Calls to the controller that one shard may have outstanding.
pub(crate) const CONTROLLER_CALLS: usize = 1_024;

/// Fetches of one shard that may wait for data.
pub(crate) const WAITING_FETCHES: usize = 65_536;

/// Tasks of one shard that run at a time; others wait for their turn ([`crate::tasks`]).
pub(crate) const TASKS_RUNNING: usize = 2;

/// Bytes of a log that a task reads at a time, where a batch is not larger: a millisecond or two of work.
pub(crate) const TASK_READ_BYTES: usize = 256 << 10;

/// The longest that a fetch waits, whatever `max_wait_ms` it names: it is then answered without records, and asks again.
pub(crate) const FETCH_WAIT_MS_MAX: u64 = 5 * 60 * 1_000;

/// How long a fetch waits for the disk at least, whatever it says: a load is done by then, or the disk is not well.
pub(crate) const DISK_WAIT_MS: u64 = 1_000;

const _: () = assert!(RECEIVE_BUFFER_BYTES <= FRAME_FIRST_BYTES);
const _: () = assert!(REQUESTS_IN_FLIGHT * CONNECTIONS <= 1 << 20);

//! How fast and how well the simulated world works right now. Spans in nanoseconds.

use std::ops::Range;

/// Changed at any time through [`crate::sim::World::weather`]; what is under way keeps what it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// One way through the network.
    pub network_ns: Range<u64>,
    /// Bytes of one segment: what is sent arrives in pieces of such sizes, and pieces that arrive together are joined.
    pub segment_bytes: Range<u64>,
    /// Bytes that a connection holds in each direction, sent and not yet received. Taken when it is made.
    pub window_bytes: usize,
    /// A sync, or a read that is not in the page cache.
    pub disk_ns: Range<u64>,
    /// One in so many of them takes [`Weather::stall_ns`] instead. 0: none.
    pub stall_once_in: usize,
    /// What those take.
    pub stall_ns: Range<u64>,
    /// What a turn of a driver's thread takes.
    pub turn_ns: Range<u64>,
    /// How long a peer that says nothing is waited for when it owes an acknowledgement (TCP's retransmissions).
    pub give_up_ns: u64,
    /// Whether the process has no descriptors left for connections.
    pub out_of_descriptors: bool,
}

impl Default for Weather {
    /// A fair day.
    fn default() -> Self {
        Self {
            network_ns: 20_000..200_000,
            segment_bytes: 1..65_536,
            window_bytes: 256 << 10,
            disk_ns: 100_000..2_000_000,
            stall_once_in: 0,
            stall_ns: 50_000_000..2_000_000_000,
            turn_ns: 2_000..50_000,
            give_up_ns: 60_000_000_000,
            out_of_descriptors: false,
        }
    }
}

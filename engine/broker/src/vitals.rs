//! What a shard has under way, counted between two turns: every one of these has a limit, and all are none again when nobody
//! asks anything. The simulation looks at them after each turn.

/// What a shard has under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    pub(crate) connections: usize,
    /// Produce requests without an answer.
    pub(crate) produces: usize,
    /// Fetches that wait for data.
    pub(crate) fetches: usize,
    /// Partitions that they watch.
    pub(crate) watches: usize,
    /// Calls to the controller without an answer.
    pub(crate) calls: usize,
    pub(crate) flushes: usize,
    /// Pieces of logs on their way to the disk.
    pub(crate) writebacks: usize,
    /// Bytes of all shards' logs that the disk may not have.
    pub(crate) unwritten: u64,
    /// DeleteRecords without an answer.
    pub(crate) deletions: usize,
    /// Tasks, those that wait to run included.
    pub(crate) tasks: usize,
    pub(crate) tasks_running: usize,
    /// Logs of the last run that are not opened yet.
    pub(crate) openings: usize,
    pub(crate) held: Held,
    pub(crate) replicas: ReplicaVitals,
}

/// What a shard holds of its memory, by the parts of its budget, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) sessions: usize,
    pub(crate) waiting: usize,
    /// Answers beyond what is each connection's own.
    pub(crate) output: usize,
    pub(crate) frames: usize,
    /// Batches that wait to be compressed anew, and what jobs open of them.
    pub(crate) recompressed: usize,
}

/// The partitions' part of it, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReplicaVitals {
    /// Batches that wait for the end of the turn.
    pub(crate) staged: usize,
    /// Batches that wait for a segment to be rolled.
    pub(crate) behind_rolls: usize,
    /// Batches that are being compressed anew, or come behind one.
    pub(crate) recompressed: usize,
    /// Batches that wait for a flush.
    pub(crate) unflushed: usize,
    /// A partition whose offsets are out of order, in words.
    pub(crate) disordered: Option<String>,
}

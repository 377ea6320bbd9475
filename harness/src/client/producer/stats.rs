//! What a producer counts.

/// What the producer counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerStats {
    /// Records acknowledged.
    pub records: u64,
    /// Records given up.
    pub failed_records: u64,
    /// Records of batches that went out again.
    pub retried_records: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes of those batches as sent.
    pub batch_bytes: u64,
    /// Bytes of those batches before compression.
    pub raw_batch_bytes: u64,
    /// The largest batch in bytes as sent.
    pub batch_bytes_max: u64,
    /// Bytes of keys and values that went into batches that were sent.
    pub payload_bytes: u64,
    /// Sum over batches of the largest record of each, as Kafka estimates its size in a batch of its own.
    pub record_len_max_sum: u64,
    /// The largest of them.
    pub record_len_max: u64,
    /// Produce requests sent.
    pub produce_requests: u64,
    /// Records in them.
    pub produce_request_records: u64,
    /// Sum over batches of the time from the first record to the first send, in nanoseconds.
    pub queue_ns_sum: u64,
    /// The longest of them.
    pub queue_ns_max: u64,
    /// Batches that were sent for the first time.
    pub batches_sent: u64,
    /// Batches that the broker found too large and that went out again in parts.
    pub batches_split: u64,
    /// Time that `send` waited for buffer memory, in nanoseconds.
    pub memory_wait_ns: u64,
    /// Time that `send` waited for metadata, in nanoseconds.
    pub metadata_wait_ns: u64,
    /// Answers that asked us to hold back, in milliseconds, and the most of one.
    pub throttle_ms_sum: u64,
    /// The longest of them.
    pub throttle_ms_max: u64,
    /// Errors of the broker that were tried again, by attempts.
    pub retries: u64,
    /// Time in `init_transactions`, `begin_transaction`, `commit_transaction` and `abort_transaction`, in nanoseconds
    /// (`txn-*-time-ns-total`).
    pub transaction_ns: [u64; 4],
}

//! What went through a partition since it is here: plain integers beside its log, one addition for a batch or an answer.

use std::ops::AddAssign;

/// See the head of the file. The words of Kafka's BrokerTopicMetrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Batches as they came, and the records in them.
    pub(crate) bytes_in: u64,
    pub(crate) records_in: u64,
    /// Batches as they left.
    pub(crate) bytes_out: u64,
    /// Produce and fetch requests that named the partition, and those of them that were refused.
    pub(crate) produces: u64,
    pub(crate) failed_produces: u64,
    pub(crate) fetches: u64,
    pub(crate) failed_fetches: u64,
}

impl Traffic {
    /// Bytes that readers were given.
    pub(crate) fn fetched(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
        self.fetches += 1;
    }

    /// A batch that the log took.
    pub(crate) fn appended(&mut self, bytes: usize, records: i32) {
        self.bytes_in += bytes as u64;
        self.records_in += u64::try_from(records).unwrap_or(0);
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.records_in += other.records_in;
        self.bytes_out += other.bytes_out;
        self.produces += other.produces;
        self.failed_produces += other.failed_produces;
        self.fetches += other.fetches;
        self.failed_fetches += other.failed_fetches;
    }
}

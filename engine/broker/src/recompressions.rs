//! Who is served next of the partitions whose batches are compressed anew ([`crate::replica::recompress`]), and what that takes
//! of the shard's memory.
//!
//! ```text
//!   held    bytes of batches that wait or are in a job          at the limit no more produces are read; one request goes beyond
//!   opened  what running jobs open and make, twice the records  a job waits until it fits, or runs alone
//! ```

use std::collections::VecDeque;

use crate::replica::PartitionKey;
use crate::replica::recompress::HeldBytes;

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Recompressions {
    waiting: VecDeque<PartitionKey>,
    opened_bytes: usize,
    pub(crate) held_bytes: HeldBytes,
}

impl Recompressions {
    /// A partition has work, and none is under way there.
    pub(crate) fn wait(&mut self, key: PartitionKey) {
        self.waiting.push_back(key);
    }

    /// Who is next.
    pub(crate) fn first(&self) -> Option<PartitionKey> {
        self.waiting.front().copied()
    }

    /// Who was next has nothing to do any more.
    pub(crate) fn skip(&mut self) {
        self.waiting.pop_front();
    }

    /// Lets the next one begin, which opens so many bytes. False: not before others have ended.
    pub(crate) fn admit(&mut self, bytes: usize, bytes_max: usize) -> bool {
        let fits = self.opened_bytes == 0 || self.opened_bytes + bytes <= bytes_max;
        if fits {
            self.opened_bytes += bytes;
            self.waiting.pop_front();
        }
        fits
    }

    /// A job that opened so many ended.
    pub(crate) fn ended(&mut self, bytes: usize) {
        self.opened_bytes -= bytes;
    }

    /// What it takes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.held_bytes.get() + self.opened_bytes
    }

    /// Whether produces have to wait.
    pub(crate) fn is_full(&self, bytes_max: usize) -> bool {
        self.held_bytes.get() >= bytes_max
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::Uuid;

    use super::*;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid([1; 16]), partition }
    }

    #[test]
    fn one_that_is_too_large_runs_alone_and_the_order_stays() {
        let mut all = Recompressions::default();
        (0..3).for_each(|partition| all.wait(key(partition)));
        assert!(all.admit(1_000, 100), "nobody runs");
        assert_eq!(all.first(), Some(key(1)));
        assert!(!all.admit(10, 100), "it waits for the large one");
        all.ended(1_000);
        assert!(all.admit(60, 100) && !all.admit(60, 100) && all.admit(40, 100));
        assert_eq!((all.first(), all.bytes()), (None, 100));
        all.ended(60);
        all.ended(40);
        assert_eq!(all.bytes(), 0);
    }

    #[test]
    fn what_is_held_counts_until_it_leaves() {
        let all = Recompressions::default();
        assert!(!all.is_full(1));
        all.held_bytes.set(1);
        assert!(all.is_full(1));
    }
}

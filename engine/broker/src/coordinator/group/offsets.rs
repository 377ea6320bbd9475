//! A group's offsets: what is committed, what is on its way to the log, and what open transactions hold.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::Uuid;

/// The expiry time of an offset that only the broker's settings expire.
pub(super) const NEVER_EXPIRES: i64 = -1;

/// An offset that a client stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    /// -1 where the client did not know it.
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
    /// When it was committed, ms since 1970.
    pub(super) commit_ms: i64,
    /// When it expires, ms since 1970, or [`NEVER_EXPIRES`].
    pub(super) expire_ms: i64,
    /// Zero in records older than topic ids, and in those of transactions.
    pub(super) topic_id: Uuid,
    /// Where its record is in the log.
    pub(super) log_offset: i64,
}

impl Committed {
    /// A topic that was deleted and made again has the same name, and its old offsets mean nothing.
    pub(super) fn is_of(&self, topic_id: Uuid) -> bool {
        self.topic_id.is_zero() || topic_id.is_zero() || self.topic_id == topic_id
    }
}

type ByPartition = BTreeMap<i32, Committed>;

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<String, ByPartition>,
    /// How many commits of a partition have not reached the log.
    in_flight: BTreeMap<(String, i32), usize>,
    /// Offsets that a transaction carries, by producer id.
    transactional: BTreeMap<i64, BTreeMap<(String, i32), Committed>>,
}

impl Offsets {
    /// Keeps the offset, unless one whose record comes later is there already.
    pub(super) fn put(&mut self, topic: &str, partition: i32, committed: Committed) {
        let partitions = match self.committed.get_mut(topic) {
            Some(partitions) => partitions,
            None => self.committed.entry(topic.to_owned()).or_default(),
        };
        match partitions.get_mut(&partition) {
            Some(newer) if newer.log_offset > committed.log_offset => {}
            Some(older) => *older = committed,
            None => {
                partitions.insert(partition, committed);
            }
        }
    }

    /// Forgets the partition's offset, committed or in a transaction (a tombstone was read).
    pub(super) fn remove(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.committed.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.committed.remove(topic);
            }
        }
        let key = (topic.to_owned(), partition);
        for offsets in self.transactional.values_mut() {
            offsets.remove(&key);
        }
        self.transactional.retain(|_, offsets| !offsets.is_empty());
    }

    /// The committed offset.
    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(topic)?.get(&partition)
    }

    /// All committed offsets, by topic and partition.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &ByPartition)> {
        self.committed.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// Every partition that has an offset, committed or in a transaction.
    pub(super) fn names(&self) -> Vec<(String, i32)> {
        let committed = self
            .all()
            .flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic.to_owned(), *partition)));
        let transactional = self.transactional.values().flat_map(|offsets| offsets.keys().cloned());
        committed.chain(transactional).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Every partition with an offset whose topic and topic id are asked for: committed, in a transaction, or on its way
    /// to the log (then the id is zero: it is that of the topic as it was).
    pub(super) fn names_where(&self, asked: &dyn Fn(&str, Uuid) -> bool) -> Vec<(String, i32)> {
        let committed = self.all().flat_map(|(topic, partitions)| {
            let found = partitions.iter().filter(move |(_, committed)| asked(topic, committed.topic_id));
            found.map(move |(partition, _)| (topic.to_owned(), *partition))
        });
        let carried = self.transactional.values().flatten();
        let transactional = carried.filter(|((topic, _), committed)| asked(topic, committed.topic_id));
        let in_flight = self.in_flight.keys().filter(|(topic, _)| asked(topic, Uuid::ZERO));
        committed
            .chain(transactional.map(|(key, _)| key.clone()))
            .chain(in_flight.cloned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Nothing is kept and nothing on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.transactional.is_empty() && self.in_flight.is_empty()
    }

    /// A commit of the partition goes to the log.
    pub(super) fn begin(&mut self, topic: &str, partition: i32) {
        *self.in_flight.entry((topic.to_owned(), partition)).or_default() += 1;
    }

    /// A commit of the partition has ended, well or not.
    pub(super) fn end(&mut self, topic: &str, partition: i32) {
        let key = (topic.to_owned(), partition);
        if let Some(count) = self.in_flight.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&key);
            }
        }
    }

    /// Whether the offset may change by something that has already begun.
    pub(super) fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        if self.in_flight.is_empty() && self.transactional.is_empty() {
            return false;
        }
        let key = (topic.to_owned(), partition);
        self.in_flight.contains_key(&key) || self.transactional.values().any(|offsets| offsets.contains_key(&key))
    }

    /// An offset that counts once the producer's transaction is committed.
    pub(super) fn put_transactional(&mut self, producer_id: i64, topic: &str, partition: i32, committed: Committed) {
        self.transactional.entry(producer_id).or_default().insert((topic.to_owned(), partition), committed);
    }

    /// The producer's transaction has ended.
    pub(super) fn end_transaction(&mut self, producer_id: i64, is_committed: bool) {
        let offsets = self.transactional.remove(&producer_id).unwrap_or_default();
        if is_committed {
            for ((topic, partition), committed) in offsets {
                self.put(&topic, partition, committed);
            }
        }
    }
}

//! Which partitions of its topic a coordinator owns, and how far: what every request for an id is checked against.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;

/// How far a partition is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ownership {
    /// Its records are being replayed.
    Loading,
    /// What belongs to it is served.
    Active,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    /// How many partitions the topic has; 0 while it does not exist.
    count: i32,
    partitions: BTreeMap<i32, Ownership>,
}

/// Which partition of an internal topic a group id or transactional id belongs to: Kafka's
/// `Utils.abs(id.hashCode()) % count` (where `abs` of the lowest number is 0).
pub(crate) fn partition_of(id: &str, partition_count: i32) -> i32 {
    let count = u32::try_from(partition_count).unwrap_or(0).max(1);
    ringlog_wire::hash::coordinator_partition(id, count).cast_signed()
}

impl Owned {
    /// How many partitions the topic has. To be told before the first of them is loaded; it never changes while something is
    /// owned, because it decides where each id belongs.
    pub(crate) fn set_count(&mut self, count: i32) {
        self.count = count;
    }

    /// How many partitions the topic has.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    /// The partition that an id belongs to.
    pub(super) fn partition_of(&self, id: &str) -> i32 {
        partition_of(id, self.count)
    }

    /// The shard leads `partition`: what belongs to it is answered COORDINATOR_LOAD_IN_PROGRESS until [`Self::serve`].
    pub(crate) fn begin_load(&mut self, partition: i32) {
        self.partitions.insert(partition, Ownership::Loading);
    }

    /// What belongs to a partition that was being loaded is served. False: it was not.
    pub(super) fn serve(&mut self, partition: i32) -> bool {
        let loading = self.partitions.get_mut(&partition).filter(|it| **it == Ownership::Loading);
        loading.map(|it| *it = Ownership::Active).is_some()
    }

    /// The partition is not ours any more. False: it was not.
    pub(super) fn give_up(&mut self, partition: i32) -> bool {
        self.partitions.remove(&partition).is_some()
    }

    /// Whether what belongs to `partition` is served.
    pub(crate) fn is_active(&self, partition: i32) -> bool {
        self.partitions.get(&partition) == Some(&Ownership::Active)
    }

    /// Whether it is served, or will be when it is loaded.
    pub(crate) fn has(&self, partition: i32) -> bool {
        self.partitions.contains_key(&partition)
    }

    /// Partitions of which all is served.
    pub(super) fn active(&self) -> impl Iterator<Item = i32> {
        self.partitions
            .iter()
            .filter(|(_, ownership)| **ownership == Ownership::Active)
            .map(|(partition, _)| *partition)
    }

    /// Partitions that are being replayed.
    pub(crate) fn loading(&self) -> usize {
        self.partitions.values().filter(|ownership| **ownership == Ownership::Loading).count()
    }

    /// Refuses an id that this shard does not coordinate (now).
    pub(super) fn check(&self, id: &str) -> Result<(), ErrorCode> {
        match self.partitions.get(&self.partition_of(id)) {
            Some(Ownership::Active) => Ok(()),
            Some(Ownership::Loading) => Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
            None => Err(ErrorCode::NOT_COORDINATOR),
        }
    }
}

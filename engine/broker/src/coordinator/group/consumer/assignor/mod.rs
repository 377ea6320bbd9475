//! Who is to have which partitions: the assignors that Kafka has beside its coordinator, with the same result for the same
//! input.
//!
//! ```text
//!   range     a topic's partitions in one stretch for each member, the same numbers of every topic where that can be
//!   uniform   as many partitions for each as for any other, and of those what it has already:
//!               uniform.rs  where all read the same topics        mixed.rs  where they do not
//! ```
//!
//! Kafka's `RangeAssignor` and `UniformAssignor`. Where they leave the order to a Java hash table, that order is taken too
//! ([`java_order`]). Racks are known to the coordinator, and no assignor of Kafka 4.3 looks at them.
//!
//! Invariants: a partition goes to one member at most, and to a member that reads its topic; every partition of a topic that
//! somebody reads is given.

mod java_order;
mod mixed;
mod range;
#[cfg(test)]
mod tests;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::Uuid;

pub(super) use java_order::by_hash_of_texts;

/// Partitions by topic. No topic stands here without a partition.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// An assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    /// The assignor of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Its name in `group.consumer.assignors`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each member is to have. Who is not named has nothing.
    pub(super) fn assign(self, spec: &Spec<'_>) -> BTreeMap<String, Partitions> {
        match self {
            _ if spec.members.is_empty() => BTreeMap::new(),
            Self::Range => range::assign(spec),
            Self::Uniform if spec.is_homogeneous => uniform::assign(spec),
            Self::Uniform => mixed::assign(spec),
        }
    }
}

/// What an assignor is given.
pub(super) struct Spec<'a> {
    /// By id.
    pub(super) members: Vec<Reader<'a>>,
    /// All read the same topics.
    pub(super) is_homogeneous: bool,
    /// Of every topic that a member reads.
    pub(super) partition_counts: &'a BTreeMap<Uuid, i32>,
}

/// A member.
pub(super) struct Reader<'a> {
    pub(super) id: &'a str,
    pub(super) instance_id: Option<&'a str>,
    /// The topics that it reads, those that exist.
    pub(super) topics: BTreeSet<Uuid>,
    /// Its target until now.
    pub(super) owned: &'a Partitions,
}

impl Spec<'_> {
    fn partition_count(&self, topic: Uuid) -> i32 {
        self.partition_counts.get(&topic).copied().unwrap_or(0)
    }
}

fn give(assigned: &mut Partitions, topic: Uuid, partition: i32) {
    assigned.entry(topic).or_default().insert(partition);
}

fn take(assigned: &mut Partitions, topic: Uuid, partition: i32) {
    if let Some(partitions) = assigned.get_mut(&topic) {
        partitions.remove(&partition);
        if partitions.is_empty() {
            assigned.remove(&topic);
        }
    }
}

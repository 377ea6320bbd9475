//! What the groups are, for who asks for metrics.

use std::sync::Arc;

use super::{ConsumerState, GroupCoordinator, State};

/// A group's state, by the protocol that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactState {
    Classic(State),
    Consumer(ConsumerState),
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct GroupFacts {
    pub(crate) group: String,
    pub(crate) state: FactState,
    pub(crate) members: usize,
    /// Topic, partition, committed offset.
    pub(crate) offsets: Vec<(Arc<str>, i32, i64)>,
}

impl GroupCoordinator {
    /// All groups, with `offsets_max` committed offsets at most; and how many offsets are left out.
    pub(crate) fn facts(&self, offsets_max: usize) -> (Vec<GroupFacts>, usize) {
        let (mut room, mut left_out) = (offsets_max, 0);
        let facts = self.groups.values().map(|group| {
            let mut offsets = Vec::new();
            for (topic, partitions) in group.offsets.all() {
                let shown = partitions.len().min(room);
                (room, left_out) = (room - shown, left_out + partitions.len() - shown);
                let topic: Arc<str> = Arc::from(topic);
                let some = partitions.iter().take(shown);
                offsets.extend(some.map(|(partition, committed)| (Arc::clone(&topic), *partition, committed.offset)));
            }
            let (state, members) = match &group.consumers {
                Some(consumers) => (FactState::Consumer(consumers.state()), consumers.member_count()),
                None => (FactState::Classic(group.state), group.members.len()),
            };
            GroupFacts { group: group.id.clone(), state, members, offsets }
        });
        let facts = facts.collect();
        (facts, left_out)
    }
}

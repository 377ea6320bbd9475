//! The target assignment: what the group's assignor gives, written down where it is not what stood there. Kafka's
//! `TargetAssignmentBuilder`.

use std::collections::BTreeMap;

use ringlog_wire::Uuid;

use super::super::Topics;
use super::assignor::{Partitions, Reader, Spec, by_hash_of_texts};
use super::{Assignor, ConsumerGroup, Edit, Fact};

impl ConsumerGroup {
    /// The assignor that most members prefer; the first of the settings where nobody prefers one.
    pub(super) fn assignor(&self, assignors: &[Assignor]) -> Assignor {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let preferred = self.members.values().filter_map(|member| member.assignor.as_deref());
        preferred.for_each(|name| *votes.entry(name).or_default() += 1);
        let votes = by_hash_of_texts(votes.into_iter().collect(), |(name, _)| name);
        // Of several with as many votes the first.
        let most = votes.iter().rev().max_by_key(|(_, count)| *count);
        most.and_then(|(name, _)| Assignor::named(name))
            .or_else(|| assignors.first().copied())
            .unwrap_or(Assignor::Uniform)
    }
}

impl Edit<'_> {
    /// Makes the target of the group's epoch.
    pub(super) fn set_target(&mut self, assignors: &[Assignor], topics: &dyn Topics, now_ms: i64) {
        let assigned = self.assign(self.group.assignor(assignors), topics);
        for (member, target) in assigned {
            if self.group.target.get(&member) != Some(&target) {
                self.put(Fact::TargetMember(member, Some(target)));
            }
        }
        self.put(Fact::Target(Some((self.group.epoch, now_ms))));
    }

    fn assign(&self, assignor: Assignor, topics: &dyn Topics) -> BTreeMap<String, Partitions> {
        let group = &*self.group;
        let nothing = Partitions::new();
        let reader =
            |(id, member): (&'_ String, &'_ super::Subscription)| (id.clone(), group.topics_of(member, topics));
        let read: BTreeMap<String, _> = group.members.iter().map(reader).collect();
        let count = |id: Uuid| topics.topic_name(id).and_then(|name| topics.partition_count(&name)).unwrap_or(0);
        let partition_counts: BTreeMap<Uuid, i32> = read.values().flatten().map(|id| (*id, count(*id))).collect();
        let members = group.members.iter().map(|(id, member)| Reader {
            id,
            instance_id: member.instance_id.as_deref(),
            topics: read.get(id).cloned().unwrap_or_default(),
            owned: group.target.get(id).unwrap_or(&nothing),
        });
        let spec = Spec {
            members: members.collect(),
            is_homogeneous: group.is_homogeneous(),
            partition_counts: &partition_counts,
        };
        let mut assigned = assignor.assign(&spec);
        for id in group.members.keys() {
            assigned.entry(id.clone()).or_default();
        }
        assigned
    }
}

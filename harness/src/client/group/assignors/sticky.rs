//! StickyAssignor and CooperativeStickyAssignor: balanced first, and then as little moved as possible.
//!
//! ```text
//!   what members own  --1 keep--> theirs, if the claim holds and they still read the topic
//!   the rest          --2 fill--> hardest to place first, to whoever has least
//!   all               --3 even--> from whoever has most to whoever has at least two fewer, until nobody has
//! ```
//!
//! Step 3 ends: each move makes the sum of the squares of the counts smaller. Partitions that were not owned move first.
//!
//! Cooperative: a partition that changes hands is left out this time; its owner gives it up, joins again, and the next
//! generation gives it to the other (KIP-429).

use std::collections::{BTreeMap, BTreeSet};

use super::{Assigned, Counts, Member, nobody_has_anything};
use crate::client::fetcher::TopicPartition;

pub(super) fn assign(members: &[Member], counts: &Counts) -> Assigned {
    let owners = owners(members, counts);
    let mut share = Share::new(members);
    share.keep(&owners);
    share.fill(counts);
    while share.even(&owners) {}
    share.assigned
}

pub(super) fn assign_in_two_steps(members: &[Member], counts: &Counts) -> Assigned {
    let owners = owners(members, counts);
    let mut assigned = assign(members, counts);
    for (id, partitions) in &mut assigned {
        partitions.retain(|partition| owners.get(partition).is_none_or(|owner| owner == id));
    }
    assigned
}

/// Who owns what. The newest generation's word counts; where two say so in the same one, nobody does.
fn owners<'a>(members: &'a [Member], counts: &Counts) -> BTreeMap<TopicPartition, &'a str> {
    let mut claims: BTreeMap<&TopicPartition, (i32, Option<&str>)> = BTreeMap::new();
    for member in members {
        let (id, generation) = (member.id.as_str(), member.generation);
        for partition in member.owned.iter().collect::<BTreeSet<_>>() {
            let (newest, owner) = claims.entry(partition).or_insert((generation, Some(id)));
            if generation > *newest {
                (*newest, *owner) = (generation, Some(id));
            } else if generation == *newest && *owner != Some(id) {
                *owner = None;
            }
        }
    }
    let exists = |(topic, partition): &TopicPartition| (0..*counts.get(topic).unwrap_or(&0)).contains(partition);
    let owned = claims.into_iter().filter(|(partition, _)| exists(partition));
    owned.filter_map(|(partition, (_, owner))| Some((partition.clone(), owner?))).collect()
}

struct Share {
    /// The members that read a topic.
    readers: BTreeMap<String, BTreeSet<String>>,
    assigned: Assigned,
    placed: BTreeSet<TopicPartition>,
}

impl Share {
    fn new(members: &[Member]) -> Self {
        let mut readers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for member in members {
            for topic in &member.topics {
                readers.entry(topic.clone()).or_default().insert(member.id.clone());
            }
        }
        Self { readers, assigned: nobody_has_anything(members), placed: BTreeSet::new() }
    }

    fn readers(&self, topic: &str) -> impl Iterator<Item = &String> {
        self.readers.get(topic).into_iter().flatten()
    }

    fn count(&self, id: &str) -> usize {
        self.assigned.get(id).map_or(0, Vec::len)
    }

    fn place(&mut self, id: &str, partition: TopicPartition) {
        self.placed.insert(partition.clone());
        self.assigned.entry(id.to_owned()).or_default().push(partition);
    }

    fn keep(&mut self, owners: &BTreeMap<TopicPartition, &str>) {
        for (partition, owner) in owners {
            if self.readers.get(&partition.0).is_some_and(|readers| readers.contains(*owner)) {
                self.place(owner, partition.clone());
            }
        }
    }

    fn fill(&mut self, counts: &Counts) {
        let mut topics: Vec<(&String, &i32)> = counts.iter().collect();
        topics.sort_by_key(|(topic, _)| self.readers(topic).count());
        for (topic, count) in topics {
            for partition in (0..*count).map(|partition| (topic.clone(), partition)) {
                if self.placed.contains(&partition) {
                    continue;
                }
                let least = self.readers(topic).min_by_key(|id| self.count(id)).cloned();
                least.iter().for_each(|id| self.place(id, partition.clone()));
            }
        }
    }

    /// Moves one partition from whoever has most, and can, to somebody with at least two fewer. False where there was
    /// nothing to move. One at a time: a member that gave too much away would have to be given something back.
    fn even(&mut self, owners: &BTreeMap<TopicPartition, &str>) -> bool {
        let mut ids: Vec<String> = self.assigned.keys().cloned().collect();
        ids.sort_by_key(|id| std::cmp::Reverse(self.count(id)));
        for from in ids {
            if let Some((at, to)) = self.improvement(&from, owners)
                && let Some(partitions) = self.assigned.get_mut(&from)
            {
                let partition = partitions.remove(at);
                self.place(&to, partition);
                return true;
            }
        }
        false
    }

    /// The place of a partition of `from` that somebody with at least two fewer could have, and who: first those that
    /// were not owned by `from`, then those that go back to their owner, then the rest.
    fn improvement(&self, from: &str, owners: &BTreeMap<TopicPartition, &str>) -> Option<(usize, String)> {
        let count = self.count(from);
        let better = |(at, partition): (usize, &TopicPartition)| {
            let takers = self.readers(&partition.0).filter(|id| self.count(id) + 1 < count);
            let owner = owners.get(partition).copied();
            let to = takers.min_by_key(|id| (self.count(id), owner != Some(id.as_str())))?;
            let cost = (owner == Some(from), owner != Some(to.as_str()), self.count(to));
            Some((cost, at, to))
        };
        let partitions = self.assigned.get(from)?;
        partitions.iter().enumerate().filter_map(better).min().map(|(_, at, to)| (at, to.clone()))
    }
}

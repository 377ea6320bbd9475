//! Who leads what at a start: the shards of this host share the partitions that are here. Folders lie in the host's log
//! directory and stay where they are: what moves is a record.
//!
//! ```text
//!   leader is gone (fewer shards, another node id)   -> a replica that is left, else the broker that leads the fewest
//!   the brokers are others than at the last start    -> spread: of each topic, and of all, no two differ by more than one
//!   the last run did not stop cleanly                -> the leader stays, its epoch rises
//! ```
//!
//! Nothing moves that need not: a leader goes only from a broker that leads two more than the one it goes to. Same image,
//! same brokers: same moves.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::Uuid;
use ringlog_wire::records::metadata::PartitionChangeRecord;

use super::super::ids::NodeId;
use super::super::image::{Image, Partition};
use super::Draft;

/// Gives partitions to the brokers that there are now, and a new epoch to each whose log may have lost its end. `before`
/// are the brokers of the last start.
pub(super) fn rehome(before: &BTreeSet<NodeId>, unclean: bool, directory_id: Uuid, draft: &mut Draft) {
    let present: BTreeSet<NodeId> = draft.image.live_brokers().map(|broker| broker.node).collect();
    if present.is_empty() {
        return;
    }
    let mut leaders = Leaders::of(&draft.image, &present);
    leaders.adopt_orphans(&draft.image);
    if *before != present {
        leaders.spread();
    }
    for change in leaders.changes(&draft.image, unclean, directory_id, &present) {
        draft.push(change);
    }
}

/// One topic's partitions with their leaders, by number.
struct TopicLeaders {
    id: Uuid,
    partitions: BTreeMap<i32, Option<NodeId>>,
}

impl TopicLeaders {
    fn count(&self, node: NodeId) -> usize {
        self.partitions.values().filter(|leader| **leader == Some(node)).count()
    }

    /// Moves the last partition that `from` leads: those in front stay where clients look first.
    fn move_one(&mut self, from: NodeId, to: NodeId) {
        if let Some(leader) = self.partitions.values_mut().rev().find(|leader| **leader == Some(from)) {
            *leader = Some(to);
        }
    }
}

/// Who is to lead what.
struct Leaders {
    topics: Vec<TopicLeaders>,
    /// Partitions that each broker leads, of all topics.
    load: BTreeMap<NodeId, usize>,
}

impl Leaders {
    /// The leaders as they are. One that is not there any more is none.
    fn of(image: &Image, present: &BTreeSet<NodeId>) -> Self {
        let mut load: BTreeMap<NodeId, usize> = present.iter().map(|node| (*node, 0)).collect();
        let mut leader = |partition: &Partition| {
            let partitions = load.get_mut(&partition.leader)?;
            *partitions += 1;
            Some(partition.leader)
        };
        let topics = image
            .topics()
            .map(|topic| TopicLeaders {
                id: topic.id,
                partitions: topic.partitions.iter().map(|(number, found)| (*number, leader(found))).collect(),
            })
            .collect();
        Self { topics, load }
    }

    fn adopt_orphans(&mut self, image: &Image) {
        for topic in &mut self.topics {
            let orphans: Vec<i32> =
                topic.partitions.iter().filter(|(_, leader)| leader.is_none()).map(|(number, _)| *number).collect();
            for number in orphans {
                let replicas = image.topic_by_id(topic.id).and_then(|topic| topic.partition(number));
                let kept = replicas
                    .and_then(|partition| partition.replicas.iter().copied().find(|node| self.load.contains_key(node)));
                let fewest = || self.load.keys().copied().min_by_key(|node| (topic.count(*node), self.load[node]));
                let Some(leader) = kept.or_else(fewest) else { return };
                topic.partitions.insert(number, Some(leader));
                *self.load.entry(leader).or_default() += 1;
            }
        }
    }

    /// First each topic, then all of them together: a move of the second kind exchanges who has a topic's odd partition,
    /// and leaves the topic as even as it was.
    fn spread(&mut self) {
        let nodes: Vec<NodeId> = self.load.keys().copied().collect();
        for topic in &mut self.topics {
            let mut counts: BTreeMap<NodeId, usize> = nodes.iter().map(|node| (*node, topic.count(*node))).collect();
            while let Some((from, to)) = uneven(&nodes, |node| (counts[&node], self.load[&node])) {
                topic.move_one(from, to);
                shift(&mut counts, from, to);
                shift(&mut self.load, from, to);
            }
        }
        while let Some(mut pair) = uneven(&nodes, |node| (self.load[&node], 0)) {
            for topic in &mut self.topics {
                let (from, to) = pair;
                if topic.count(from) <= topic.count(to) {
                    continue;
                }
                topic.move_one(from, to);
                shift(&mut self.load, from, to);
                match uneven(&nodes, |node| (self.load[&node], 0)) {
                    Some(next) => pair = next,
                    None => return,
                }
            }
        }
    }

    /// What must be written so that it is so.
    fn changes(
        &self,
        image: &Image,
        unclean: bool,
        directory_id: Uuid,
        present: &BTreeSet<NodeId>,
    ) -> Vec<PartitionChangeRecord> {
        let mut changes = Vec::new();
        for topic in &self.topics {
            let Some(now) = image.topic_by_id(topic.id) else { continue };
            for (number, partition) in &now.partitions {
                match topic.partitions.get(number).copied().flatten() {
                    Some(leader) if leader != partition.leader => {
                        changes.push(moved(topic.id, *number, partition, leader, directory_id, present));
                    }
                    Some(leader) if unclean => changes.push(risen(topic.id, *number, leader)),
                    Some(_) | None => {}
                }
            }
        }
        changes
    }
}

/// The brokers with the most and with the fewest, where they differ by more than one. Of equals the first.
fn uneven(nodes: &[NodeId], count: impl Fn(NodeId) -> (usize, usize)) -> Option<(NodeId, NodeId)> {
    let fewest = nodes.iter().copied().min_by_key(|node| count(*node))?;
    let most = nodes.iter().rev().copied().max_by_key(|node| count(*node))?;
    (count(most).0 > count(fewest).0 + 1).then_some((most, fewest))
}

fn shift(counts: &mut BTreeMap<NodeId, usize>, from: NodeId, to: NodeId) {
    *counts.entry(from).or_default() -= 1;
    *counts.entry(to).or_default() += 1;
}

/// A new leader: it alone is in sync. The factor stays, as far as brokers are left.
fn moved(
    topic_id: Uuid,
    number: i32,
    partition: &Partition,
    leader: NodeId,
    directory_id: Uuid,
    present: &BTreeSet<NodeId>,
) -> PartitionChangeRecord {
    let others = partition.replicas.iter().copied().filter(|node| *node != leader && present.contains(node));
    let factor = partition.replicas.len().max(1);
    let replicas: Vec<i32> = std::iter::once(leader).chain(others).take(factor).map(|node| node.0).collect();
    PartitionChangeRecord {
        partition_id: number,
        topic_id,
        isr: Some(vec![leader.0]),
        leader: leader.0,
        directories: Some(vec![directory_id; replicas.len()]),
        replicas: Some(replicas),
        ..PartitionChangeRecord::default()
    }
}

/// The same leader once more. What it held in the last epoch may not be what it holds now (a power cut), so the epoch is
/// another: clients that ask where the old one ended learn what is gone (KIP-320). Kafka's controller does so when a
/// broker registers again.
fn risen(topic_id: Uuid, number: i32, leader: NodeId) -> PartitionChangeRecord {
    PartitionChangeRecord { partition_id: number, topic_id, leader: leader.0, ..PartitionChangeRecord::default() }
}

#[cfg(test)]
#[path = "rehome_tests.rs"]
mod tests;

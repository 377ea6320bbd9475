//! Uniform where all members read the same topics: each has a quota, keeps what it has up to it, and who has room takes what
//! nobody has (`UniformHomogeneousAssignmentBuilder`).

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::Uuid;

use super::java_order::{copied, grown, order, uuid_hash};
use super::{Partitions, Reader, Spec, by_hash_of_texts, give, take};

pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<String, Partitions> {
    let members = by_hash_of_texts(spec.members.iter().collect::<Vec<_>>(), |member| member.id);
    let topics = members.first().map(|member| &member.topics);
    let Some(topics) = topics.filter(|topics| !topics.is_empty()) else { return BTreeMap::new() };
    let mut unassigned = unassigned(spec, topics);
    let partition_count: usize =
        topics.iter().map(|topic| usize::try_from(spec.partition_count(*topic)).unwrap_or(0)).sum();
    let (quota, mut with_one_more) = (partition_count / members.len(), partition_count % members.len());
    let mut assigned = BTreeMap::new();
    let mut with_room = Vec::new();
    let count = members.len();
    for (place, member) in members.into_iter().enumerate() {
        let mut has_one_more = with_one_more > 0;
        let (kept, mut room) = keep(member, topics, quota + usize::from(has_one_more), &mut unassigned);
        // Who has room leaves the one more to those behind it, as long as they are enough.
        if has_one_more && room > 0 && count - place > with_one_more {
            (room, has_one_more) = (room - 1, false);
        }
        with_one_more -= usize::from(has_one_more);
        if room > 0 {
            with_room.push((member.id, room));
        }
        assigned.insert(member.id.to_owned(), kept);
    }
    let mut unassigned = unassigned.into_iter();
    for (member, room) in with_room {
        if let Some(assigned) = assigned.get_mut(member) {
            unassigned.by_ref().take(room).for_each(|(topic, partition)| give(assigned, topic, partition));
        }
    }
    assigned
}

/// What no member has, topic by topic.
fn unassigned(spec: &Spec<'_>, topics: &BTreeSet<Uuid>) -> Vec<(Uuid, i32)> {
    let owned = spec.members.iter().flat_map(|member| member.owned);
    let owned: BTreeSet<(Uuid, i32)> =
        owned.flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition))).collect();
    let topics = order(topics.iter().copied().collect(), copied(topics.len()), uuid_hash);
    let all = topics.into_iter().flat_map(|topic| (0..spec.partition_count(topic)).map(move |number| (topic, number)));
    all.filter(|partition| !owned.contains(partition)).collect()
}

/// What a member keeps, and how much room it has; what is over its quota goes to those that nobody has.
fn keep(
    member: &Reader<'_>,
    topics: &BTreeSet<Uuid>,
    mut quota: usize,
    unassigned: &mut Vec<(Uuid, i32)>,
) -> (Partitions, usize) {
    let mut kept = member.owned.clone();
    let owned = order(member.owned.iter().collect(), grown(member.owned.len()), |(topic, _)| uuid_hash(topic));
    for (topic, partitions) in owned {
        if !topics.contains(topic) {
            kept.remove(topic);
        } else if partitions.len() <= quota {
            quota -= partitions.len();
        } else {
            let partitions = order(partitions.iter().copied().collect(), copied(partitions.len()), |number| *number);
            for partition in partitions.into_iter().skip(quota) {
                take(&mut kept, *topic, partition);
                unassigned.push((*topic, partition));
            }
            quota = 0;
        }
    }
    (kept, quota)
}

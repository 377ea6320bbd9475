//! Uniform where members read different topics (`UniformHeterogeneousAssignmentBuilder`):
//!
//! ```text
//!   kept      what each member has of the topics that it reads
//!   given     what nobody has: topic by topic, each partition to the member with the least
//!   balanced  topic by topic, again and again: from who has the most to who has the least, until nothing moves
//! ```
//!
//! Members are numbers in here: their places in the order of a Java hash table.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ringlog_wire::Uuid;

use super::java_order::halves;
use super::{Partitions, Reader, Spec, by_hash_of_texts, give, take};

/// Rounds of balancing: each about halves what is uneven.
const ROUNDS_MAX: usize = 16;

pub(super) fn assign(spec: &Spec<'_>) -> BTreeMap<String, Partitions> {
    let members = by_hash_of_texts(spec.members.iter().collect::<Vec<_>>(), |member| member.id);
    let mut table = Table::new(spec, &members);
    if table.topics.is_empty() {
        return BTreeMap::new();
    }
    table.give_the_rest();
    table.balance();
    members.iter().map(|member| member.id.to_owned()).zip(table.assigned).collect()
}

/// A topic and who has its partitions.
struct Topic {
    id: Uuid,
    /// Members that read it, ascending.
    readers: Vec<usize>,
    owners: Vec<Option<usize>>,
}

/// The assignment as it grows.
struct Table {
    /// As they are worked through: the most partitions for each reader first.
    topics: Vec<Topic>,
    /// By member.
    assigned: Vec<Partitions>,
    /// How many partitions each member has.
    sizes: Vec<usize>,
}

impl Table {
    fn new(spec: &Spec<'_>, members: &[&Reader<'_>]) -> Self {
        let mut readers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (member, reader) in members.iter().enumerate() {
            reader.topics.iter().for_each(|topic| readers.entry(*topic).or_default().push(member));
        }
        let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
        for (id, readers) in readers {
            let count = usize::try_from(spec.partition_count(id)).unwrap_or(0);
            topics.insert(id, Topic { id, readers, owners: vec![None; count] });
        }
        let mut assigned = Vec::with_capacity(members.len());
        for (member, reader) in members.iter().enumerate() {
            let mut kept = reader.owned.clone();
            kept.retain(|topic, _| reader.topics.contains(topic));
            for (topic, partitions) in &kept {
                let owners = topics.get_mut(topic).map(|topic| &mut topic.owners);
                let Some(owners) = owners else { continue };
                for partition in partitions.iter().filter_map(|number| usize::try_from(*number).ok()) {
                    if let Some(owner) = owners.get_mut(partition) {
                        *owner = Some(member);
                    }
                }
            }
            assigned.push(kept);
        }
        let sizes = assigned.iter().map(|kept| kept.values().map(|partitions| partitions.len()).sum()).collect();
        let mut topics: Vec<Topic> = topics.into_values().collect();
        topics.sort_by(in_order);
        Self { topics, assigned, sizes }
    }

    fn give_the_rest(&mut self) {
        for topic in 0..self.topics.len() {
            let mut balancer = Balancer::new(&self.topics[topic].readers, &self.sizes);
            for partition in 0..self.topics[topic].owners.len() {
                if self.topics[topic].owners[partition].is_none() {
                    let member = balancer.next_least(&self.sizes);
                    self.give(topic, partition, member);
                }
            }
        }
    }

    /// Ends when a whole round moved nothing.
    fn balance(&mut self) {
        let topics: Vec<usize> =
            (0..self.topics.len()).filter(|topic| self.topics[*topic].readers.len() >= 2).collect();
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for topic in &topics {
                if last_moved == Some(*topic) {
                    return;
                }
                if self.balance_topic(*topic) > 0 || last_moved.is_none() {
                    last_moved = Some(*topic);
                }
            }
        }
    }

    /// Gives how many partitions moved.
    fn balance_topic(&mut self, topic: usize) -> usize {
        let mut balancer = Balancer::new(&self.topics[topic].readers, &self.sizes);
        if balancer.is_even(&self.sizes) {
            return 0;
        }
        // What each member can give of this topic: its highest number first.
        let mut stock: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in self.topics[topic].owners.iter().enumerate() {
            stock.entry(owner.unwrap_or(usize::MAX)).or_default().push(partition);
        }
        let mut moved = 0;
        while !balancer.is_balanced() {
            let Some(partition) = balancer.next_from_most(&self.sizes, &mut stock) else { break };
            let member = balancer.next_least(&self.sizes);
            if balancer.is_balanced() {
                break;
            }
            self.give(topic, partition, member);
            moved += 1;
        }
        moved
    }

    fn give(&mut self, topic: usize, partition: usize, member: usize) {
        let topic = &mut self.topics[topic];
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        if let Some(before) = topic.owners[partition].replace(member) {
            take(&mut self.assigned[before], topic.id, number);
            self.sizes[before] -= 1;
        }
        give(&mut self.assigned[member], topic.id, number);
        self.sizes[member] += 1;
    }
}

/// The most partitions for each reader first, then the fewest readers, then the lower id.
fn in_order(a: &Topic, b: &Topic) -> Ordering {
    let ratio = |topic: &Topic| topic.owners.len() as f64 / topic.readers.len() as f64;
    let by_ratio = ratio(b).total_cmp(&ratio(a));
    by_ratio.then(a.readers.len().cmp(&b.readers.len())).then_with(|| halves(&a.id).cmp(&halves(&b.id)))
}

/// A topic's readers by how much they have, with the two ends at which partitions are taken and given:
///
/// ```text
///   size |          #
///        |        ###  <- [most_start, most_end): from the last one down, then all of them one lower
///        |        ###
///        | ##########
///        +-----------     [0, least_end): one each, then all of them one higher
/// ```
struct Balancer {
    sorted: Vec<usize>,
    least_end: usize,
    least_size: isize,
    next_least: usize,
    most_start: usize,
    most_end: usize,
    most_size: isize,
    /// The place after the one that gives next.
    next_most: usize,
}

impl Balancer {
    fn new(readers: &[usize], sizes: &[usize]) -> Self {
        let mut sorted = readers.to_vec();
        sorted.sort_by_key(|member| (sizes[*member], *member));
        let size = |member: Option<&usize>| member.map_or(0, |member| sizes[*member] as isize);
        Self {
            least_end: 0,
            least_size: size(sorted.first()) - 1,
            next_least: 0,
            most_start: sorted.len(),
            most_end: sorted.len(),
            most_size: size(sorted.last()) + 1,
            next_most: sorted.len(),
            sorted,
        }
    }

    fn is_even(&self, sizes: &[usize]) -> bool {
        let size = |member: Option<&usize>| member.map_or(0, |member| sizes[*member]);
        size(self.sorted.last()) - size(self.sorted.first()) <= 1
    }

    fn is_balanced(&self) -> bool {
        self.most_size - self.least_size <= 1
    }

    /// The member with the least; it is taken to have one more afterwards.
    fn next_least(&mut self, sizes: &[usize]) -> usize {
        if self.next_least >= self.least_end {
            self.least_size += 1;
            while self.sorted.get(self.least_end).is_some_and(|member| sizes[*member] as isize == self.least_size) {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        let member = self.sorted[self.next_least];
        self.next_least += 1;
        member
    }

    /// A partition of the member with the most that has one of this topic.
    fn next_from_most(&mut self, sizes: &[usize], stock: &mut BTreeMap<usize, Vec<usize>>) -> Option<usize> {
        loop {
            let member = self.next_most(sizes)?;
            match stock.get_mut(&member).and_then(Vec::pop) {
                Some(partition) => return Some(partition),
                None => self.exclude(),
            }
        }
    }

    /// The member with the most; it is taken to have one less afterwards.
    fn next_most(&mut self, sizes: &[usize]) -> Option<usize> {
        if self.next_most <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                self.most_size = sizes[self.sorted[self.most_start - 1]] as isize;
            } else {
                self.most_size -= 1;
            }
            while self.most_start > 0 && sizes[self.sorted[self.most_start - 1]] as isize == self.most_size {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        let place = self.next_most.checked_sub(1)?;
        self.next_most = place;
        Some(self.sorted[place])
    }

    /// The member that was given last has nothing to give.
    fn exclude(&mut self) {
        self.most_end -= 1;
        self.sorted.swap(self.next_most, self.most_end);
    }
}

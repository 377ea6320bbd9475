//! The partitions of one fetch or session: what is wanted of each, what was answered last, in which order.
//!
//! `order` names every live entry once. Places of topics and entries that were forgotten are used again, so that a session
//! is as large as what it holds, whatever passed through it.

use std::collections::BTreeMap;
use std::rc::Rc;

use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use ringlog_wire::{Records, Uuid};

/// A partition to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchTarget<'a> {
    /// Whether the topic is named by `topic_id` (v13 on), otherwise by `topic`.
    pub(crate) by_id: bool,
    /// The topic's name, empty where it is named by id.
    pub(crate) topic: &'a str,
    /// The topic's id, zero where it is named by name.
    pub(crate) topic_id: Uuid,
    /// The partition.
    pub(crate) partition: i32,
    /// The first offset wanted.
    pub(crate) fetch_offset: i64,
    /// The leader epoch that the client believes in, -1 for none.
    pub(crate) current_leader_epoch: i32,
    /// The epoch of the last record that the client has, -1 for unknown.
    pub(crate) last_fetched_epoch: i32,
    /// The client's own log start offset, -1 where it is no follower.
    pub(crate) log_start_offset: i64,
    /// The most bytes wanted of this partition.
    pub(crate) max_bytes: i32,
}

/// What a partition takes of memory: its entry, its place in the order, and a node's share of the index.
const PARTITION_BYTES: usize = size_of::<Entry>() + size_of::<u32>() + 3 * size_of::<((u32, i32), u32)>() / 2;
/// What a topic takes beside its name: its entry, an allocation, and a node's share of the index.
const TOPIC_BYTES: usize = size_of::<Topic>() + 32 + 3 * size_of::<(Uuid, u32)>() / 2;

/// A topic that has partitions in a session.
#[derive(Debug)]
struct Topic {
    name: Rc<str>,
    id: Uuid,
    partitions: u32,
}

/// A partition of a session: what is wanted, and what was answered last.
#[derive(Debug)]
struct Entry {
    topic: u32,
    partition: i32,
    fetch_offset: i64,
    current_leader_epoch: i32,
    last_fetched_epoch: i32,
    log_start_offset: i64,
    max_bytes: i32,
    answered_high_watermark: i64,
    answered_log_start_offset: i64,
    has_returned_records: bool,
}

impl Entry {
    fn new(topic: u32, partition: i32) -> Self {
        Self {
            topic,
            partition,
            fetch_offset: -1,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: -1,
            answered_high_watermark: -1,
            answered_log_start_offset: -1,
            has_returned_records: false,
        }
    }

    fn update(&mut self, wanted: &FetchPartition) {
        self.fetch_offset = wanted.fetch_offset;
        self.current_leader_epoch = wanted.current_leader_epoch;
        self.last_fetched_epoch = wanted.last_fetched_epoch;
        self.log_start_offset = wanted.log_start_offset;
        self.max_bytes = wanted.partition_max_bytes;
    }

    /// Notes what is answered. True: the client does not know it yet.
    fn answer(&mut self, data: &PartitionData) -> bool {
        let has_error = data.error_code != 0;
        let has_records = records_len(&data.records) > 0;
        let is_news = self.answered_high_watermark != data.high_watermark
            || self.answered_log_start_offset != data.log_start_offset
            || data.preferred_read_replica >= 0
            || data.diverging_epoch.epoch >= 0;
        self.has_returned_records = has_records;
        self.answered_log_start_offset = data.log_start_offset;
        // After an error the partition is answered again as soon as there is none.
        self.answered_high_watermark = if has_error { -1 } else { data.high_watermark };
        has_records || has_error || is_news
    }
}

fn records_len(records: &Records) -> usize {
    match records {
        Records::Null => 0,
        Records::At(range) => range.len(),
        Records::Outside(len) => *len,
    }
}

/// The partitions of one fetch, in the order in which they are read.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    pub(super) by_id: bool,
    topics: Vec<Topic>,
    entries: Vec<Entry>,
    /// Places in `entries` in the order of reading.
    order: Vec<u32>,
    /// Places in `topics` and `entries` that are free.
    free_topics: Vec<u32>,
    free_entries: Vec<u32>,
    names: BTreeMap<Rc<str>, u32>,
    ids: BTreeMap<Uuid, u32>,
    places: BTreeMap<(u32, i32), u32>,
    /// Of the names of all topics.
    name_bytes: usize,
}

impl Partitions {
    /// The partitions of a full request.
    pub(super) fn of(request: &FetchRequest, by_id: bool) -> Self {
        let count = request.topics.iter().map(|topic| topic.partitions.len()).sum();
        let mut partitions = Self {
            by_id,
            topics: Vec::with_capacity(request.topics.len()),
            entries: Vec::with_capacity(count),
            order: Vec::with_capacity(count),
            ..Default::default()
        };
        partitions.want(request);
        partitions
    }

    /// Takes over what the request wants: new partitions come last, known ones are changed in their place.
    pub(super) fn want(&mut self, request: &FetchRequest) {
        for topic in request.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
            let place = self.topic_or_new(&topic.topic, topic.topic_id);
            for wanted in &topic.partitions {
                self.entry_or_new(place, wanted.partition).update(wanted);
            }
        }
    }

    /// Drops what the request has no use for any more.
    pub(super) fn forget(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten_topics_data {
            for &partition in &topic.partitions {
                // Looked up each time: the topic's place is free after its last partition.
                let Some(place) = self.topic(&topic.topic, topic.topic_id) else { break };
                self.remove(place, partition);
            }
        }
    }

    fn topic(&self, name: &str, id: Uuid) -> Option<u32> {
        if self.by_id { self.ids.get(&id).copied() } else { self.names.get(name).copied() }
    }

    fn topic_or_new(&mut self, name: &str, id: Uuid) -> u32 {
        if let Some(place) = self.topic(name, id) {
            return place;
        }
        let name: Rc<str> = Rc::from(if self.by_id { "" } else { name });
        self.name_bytes += name.len();
        let topic = Topic { name: Rc::clone(&name), id, partitions: 0 };
        let place = put(&mut self.topics, &mut self.free_topics, topic);
        if self.by_id {
            self.ids.insert(id, place);
        } else {
            self.names.insert(name, place);
        }
        place
    }

    fn entry_or_new(&mut self, topic: u32, partition: i32) -> &mut Entry {
        let place = match self.places.get(&(topic, partition)) {
            Some(place) => *place,
            None => {
                let place = put(&mut self.entries, &mut self.free_entries, Entry::new(topic, partition));
                self.places.insert((topic, partition), place);
                self.order.push(place);
                self.topics[topic as usize].partitions += 1;
                place
            }
        };
        &mut self.entries[place as usize]
    }

    fn remove(&mut self, topic: u32, partition: i32) {
        let Some(place) = self.places.remove(&(topic, partition)) else { return };
        self.order.retain(|one| *one != place);
        self.free_entries.push(place);
        let of = &mut self.topics[topic as usize];
        of.partitions -= 1;
        if of.partitions == 0 {
            self.free_topics.push(topic);
            self.ids.remove(&of.id);
            self.names.remove(&of.name);
            self.name_bytes -= of.name.len();
            of.name = Rc::from("");
        }
    }

    /// About what this takes of memory, free places included.
    pub(super) fn bytes(&self) -> usize {
        self.entries.len() * PARTITION_BYTES + self.topics.len() * TOPIC_BYTES + self.name_bytes
    }

    /// How many places there are, used or free.
    #[cfg(test)]
    pub(super) fn place_count(&self) -> usize {
        self.topics.len() + self.entries.len()
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// In the order of reading.
    pub(super) fn targets(&self) -> impl Iterator<Item = FetchTarget<'_>> {
        self.order.iter().map(|&place| self.target(place))
    }

    /// The `index`-th in the order of reading.
    pub(super) fn get(&self, index: usize) -> Option<FetchTarget<'_>> {
        self.order.get(index).map(|&place| self.target(place))
    }

    /// Notes what is answered for the `index`-th. True: the client does not know it yet.
    pub(super) fn answer(&mut self, index: usize, data: &PartitionData) -> bool {
        self.order.get(index).is_some_and(|&place| self.entries[place as usize].answer(data))
    }

    fn target(&self, place: u32) -> FetchTarget<'_> {
        let entry = &self.entries[place as usize];
        let topic = &self.topics[entry.topic as usize];
        FetchTarget {
            by_id: self.by_id,
            topic: &topic.name,
            topic_id: topic.id,
            partition: entry.partition,
            fetch_offset: entry.fetch_offset,
            current_leader_epoch: entry.current_leader_epoch,
            last_fetched_epoch: entry.last_fetched_epoch,
            log_start_offset: entry.log_start_offset,
            max_bytes: entry.max_bytes,
        }
    }

    /// Sends those that returned records to the end, both halves in the order that they have.
    pub(super) fn rotate(&mut self) {
        if self.order.len() < 2 {
            return;
        }
        let entries = &mut self.entries;
        let mut served = Vec::new();
        self.order.retain(|&place| {
            let has_returned = std::mem::take(&mut entries[place as usize].has_returned_records);
            if has_returned {
                served.push(place);
            }
            !has_returned
        });
        self.order.append(&mut served);
    }
}

/// Puts a value into a free place, or at the end.
fn put<T>(values: &mut Vec<T>, free: &mut Vec<u32>, value: T) -> u32 {
    match free.pop() {
        Some(place) => {
            values[place as usize] = value;
            place
        }
        None => {
            values.push(value);
            u32::try_from(values.len() - 1).unwrap_or_else(|_| unreachable!("bounded by PARTITIONS_MAX"))
        }
    }
}

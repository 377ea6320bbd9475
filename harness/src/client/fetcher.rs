//! Positions, fetch sessions and what was fetched: what to ask each broker for, and in which order records come out.
//! No I/O, no clock.
//!
//! ```text
//!   assigned [ topic-partition: offset, leader ] --request(node)--> FetchRequest (only what changed, KIP-227)
//!        ^ offset                                                        |
//!        '---- queue of Fetched <------- response(node) -----------------'
//!                   | give (max.poll.records)
//!                   v records
//! ```
//!
//! Invariants:
//! - One fetch is under way per node, and none to a node of whose answer something is still to be given out: a
//!   partition that a request leaves out would fall out of the session (KAFKA-17182).
//! - Answers to positions that are no longer ours, or that moved, are thrown away.

use std::collections::{BTreeMap, VecDeque};

use ringlog_io::Slice;
use ringlog_wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use ringlog_wire::{ErrorCode, Records, Uuid};

use super::config::{ConsumerConfig, OffsetReset};
use super::fetched::{Aborted, Fetched, Given, Opened, ReadRules};
use super::metadata::Metadata;
use super::{ClientError, NodeId, RecordSink};

/// The first version of Fetch that names topics by id.
pub(crate) const FETCH_BY_ID: i16 = 13;
/// A partition with an error rests so long before it is asked for again.
const ERROR_PAUSE_NS: u64 = 100_000_000;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// A topic and a partition's number.
pub(crate) type TopicPartition = (String, i32);

#[derive(Debug, Default)]
struct Position {
    offset: Option<i64>,
    reset_asked: bool,
    rests_until_ns: u64,
    high_watermark: i64,
}

/// What a session holds of a partition: what was last said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    offset: i64,
    leader_epoch: i32,
    topic_id: Uuid,
}

#[derive(Debug, Default)]
struct Session {
    id: i32,
    epoch: i32,
    said: BTreeMap<TopicPartition, Said>,
    asked: Option<BTreeMap<TopicPartition, i64>>,
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Fetcher {
    max_wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32,
    partition_bytes: i32,
    reset: OffsetReset,
    rules: ReadRules,
    rack: String,
    assigned: BTreeMap<TopicPartition, Position>,
    sessions: BTreeMap<NodeId, Session>,
    queue: VecDeque<(NodeId, TopicPartition, Fetched)>,
    opened: Opened,
    held: bool,
}

/// What an answer asks for besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Leaders moved: metadata is wanted.
    pub(crate) stale_metadata: bool,
    /// Bytes of record data in the answer, and partitions that had some.
    pub(crate) bytes: u64,
}

impl Fetcher {
    pub(crate) fn new(config: &ConsumerConfig) -> Self {
        Self {
            max_wait_ms: config.fetch_max_wait_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            partition_bytes: config.max_partition_fetch_bytes,
            reset: config.offset_reset,
            rules: ReadRules { check_crcs: config.check_crcs, read_committed: config.read_committed },
            rack: config.client_rack.clone(),
            assigned: BTreeMap::new(),
            sessions: BTreeMap::new(),
            queue: VecDeque::new(),
            opened: Opened::default(),
            held: false,
        }
    }

    /// These partitions, and no others, are read from now on. Those that were ours keep their positions.
    pub(crate) fn assign(&mut self, partitions: &[TopicPartition]) {
        let mut old = std::mem::take(&mut self.assigned);
        for partition in partitions {
            let position = old.remove(partition).unwrap_or_default();
            self.assigned.insert(partition.clone(), position);
        }
        let assigned = &self.assigned;
        self.queue.retain(|(_, partition, _)| assigned.contains_key(partition));
    }

    /// As [`Self::assign`], but nothing is asked for until [`Self::release`]: the positions are being looked up.
    pub(crate) fn hold(&mut self, partitions: &[TopicPartition]) {
        self.assign(partitions);
        self.held = !partitions.is_empty();
    }

    /// Positions are there, as far as there are any.
    pub(crate) fn release(&mut self) {
        self.held = false;
    }

    /// Whether a node leads a partition for which something is to be asked.
    pub(crate) fn has_work(&self, node: NodeId, metadata: &Metadata, now_ns: u64) -> bool {
        let led = |((topic, partition), position): (&TopicPartition, &Position)| {
            let leader =
                metadata.layout(topic).and_then(|layout| layout.leaders.get(usize::try_from(*partition).ok()?));
            position.rests_until_ns <= now_ns && leader.and_then(|leader| leader.node) == Some(node)
        };
        !self.held && self.assigned.iter().any(led)
    }

    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    /// Reads on from this offset.
    pub(crate) fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(position) = self.assigned.get_mut(partition) {
            position.offset = Some(offset);
            position.reset_asked = false;
            self.queue.retain(|(_, queued, _)| queued != partition);
        }
    }

    /// The offset after the last record that was given out, where one is known.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        let given = |partition: &TopicPartition, position: &Position| {
            let queued = self.queue.iter().find(|(_, queued, _)| queued == partition);
            queued.map(|(.., fetched)| fetched.next_offset()).or(position.offset)
        };
        let known = |(partition, position): (&TopicPartition, &Position)| {
            given(partition, position).map(|offset| (partition.clone(), offset))
        };
        self.assigned.iter().filter_map(known).collect()
    }

    /// Records between the positions and the ends of the partitions, as far as the answers said.
    pub(crate) fn lag(&self) -> i64 {
        let lag = |position: &Position| {
            position.offset.map_or(0, |offset| position.high_watermark.saturating_sub(offset).max(0))
        };
        self.assigned.values().map(lag).fold(0, i64::saturating_add)
    }

    /// Whether every position is known.
    pub(crate) fn has_positions(&self) -> bool {
        self.assigned.values().all(|position| position.offset.is_some())
    }

    /// The next fetch of a node, if one is due, and whether every topic's id is known.
    pub(crate) fn request(&mut self, node: NodeId, metadata: &Metadata, now_ns: u64) -> Option<(FetchRequest, bool)> {
        let has_queued = self.queue.iter().any(|(from, ..)| *from == node);
        if has_queued || self.sessions.get(&node).is_some_and(|session| session.asked.is_some()) {
            return None;
        }
        let wanted = self.wanted(node, metadata, now_ns);
        if wanted.is_empty() {
            return None;
        }
        let session = self.sessions.entry(node).or_default();
        let asked = wanted.iter().map(|(partition, said)| (partition.clone(), said.offset)).collect();
        let (said, forgotten) = session.difference(&wanted);
        let by_id = wanted.values().all(|said| said.topic_id != Uuid::ZERO);
        session.asked = Some(asked);
        let request = FetchRequest {
            max_wait_ms: self.max_wait_ms,
            min_bytes: self.min_bytes,
            max_bytes: self.max_bytes,
            isolation_level: i8::from(self.rules.read_committed),
            session_id: session.id,
            session_epoch: session.epoch,
            topics: topics_of(&said, self.partition_bytes),
            forgotten_topics_data: forgotten_of(&forgotten),
            rack_id: self.rack.clone(),
            ..FetchRequest::default()
        };
        session.said = wanted;
        Some((request, by_id))
    }

    fn wanted(&self, node: NodeId, metadata: &Metadata, now_ns: u64) -> BTreeMap<TopicPartition, Said> {
        let mut wanted = BTreeMap::new();
        for (partition, position) in &self.assigned {
            let (Some(offset), Some(layout)) = (position.offset, metadata.layout(&partition.0)) else { continue };
            let leader = usize::try_from(partition.1).ok().and_then(|at| layout.leaders.get(at));
            let Some(leader) = leader.filter(|leader| leader.node == Some(node)) else { continue };
            if position.rests_until_ns <= now_ns {
                let said = Said { offset, leader_epoch: leader.epoch, topic_id: layout.id };
                wanted.insert(partition.clone(), said);
            }
        }
        wanted
    }

    /// When the first partition that rests is worth asking for again.
    pub(crate) fn next_deadline_ns(&self, now_ns: u64) -> Option<u64> {
        self.assigned.values().map(|position| position.rests_until_ns).filter(|until| *until > now_ns).min()
    }

    /// The fetch to a node was lost: its session too.
    pub(crate) fn lost(&mut self, node: NodeId) {
        self.sessions.remove(&node);
    }

    /// Takes a node's answer. `body` is what it was decoded from.
    pub(crate) fn response(
        &mut self,
        node: NodeId,
        response: FetchResponse,
        body: &Slice,
        metadata: &Metadata,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let session = self.sessions.entry(node).or_default();
        let Some(asked) = session.asked.take() else { return Ok(Outcome::default()) };
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            // FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH and the like: begin a new one.
            self.sessions.remove(&node);
            asked.keys().for_each(|partition| self.rest(partition, now_ns));
            return Ok(Outcome { stale_metadata: true, bytes: 0 });
        }
        session.answered(response.session_id);
        let mut outcome = Outcome::default();
        for topic in response.responses {
            let name = if topic.topic_id == Uuid::ZERO {
                Some(topic.topic)
            } else {
                metadata.name_of(topic.topic_id).map(str::to_owned)
            };
            let Some(name) = name else { continue };
            for data in topic.partitions {
                let partition = (name.clone(), data.partition_index);
                let Some(offset) = asked.get(&partition) else { continue };
                self.partition(node, partition, (*offset, data), body, (&mut outcome, now_ns))?;
            }
        }
        Ok(outcome)
    }

    fn partition(
        &mut self,
        node: NodeId,
        partition: TopicPartition,
        (asked_offset, data): (i64, PartitionData),
        body: &Slice,
        (outcome, now_ns): (&mut Outcome, u64),
    ) -> Result<(), ClientError> {
        let Some(position) = self.assigned.get_mut(&partition) else { return Ok(()) };
        if position.offset != Some(asked_offset) {
            return Ok(());
        }
        match ErrorCode(data.error_code) {
            ErrorCode::NONE => {
                position.high_watermark = data.high_watermark;
                if let Some(bytes) = record_bytes(&data.records, body) {
                    outcome.bytes += bytes.len() as u64;
                    let aborted = aborted_of(data);
                    self.queue.push_back((node, partition, Fetched::new(bytes, asked_offset, aborted)));
                }
                Ok(())
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                position.offset = None;
                position.reset_asked = false;
                Ok(())
            }
            error if error.is_retriable() || error == ErrorCode::UNKNOWN_SERVER_ERROR => {
                outcome.stale_metadata = true;
                self.rest(&partition, now_ns);
                Ok(())
            }
            error => Err(broker_error(format!("fetching {}-{}", partition.0, partition.1), error, None)),
        }
    }

    fn rest(&mut self, partition: &TopicPartition, now_ns: u64) {
        if let Some(position) = self.assigned.get_mut(partition) {
            position.rests_until_ns = now_ns.saturating_add(ERROR_PAUSE_NS);
        }
    }

    /// Whether records are there to be given out.
    pub(crate) fn has_records(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Moves the positions of what the next [`Self::give`] will give out whole, so that the next fetch can be sent
    /// before the records are looked at. Gives what was taken out of the queue.
    pub(crate) fn take_ahead(&mut self, records_max: usize) -> Vec<(TopicPartition, Fetched)> {
        let (mut left, mut taken) = (records_max, Vec::new());
        while let Some((_, partition, fetched)) = self.queue.front() {
            let Some((end, count)) = fetched.end_within(left) else { break };
            left -= count;
            if let Some(position) = self.assigned.get_mut(partition) {
                position.offset = Some(end);
            }
            if let Some((_, partition, fetched)) = self.queue.pop_front() {
                taken.push((partition, fetched));
            }
        }
        taken
    }

    /// Gives out what was taken ahead, then what still fits of the front of the queue.
    pub(crate) fn give(
        &mut self,
        ahead: Vec<(TopicPartition, Fetched)>,
        records_max: usize,
        sink: &mut impl RecordSink,
    ) -> Result<Given, ClientError> {
        let mut total = Given::default();
        for (partition, mut fetched) in ahead {
            let outcome = fetched.give((&partition.0, partition.1), usize::MAX, self.rules, &mut self.opened, sink);
            total.add(outcome.map_err(|error| corrupt(&partition, fetched.next_offset(), &error))?.0);
        }
        let left = records_max.saturating_sub(total.records);
        if let Some((_, partition, fetched)) = self.queue.front_mut().filter(|_| left > 0) {
            let outcome = fetched.give((&partition.0, partition.1), left, self.rules, &mut self.opened, sink);
            let (given, more) = outcome.map_err(|error| corrupt(partition, fetched.next_offset(), &error))?;
            total.add(given);
            if !more {
                self.end_front();
            }
        }
        Ok(total)
    }

    fn end_front(&mut self) {
        if let Some((_, partition, fetched)) = self.queue.pop_front()
            && let Some(position) = self.assigned.get_mut(&partition)
        {
            position.offset = Some(fetched.next_offset());
        }
    }

    /// ListOffsets for the positions of a node's partitions that are not known, if there are any to ask for.
    pub(crate) fn reset_request(
        &mut self,
        node: NodeId,
        metadata: &Metadata,
        now_ns: u64,
    ) -> Result<Option<ListOffsetsRequest>, ClientError> {
        let timestamp = match self.reset {
            OffsetReset::Earliest => EARLIEST,
            OffsetReset::Latest | OffsetReset::None => LATEST,
        };
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for ((name, index), position) in &mut self.assigned {
            let unknown = position.offset.is_none() && !position.reset_asked && position.rests_until_ns <= now_ns;
            let leader = metadata.layout(name).and_then(|layout| layout.leaders.get(usize::try_from(*index).ok()?));
            if !unknown || leader.and_then(|leader| leader.node) != Some(node) {
                continue;
            }
            if self.reset == OffsetReset::None {
                let text = format!("Undefined offset with no reset policy for partition {name}-{index}");
                return Err(ClientError::Corrupt(text));
            }
            position.reset_asked = true;
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(ListOffsetsTopic { name: name.clone(), ..ListOffsetsTopic::default() });
            }
            let partition = ListOffsetsPartition { partition_index: *index, timestamp, ..Default::default() };
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        let isolation_level = i8::from(self.rules.read_committed);
        let request = ListOffsetsRequest { replica_id: -1, isolation_level, topics, ..Default::default() };
        Ok((!request.topics.is_empty()).then_some(request))
    }

    /// ListOffsets was lost: ask again.
    pub(crate) fn reset_lost(&mut self, now_ns: u64) {
        for position in self.assigned.values_mut().filter(|position| position.offset.is_none()) {
            position.reset_asked = false;
            position.rests_until_ns = now_ns.saturating_add(ERROR_PAUSE_NS);
        }
    }

    /// Takes positions from an answer to ListOffsets.
    pub(crate) fn reset_response(
        &mut self,
        response: &ListOffsetsResponse,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let mut outcome = Outcome::default();
        for topic in &response.topics {
            for answer in &topic.partitions {
                let partition = (topic.name.clone(), answer.partition_index);
                let Some(position) = self.assigned.get_mut(&partition) else { continue };
                position.reset_asked = false;
                match ErrorCode(answer.error_code) {
                    ErrorCode::NONE if position.offset.is_none() => position.offset = Some(answer.offset),
                    ErrorCode::NONE => {}
                    error if error.is_retriable() => {
                        outcome.stale_metadata = true;
                        self.rest(&partition, now_ns);
                    }
                    error => {
                        let what = format!("looking up the offset of {}-{}", partition.0, partition.1);
                        return Err(broker_error(what, error, None));
                    }
                }
            }
        }
        Ok(outcome)
    }
}

impl Session {
    /// What to say, and what to take back, to go from what the session holds to what is wanted.
    fn difference(
        &self,
        wanted: &BTreeMap<TopicPartition, Said>,
    ) -> (BTreeMap<TopicPartition, Said>, Vec<(TopicPartition, Said)>) {
        if self.epoch == 0 {
            return (wanted.clone(), Vec::new());
        }
        let is_new = |(partition, said): &(&TopicPartition, &Said)| self.said.get(*partition) != Some(*said);
        let said = wanted.iter().filter(is_new).map(|(partition, said)| (partition.clone(), *said)).collect();
        // A topic that was made anew under the same name is taken back under its old id, and said under the new one.
        let is_gone = |(partition, said): &(&TopicPartition, &Said)| {
            wanted.get(*partition).is_none_or(|wanted| wanted.topic_id != said.topic_id)
        };
        let gone = self.said.iter().filter(is_gone).map(|(partition, said)| (partition.clone(), *said)).collect();
        (said, gone)
    }

    fn answered(&mut self, id: i32) {
        if id == 0 {
            // The broker keeps no session for us: the next fetch is a full one again.
            (self.id, self.epoch) = (0, 0);
            return;
        }
        self.id = id;
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
    }
}

fn topics_of(said: &BTreeMap<TopicPartition, Said>, partition_max_bytes: i32) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for ((name, partition), said) in said {
        if topics.last().is_none_or(|topic| topic.topic != *name) {
            topics.push(FetchTopic { topic: name.clone(), topic_id: said.topic_id, ..FetchTopic::default() });
        }
        let partition = FetchPartition {
            partition: *partition,
            current_leader_epoch: said.leader_epoch,
            fetch_offset: said.offset,
            partition_max_bytes,
            ..FetchPartition::default()
        };
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition);
        }
    }
    topics
}

fn forgotten_of(forgotten: &[(TopicPartition, Said)]) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    for ((name, partition), said) in forgotten {
        if topics.last().is_none_or(|topic| topic.topic != *name || topic.topic_id != said.topic_id) {
            let (topic, topic_id) = (name.clone(), said.topic_id);
            topics.push(ForgottenTopic { topic, topic_id, ..ForgottenTopic::default() });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(*partition);
        }
    }
    topics
}

fn record_bytes(records: &Records, body: &Slice) -> Option<Slice> {
    match records {
        Records::At(range) if !range.is_empty() => Some(body.slice(range.clone())),
        _ => None,
    }
}

fn aborted_of(data: PartitionData) -> Vec<Aborted> {
    let all = data.aborted_transactions.unwrap_or_default().into_iter();
    all.map(|aborted| Aborted { first_offset: aborted.first_offset, producer_id: aborted.producer_id }).collect()
}

fn corrupt(partition: &TopicPartition, offset: i64, error: &dyn std::fmt::Display) -> ClientError {
    let (topic, partition) = partition;
    ClientError::Corrupt(format!("{topic}-{partition}: what was fetched at offset {offset} cannot be read: {error}"))
}

/// An error of the broker that ends what was tried.
pub(crate) fn broker_error(what: String, error: ErrorCode, message: Option<&str>) -> ClientError {
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    ClientError::Broker { what, code: error.0, name: error.name(), message }
}

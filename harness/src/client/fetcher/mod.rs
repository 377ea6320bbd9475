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
//! - A partition that is paused keeps what was fetched for it, and holds up no other (KAFKA-7548).

mod epochs;
mod lookup;
mod position;
mod session;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringlog_io::Slice;
use ringlog_wire::messages::fetch::{FetchRequest, FetchResponse, NodeEndpoint, PartitionData};
use ringlog_wire::{ErrorCode, Records, Uuid};

use super::accumulator::nanos;
use super::config::{ConsumerConfig, OffsetReset};
use super::fetched::{Aborted, End, Fetched, Given, Opened, ReadRules};
use super::group::Committed;
use super::metadata::Metadata;
use super::{ClientError, NodeId, RecordSink};
pub(crate) use lookup::Question;
pub(crate) use position::Lookup;
use position::Position;
use session::{Said, Session, Wanted, forgotten_of, topics_of};

/// The first version of Fetch that names topics by id.
pub(crate) const FETCH_BY_ID: i16 = 13;
/// A partition with an error rests so long before it is asked for again.
const ERROR_PAUSE_NS: u64 = 100_000_000;

/// A topic and a partition's number.
pub(crate) type TopicPartition = (String, i32);

/// An offset to commit: of the next record to read, with the leader epoch of the one before it (-1 if unknown).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

type Queued = (NodeId, TopicPartition, Fetched);

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Fetcher {
    max_wait_ms: i32,
    min_bytes: i32,
    max_bytes: i32,
    partition_bytes: i32,
    request_timeout_ms: i32,
    reset: OffsetReset,
    rules: ReadRules,
    rack: String,
    pause_ns: u64,
    /// How long a follower that the leader named is read from before the leader is asked again.
    preferred_ns: u64,
    assigned: BTreeMap<TopicPartition, Position>,
    sessions: BTreeMap<NodeId, Session>,
    queue: VecDeque<Queued>,
    /// What was fetched of partitions that are paused.
    parked: Vec<Queued>,
    opened: Opened,
    /// What metadata was looked at for leaders that changed, and whether positions came since.
    seen_version: u64,
    has_new_positions: bool,
}

/// What an answer asks for besides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Leaders moved: metadata is wanted.
    pub(crate) stale_metadata: bool,
    /// Bytes of record data in the answer.
    pub(crate) bytes: u64,
    /// Leaders that the answer named (KIP-951), with their epochs.
    pub(crate) leaders: Vec<(TopicPartition, NodeId, i32)>,
    /// Their addresses.
    pub(crate) endpoints: Vec<NodeEndpoint>,
}

impl Fetcher {
    pub(crate) fn new(config: &ConsumerConfig) -> Self {
        Self {
            max_wait_ms: config.fetch_max_wait_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            partition_bytes: config.max_partition_fetch_bytes,
            request_timeout_ms: i32::try_from(config.common.request_timeout.as_millis()).unwrap_or(i32::MAX),
            reset: config.offset_reset,
            rules: ReadRules { check_crcs: config.check_crcs, read_committed: config.read_committed },
            rack: config.client_rack.clone(),
            pause_ns: nanos(config.common.retry_backoff.first),
            preferred_ns: nanos(config.common.metadata_max_age),
            assigned: BTreeMap::new(),
            sessions: BTreeMap::new(),
            queue: VecDeque::new(),
            parked: Vec::new(),
            opened: Opened::default(),
            seen_version: 0,
            has_new_positions: false,
        }
    }

    /// These partitions, and no others, are read from now on. Those that were ours keep their positions; with
    /// `committed`, nothing is asked for the others before [`Self::committed`] told what is stored of them.
    pub(crate) fn assign(&mut self, partitions: &[TopicPartition], committed: bool) {
        let mut old = std::mem::take(&mut self.assigned);
        for partition in partitions {
            let new = || Position { awaiting_committed: committed, ..Position::default() };
            let position = old.remove(partition).unwrap_or_else(new);
            self.assigned.insert(partition.clone(), position);
        }
        let assigned = &self.assigned;
        self.queue.retain(|(_, partition, _)| assigned.contains_key(partition));
        self.parked.retain(|(_, partition, _)| assigned.contains_key(partition));
    }

    /// These are no longer read.
    pub(crate) fn unassign(&mut self, partitions: &[TopicPartition]) {
        let gone: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let left: Vec<TopicPartition> = self.assigned.keys().filter(|one| !gone.contains(one)).cloned().collect();
        self.assign(&left, false);
    }

    /// Partitions whose stored offsets are not known yet.
    pub(crate) fn awaiting_committed(&self) -> Vec<TopicPartition> {
        let awaiting = self.assigned.iter().filter(|(_, position)| position.awaiting_committed);
        awaiting.map(|(partition, _)| partition.clone()).collect()
    }

    /// What is stored of partitions that waited for it; without a stored offset `auto.offset.reset` decides.
    pub(crate) fn committed(&mut self, stored: &[(TopicPartition, Committed)]) {
        for (partition, committed) in stored {
            let Some(position) = self.assigned.get_mut(partition).filter(|it| it.awaiting_committed) else { continue };
            position.awaiting_committed = false;
            if committed.offset >= 0 {
                position.seek(committed.offset, committed.epoch);
                self.has_new_positions = true;
            }
        }
    }

    /// Whether a node is to be asked for something.
    pub(crate) fn has_work(&self, node: NodeId, metadata: &Metadata, now_ns: u64) -> bool {
        let due = |((topic, partition), position): (&TopicPartition, &Position)| {
            let leader = metadata.leader(topic, *partition);
            let looks_up = position.is_to_be_looked_up(now_ns) && leader.and_then(|leader| leader.node) == Some(node);
            looks_up || position.is_fetchable(now_ns) && position.node(leader, now_ns) == Some(node)
        };
        self.assigned.iter().any(due) || self.wants_check(node, metadata, now_ns)
    }

    /// The nodes that are to be asked about our partitions: leaders, and followers that leaders named.
    pub(crate) fn nodes(&self, metadata: &Metadata) -> BTreeSet<NodeId> {
        let leaders = self.assigned.keys().filter_map(|(topic, partition)| metadata.leader(topic, *partition)?.node);
        let followers = self.assigned.values().filter_map(|position| position.preferred.map(|(node, _)| node));
        leaders.chain(followers).collect()
    }

    pub(crate) fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    pub(crate) fn is_assigned(&self, partition: &TopicPartition) -> bool {
        self.assigned.contains_key(partition)
    }

    /// Reads on from this offset. False if the partition is not ours.
    pub(crate) fn seek(&mut self, partition: &TopicPartition, offset: i64) -> bool {
        self.drop_queued(partition);
        self.has_new_positions = true;
        self.assigned.get_mut(partition).map(|position| position.seek(offset, -1)).is_some()
    }

    /// Reads on from where the broker says that this is. False if the partition is not ours.
    pub(crate) fn look_up(&mut self, partition: &TopicPartition, lookup: Lookup) -> bool {
        self.drop_queued(partition);
        self.assigned.get_mut(partition).map(|position| position.look_up(Some(lookup))).is_some()
    }

    fn drop_queued(&mut self, partition: &TopicPartition) {
        self.queue.retain(|(_, queued, _)| queued != partition);
        self.parked.retain(|(_, parked, _)| parked != partition);
    }

    /// Nothing is given out of a partition until [`Self::resume`]. False if it is not ours.
    pub(crate) fn pause(&mut self, partition: &TopicPartition) -> bool {
        let (parked, queue) =
            std::mem::take(&mut self.queue).into_iter().partition(|(_, queued, _)| queued == partition);
        self.queue = queue;
        self.parked.extend::<VecDeque<Queued>>(parked);
        self.assigned.get_mut(partition).map(|position| position.is_paused = true).is_some()
    }

    /// Goes on after [`Self::pause`]. False if the partition is not ours.
    pub(crate) fn resume(&mut self, partition: &TopicPartition) -> bool {
        let (queue, parked): (Vec<Queued>, _) =
            std::mem::take(&mut self.parked).into_iter().partition(|(_, parked, _)| parked == partition);
        self.parked = parked;
        self.queue.extend(queue);
        self.assigned.get_mut(partition).map(|position| position.is_paused = false).is_some()
    }

    /// The partitions that are paused.
    pub(crate) fn paused(&self) -> Vec<TopicPartition> {
        let paused = self.assigned.iter().filter(|(_, position)| position.is_paused);
        paused.map(|(partition, _)| partition.clone()).collect()
    }

    /// The offset after the last record that was given out, per partition where one is known.
    pub(crate) fn positions(&self) -> Vec<(TopicPartition, i64)> {
        self.committable().into_iter().map(|one| (one.partition, one.offset)).collect()
    }

    /// The same with leader epochs, for commits.
    pub(crate) fn committable(&self) -> Vec<Committable> {
        let fetched = self.queue.iter().chain(&self.parked);
        let given: BTreeMap<&TopicPartition, &Fetched> =
            fetched.map(|(_, partition, fetched)| (partition, fetched)).collect();
        let known = |(partition, position): (&TopicPartition, &Position)| {
            let read = given.get(partition).filter(|fetched| fetched.epoch() >= 0);
            let end = read.map(|fetched| End { offset: fetched.next_offset(), epoch: fetched.epoch() });
            let stored = position.offset.map(|offset| End { offset, epoch: position.offset_epoch });
            let End { offset, epoch } = end.or(stored)?;
            Some(Committable { partition: partition.clone(), offset, epoch })
        };
        self.assigned.iter().filter_map(known).collect()
    }

    /// The offset after the last record of a partition that was given out, where it is known.
    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<i64> {
        let fetched = self.queue.iter().chain(&self.parked).find(|(_, queued, _)| queued == partition);
        let given = fetched.map(|(.., fetched)| fetched.next_offset());
        given.or(self.assigned.get(partition)?.offset)
    }

    /// Records between the positions and the ends of the partitions, as far as the answers said.
    pub(crate) fn lag(&self) -> i64 {
        let read_committed = self.rules.read_committed;
        let lag = |position: &Position| {
            let end = if read_committed { position.last_stable_offset } else { position.high_watermark };
            position.offset.map_or(0, |offset| end.saturating_sub(offset).max(0))
        };
        self.assigned.values().map(lag).fold(0, i64::saturating_add)
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

    fn wanted(&self, node: NodeId, metadata: &Metadata, now_ns: u64) -> Wanted {
        let mut wanted = BTreeMap::new();
        // What lies here of another node's answer would come twice.
        let queued: BTreeSet<&TopicPartition> = self.queue.iter().map(|(_, partition, _)| partition).collect();
        for (partition, position) in &self.assigned {
            let (Some(offset), Some(layout)) = (position.offset, metadata.layout(&partition.0)) else { continue };
            let leader = layout.leader(partition.1);
            let is_here = position.node(leader, now_ns) == Some(node) && layout.error.is_none();
            if is_here && position.is_fetchable(now_ns) && !queued.contains(partition) {
                let leader_epoch = leader.map_or(-1, |leader| leader.epoch);
                wanted.insert(partition.clone(), Said { offset, leader_epoch, topic_id: layout.id });
            }
        }
        wanted
    }

    /// When the first partition that rests is worth asking for again.
    pub(crate) fn next_deadline_ns(&self, now_ns: u64) -> Option<u64> {
        self.assigned.values().map(|position| position.rests_until_ns).filter(|until| *until > now_ns).min()
    }

    /// The fetch to a node was lost: its session too. Who read from it as a follower goes back to the leader.
    pub(crate) fn lost(&mut self, node: NodeId) {
        self.sessions.entry(node).or_default().begin_anew(false);
        for position in self.assigned.values_mut() {
            position.preferred = position.preferred.filter(|(preferred, _)| *preferred != node);
        }
    }

    /// Takes a node's answer. `body` is what it was decoded from.
    pub(crate) fn response(
        &mut self,
        node: NodeId,
        response: FetchResponse,
        body: &Slice,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let session = self.sessions.entry(node).or_default();
        let Some(asked) = session.asked.take() else { return Ok(Outcome::default()) };
        let error = ErrorCode(response.error_code);
        if !error.is_none() {
            session.begin_anew(error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
            // Of the session alone: there is nothing to rest for (FetchSessionHandler.handleResponse).
            let is_of_session =
                matches!(error, ErrorCode::FETCH_SESSION_ID_NOT_FOUND | ErrorCode::INVALID_FETCH_SESSION_EPOCH);
            let is_of_ids = matches!(error, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR | ErrorCode::INCONSISTENT_TOPIC_ID);
            if !is_of_session && !is_of_ids {
                asked.keys().for_each(|partition| self.rest(partition, now_ns));
            }
            return Ok(Outcome { stale_metadata: !is_of_session, ..Outcome::default() });
        }
        let names: BTreeMap<Uuid, String> = response
            .responses
            .iter()
            .filter_map(|topic| Some((topic.topic_id, session.name_of(topic.topic_id)?.to_owned())))
            .collect();
        session.answered(response.session_id);
        let mut outcome = Outcome { endpoints: response.node_endpoints, ..Outcome::default() };
        for topic in response.responses {
            let name = if topic.topic_id == Uuid::ZERO {
                Some(topic.topic)
            } else {
                // By the ids of the request: the topic may have been made anew since.
                names.get(&topic.topic_id).cloned()
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
        let is_queued = self.queue.iter().chain(&self.parked).any(|(_, queued, _)| *queued == partition);
        let Some(position) = self.assigned.get_mut(&partition) else { return Ok(()) };
        if position.offset != Some(asked_offset) || is_queued {
            return Ok(());
        }
        let error = ErrorCode(data.error_code);
        if !error.is_none() {
            return self.refused(partition, error, &data, (outcome, now_ns));
        }
        (position.high_watermark, position.last_stable_offset) = (data.high_watermark, data.last_stable_offset);
        if data.preferred_read_replica >= 0 {
            position.preferred = Some((data.preferred_read_replica, now_ns.saturating_add(self.preferred_ns)));
        }
        if let Some(bytes) = record_bytes(&data.records, body) {
            outcome.bytes += bytes.len() as u64;
            let is_paused = position.is_paused;
            let queued = (node, partition, Fetched::new(bytes, asked_offset, aborted_of(data)));
            if is_paused { self.parked.push(queued) } else { self.queue.push_back(queued) }
        }
        Ok(())
    }

    /// FetchCollector.handleInitializeErrors.
    fn refused(
        &mut self,
        partition: TopicPartition,
        error: ErrorCode,
        data: &PartitionData,
        (outcome, now_ns): (&mut Outcome, u64),
    ) -> Result<(), ClientError> {
        let Some(position) = self.assigned.get_mut(&partition) else { return Ok(()) };
        let follower = position.preferred.take();
        let offset = position.offset.unwrap_or(-1);
        match error {
            // A follower may lag behind: the leader is asked.
            ErrorCode::OFFSET_OUT_OF_RANGE if follower.is_some() => Ok(()),
            ErrorCode::OFFSET_OUT_OF_RANGE if self.reset == OffsetReset::None => {
                let partitions = format!("{{{}={offset}}}", name_of(&partition));
                let text = format!("Offsets out of range with no configured reset policy for partitions: {partitions}");
                Err(ClientError::Corrupt(text))
            }
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                tracing::info!(partition = name_of(&partition), offset, "the fetch position is out of range");
                position.look_up(None);
                Ok(())
            }
            ErrorCode::CORRUPT_MESSAGE => {
                let name = name_of(&partition);
                let text =
                    format!("Encountered corrupt message when fetching offset {offset} for topic-partition {name}");
                Err(ClientError::Corrupt(text))
            }
            error if error.is_retriable() || error == ErrorCode::UNKNOWN_SERVER_ERROR => {
                outcome.stale_metadata = true;
                self.rest(&partition, now_ns);
                let leader = &data.current_leader;
                if leader.leader_id >= 0 {
                    outcome.leaders.push((partition, leader.leader_id, leader.leader_epoch));
                }
                Ok(())
            }
            error => Err(broker_error(format!("fetching {}", name_of(&partition)), error, None)),
        }
    }

    /// A new leader is known: nothing to wait for.
    pub(crate) fn end_rest(&mut self, partition: &TopicPartition) {
        if let Some(position) = self.assigned.get_mut(partition) {
            position.rests_until_ns = 0;
        }
    }

    fn rest(&mut self, partition: &TopicPartition, now_ns: u64) {
        if let Some(position) = self.assigned.get_mut(partition) {
            position.rests_until_ns = now_ns.saturating_add(self.pause_ns);
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
            self.move_to(&partition.clone(), end);
            if let Some((_, partition, fetched)) = self.queue.pop_front() {
                taken.push((partition, fetched));
            }
        }
        taken
    }

    fn move_to(&mut self, partition: &TopicPartition, end: End) {
        if let Some(position) = self.assigned.get_mut(partition) {
            position.offset = Some(end.offset);
            position.offset_epoch = if end.epoch >= 0 { end.epoch } else { position.offset_epoch };
        }
    }

    /// Gives out what was taken ahead, then what still fits of the front of the queue. After an error the positions
    /// stand where giving ended.
    pub(crate) fn give(
        &mut self,
        ahead: Vec<(TopicPartition, Fetched)>,
        records_max: usize,
        sink: &mut impl RecordSink,
    ) -> Result<Given, ClientError> {
        let (mut total, mut failed) = (Given::default(), None);
        for (partition, mut fetched) in ahead {
            if failed.is_none() {
                let at = (partition.0.as_str(), partition.1);
                match fetched.give(at, usize::MAX, self.rules, &mut self.opened, sink) {
                    Ok((given, _)) => total.add(given),
                    Err(error) => failed = Some(corrupt(&partition, fetched.next_offset(), &error)),
                }
            }
            if failed.is_some() {
                self.move_to(&partition, End { offset: fetched.next_offset(), epoch: fetched.epoch() });
            }
        }
        if let Some(error) = failed {
            return Err(error);
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
        if let Some((_, partition, fetched)) = self.queue.pop_front() {
            self.move_to(&partition, End { offset: fetched.next_offset(), epoch: fetched.epoch() });
        }
    }
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

/// `topic-partition`, as Kafka writes it.
pub(crate) fn name_of((topic, partition): &TopicPartition) -> String {
    format!("{topic}-{partition}")
}

fn corrupt(partition: &TopicPartition, offset: i64, error: &dyn std::fmt::Display) -> ClientError {
    let name = name_of(partition);
    ClientError::Corrupt(format!("{name}: what was fetched at offset {offset} cannot be read: {error}"))
}

/// An error of the broker that ends what was tried.
pub(crate) fn broker_error(what: String, error: ErrorCode, message: Option<&str>) -> ClientError {
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    ClientError::Broker { what, code: error.0, name: error.name(), message }
}

#[cfg(test)]
mod tests;

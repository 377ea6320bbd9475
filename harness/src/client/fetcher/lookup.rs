//! ListOffsets: positions that are not known, and questions of the caller (by time, beginnings, ends).
//!
//! A request carries the number of its question as the network's tag; 0 is for positions.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

use super::{Fetcher, Lookup, Outcome, TopicPartition, broker_error, name_of};
use crate::client::config::OffsetReset;
use crate::client::metadata::Metadata;
use crate::client::{ClientError, NodeId};

/// A question of the caller: partitions without an answer, and answers.
#[derive(Debug, Default)]
pub(crate) struct Question {
    open: BTreeMap<TopicPartition, Lookup>,
    asked: BTreeMap<TopicPartition, NodeId>,
    lookups: BTreeMap<TopicPartition, Lookup>,
    /// Offset and timestamp, or nothing where there is no such record.
    pub(crate) answers: BTreeMap<TopicPartition, Option<(i64, i64)>>,
    rests_until_ns: u64,
}

impl Question {
    pub(crate) fn new(partitions: impl Iterator<Item = (TopicPartition, Lookup)>) -> Self {
        Self { open: partitions.collect(), ..Self::default() }
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.open.is_empty() && self.asked.is_empty()
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &String> {
        self.open.keys().map(|(topic, _)| topic)
    }
}

impl Fetcher {
    /// ListOffsets for the positions of a node's partitions that are not known, if there are any to ask for.
    pub(crate) fn lookup_request(
        &mut self,
        node: NodeId,
        metadata: &Metadata,
        (now_ns, wall_ms): (u64, i64),
    ) -> Result<Option<ListOffsetsRequest>, ClientError> {
        let mut wanted = BTreeMap::new();
        for (partition, position) in &mut self.assigned {
            let leader = metadata.leader(&partition.0, partition.1);
            if !position.is_to_be_looked_up(now_ns) || leader.and_then(|leader| leader.node) != Some(node) {
                continue;
            }
            let Some(lookup) = position.lookup.or_else(|| by_policy(self.reset, wall_ms)) else {
                let text = format!("Undefined offset with no reset policy for partitions: [{}]", name_of(partition));
                return Err(ClientError::Corrupt(text));
            };
            // Asked again after a loss it is the same moment that is looked for.
            (position.lookup, position.lookup_asked) = (Some(lookup), true);
            wanted.insert(partition.clone(), (lookup, leader.map_or(-1, |leader| leader.epoch)));
        }
        Ok(self.list_offsets(&wanted))
    }

    fn list_offsets(&self, wanted: &BTreeMap<TopicPartition, (Lookup, i32)>) -> Option<ListOffsetsRequest> {
        let mut topics: Vec<ListOffsetsTopic> = Vec::new();
        for ((name, partition_index), (lookup, current_leader_epoch)) in wanted {
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(ListOffsetsTopic { name: name.clone(), ..ListOffsetsTopic::default() });
            }
            let partition = ListOffsetsPartition {
                partition_index: *partition_index,
                current_leader_epoch: *current_leader_epoch,
                timestamp: lookup.timestamp(),
                ..ListOffsetsPartition::default()
            };
            topics.last_mut()?.partitions.push(partition);
        }
        let isolation_level = i8::from(self.rules.read_committed);
        let timeout_ms = self.request_timeout_ms;
        let request =
            ListOffsetsRequest { replica_id: -1, isolation_level, topics, timeout_ms, ..ListOffsetsRequest::default() };
        (!wanted.is_empty()).then_some(request)
    }

    /// ListOffsets was lost: ask again.
    pub(crate) fn lookup_lost(&mut self, now_ns: u64) {
        for position in self.assigned.values_mut().filter(|position| position.lookup_asked) {
            position.lookup_asked = false;
            position.rests_until_ns = now_ns.saturating_add(self.pause_ns);
        }
    }

    /// Takes positions from an answer to ListOffsets.
    pub(crate) fn lookup_response(
        &mut self,
        response: &ListOffsetsResponse,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let mut outcome = Outcome::default();
        for topic in &response.topics {
            for answer in &topic.partitions {
                let partition = (topic.name.clone(), answer.partition_index);
                self.looked_up(&partition, answer, (&mut outcome, now_ns))?;
            }
        }
        Ok(outcome)
    }

    fn looked_up(
        &mut self,
        partition: &TopicPartition,
        answer: &ListOffsetsPartitionResponse,
        (outcome, now_ns): (&mut Outcome, u64),
    ) -> Result<(), ClientError> {
        let Some(position) = self.assigned.get_mut(partition).filter(|position| position.lookup_asked) else {
            return Ok(());
        };
        position.lookup_asked = false;
        match ErrorCode(answer.error_code) {
            // No record is that young: what is written from now on is.
            ErrorCode::NONE if answer.offset < 0 => position.lookup = Some(Lookup::Latest),
            ErrorCode::NONE => {
                // As in Java without its epoch: what was just looked up needs no check.
                position.seek(answer.offset, -1);
                self.has_new_positions = true;
            }
            error if error.is_retriable() => {
                outcome.stale_metadata = true;
                self.rest(partition, now_ns);
            }
            error => return Err(broker_error(format!("looking up the offset of {}", name_of(partition)), error, None)),
        }
        Ok(())
    }

    /// The part of the caller's question that a node can answer, if it is due.
    pub(crate) fn question_request(
        &self,
        question: &mut Question,
        node: NodeId,
        metadata: &Metadata,
        now_ns: u64,
    ) -> Option<ListOffsetsRequest> {
        if question.rests_until_ns > now_ns {
            return None;
        }
        let leader = |(topic, partition): &TopicPartition| metadata.leader(topic, *partition);
        let led = question.open.iter().filter(|(one, _)| leader(one).and_then(|leader| leader.node) == Some(node));
        let epoch = |one: &TopicPartition| leader(one).map_or(-1, |leader| leader.epoch);
        let wanted: BTreeMap<_, _> = led.map(|(one, lookup)| (one.clone(), (*lookup, epoch(one)))).collect();
        question.asked.extend(wanted.keys().map(|partition| (partition.clone(), node)));
        question.lookups.extend(wanted.iter().map(|(partition, (lookup, _))| (partition.clone(), *lookup)));
        wanted.keys().for_each(|partition| _ = question.open.remove(partition));
        self.list_offsets(&wanted)
    }
}

impl Question {
    /// An answer; true where leaders moved.
    pub(crate) fn response(&mut self, response: &ListOffsetsResponse, now_ns: u64) -> Result<bool, ClientError> {
        let mut stale = false;
        for topic in &response.topics {
            for answer in &topic.partitions {
                let partition = (topic.name.clone(), answer.partition_index);
                if self.asked.remove(&partition).is_none() {
                    continue;
                }
                match ErrorCode(answer.error_code) {
                    ErrorCode::NONE => {
                        let found = (answer.offset >= 0).then_some((answer.offset, answer.timestamp));
                        self.answers.insert(partition, found);
                    }
                    error if error.is_retriable() => {
                        stale = true;
                        self.again(partition, now_ns);
                    }
                    error => {
                        let what = format!("looking up the offset of {}", name_of(&partition));
                        return Err(broker_error(what, error, None));
                    }
                }
            }
        }
        Ok(stale)
    }

    fn again(&mut self, partition: TopicPartition, now_ns: u64) {
        if let Some(lookup) = self.lookups.get(&partition) {
            self.open.insert(partition, *lookup);
        }
        self.rests_until_ns = now_ns.saturating_add(super::ERROR_PAUSE_NS);
    }

    /// A node's connection ended.
    pub(crate) fn lost(&mut self, node: NodeId, now_ns: u64) {
        let lost: Vec<TopicPartition> =
            self.asked.iter().filter(|(_, at)| **at == node).map(|(partition, _)| partition.clone()).collect();
        for partition in lost {
            self.asked.remove(&partition);
            self.again(partition, now_ns);
        }
    }
}

fn by_policy(reset: OffsetReset, wall_ms: i64) -> Option<Lookup> {
    match reset {
        OffsetReset::Earliest => Some(Lookup::Earliest),
        OffsetReset::Latest => Some(Lookup::Latest),
        OffsetReset::ByDuration(age) => {
            Some(Lookup::At(wall_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)).max(0)))
        }
        OffsetReset::None => None,
    }
}

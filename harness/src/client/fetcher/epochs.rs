//! OffsetForLeaderEpoch (KIP-320): after a change of leaders, whether what was read is still in the log.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};

use super::position::Check;
use super::{Fetcher, Outcome, TopicPartition, broker_error, name_of};
use crate::client::config::OffsetReset;
use crate::client::metadata::Metadata;
use crate::client::{ClientError, NodeId};

const UNDEFINED: i64 = -1;

impl Fetcher {
    /// Looks for leaders that changed. A position that knows its epoch is checked before it is read on.
    pub(crate) fn note_leaders(&mut self, metadata: &Metadata) {
        if self.seen_version == metadata.version() && !self.has_new_positions {
            return;
        }
        (self.seen_version, self.has_new_positions) = (metadata.version(), false);
        for ((topic, partition), position) in &mut self.assigned {
            if let Some(leader) = metadata.leader(topic, *partition) {
                position.note_leader(leader);
            }
        }
    }

    /// Whether positions of a node's partitions are to be checked.
    pub(crate) fn wants_check(&self, node: NodeId, metadata: &Metadata, now_ns: u64) -> bool {
        self.to_check(node, metadata, now_ns).next().is_some()
    }

    fn to_check<'a>(
        &'a self,
        node: NodeId,
        metadata: &'a Metadata,
        now_ns: u64,
    ) -> impl Iterator<Item = &'a TopicPartition> {
        let led = move |(topic, partition): &TopicPartition| {
            metadata.leader(topic, *partition).and_then(|leader| leader.node) == Some(node)
        };
        let due = self.assigned.iter().filter(move |(_, it)| it.check == Check::Wanted && it.rests_until_ns <= now_ns);
        due.map(|(partition, _)| partition).filter(move |partition| led(partition))
    }

    /// The broker is too old to be asked: positions are believed.
    pub(crate) fn skip_checks(&mut self, node: NodeId, metadata: &Metadata, now_ns: u64) {
        let partitions: Vec<TopicPartition> = self.to_check(node, metadata, now_ns).cloned().collect();
        partitions.iter().filter_map(|it| self.assigned.get_mut(it).map(|it| it.check = Check::Done)).count();
    }

    /// What to ask a node about its partitions.
    pub(crate) fn check_request(
        &mut self,
        node: NodeId,
        metadata: &Metadata,
        now_ns: u64,
    ) -> Option<OffsetForLeaderEpochRequest> {
        let partitions: Vec<TopicPartition> = self.to_check(node, metadata, now_ns).cloned().collect();
        let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
        for partition in partitions {
            let position = self.assigned.get_mut(&partition)?;
            position.check = Check::Asked;
            let asked = OffsetForLeaderPartition {
                partition: partition.1,
                current_leader_epoch: position.leader_epoch,
                leader_epoch: position.offset_epoch,
                ..OffsetForLeaderPartition::default()
            };
            if topics.last().is_none_or(|topic| topic.topic != partition.0) {
                topics.push(OffsetForLeaderTopic { topic: partition.0, ..OffsetForLeaderTopic::default() });
            }
            topics.last_mut()?.partitions.push(asked);
        }
        (!topics.is_empty()).then(|| OffsetForLeaderEpochRequest { replica_id: -1, topics, ..Default::default() })
    }

    /// The request was lost.
    pub(crate) fn check_lost(&mut self, now_ns: u64) {
        for position in self.assigned.values_mut().filter(|position| position.check == Check::Asked) {
            position.check = Check::Wanted;
            position.rests_until_ns = now_ns.saturating_add(self.pause_ns);
        }
    }

    /// Takes where the epochs end.
    pub(crate) fn check_response(
        &mut self,
        response: &OffsetForLeaderEpochResponse,
        now_ns: u64,
    ) -> Result<Outcome, ClientError> {
        let mut outcome = Outcome::default();
        for topic in &response.topics {
            for end in &topic.partitions {
                let partition = (topic.topic.clone(), end.partition);
                let error = ErrorCode(end.error_code);
                let asked = self.assigned.get(&partition).is_some_and(|position| position.check == Check::Asked);
                if !asked {
                    continue;
                }
                if error.is_none() {
                    self.checked(&partition, end)?;
                } else if error == ErrorCode::TOPIC_AUTHORIZATION_FAILED {
                    return Err(broker_error(format!("checking the position of {}", name_of(&partition)), error, None));
                } else {
                    outcome.stale_metadata = true;
                    self.rest(&partition, now_ns);
                    self.assigned.entry(partition).and_modify(|position| position.check = Check::Wanted);
                }
            }
        }
        Ok(outcome)
    }

    /// SubscriptionState.maybeCompleteValidation.
    fn checked(&mut self, partition: &TopicPartition, end: &EpochEndOffset) -> Result<(), ClientError> {
        let may_reset = self.reset != OffsetReset::None;
        let Some(position) = self.assigned.get_mut(partition) else { return Ok(()) };
        position.check = Check::Done;
        let offset = position.offset.unwrap_or(0);
        let is_undefined = end.end_offset == UNDEFINED || i64::from(end.leader_epoch) == UNDEFINED;
        if !is_undefined && end.end_offset >= offset {
            return Ok(());
        }
        if !may_reset {
            let text = format!(
                "Truncated partitions detected with divergent offsets {{{}={{offset={}, leaderEpoch={}}}}}",
                name_of(partition),
                end.end_offset,
                end.leader_epoch
            );
            return Err(ClientError::Corrupt(text));
        }
        tracing::warn!(partition = name_of(partition), offset, end = end.end_offset, "the log was truncated");
        if is_undefined {
            position.look_up(None);
        } else {
            (position.offset, position.offset_epoch) = (Some(end.end_offset), end.leader_epoch);
        }
        self.drop_queued(partition);
        Ok(())
    }
}

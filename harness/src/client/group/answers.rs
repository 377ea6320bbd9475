//! What the coordinator answered: handed to whom it concerns, and an error to whoever polls where it is final.

use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatResponse;
use ringlog_wire::messages::find_coordinator::FindCoordinatorResponse;
use ringlog_wire::messages::heartbeat::HeartbeatResponse;
use ringlog_wire::messages::join_group::JoinGroupResponse;
use ringlog_wire::messages::offset_commit::OffsetCommitResponse;
use ringlog_wire::messages::offset_fetch::OffsetFetchResponse;
use ringlog_wire::messages::sync_group::SyncGroupResponse;
use ringlog_wire::{ApiKey, ErrorCode};

use super::{Around, Committed, Group, Line, Member, Verdict};
use crate::client::fetcher::{TopicPartition, broker_error};
use crate::client::{ClientError, NodeId};

impl Group {
    /// FindCoordinator's answer. Gives the connection's own node id and its address.
    pub(crate) fn on_coordinator(
        &mut self,
        response: &FindCoordinatorResponse,
        now_ns: u64,
    ) -> Result<Option<(NodeId, String, i32)>, ClientError> {
        let found = self.coordinator.answer(response, now_ns)?;
        if let (Some(_), Member::Classic(member)) = (&found, &mut self.member) {
            member.found_coordinator(now_ns);
        }
        Ok(found)
    }

    /// JoinGroup's answer.
    pub(crate) fn on_join(&mut self, response: &JoinGroupResponse, around: &mut Around<'_>) -> Result<(), ClientError> {
        let Member::Classic(member) = &mut self.member else { return Ok(()) };
        let verdict = member.on_join(response, around, &mut self.changes)?;
        let error = ErrorCode(response.error_code);
        self.act_on(verdict, error, "joining the group", None, around.now_ns)
    }

    /// SyncGroup's answer.
    pub(crate) fn on_sync(&mut self, response: &SyncGroupResponse, now_ns: u64) -> Result<(), ClientError> {
        let Member::Classic(member) = &mut self.member else { return Ok(()) };
        let mut line =
            Line { offsets: &mut self.offsets, changes: &mut self.changes, auto_commit: self.auto_commit_ns };
        let verdict = member.on_sync(response, now_ns, &mut line)?;
        self.commit_at_ns = now_ns.saturating_add(self.auto_commit_ns.unwrap_or(0));
        self.act_on(verdict, ErrorCode(response.error_code), "taking part in the group", None, now_ns)
    }

    /// Heartbeat's answer.
    pub(crate) fn on_heartbeat(&mut self, response: &HeartbeatResponse, now_ns: u64) -> Result<(), ClientError> {
        let Member::Classic(member) = &mut self.member else { return Ok(()) };
        let error = ErrorCode(response.error_code);
        let verdict = member.on_heartbeat(error, now_ns, &mut self.changes);
        self.act_on(verdict, error, "the heartbeat", None, now_ns)
    }

    /// ConsumerGroupHeartbeat's answer.
    pub(crate) fn on_modern(
        &mut self,
        response: &ConsumerGroupHeartbeatResponse,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        let Member::Modern(member) = &mut self.member else { return Ok(()) };
        let verdict = member.on_heartbeat(response, now_ns, &mut self.changes);
        let error = ErrorCode(response.error_code);
        let words = (error == ErrorCode::UNSUPPORTED_VERSION).then_some(NO_CONSUMER_PROTOCOL);
        self.act_on(verdict, error, "the heartbeat", response.error_message.as_deref().or(words), now_ns)
    }

    /// OffsetFetch's answer. Gives what positions there are for partitions that wait for them.
    pub(crate) fn on_positions(
        &mut self,
        tag: u64,
        response: &OffsetFetchResponse,
        now_ns: u64,
    ) -> Result<Vec<(TopicPartition, Committed)>, ClientError> {
        match self.offsets.on_answer(tag, response, now_ns) {
            Ok(positions) => Ok(positions),
            Err(error) => {
                let verdict = self.offset_verdict(error, now_ns);
                if verdict == Verdict::Fatal {
                    self.offsets.forget_question(tag);
                }
                self.act_on(verdict, error, "looking up the group's offsets", None, now_ns).map(|()| Vec::new())
            }
        }
    }

    /// OffsetCommit's answer.
    pub(crate) fn on_commit(
        &mut self,
        tag: u64,
        response: &OffsetCommitResponse,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        let sent_under = self.offsets.sent_under(tag);
        let Some(error) = self.offsets.on_commit(tag, response, now_ns) else { return Ok(()) };
        // Whoever asked for the commit hears of the error; the group hears of what it means for the membership, unless
        // it has moved on since.
        let is_current = self.identity().map(|identity| identity.generation) == sent_under;
        if is_current && self.offset_verdict(error, now_ns) == Verdict::OtherCoordinator {
            self.coordinator.forget(now_ns);
        }
        Ok(())
    }

    fn offset_verdict(&mut self, error: ErrorCode, now_ns: u64) -> Verdict {
        match (error, &mut self.member) {
            (ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::REQUEST_TIMED_OUT, _) => {
                Verdict::OtherCoordinator
            }
            (error, _) if error.is_retriable() => Verdict::Handled,
            (_, Member::None) => Verdict::Fatal,
            (error, Member::Classic(member)) => member.on_error(error, now_ns, &mut self.changes),
            (error, Member::Modern(member)) => member.on_error(error, now_ns, &mut self.changes),
        }
    }

    fn act_on(
        &mut self,
        verdict: Verdict,
        error: ErrorCode,
        what: &str,
        message: Option<&str>,
        now_ns: u64,
    ) -> Result<(), ClientError> {
        match verdict {
            Verdict::Handled => Ok(()),
            Verdict::OtherCoordinator => {
                self.coordinator.forget(now_ns);
                Ok(())
            }
            Verdict::Fatal => {
                let message = message.or(words(error));
                Err(broker_error(format!("group {}: {what}", self.id), error, message))
            }
        }
    }

    /// A request of ours was lost with its connection: the coordinator is looked for again.
    pub(crate) fn lost(&mut self, api: ApiKey, tag: u64, now_ns: u64) {
        match api {
            ApiKey::FindCoordinator => return self.coordinator.lost(now_ns),
            ApiKey::OffsetCommit => self.offsets.commit_lost(tag, now_ns),
            ApiKey::OffsetFetch => self.offsets.answer_lost(tag, now_ns),
            api => match &mut self.member {
                Member::None => {}
                Member::Classic(member) => member.lost(api, now_ns),
                Member::Modern(member) => member.lost(now_ns),
            },
        }
        self.coordinator.forget(now_ns);
    }
}

/// What Kafka's client says of an error, where that helps more than its name.
pub(super) fn words(error: ErrorCode) -> Option<&'static str> {
    match error {
        ErrorCode::FENCED_INSTANCE_ID => Some(
            "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id.",
        ),
        _ => None,
    }
}

/// AbstractHeartbeatRequestManager.CONSUMER_PROTOCOL_NOT_SUPPORTED_MSG.
pub(crate) const NO_CONSUMER_PROTOCOL: &str = "The cluster does not support the new CONSUMER group protocol. Set group.protocol=classic on the consumer configs to revert to the CLASSIC protocol until the cluster is upgraded.";

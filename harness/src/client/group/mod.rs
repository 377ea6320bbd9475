//! A group as its member sees it: where it lives, who is in it, what was read. State machines without I/O or clock.
//!
//! ```text
//!   Consumer --next--> Ask ----> coordinator (FindCoordinator)
//!                            '-> member: Classic (JoinGroup, SyncGroup, Heartbeat, LeaveGroup)
//!                            |       or  Modern  (ConsumerGroupHeartbeat, KIP-848)
//!                            |       or  none    (partitions were assigned by hand)
//!                            '-> offsets (OffsetFetch, OffsetCommit)
//!   answers --> the same --> Change: what is ours now, what is no longer
//! ```
//!
//! Invariants:
//! - Partitions are given back ([`Change::Revoked`]) before anyone is told that they are free.
//! - Offsets are committed under the generation (or member epoch) in which their partitions were ours.
//! - What a coordinator refuses for good ends in an error with Kafka's name; everything else is tried again.

mod assignors;
mod classic;
mod coordinator;
mod modern;
mod offsets;
mod subscription;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ringlog_wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use ringlog_wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use ringlog_wire::messages::leave_group::LeaveGroupRequest;
use ringlog_wire::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::accumulator::nanos;
use super::config::{Backoff, ConsumerConfig, GroupProtocol};
use super::fetcher::{Committable, Fetcher, TopicPartition, broker_error};
use super::metadata::Metadata;
use super::{ClientError, NodeId};
use classic::Classic;
use coordinator::Coordinator;
use modern::Modern;
use offsets::Offsets;
pub(crate) use offsets::{CommitId, Committed};

/// What is to be sent. All but `FindCoordinator` go to the coordinator; the number comes back with the answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    FindCoordinator(FindCoordinatorRequest),
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    Modern(ConsumerGroupHeartbeatRequest),
    Positions(OffsetFetchRequest, u64),
    Commit(OffsetCommitRequest, u64),
}

/// What happened to our partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// They are to be given back: their offsets were committed, where that is wanted.
    Revoked(Vec<TopicPartition>),
    /// They are gone: somebody else may have them already.
    Lost(Vec<TopicPartition>),
    /// A rebalance ended: what is new, and all that is ours now.
    Assigned { added: Vec<TopicPartition>, owned: Vec<TopicPartition> },
}

/// What is subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topics {
    /// Sorted.
    pub(crate) names: Vec<String>,
    /// A pattern that the broker resolves (consumer protocol only).
    pub(crate) regex: Option<String>,
}

/// What a step of the group may look at.
pub(crate) struct Around<'a> {
    pub(crate) now_ns: u64,
    pub(crate) metadata: &'a mut Metadata,
    pub(crate) fetcher: &'a Fetcher,
    /// The caller polls: it can be told of changes. Otherwise the member is only kept alive.
    pub(crate) polls: bool,
}

/// How a member stands to the coordinator, for commits and fetches of offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Identity {
    member_id: String,
    instance_id: Option<String>,
    /// Generation of a classic group, epoch of a member of the consumer protocol, -1 without a group.
    generation: i32,
    is_modern: bool,
}

/// What a member makes of an error that concerns its membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Dealt with; nothing else to do.
    Handled,
    /// The coordinator is elsewhere.
    OtherCoordinator,
    /// Final.
    Fatal,
}

#[derive(Debug)]
enum Member {
    None,
    Classic(Box<Classic>),
    Modern(Box<Modern>),
}

/// See the module's picture.
#[derive(Debug)]
pub(crate) struct Group {
    id: String,
    coordinator: Coordinator,
    offsets: Offsets,
    member: Member,
    auto_commit_ns: Option<u64>,
    commit_at_ns: u64,
    poll_interval_ns: u64,
    polled_ns: u64,
    changes: Vec<Change>,
}

/// A pause that grows while something fails.
#[derive(Clone, Debug)]
struct Retry {
    backoff: Backoff,
    attempts: u32,
    at_ns: u64,
}

impl Retry {
    fn new(backoff: Backoff) -> Self {
        Self { backoff, attempts: 0, at_ns: 0 }
    }

    fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.at_ns
    }

    fn at_ns(&self) -> u64 {
        self.at_ns
    }

    fn wait(&mut self, now_ns: u64) {
        self.at_ns = now_ns.saturating_add(nanos(self.backoff.after(self.attempts)));
        self.attempts = self.attempts.saturating_add(1);
    }

    fn worked(&mut self) {
        self.attempts = 0;
    }
}

impl Group {
    /// The group of partitions that are assigned by hand: offsets only.
    pub(crate) fn by_hand(id: &str, config: &ConsumerConfig, now_ns: u64) -> Self {
        Self::new(id, config, Member::None, now_ns)
    }

    /// A member that has yet to join. `random` makes its id (consumer protocol).
    pub(crate) fn subscribed(id: &str, topics: Topics, config: &ConsumerConfig, now_ns: u64, random: [u64; 2]) -> Self {
        let member = match config.group_protocol {
            GroupProtocol::Classic => Member::Classic(Box::new(Classic::new(id, topics.names, config))),
            GroupProtocol::Consumer => Member::Modern(Box::new(Modern::new(id, topics, config, random))),
        };
        Self::new(id, config, member, now_ns)
    }

    fn new(id: &str, config: &ConsumerConfig, member: Member, now_ns: u64) -> Self {
        let backoff = config.common.retry_backoff;
        let auto_commit_ns = config.auto_commit.map(nanos);
        Self {
            id: id.to_owned(),
            coordinator: Coordinator::new(id, backoff),
            offsets: Offsets::new(id, config),
            member,
            auto_commit_ns,
            commit_at_ns: now_ns.saturating_add(auto_commit_ns.unwrap_or(0)),
            poll_interval_ns: nanos(config.max_poll_interval),
            polled_ns: now_ns,
            changes: Vec::new(),
        }
    }

    /// Where the group's requests go.
    pub(crate) fn coordinator(&self) -> Option<NodeId> {
        self.coordinator.node()
    }

    /// Offsets are being committed before partitions are given back: a record that is given out now would be read
    /// again by its next owner.
    pub(crate) fn is_giving_back(&self) -> bool {
        match &self.member {
            Member::None => false,
            Member::Classic(member) => member.is_giving_back(),
            Member::Modern(member) => member.is_giving_back(),
        }
    }

    /// Whether partitions come from the group.
    pub(crate) fn is_member(&self) -> bool {
        !matches!(self.member, Member::None)
    }

    /// Other topics from now on.
    pub(crate) fn set_topics(&mut self, topics: Topics) {
        match &mut self.member {
            Member::None => {}
            Member::Classic(member) => member.set_topics(topics.names),
            Member::Modern(member) => member.set_topics(topics),
        }
    }

    /// Whether [`Self::take_changes`] has something to tell.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// What happened since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// How long the broker may take to answer JoinGroup.
    pub(crate) fn join_timeout(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.poll_interval_ns).saturating_add(std::time::Duration::from_secs(5))
    }

    /// The caller polls: `max.poll.interval.ms` begins anew. A member that stayed away for longer joins again.
    pub(crate) fn on_poll(&mut self, now_ns: u64) {
        self.check_poll_interval(now_ns);
        self.polled_ns = now_ns;
        match &mut self.member {
            Member::None => {}
            Member::Classic(member) => member.come_back(),
            Member::Modern(member) => member.come_back(),
        }
    }

    /// Whether something is to be done now, the end of `max.poll.interval.ms` included.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        let is_away = now_ns.saturating_sub(self.polled_ns) > self.poll_interval_ns;
        is_away || self.next_deadline_ns().is_some_and(|due| due <= now_ns)
    }

    /// When something is due, for how long to wait.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        if self.coordinator.node().is_none() {
            return self.coordinator.next_deadline_ns();
        }
        let member = match &self.member {
            Member::None => None,
            Member::Classic(member) => member.next_deadline_ns(),
            Member::Modern(member) => member.next_deadline_ns(),
        };
        let commit = self.auto_commit_ns.filter(|_| self.may_commit()).map(|_| self.commit_at_ns);
        member.into_iter().chain(commit).chain(self.offsets.next_deadline_ns()).min()
    }

    /// What is to be sent now, if anything.
    pub(crate) fn next(&mut self, around: &mut Around<'_>) -> Result<Option<Ask>, ClientError> {
        self.check_poll_interval(around.now_ns);
        // What was not told yet comes first: nobody may have our partitions before the caller let go of them.
        around.polls &= self.changes.is_empty();
        if self.coordinator.node().is_none() {
            return Ok(self.coordinator.request(around.now_ns).map(Ask::FindCoordinator));
        }
        if let Some(ask) = self.member_next(around)? {
            return Ok(Some(ask));
        }
        if around.polls {
            self.auto_commit(around);
        }
        Ok(self.identity().and_then(|identity| self.offsets.next(&identity, around)))
    }

    fn member_next(&mut self, around: &mut Around<'_>) -> Result<Option<Ask>, ClientError> {
        let mut line =
            Line { offsets: &mut self.offsets, changes: &mut self.changes, auto_commit: self.auto_commit_ns };
        let step = match &mut self.member {
            Member::None => Ok(None),
            Member::Classic(member) => member.next(around, &mut line),
            Member::Modern(member) => member.next(around, &mut line),
        };
        if let Member::Classic(member) = &mut self.member
            && member.went_silent(around.now_ns)
        {
            self.coordinator.forget(around.now_ns);
        }
        step
    }

    fn auto_commit(&mut self, around: &Around<'_>) {
        let Some(interval_ns) = self.auto_commit_ns else { return };
        if !self.may_commit() || around.now_ns < self.commit_at_ns {
            return;
        }
        self.commit_at_ns = around.now_ns.saturating_add(interval_ns);
        self.offsets.auto_commit(around.fetcher.committable());
    }

    fn may_commit(&self) -> bool {
        match &self.member {
            Member::None => true,
            Member::Classic(member) => member.is_stable(),
            Member::Modern(member) => member.is_in_group(),
        }
    }

    /// Who we are to the coordinator; `None` while we are nobody.
    fn identity(&self) -> Option<Identity> {
        match &self.member {
            Member::None => Some(Identity { generation: -1, ..Identity::default() }),
            Member::Classic(member) => member.identity(),
            Member::Modern(member) => member.identity(),
        }
    }

    fn check_poll_interval(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.polled_ns) <= self.poll_interval_ns {
            return;
        }
        let owned = match &mut self.member {
            Member::None => return,
            Member::Classic(member) => member.stay_away(),
            Member::Modern(member) => member.stay_away(),
        };
        if let Some(owned) = owned {
            tracing::warn!(
                group = self.id,
                "consumer poll timeout has expired: max.poll.interval.ms passed between two polls; the member leaves the group and joins it again with the next poll"
            );
            self.changes.push(Change::Lost(owned));
        }
    }

    /// Commits these offsets as soon as may be, and tries again where that helps. The outcome comes out of
    /// [`Self::take_commits`].
    pub(crate) fn commit(&mut self, offsets: Vec<Committable>, tries_again: bool) -> CommitId {
        self.offsets.commit(offsets, tries_again)
    }

    /// What became of commits that somebody asked for.
    pub(crate) fn take_commits(&mut self) -> Vec<(CommitId, Result<(), ClientError>)> {
        self.offsets.take_done()
    }

    /// Asks for stored offsets. The answer comes out of [`Self::take_committed`].
    pub(crate) fn ask_committed(&mut self, partitions: Vec<TopicPartition>) -> u64 {
        self.offsets.ask(partitions)
    }

    /// The answer to [`Self::ask_committed`], once it is there.
    pub(crate) fn take_committed(&mut self, id: u64) -> Option<Vec<(TopicPartition, Committed)>> {
        self.offsets.take_answer(id)
    }

    /// The farewell, where one is due.
    pub(crate) fn leave(&mut self) -> Option<Ask> {
        match &mut self.member {
            Member::None => None,
            Member::Classic(member) => member.leave("the consumer is being closed").map(Ask::Leave),
            Member::Modern(member) => member.leave().map(Ask::Modern),
        }
    }

    /// Last commits at the end: those that wait, sent whatever is due. Empty where there is nobody to commit as.
    pub(crate) fn last_commits(&mut self, around: &mut Around<'_>) -> Vec<Ask> {
        if self.auto_commit_ns.is_some() && self.may_commit() {
            self.offsets.auto_commit(around.fetcher.committable());
        }
        let Some(identity) = self.identity() else { return Vec::new() };
        std::iter::from_fn(|| self.offsets.next_commit(&identity)).collect()
    }

    /// FindCoordinator's answer. Gives the connection's own node id and its address.
    pub(crate) fn on_coordinator(
        &mut self,
        response: &FindCoordinatorResponse,
        now_ns: u64,
    ) -> Result<Option<(NodeId, String, i32)>, ClientError> {
        self.coordinator.answer(response, now_ns)
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
        self.act_on(verdict, error, "the heartbeat", response.error_message.as_deref(), now_ns)
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
    pub(crate) fn lost(&mut self, api: ringlog_wire::ApiKey, tag: u64, now_ns: u64) {
        match api {
            ringlog_wire::ApiKey::FindCoordinator => return self.coordinator.lost(now_ns),
            ringlog_wire::ApiKey::OffsetCommit => self.offsets.commit_lost(tag, now_ns),
            ringlog_wire::ApiKey::OffsetFetch => self.offsets.answer_lost(tag, now_ns),
            api => match &mut self.member {
                Member::None => {}
                Member::Classic(member) => member.lost(api, now_ns),
                Member::Modern(member) => member.lost(now_ns),
            },
        }
        self.coordinator.forget(now_ns);
    }
}

/// What a member's step may do beside its own requests.
struct Line<'a> {
    offsets: &'a mut Offsets,
    changes: &'a mut Vec<Change>,
    auto_commit: Option<u64>,
}

impl Line<'_> {
    /// Commits everything that was read, where commits are automatic and there is something to commit.
    fn commit_before_rebalance(&mut self, around: &Around<'_>) -> Option<CommitId> {
        self.auto_commit?;
        self.offsets.commit_before_rebalance(around.fetcher.committable())
    }
}

/// What Kafka's client says of an error, where that helps more than its name.
fn words(error: ErrorCode) -> Option<&'static str> {
    match error {
        ErrorCode::FENCED_INSTANCE_ID => Some(
            "The broker rejected this static consumer since another consumer with the same group.instance.id has registered with a different member.id.",
        ),
        ErrorCode::UNSUPPORTED_VERSION => Some(NO_CONSUMER_PROTOCOL),
        _ => None,
    }
}

/// AbstractHeartbeatRequestManager.CONSUMER_PROTOCOL_NOT_SUPPORTED_MSG.
pub(crate) const NO_CONSUMER_PROTOCOL: &str = "The cluster does not support the new CONSUMER group protocol. Set group.protocol=classic on the consumer configs to revert to the CLASSIC protocol until the cluster is upgraded.";

fn ms(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;

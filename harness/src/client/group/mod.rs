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

mod answers;
mod assignors;
mod classic;
mod coordinator;
mod modern;
mod offsets;
mod subscription;

use ringlog_wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;
use ringlog_wire::messages::find_coordinator::FindCoordinatorRequest;
use ringlog_wire::messages::heartbeat::HeartbeatRequest;
use ringlog_wire::messages::join_group::JoinGroupRequest;
use ringlog_wire::messages::leave_group::LeaveGroupRequest;
use ringlog_wire::messages::offset_commit::OffsetCommitRequest;
use ringlog_wire::messages::offset_fetch::OffsetFetchRequest;
use ringlog_wire::messages::sync_group::SyncGroupRequest;

use super::accumulator::nanos;
use super::config::{Backoff, ConsumerConfig, GroupProtocol};
use super::fetcher::{Committable, Fetcher, TopicPartition};
use super::metadata::Metadata;
use super::{ClientError, NodeId};
pub(crate) use answers::NO_CONSUMER_PROTOCOL;
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
        if !self.is_in_group() {
            self.offsets.refuse_commits();
        }
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
        let identity = self.identity();
        Ok(self.offsets.next(identity.as_ref(), around))
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

    /// Whether there is somebody to commit as.
    fn is_in_group(&self) -> bool {
        match &self.member {
            Member::None => true,
            Member::Classic(member) => member.is_in_group(),
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
            if !owned.is_empty() {
                self.changes.push(Change::Lost(owned));
            }
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

fn ms(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;

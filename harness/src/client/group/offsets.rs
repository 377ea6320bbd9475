//! The group's stored offsets: where partitions that are ours go on, what was read, and what somebody asks about.
//!
//! ```text
//!   positions that are not known --OffsetFetch--> position, or auto.offset.reset
//!   what was given out           --OffsetCommit-> (auto: every auto.commit.interval.ms; asked for; before a rebalance)
//! ```
//!
//! Invariants:
//! - One fetch of positions is under way at a time; commits go out in the order in which they were asked for.
//! - A commit that somebody waits for ends in exactly one outcome of [`Offsets::take_done`].

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ringlog_wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponse,
};

use super::subscription::by_topic;
use super::{Around, Ask, Identity, Retry};
use crate::client::ClientError;
use crate::client::config::{Backoff, ConsumerConfig};
use crate::client::fetcher::{Committable, TopicPartition, broker_error};

/// A commit that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommitId(pub(crate) u64);

/// A stored offset: -1 where there is none. The epoch is that of the record before it, -1 if unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Fails in silence: the next one comes.
    Auto,
    /// The member waits until it is over, whatever becomes of it.
    BeforeRebalance,
    /// Somebody waits for the outcome.
    Asked { tries_again: bool },
}

#[derive(Debug)]
struct Commit {
    offsets: Vec<Committable>,
    kind: Kind,
    /// The generation under which it was sent; `None` while it waits.
    sent: Option<i32>,
    retry: Retry,
}

#[derive(Debug)]
pub(super) struct Offsets {
    group_id: String,
    require_stable: bool,
    backoff: Backoff,
    tag_last: u64,
    /// The fetch of positions that is under way, and for which partitions.
    positions_asked: Option<(u64, Vec<TopicPartition>)>,
    retry: Retry,
    /// Whether a failed fetch of offsets waits for its pause to be over.
    pauses: bool,
    /// Questions about stored offsets, and whether they were sent.
    questions: BTreeMap<u64, (Vec<TopicPartition>, bool)>,
    answers: BTreeMap<u64, Vec<(TopicPartition, Committed)>>,
    commits: BTreeMap<u64, Commit>,
    done: Vec<(CommitId, Result<(), ClientError>)>,
}

impl Offsets {
    pub(super) fn new(group_id: &str, config: &ConsumerConfig) -> Self {
        let backoff = config.common.retry_backoff;
        Self {
            group_id: group_id.to_owned(),
            require_stable: config.read_committed,
            backoff,
            tag_last: 0,
            positions_asked: None,
            retry: Retry::new(backoff),
            pauses: false,
            questions: BTreeMap::new(),
            answers: BTreeMap::new(),
            commits: BTreeMap::new(),
            done: Vec::new(),
        }
    }

    fn tag(&mut self) -> u64 {
        self.tag_last += 1;
        self.tag_last
    }

    /// When something that waits for its pause is due.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let commits = self.commits.values().filter(|commit| commit.sent.is_none()).map(|commit| commit.retry.at_ns());
        commits.chain(self.pauses.then(|| self.retry.at_ns())).min()
    }

    /// What is to be sent now, if anything.
    pub(super) fn next(&mut self, identity: Option<&Identity>, around: &Around<'_>) -> Option<Ask> {
        let due = self.commits.iter().find(|(_, one)| one.sent.is_none() && one.retry.is_due(around.now_ns));
        if let (Some(tag), Some(identity)) = (due.map(|(tag, _)| *tag), identity) {
            return self.send_commit(tag, identity);
        }
        if !self.retry.is_due(around.now_ns) {
            return None;
        }
        // Whether there is still something to fetch or not: a pause that is over makes nothing due any more.
        self.pauses = false;
        let unsent = self.questions.iter_mut().find(|(_, (_, sent))| !*sent);
        if let Some((tag, (partitions, sent))) = unsent {
            *sent = true;
            let (tag, partitions) = (*tag, partitions.clone());
            return Some(Ask::Positions(self.offset_fetch(&partitions, identity), tag));
        }
        let waiting = around.fetcher.awaiting_committed();
        if self.positions_asked.is_some() || waiting.is_empty() || identity.is_none() {
            return None;
        }
        let tag = self.tag();
        let request = self.offset_fetch(&waiting, identity);
        self.positions_asked = Some((tag, waiting));
        Some(Ask::Positions(request, tag))
    }

    /// Nobody is there to commit as: what waits would go out under a later generation, in which the partitions may be
    /// another member's.
    pub(super) fn refuse_commits(&mut self) {
        let waiting = self.commits.iter().filter(|(_, commit)| commit.sent.is_none());
        for tag in waiting.map(|(tag, _)| *tag).collect::<Vec<_>>() {
            self.commit_ended(tag, Err(self.refused(ErrorCode::UNKNOWN_MEMBER_ID)));
        }
    }

    fn refused(&self, error: ErrorCode) -> ClientError {
        broker_error(format!("group {}: committing offsets", self.group_id), error, commit_words(error))
    }

    /// The next commit that waits, whether it is due or not.
    pub(super) fn next_commit(&mut self, identity: &Identity) -> Option<Ask> {
        let tag = self.commits.iter().find(|(_, commit)| commit.sent.is_none()).map(|(tag, _)| *tag)?;
        self.send_commit(tag, identity)
    }

    fn send_commit(&mut self, tag: u64, identity: &Identity) -> Option<Ask> {
        let commit = self.commits.get_mut(&tag)?;
        commit.sent = Some(identity.generation);
        let request = offset_commit(&self.group_id, &commit.offsets, identity);
        Some(Ask::Commit(request, tag))
    }

    /// A commit on the clock's behalf, unless one is under way.
    pub(super) fn auto_commit(&mut self, offsets: Vec<Committable>) {
        let is_under_way = self.commits.values().any(|commit| commit.kind == Kind::Auto);
        if !is_under_way && !offsets.is_empty() {
            self.add(offsets, Kind::Auto);
        }
    }

    pub(super) fn commit(&mut self, offsets: Vec<Committable>, tries_again: bool) -> CommitId {
        if offsets.is_empty() {
            let id = CommitId(self.tag());
            self.done.push((id, Ok(())));
            return id;
        }
        self.add(offsets, Kind::Asked { tries_again })
    }

    fn add(&mut self, offsets: Vec<Committable>, kind: Kind) -> CommitId {
        let tag = self.tag();
        self.commits.insert(tag, Commit { offsets, kind, sent: None, retry: Retry::new(self.backoff) });
        CommitId(tag)
    }

    /// A commit before partitions are given back; `None` where there is nothing to commit.
    pub(super) fn commit_before_rebalance(&mut self, offsets: Vec<Committable>) -> Option<CommitId> {
        (!offsets.is_empty()).then(|| self.add(offsets, Kind::BeforeRebalance))
    }

    /// Whether a commit is not over yet.
    pub(super) fn is_pending(&self, id: CommitId) -> bool {
        self.commits.contains_key(&id.0)
    }

    /// Nobody waits for it any more.
    pub(super) fn give_up(&mut self, id: CommitId) {
        self.commits.remove(&id.0);
    }

    pub(super) fn take_done(&mut self) -> Vec<(CommitId, Result<(), ClientError>)> {
        std::mem::take(&mut self.done)
    }

    pub(super) fn ask(&mut self, partitions: Vec<TopicPartition>) -> u64 {
        let tag = self.tag();
        self.questions.insert(tag, (partitions, false));
        tag
    }

    pub(super) fn take_answer(&mut self, tag: u64) -> Option<Vec<(TopicPartition, Committed)>> {
        self.answers.remove(&tag)
    }

    /// OffsetCommit's answer. Gives the first error, where it may say something about the membership.
    pub(super) fn on_commit(&mut self, tag: u64, response: &OffsetCommitResponse, now_ns: u64) -> Option<ErrorCode> {
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let error = answers.map(|partition| ErrorCode(partition.error_code)).find(|error| !error.is_none());
        match error {
            None => self.commit_ended(tag, Ok(())),
            Some(error) => self.commit_refused(tag, error, now_ns),
        }
        error
    }

    /// The generation under which a commit was sent.
    pub(super) fn sent_under(&self, tag: u64) -> Option<i32> {
        self.commits.get(&tag).and_then(|commit| commit.sent)
    }

    fn commit_refused(&mut self, tag: u64, error: ErrorCode, now_ns: u64) {
        let Some(commit) = self.commits.get_mut(&tag) else { return };
        // A new epoch of the consumer protocol comes with the next heartbeat.
        let helps = error.is_retriable() || error == ErrorCode::STALE_MEMBER_EPOCH;
        // A topic that was deleted does not come back, and must not hold up a rebalance.
        let is_gone = error == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        let tries_again = match commit.kind {
            Kind::Auto => false,
            Kind::BeforeRebalance => helps && !is_gone,
            Kind::Asked { tries_again } => helps && tries_again,
        };
        match commit.sent {
            Some(_) if tries_again => {
                commit.sent = None;
                commit.retry.wait(now_ns);
            }
            _ => self.commit_ended(tag, Err(self.refused(error))),
        }
    }

    fn commit_ended(&mut self, tag: u64, outcome: Result<(), ClientError>) {
        let Some(commit) = self.commits.remove(&tag) else { return };
        if matches!(commit.kind, Kind::Asked { .. }) {
            self.done.push((CommitId(tag), outcome));
        } else if let Err(error) = outcome {
            // As in Kafka an auto-commit that fails is made up for by the next one.
            tracing::warn!(%error, "an auto-commit was refused");
        }
    }

    pub(super) fn commit_lost(&mut self, tag: u64, now_ns: u64) {
        self.commit_refused(tag, ErrorCode::NETWORK_EXCEPTION, now_ns);
    }

    /// OffsetFetch's answer: positions for those that wait, or an answer for [`Self::take_answer`].
    pub(super) fn on_answer(
        &mut self,
        tag: u64,
        response: &OffsetFetchResponse,
        now_ns: u64,
    ) -> Result<Vec<(TopicPartition, Committed)>, ErrorCode> {
        let read = read_positions(response);
        if let Err(error) = read {
            self.answer_lost(tag, now_ns);
            return Err(error);
        }
        self.retry.worked();
        if let Some((_, asked)) = self.positions_asked.take_if(|(asked, _)| *asked == tag) {
            // What the answer leaves out has nothing stored: it would be asked about for ever.
            let read = read?;
            let told: BTreeSet<&TopicPartition> = read.iter().map(|(partition, _)| partition).collect();
            let nothing = |partition: TopicPartition| (partition, Committed { offset: -1, epoch: -1 });
            let untold = asked.into_iter().filter(|partition| !told.contains(partition));
            let untold: Vec<_> = untold.map(nothing).collect();
            return Ok(read.into_iter().chain(untold).collect());
        }
        if self.questions.remove(&tag).is_some() {
            self.answers.insert(tag, read?);
        }
        Ok(Vec::new())
    }

    /// There will be no answer.
    pub(super) fn forget_question(&mut self, tag: u64) {
        self.questions.remove(&tag);
    }

    pub(super) fn answer_lost(&mut self, tag: u64, now_ns: u64) {
        self.positions_asked.take_if(|(asked, _)| *asked == tag);
        if let Some((_, sent)) = self.questions.get_mut(&tag) {
            *sent = false;
        }
        self.retry.wait(now_ns);
        self.pauses = true;
    }

    fn offset_fetch(&self, partitions: &[TopicPartition], identity: Option<&Identity>) -> OffsetFetchRequest {
        let by_topic = by_topic(partitions.iter());
        let old = |(name, partition_indexes): (&String, &Vec<i32>)| OffsetFetchRequestTopic {
            name: name.clone(),
            partition_indexes: partition_indexes.clone(),
            ..Default::default()
        };
        let new = |(name, partition_indexes): (&String, &Vec<i32>)| OffsetFetchRequestTopics {
            name: name.clone(),
            partition_indexes: partition_indexes.clone(),
            ..Default::default()
        };
        let modern = identity.filter(|identity| identity.is_modern);
        let group = OffsetFetchRequestGroup {
            group_id: self.group_id.clone(),
            member_id: modern.map(|identity| identity.member_id.clone()),
            member_epoch: modern.map_or(-1, |identity| identity.generation),
            topics: Some(by_topic.iter().map(new).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        OffsetFetchRequest {
            group_id: self.group_id.clone(),
            topics: Some(by_topic.iter().map(old).collect()),
            groups: vec![group],
            require_stable: self.require_stable,
            ..OffsetFetchRequest::default()
        }
    }
}

fn offset_commit(group_id: &str, offsets: &[Committable], identity: &Identity) -> OffsetCommitRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for one in offsets {
        topics.entry(&one.partition.0).or_default().push(OffsetCommitRequestPartition {
            partition_index: one.partition.1,
            committed_offset: one.offset,
            committed_leader_epoch: one.epoch,
            ..OffsetCommitRequestPartition::default()
        });
    }
    let topic = |(name, partitions): (&str, Vec<OffsetCommitRequestPartition>)| OffsetCommitRequestTopic {
        name: name.to_owned(),
        partitions,
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group_id.to_owned(),
        generation_id_or_member_epoch: identity.generation,
        member_id: identity.member_id.clone(),
        group_instance_id: identity.instance_id.clone(),
        topics: topics.into_iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    }
}

/// Stored offsets in either form of the answer, or its first error.
fn read_positions(response: &OffsetFetchResponse) -> Result<Vec<(TopicPartition, Committed)>, ErrorCode> {
    let mut errors = BTreeSet::from([response.error_code]);
    let mut positions = Vec::new();
    for topic in &response.topics {
        for one in &topic.partitions {
            errors.insert(one.error_code);
            let committed = Committed { offset: one.committed_offset, epoch: one.committed_leader_epoch };
            positions.push(((topic.name.clone(), one.partition_index), committed));
        }
    }
    for group in &response.groups {
        errors.insert(group.error_code);
        for topic in &group.topics {
            for one in &topic.partitions {
                errors.insert(one.error_code);
                let committed = Committed { offset: one.committed_offset, epoch: one.committed_leader_epoch };
                positions.push(((topic.name.clone(), one.partition_index), committed));
            }
        }
    }
    // What is final outweighs what may be tried again.
    let mut errors: Vec<ErrorCode> = errors.into_iter().map(ErrorCode).filter(|error| !error.is_none()).collect();
    errors.sort_by_key(|error| error.is_retriable());
    match errors.first() {
        // A group that is not there has nothing stored: Kafka says so with offsets of -1, others with this error.
        None | Some(&ErrorCode::GROUP_ID_NOT_FOUND) => Ok(positions),
        Some(error) => Err(*error),
    }
}

/// CommitFailedException, RebalanceInProgressException, RetriableCommitFailedException.
fn commit_words(error: ErrorCode) -> Option<&'static str> {
    match error {
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION | ErrorCode::STALE_MEMBER_EPOCH => Some(
            "Offset commit cannot be completed since the consumer is not part of an active group for auto partition assignment; it is likely that the consumer was kicked out of the group.",
        ),
        ErrorCode::REBALANCE_IN_PROGRESS => Some(
            "Offset commit cannot be completed since the consumer is undergoing a rebalance for auto partition assignment. You can try completing the rebalance by calling poll() and then retry the operation.",
        ),
        error if error.is_retriable() => Some(
            "Offset commit failed with a retriable exception. You should retry committing the latest consumed offsets.",
        ),
        error => super::answers::words(error),
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::offset_fetch::OffsetFetchResponseGroup;

    use super::*;

    #[test]
    fn a_group_that_is_not_there_has_nothing_stored_and_other_errors_stay() {
        let old = |error: ErrorCode| OffsetFetchResponse { error_code: error.0, ..Default::default() };
        let new = |error: ErrorCode| {
            let group = OffsetFetchResponseGroup { error_code: error.0, ..Default::default() };
            OffsetFetchResponse { groups: vec![group], ..Default::default() }
        };
        let answers: [fn(ErrorCode) -> OffsetFetchResponse; 2] = [old, new];
        for answer in answers {
            assert_eq!(read_positions(&answer(ErrorCode::GROUP_ID_NOT_FOUND)), Ok(Vec::new()));
            let refused = ErrorCode::GROUP_AUTHORIZATION_FAILED;
            assert_eq!(read_positions(&answer(refused)), Err(refused));
        }
    }
}

//! What the cluster looks like: brokers, and the leader of every partition of the topics that somebody uses.
//!
//! Invariants:
//! - A leader with an older epoch than the one known does not replace it (KAFKA-7738), unless the topic was made anew.
//! - At most one request is under way; after an attempt the next waits for the backoff, however many ask for it. The
//!   backoff grows while answers say nothing new (Metadata.equivalentResponseCount): a leader that is missing for long
//!   is not asked for ten times a second. A topic that is new to us is asked for at once.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use ringlog_wire::{ErrorCode, Uuid};

use super::NodeId;
use super::accumulator::nanos;
use super::config::{Backoff, CommonConfig};

/// A partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    /// `None` while there is none.
    pub(crate) node: Option<NodeId>,
    /// -1 where the broker does not say.
    pub(crate) epoch: i32,
}

/// A topic as the last answer that knew it said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicLayout {
    pub(crate) id: Uuid,
    pub(crate) leaders: Vec<Leader>,
    /// Why the last answer did not know it.
    pub(crate) error: Option<ErrorCode>,
    /// One of Kafka's own.
    pub(crate) is_internal: bool,
}

impl TopicLayout {
    /// A partition's leader, as far as it is known.
    pub(crate) fn leader(&self, partition: i32) -> Option<Leader> {
        usize::try_from(partition).ok().and_then(|at| self.leaders.get(at)).copied()
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Metadata {
    topics: BTreeMap<String, TopicLayout>,
    wanted: BTreeSet<String>,
    /// Every topic of the cluster is asked for, and was by the request under way.
    all: bool,
    all_asked: bool,
    auto_create: bool,
    backoff: Backoff,
    max_age_ns: u64,
    updated_ns: Option<u64>,
    /// How many answers were taken.
    version: u64,
    next_attempt_ns: u64,
    attempts: u32,
    /// Answers in a row that said nothing new.
    same_answers: u32,
    asked: bool,
    /// Topics came into use since the request under way was made.
    has_new_topics: bool,
    wants_update: bool,
}

impl Metadata {
    pub(crate) fn new(config: &CommonConfig, auto_create: bool) -> Self {
        Self {
            topics: BTreeMap::new(),
            wanted: BTreeSet::new(),
            all: false,
            all_asked: false,
            auto_create,
            backoff: config.retry_backoff,
            max_age_ns: nanos(config.metadata_max_age),
            updated_ns: None,
            version: 0,
            next_attempt_ns: 0,
            attempts: 0,
            same_answers: 0,
            asked: false,
            has_new_topics: false,
            wants_update: true,
        }
    }

    /// Somebody uses this topic from now on.
    pub(crate) fn use_topic(&mut self, name: &str) {
        if self.wanted.insert(name.to_owned()) {
            self.want_new_topics();
        }
    }

    /// Every topic of the cluster is of interest from now on, or those in use only.
    pub(crate) fn want_all(&mut self, all: bool) {
        self.all = all;
        self.want_new_topics();
    }

    /// Metadata.requestUpdateForNewTopics: nothing to rest for.
    fn want_new_topics(&mut self) {
        self.has_new_topics = true;
        self.wants_update = true;
        self.same_answers = 0;
        if self.attempts == 0 {
            self.next_attempt_ns = 0;
        }
    }

    /// The topics that are known and in use (or all).
    pub(crate) fn names(&self) -> Vec<String> {
        self.existing(true).map(str::to_owned).collect()
    }

    /// Whether the last answer was about every topic of the cluster.
    pub(crate) fn knows_all(&self) -> bool {
        self.all && self.all_asked && !self.asked
    }

    /// The topics that exist, Kafka's own among them only where they are wanted.
    pub(crate) fn existing(&self, with_internal: bool) -> impl Iterator<Item = &str> {
        let exists = move |(_, layout): &(&String, &TopicLayout)| {
            layout.error.is_none() && !layout.leaders.is_empty() && (with_internal || !layout.is_internal)
        };
        self.topics.iter().filter(exists).map(|(name, _)| name.as_str())
    }

    /// How many partitions a topic has: 0 if it does not exist, `None` if nothing is known yet.
    pub(crate) fn count(&self, topic: &str) -> Option<i32> {
        let layout = self.topics.get(topic)?;
        let gone = layout.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let count = i32::try_from(layout.leaders.len()).unwrap_or(i32::MAX);
        if gone || layout.error.is_some() && count == 0 { Some(0) } else { (count > 0).then_some(count) }
    }

    /// A partition's leader, as far as it is known.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        self.topics.get(topic)?.leader(partition)
    }

    /// A broker named a partition's new leader (KIP-951). True where that is news.
    pub(crate) fn new_leader(&mut self, topic: &str, partition: i32, node: NodeId, epoch: i32) -> bool {
        let leaders = self.topics.get_mut(topic).map(|layout| &mut layout.leaders);
        let old = leaders.and_then(|leaders| leaders.get_mut(usize::try_from(partition).ok()?));
        let Some(old) = old.filter(|old| node >= 0 && epoch > old.epoch) else { return false };
        *old = Leader { node: Some(node), epoch };
        self.version += 1;
        true
    }

    /// What is known is wrong or not enough.
    pub(crate) fn want_update(&mut self) {
        self.wants_update = true;
    }

    /// A topic that exists.
    pub(crate) fn layout(&self, topic: &str) -> Option<&TopicLayout> {
        self.topics.get(topic)
    }

    /// A topic's name by its id.
    pub(crate) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.topics.iter().find(|(_, layout)| layout.id == id).map(|(name, _)| name.as_str())
    }

    /// The nodes that lead a partition of a topic in use.
    pub(crate) fn leader_nodes(&self) -> Vec<NodeId> {
        let leaders = self.topics.values().flat_map(|layout| &layout.leaders);
        leaders.filter_map(|leader| leader.node).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Time of the last answer.
    pub(crate) fn updated_ns(&self) -> Option<u64> {
        self.updated_ns
    }

    /// Changes with everything that is learned.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// When a request should go out; `None` while one is under way.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        if self.asked {
            return None;
        }
        let aged = self.updated_ns.map_or(0, |updated| updated.saturating_add(self.max_age_ns));
        Some(if self.wants_update { self.next_attempt_ns } else { aged.max(self.next_attempt_ns) })
    }

    /// The request that is due now, for the topics in use.
    pub(crate) fn request(&mut self, now_ns: u64) -> MetadataRequest {
        self.asked = true;
        self.all_asked = self.all;
        self.has_new_topics = false;
        self.next_attempt_ns = now_ns.saturating_add(nanos(self.backoff.after(self.attempts)));
        self.attempts = self.attempts.saturating_add(1);
        let named = |name: &String| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() };
        MetadataRequest {
            topics: (!self.all).then(|| self.wanted.iter().map(named).collect()),
            allow_auto_topic_creation: self.auto_create && !self.all,
            ..MetadataRequest::default()
        }
    }

    /// The request failed.
    pub(crate) fn failed(&mut self) {
        self.asked = false;
        self.wants_update = true;
    }

    /// Takes an answer. The brokers are the caller's to look at.
    pub(crate) fn update(&mut self, response: &MetadataResponse, now_ns: u64) {
        self.asked = false;
        self.wants_update = self.has_new_topics;
        self.attempts = 0;
        self.updated_ns = Some(now_ns);
        self.version += 1;
        if self.all_asked {
            let named: BTreeSet<&str> = response.topics.iter().filter_map(|topic| topic.name.as_deref()).collect();
            self.topics.retain(|name, _| named.contains(name.as_str()));
            let gone = || TopicLayout { error: Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), ..TopicLayout::default() };
            self.wanted.iter().for_each(|name| _ = self.topics.entry(name.clone()).or_insert_with(gone));
        }
        let news = response.topics.iter().filter(|topic| self.update_topic(topic)).count();
        self.same_answers = if news > 0 { 0 } else { self.same_answers.saturating_add(1) };
        if self.has_new_topics {
            self.next_attempt_ns = 0;
        } else if self.same_answers > 0 {
            let pause_ns = nanos(self.backoff.after(self.same_answers - 1));
            self.next_attempt_ns = self.next_attempt_ns.max(now_ns.saturating_add(pause_ns));
        }
    }

    /// A broker named a partition's leader in passing (KIP-951). False where that is not news.
    pub(crate) fn lead(&mut self, topic: &str, partition: usize, leader: Leader) -> bool {
        let known = self.topics.get_mut(topic).and_then(|layout| layout.leaders.get_mut(partition));
        let Some(known) = known.filter(|known| leader.epoch > known.epoch) else { return false };
        *known = leader;
        true
    }

    /// True where it says something new.
    fn update_topic(&mut self, topic: &MetadataResponseTopic) -> bool {
        let used = topic.name.as_deref().filter(|name| self.all || self.wanted.contains(*name));
        let Some(name) = used else { return false };
        let error = ErrorCode(topic.error_code);
        let old = self.topics.entry(name.to_owned()).or_default();
        if !error.is_none() {
            self.wants_update |= error.is_retriable();
            return old.error.replace(error) != Some(error);
        }
        let made_anew = old.id != topic.topic_id;
        let old_leaders: &[Leader] = if made_anew { &[] } else { &old.leaders };
        let leaders = leaders(&topic.partitions, old_leaders);
        self.wants_update |= leaders.is_empty() || leaders.iter().any(|leader| leader.node.is_none());
        let new = TopicLayout { id: topic.topic_id, leaders, error: None, is_internal: topic.is_internal };
        let is_news = made_anew || old.leaders != new.leaders || old.error.is_some();
        *old = new;
        is_news
    }
}

fn leaders(partitions: &[MetadataResponsePartition], old: &[Leader]) -> Vec<Leader> {
    // A partition's index is its place; what lies beyond the answer's own count is not believed.
    let mut leaders = vec![Leader { node: None, epoch: -1 }; partitions.len()];
    for partition in partitions {
        let Ok(at) = usize::try_from(partition.partition_index) else { continue };
        let new =
            Leader { node: (partition.leader_id >= 0).then_some(partition.leader_id), epoch: partition.leader_epoch };
        let newer = old.get(at).filter(|old| new.epoch >= 0 && old.epoch > new.epoch);
        if let Some(leader) = leaders.get_mut(at) {
            *leader = newer.copied().unwrap_or(new);
        }
    }
    leaders
}

#[cfg(test)]
mod tests {
    use super::super::config::ProducerConfig;
    use super::super::properties::Properties;
    use super::*;

    fn metadata() -> Metadata {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "localhost:1");
        let mut metadata = Metadata::new(&ProducerConfig::parse(&properties).unwrap().config.common, true);
        metadata.use_topic("t");
        metadata
    }

    fn answer(error: ErrorCode, leaders: &[(i32, i32)]) -> MetadataResponse {
        let partition = |(index, (leader, epoch)): (i32, &(i32, i32))| MetadataResponsePartition {
            partition_index: index,
            leader_id: *leader,
            leader_epoch: *epoch,
            ..Default::default()
        };
        let partitions = (0..).zip(leaders).map(partition).collect();
        let topic =
            MetadataResponseTopic { error_code: error.0, name: Some("t".into()), partitions, ..Default::default() };
        MetadataResponse { topics: vec![topic], ..Default::default() }
    }

    #[test]
    fn an_older_epoch_does_not_bring_an_old_leader_back() {
        let mut metadata = metadata();
        metadata.update(&answer(ErrorCode::NONE, &[(2, 7)]), 0);
        metadata.update(&answer(ErrorCode::NONE, &[(1, 6)]), 1);
        assert_eq!(metadata.layout("t").unwrap().leaders, [Leader { node: Some(2), epoch: 7 }]);
        metadata.update(&answer(ErrorCode::NONE, &[(3, 8)]), 2);
        assert_eq!(metadata.layout("t").unwrap().leaders, [Leader { node: Some(3), epoch: 8 }]);
    }

    #[test]
    fn a_leader_that_is_named_in_passing_counts_when_its_epoch_is_newer() {
        let mut metadata = metadata();
        metadata.update(&answer(ErrorCode::NONE, &[(2, 7)]), 0);
        assert!(!metadata.lead("t", 0, Leader { node: Some(1), epoch: 7 }));
        assert!(!metadata.lead("t", 9, Leader { node: Some(1), epoch: 8 }), "no such partition");
        assert!(metadata.lead("t", 0, Leader { node: Some(3), epoch: 8 }));
        assert_eq!(metadata.layout("t").unwrap().leaders, [Leader { node: Some(3), epoch: 8 }]);
    }

    #[test]
    fn a_topic_that_is_being_made_or_has_no_leader_is_asked_for_again_after_the_backoff() {
        let mut metadata = metadata();
        metadata.request(1_000_000_000);
        assert_eq!(metadata.due_ns(), None, "one at a time");
        metadata.update(&answer(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &[]), 1_000_000_000);
        assert_eq!(metadata.due_ns(), Some(1_100_000_000));
        metadata.request(1_100_000_000);
        metadata.update(&answer(ErrorCode::NONE, &[(-1, 0)]), 1_100_000_000);
        assert_eq!(metadata.due_ns(), Some(1_200_000_000));
        metadata.request(1_200_000_000);
        metadata.update(&answer(ErrorCode::NONE, &[(1, 1)]), 1_200_000_000);
        assert_eq!(metadata.due_ns(), Some(301_200_000_000), "known: not before metadata.max.age.ms");
    }

    #[test]
    fn a_leader_that_is_missing_for_long_is_asked_for_less_and_less_often() {
        let mut metadata = metadata();
        let (mut now_ns, mut pauses) = (0, Vec::new());
        for _ in 0..7 {
            metadata.request(now_ns);
            metadata.update(&answer(ErrorCode::NONE, &[(-1, 4)]), now_ns);
            let due_ns = metadata.due_ns().unwrap();
            pauses.push((due_ns - now_ns) / 1_000_000);
            now_ns = due_ns;
        }
        assert_eq!(pauses, [100, 100, 200, 400, 800, 1000, 1000], "the first answer says something new");
        metadata.use_topic("another");
        assert_eq!(metadata.due_ns(), Some(0), "a new topic waits for nothing");
        metadata.request(now_ns);
        metadata.update(&answer(ErrorCode::NONE, &[(-1, 5)]), now_ns);
        assert_eq!(metadata.due_ns().unwrap() - now_ns, 100_000_000, "an epoch is news too");
    }

    #[test]
    fn a_topic_that_comes_into_use_while_an_answer_is_awaited_is_asked_for_next() {
        let mut metadata = metadata();
        metadata.request(5);
        metadata.use_topic("late");
        metadata.update(&answer(ErrorCode::NONE, &[(1, 0)]), 6);
        assert_eq!(metadata.due_ns(), Some(0));
        let asked = metadata.request(7).topics.unwrap();
        assert!(asked.iter().any(|topic| topic.name.as_deref() == Some("late")));
    }

    #[test]
    fn a_topic_that_is_gone_has_no_partitions_and_one_nobody_told_of_is_unknown() {
        let mut metadata = metadata();
        assert_eq!(metadata.count("t"), None);
        metadata.update(&answer(ErrorCode::NONE, &[(1, 0), (1, 0)]), 0);
        assert_eq!((metadata.count("t"), metadata.existing(false).collect::<Vec<_>>()), (Some(2), vec!["t"]));
        metadata.update(&answer(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, &[]), 1);
        assert_eq!((metadata.count("t"), metadata.existing(false).count()), (Some(0), 0));
        metadata.want_all(true);
        metadata.request(2);
        metadata.update(&MetadataResponse::default(), 2);
        assert_eq!(metadata.count("t"), Some(0), "an answer about all topics does not name it");
    }

    #[test]
    fn a_leader_that_a_broker_names_counts_only_with_a_newer_epoch() {
        let mut metadata = metadata();
        metadata.update(&answer(ErrorCode::NONE, &[(2, 7)]), 0);
        assert!(!metadata.new_leader("t", 0, 3, 7), "the same epoch");
        assert!(!metadata.new_leader("t", 5, 3, 9), "no such partition");
        assert!(!metadata.new_leader("t", 0, -1, 9), "no leader");
        assert!(metadata.new_leader("t", 0, 3, 8));
        assert_eq!(metadata.leader("t", 0), Some(Leader { node: Some(3), epoch: 8 }));
    }

    #[test]
    fn failing_requests_back_off_further() {
        let mut metadata = metadata();
        let pauses = [100, 200, 400, 800, 1000].map(|ms: u64| {
            metadata.request(0);
            metadata.failed();
            (metadata.due_ns().unwrap() / 1_000_000, ms)
        });
        assert!(pauses.iter().all(|(got, wanted)| got == wanted), "{pauses:?}");
    }
}

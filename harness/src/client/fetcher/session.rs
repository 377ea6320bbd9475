//! Fetch sessions (KIP-227): what a node was told, and what has to be said to change that.

use std::collections::BTreeMap;

use ringlog_wire::Uuid;
use ringlog_wire::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

use super::TopicPartition;

/// What a session holds of a partition: what was last said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) topic_id: Uuid,
}

pub(super) type Wanted = BTreeMap<TopicPartition, Said>;

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) said: Wanted,
    /// Partitions and offsets of the fetch under way.
    pub(super) asked: Option<BTreeMap<TopicPartition, i64>>,
}

impl Session {
    /// What to say, and what to take back, to go from what the session holds to what is wanted.
    pub(super) fn difference(&self, wanted: &Wanted) -> (Wanted, Vec<(TopicPartition, Said)>) {
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

    /// The next fetch is a full one. A session that the broker may still have is named in it, and so ended
    /// (FetchMetadata.nextCloseExistingAttemptNew).
    pub(super) fn begin_anew(&mut self, is_gone: bool) {
        *self = Self { id: if is_gone { 0 } else { self.id }, ..Self::default() };
    }

    /// A topic's name by the id that it was asked for under.
    pub(super) fn name_of(&self, id: Uuid) -> Option<&str> {
        self.said.iter().find(|(_, said)| said.topic_id == id).map(|((name, _), _)| name.as_str())
    }

    pub(super) fn answered(&mut self, id: i32) {
        if id == 0 {
            // The broker keeps no session for us: the next fetch is a full one again.
            (self.id, self.epoch) = (0, 0);
            return;
        }
        self.id = id;
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
    }
}

pub(super) fn topics_of(said: &Wanted, partition_max_bytes: i32) -> Vec<FetchTopic> {
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

pub(super) fn forgotten_of(forgotten: &[(TopicPartition, Said)]) -> Vec<ForgottenTopic> {
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

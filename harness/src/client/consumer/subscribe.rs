//! What is read: topics and patterns through a group, or partitions by hand.

use super::super::accumulator::nanos;
use super::super::config::GroupProtocol;
use super::super::fetcher::TopicPartition;
use super::super::group::{Change, Group, Topics};
use super::super::pattern;
use super::super::{ClientError, RecordSink};
use super::Consumer;

impl Consumer {
    /// Joins the group of `group.id` for these topics, with the next polls. Called again, it changes the topics.
    pub fn subscribe(&mut self, topics: &[&str]) -> Result<(), ClientError> {
        if topics.iter().any(|topic| topic.trim().is_empty()) {
            let text = "Topic collection to subscribe to cannot contain null or empty topic";
            return Err(ClientError::Corrupt(text.into()));
        }
        self.pattern = None;
        self.metadata.want_all(false);
        topics.iter().for_each(|topic| self.metadata.use_topic(topic));
        let mut names: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        names.sort();
        names.dedup();
        self.join(Topics { names, regex: None })
    }

    /// Joins the group of `group.id` for all topics whose whole names match, now and whenever the metadata shows others
    /// (`metadata.max.age.ms`). Kafka's own topics match only where `exclude.internal.topics=false`. The syntax is Java's,
    /// without what `pattern` names.
    pub fn subscribe_pattern(&mut self, pattern: &str) -> Result<(), ClientError> {
        self.group_id()?;
        if pattern.is_empty() {
            return Err(ClientError::Corrupt("Topic pattern to subscribe to cannot be empty".into()));
        }
        let regex = pattern::matches(pattern)
            .map_err(|reason| ClientError::Corrupt(format!("the topic pattern {pattern}: {reason}")))?;
        self.pattern = Some((regex, self.metadata.version()));
        self.metadata.want_all(true);
        Ok(())
    }

    /// As [`Self::subscribe_pattern`], but the broker matches (RE2, consumer protocol only). The metadata of all topics
    /// is asked for, because the assignment names topics by their ids.
    pub fn subscribe_remote_pattern(&mut self, pattern: &str) -> Result<(), ClientError> {
        if self.config.group_protocol == GroupProtocol::Classic {
            let text = "Subscribe to RE2/J pattern is not supported when using the CLASSIC protocol defined in config group.protocol";
            return Err(ClientError::Corrupt(text.into()));
        }
        self.pattern = None;
        self.metadata.want_all(true);
        self.join(Topics { names: Vec::new(), regex: Some(pattern.to_owned()) })
    }

    /// Leaves the group, or lets go of the partitions that were assigned by hand.
    pub fn unsubscribe(&mut self) -> Result<(), ClientError> {
        let left = self.leave();
        self.pattern = None;
        self.metadata.want_all(false);
        self.fetcher.assign(&[], false);
        left
    }

    fn group_id(&self) -> Result<String, ClientError> {
        self.config.group_id.clone().ok_or_else(|| {
            ClientError::Corrupt(
                "To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.".into(),
            )
        })
    }

    fn join(&mut self, topics: Topics) -> Result<(), ClientError> {
        let id = self.group_id()?;
        if let Some(group) = self.group.as_mut().filter(|group| group.is_member()) {
            group.set_topics(topics);
            return Ok(());
        }
        self.fetcher.assign(&[], false);
        let now_ns = self.now_ns();
        let random = [self.network.driver().random(), self.network.driver().random()];
        self.group = Some(Group::subscribed(&id, topics, &self.config, now_ns, random));
        Ok(())
    }

    /// Looks which topics match, once the metadata has all of them.
    pub(super) fn match_pattern(&mut self, now_ns: u64) {
        let with_internal = !self.config.exclude_internal_topics;
        let Some((regex, version)) = &mut self.pattern else { return };
        if *version == self.metadata.version() || !self.metadata.knows_all() {
            return;
        }
        *version = self.metadata.version();
        let matching = self.metadata.existing(with_internal).filter(|name| regex.is_match(name));
        let names = matching.map(str::to_owned).collect();
        tracing::debug!(?names, now_ns, "topics that match the pattern");
        if let Err(error) = self.join(Topics { names, regex: None }) {
            self.fatal.get_or_insert(error);
        }
    }

    /// Reads all partitions of a topic without a group's help, from what `group.id` (if there is one) has stored, or from
    /// where `auto.offset.reset` says. Waits for the metadata, at most `default.api.timeout.ms`. Gives the number of
    /// partitions.
    pub fn assign_all(&mut self, topic: &str) -> Result<usize, ClientError> {
        let count = self.partition_count(topic)?;
        let all = (0..count).filter_map(|partition| i32::try_from(partition).ok());
        let all: Vec<TopicPartition> = all.map(|partition| (topic.to_owned(), partition)).collect();
        self.assign_by_hand(&all);
        Ok(count)
    }

    /// Reads these partitions without a group's help, each from its offset, or as [`Self::assign_all`].
    pub fn assign(&mut self, partitions: &[(&str, i32, Option<i64>)]) {
        let names: Vec<TopicPartition> =
            partitions.iter().map(|(topic, partition, _)| ((*topic).to_owned(), *partition)).collect();
        names.iter().for_each(|(topic, _)| self.metadata.use_topic(topic));
        self.assign_by_hand(&names);
        for (name, (.., offset)) in names.iter().zip(partitions) {
            offset.iter().for_each(|offset| _ = self.fetcher.seek(name, *offset));
        }
    }

    fn assign_by_hand(&mut self, partitions: &[TopicPartition]) {
        let now_ns = self.now_ns();
        let id = self.config.group_id.clone();
        self.pattern = None;
        self.group = id.map(|id| Group::by_hand(&id, &self.config, now_ns));
        self.fetcher.assign(partitions, self.group.is_some());
    }

    /// What is read now.
    pub fn assignment(&self) -> Vec<(String, i32)> {
        self.fetcher.assigned().cloned().collect()
    }

    /// How many partitions a topic has. Waits for the metadata, at most `default.api.timeout.ms`.
    pub fn partition_count(&mut self, topic: &str) -> Result<usize, ClientError> {
        self.metadata.use_topic(topic);
        let timeout = self.config.default_api_timeout;
        let deadline_ns = self.now_ns().saturating_add(nanos(timeout));
        loop {
            if let Some(layout) = self.metadata.layout(topic).filter(|layout| !layout.leaders.is_empty()) {
                return Ok(layout.leaders.len());
            }
            self.metadata.want_update();
            if !self.wait_turn(deadline_ns)? {
                let reason = self.last_down.as_deref().unwrap_or("the topic does not exist");
                let what = format!("fetching topic metadata of {topic} ({reason})");
                return Err(ClientError::Timeout { what, waited_ms: timeout.as_millis() });
            }
        }
    }

    /// The names of the cluster's topics. Waits for the metadata, at most `default.api.timeout.ms`.
    pub fn topic_names(&mut self) -> Result<Vec<String>, ClientError> {
        let timeout = self.config.default_api_timeout;
        let start_ns = self.now_ns();
        self.metadata.want_all(true);
        while self.metadata.updated_ns().is_none_or(|updated| updated <= start_ns) || !self.metadata.knows_all() {
            if !self.wait_turn(start_ns.saturating_add(nanos(timeout)))? {
                let reason = self.last_down.as_deref().unwrap_or("no answer");
                let what = format!("fetching the list of topics ({reason})");
                return Err(ClientError::Timeout { what, waited_ms: timeout.as_millis() });
            }
        }
        let names = self.metadata.names();
        self.metadata.want_all(self.pattern.is_some());
        Ok(names)
    }

    pub(super) fn apply_changes(&mut self, sink: &mut impl RecordSink) {
        let now_ns = self.network.now_ns();
        let Some(group) = &mut self.group else { return };
        if !group.has_changes() {
            return;
        }
        for change in group.take_changes() {
            match change {
                Change::Revoked(partitions) => {
                    sink.revoked(&partitions, now_ns);
                    self.fetcher.unassign(&partitions);
                }
                Change::Lost(partitions) => {
                    sink.lost(&partitions, now_ns);
                    self.fetcher.unassign(&partitions);
                }
                Change::Assigned { added, owned } => {
                    self.fetcher.assign(&owned, true);
                    sink.assigned(&added, now_ns);
                }
            }
        }
    }
}

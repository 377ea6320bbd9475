//! What members read: names and patterns, the topics behind them, and the hash by which a change of those is seen.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::{ErrorCode, Uuid};
use xxhash_rust::xxh3::xxh3_64;

use super::super::Topics;
use super::{ConsumerGroup, Edit, Fact, Refusal, Resolved, Subscription, pattern, refuse};

/// Patterns are not looked at again before, unless there is a new one.
const REFRESH_INTERVAL_MS_MIN: i64 = 10_000;

impl ConsumerGroup {
    /// The names that a member subscribed to, and those that its pattern matches.
    fn names_of<'a>(&'a self, member: &'a Subscription) -> impl Iterator<Item = &'a String> {
        member.topics.iter().chain(self.patterns.get(&member.pattern).into_iter().flat_map(|found| &found.topics))
    }

    /// The topics that a member reads, those that exist.
    pub(super) fn topics_of(&self, member: &Subscription, topics: &dyn Topics) -> BTreeSet<Uuid> {
        self.names_of(member).filter_map(|name| topics.topic_id(name)).collect()
    }

    /// All names that somebody subscribed to.
    fn names(&self) -> BTreeSet<&String> {
        self.members.values().flat_map(|member| self.names_of(member)).collect()
    }

    /// Whether a member subscribed to the topic.
    pub(in super::super) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.names_of(member).any(|name| name == topic))
    }

    /// The patterns that members have.
    fn patterns_in_use(&self) -> BTreeSet<&String> {
        self.members.values().map(|member| &member.pattern).filter(|pattern| !pattern.is_empty()).collect()
    }

    /// Whether all members read the same topics, as Kafka counts it: each name is everybody's, or one pattern is and there are
    /// no names beside it. (`ConsumerGroup.subscriptionType`)
    pub(super) fn is_homogeneous(&self) -> bool {
        let mut readers: BTreeMap<&String, usize> = BTreeMap::new();
        self.members.values().flat_map(|member| &member.topics).for_each(|name| *readers.entry(name).or_default() += 1);
        let count = self.members.len();
        let patterns = self.patterns_in_use();
        match patterns.first() {
            None => readers.values().all(|readers| *readers == count),
            Some(one) => {
                let has_it = |member: &Subscription| member.pattern == **one;
                patterns.len() == 1 && readers.is_empty() && self.members.values().all(has_it)
            }
        }
    }

    /// `ModernGroup.computeMetadataHash`: over the names' order, what is known of each topic that exists; 0 where none does.
    pub(super) fn hash(&self, topics: &dyn Topics) -> i64 {
        let mut names: Vec<&String> = self.names().into_iter().collect();
        names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        let mut bytes = Vec::new();
        for hash in names.into_iter().filter_map(|name| topic_hash(name, topics)) {
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
        if bytes.is_empty() { 0 } else { xxh3_64(&bytes).cast_signed() }
    }
}

/// `Utils.computeTopicHash`: version 0 i8 | id 2 x i64 | name | partitions i32 | for each: number i32, its racks in order. Numbers
/// little-endian, texts in UTF-16 with their length behind them.
fn topic_hash(name: &str, topics: &dyn Topics) -> Option<u64> {
    let (id, count) = (topics.topic_id(name)?, topics.partition_count(name)?);
    let mut bytes = vec![0];
    for half in id.0.chunks(8) {
        bytes.extend(half.iter().rev());
    }
    put_text(&mut bytes, name);
    bytes.extend_from_slice(&count.to_le_bytes());
    for partition in 0..count {
        bytes.extend_from_slice(&partition.to_le_bytes());
        for rack in topics.racks(name, partition) {
            let len = i32::try_from(rack.encode_utf16().count()).unwrap_or(i32::MAX);
            bytes.extend_from_slice(&len.to_le_bytes());
            put_text(&mut bytes, &rack);
        }
    }
    Some(xxh3_64(&bytes))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut len = 0i32;
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
        len += 1;
    }
    bytes.extend_from_slice(&len.to_le_bytes());
}

impl Edit<'_> {
    /// A pattern that nobody has any more is forgotten.
    pub(super) fn drop_unused_patterns(&mut self) {
        let in_use = self.group.patterns_in_use();
        let unused: Vec<String> =
            self.group.patterns.keys().filter(|pattern| !in_use.contains(pattern)).cloned().collect();
        unused.into_iter().for_each(|pattern| self.put(Fact::Pattern(pattern, None)));
    }

    /// Looks for the topics of all patterns where one is new, or topics may have come or gone. True: something is other than it
    /// was.
    pub(super) fn resolve_patterns(
        &mut self,
        topics: &dyn Topics,
        now_ms: i64,
        refresh_interval_ms: i64,
    ) -> Result<bool, Refusal> {
        let in_use: Vec<String> = self.group.patterns_in_use().into_iter().cloned().collect();
        if in_use.is_empty() {
            return Ok(false);
        }
        let known = || in_use.iter().filter_map(|pattern| self.group.patterns.get(pattern));
        let has_new = known().count() < in_use.len();
        let last_ms = known().map(|found| found.at_ms).max().unwrap_or(0);
        let is_old = known().any(|found| found.version < topics.version()) || now_ms > last_ms + refresh_interval_ms;
        let is_due = has_new || is_old && now_ms > last_ms + REFRESH_INTERVAL_MS_MIN;
        if !is_due {
            return Ok(false);
        }
        let mut is_other = false;
        for pattern in in_use {
            let compiled = pattern::compile(&pattern).or_else(|why| {
                let message = format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {why}.");
                refuse(ErrorCode::INVALID_REGULAR_EXPRESSION, message)
            })?;
            let found: BTreeSet<String> =
                topics.topic_names().filter(|name| compiled.is_match(name.as_bytes())).map(str::to_owned).collect();
            is_other |= self.group.patterns.get(&pattern).is_none_or(|before| before.topics != found);
            let resolved = Resolved { topics: found, version: topics.version(), at_ms: now_ms };
            self.put(Fact::Pattern(pattern, Some(resolved)));
        }
        Ok(is_other)
    }

    /// The group enters its next epoch, with the hash of what it reads now.
    pub(super) fn bump(&mut self, topics: &dyn Topics) {
        let hash = self.group.hash(topics);
        let epoch = self.group.epoch.saturating_add(1);
        self.put(Fact::Group(Some((epoch, hash))));
        // The hash stands for what older brokers kept in a record of its own.
        if self.group.has_partition_metadata {
            self.put(Fact::PartitionMetadata(false));
        }
    }
}

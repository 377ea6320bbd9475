//! The settings of a topic: name, the broker's setting that is its default, type, limits, one sentence. Names, types and
//! limits are Apache Kafka 4.3's (LogConfig, TopicConfig, ServerTopicConfigSynonyms).

use super::broker_keys::{CLEANUP_POLICIES, COMPRESSION_TYPES, LONG_MAX, TIMESTAMP_TYPES};
use super::key::Effect::{NotYet, Used};
use super::key::Kind::{Boolean, Double, Int, List, Long, Text};
use super::key::Rule::{Any, AtLeast, Between, BetweenOrMinusOne, Throttled};
use super::key::{Effect, Key, Kind, Rule, Update};

/// A setting of a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TopicKey {
    /// What it is. Its default counts where the broker has no such setting.
    pub(crate) key: Key,
    /// The broker's setting that is its default.
    pub(crate) broker: Option<&'static str>,
}

const fn key(
    name: &'static str,
    broker: Option<&'static str>,
    kind: Kind,
    default: &'static str,
    rule: Rule,
    effect: Effect,
    doc: &'static str,
) -> TopicKey {
    let key = Key { name, kind, default: Some(default), rule, update: Update::ClusterWide, effect, doc };
    TopicKey { key, broker }
}

/// The table, by name.
#[rustfmt::skip]
pub(crate) const TOPIC_KEYS: &[TopicKey] = &[
    key("cleanup.policy", Some("log.cleanup.policy"), List, "delete", CLEANUP_POLICIES, Used,
        "What happens to old segments: delete, compact, or both."),
    key("compression.gzip.level", Some("compression.gzip.level"), Int, "-1", BetweenOrMinusOne(1, 9), Used,
        "Level of gzip where the broker compresses; -1 is the codec's own default."),
    key("compression.lz4.level", Some("compression.lz4.level"), Int, "9", Between(1, 17), Used,
        "Level of lz4 where the broker compresses."),
    key("compression.type", Some("compression.type"), Text, "producer", COMPRESSION_TYPES, Used,
        "Codec in which batches are kept; producer keeps them as they came."),
    key("compression.zstd.level", Some("compression.zstd.level"), Int, "3", Between(-131_072, 22), Used,
        "Level of zstd where the broker compresses."),
    key("delete.retention.ms", Some("log.cleaner.delete.retention.ms"), Long, "86400000", AtLeast(0), Used,
        "Milliseconds that a compacted log keeps its tombstones."),
    key("file.delete.delay.ms", Some("log.segment.delete.delay.ms"), Long, "60000", AtLeast(0), Used,
        "Milliseconds between taking a file out of the log and removing it."),
    key("flush.messages", Some("log.flush.interval.messages"), Long, LONG_MAX, AtLeast(1), Used,
        "Records after which the log is synced; with 1 each acknowledgement waits for its sync."),
    key("flush.ms", Some("log.flush.interval.ms"), Long, LONG_MAX, AtLeast(0), Used,
        "Milliseconds after which the log is synced."),
    key("follower.replication.throttled.replicas", None, List, "", Throttled, NotYet,
        "Replicas whose fetching is throttled."),
    key("index.interval.bytes", Some("log.index.interval.bytes"), Int, "4096", AtLeast(0), Used,
        "Bytes of log between two entries of its index."),
    key("leader.replication.throttled.replicas", None, List, "", Throttled, NotYet,
        "Replicas whose serving is throttled."),
    key("local.retention.bytes", Some("log.local.retention.bytes"), Long, "-2", AtLeast(-2), NotYet,
        "Bytes kept here of a log whose old segments are in remote storage."),
    key("local.retention.ms", Some("log.local.retention.ms"), Long, "-2", AtLeast(-2), NotYet,
        "Milliseconds kept here of a log whose old segments are in remote storage."),
    key("max.compaction.lag.ms", Some("log.cleaner.max.compaction.lag.ms"), Long, LONG_MAX, AtLeast(1), Used,
        "The longest that a record may stay uncompacted, in milliseconds."),
    key("max.message.bytes", Some("message.max.bytes"), Int, "1048588", AtLeast(0), Used,
        "The most bytes of a record batch."),
    key("message.timestamp.after.max.ms", Some("log.message.timestamp.after.max.ms"), Long, "3600000", AtLeast(0), Used,
        "How far ahead of the broker's clock a record's timestamp may be, in milliseconds."),
    key("message.timestamp.before.max.ms", Some("log.message.timestamp.before.max.ms"), Long, LONG_MAX, AtLeast(0), Used,
        "How far behind the broker's clock a record's timestamp may be, in milliseconds."),
    key("message.timestamp.type", Some("log.message.timestamp.type"), Text, "CreateTime", TIMESTAMP_TYPES, Used,
        "Whose time a record carries: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    key("min.cleanable.dirty.ratio", Some("log.cleaner.min.cleanable.ratio"), Double, "0.5", Between(0, 1), Used,
        "Share of the log that must be dirty before it is compacted."),
    key("min.compaction.lag.ms", Some("log.cleaner.min.compaction.lag.ms"), Long, "0", AtLeast(0), Used,
        "The shortest that a record stays uncompacted, in milliseconds."),
    key("min.insync.replicas", Some("min.insync.replicas"), Int, "1", AtLeast(1), Used,
        "Replicas that must have a write before acks=all is answered."),
    key("preallocate", Some("log.preallocate"), Boolean, "false", Any, Used,
        "Whether a new segment's blocks are allocated at once."),
    key("remote.log.copy.disable", None, Boolean, "false", Any, NotYet,
        "Whether segments are no longer copied to remote storage."),
    key("remote.log.delete.on.disable", None, Boolean, "false", Any, NotYet,
        "Whether remote segments go when remote storage is switched off."),
    key("remote.storage.enable", None, Boolean, "false", Any, NotYet,
        "Whether old segments go to remote storage."),
    key("retention.bytes", Some("log.retention.bytes"), Long, "-1", Any, Used,
        "Bytes of a partition above which its oldest segments go; -1 is no limit."),
    key("retention.ms", Some("log.retention.ms"), Long, "604800000", AtLeast(-1), Used,
        "Milliseconds after which a segment goes; -1 is never."),
    key("segment.bytes", Some("log.segment.bytes"), Int, "1073741824", AtLeast(1 << 20), Used,
        "The most bytes of a segment."),
    key("segment.index.bytes", Some("log.index.size.max.bytes"), Int, "10485760", AtLeast(4), Used,
        "The most bytes of an index; a segment rolls when it is full."),
    key("segment.jitter.ms", Some("log.roll.jitter.ms"), Long, "0", AtLeast(0), Used,
        "The most milliseconds by which a roll by time comes earlier."),
    key("segment.ms", Some("log.roll.ms"), Long, "604800000", AtLeast(1), Used,
        "Milliseconds after which a segment is closed even if it is not full."),
    key("unclean.leader.election.enable", Some("unclean.leader.election.enable"), Boolean, "false", Any, NotYet,
        "Whether a replica that is not in sync may lead."),
];

/// The setting of that name.
#[must_use]
pub(crate) fn topic_key(name: &str) -> Option<&'static TopicKey> {
    TOPIC_KEYS.binary_search_by(|topic| topic.key.name.cmp(name)).ok().and_then(|index| TOPIC_KEYS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::broker_keys::broker_key;

    #[test]
    fn the_table_is_sorted_by_name() {
        assert!(TOPIC_KEYS.is_sorted_by(|a, b| a.key.name < b.key.name));
    }

    #[test]
    fn every_default_keeps_its_own_rule_and_every_synonym_is_a_setting_of_the_broker() {
        for topic in TOPIC_KEYS {
            let default = topic.key.default.unwrap();
            assert_eq!(topic.key.canonical(default).as_deref(), Ok(default), "{}", topic.key.name);
            if let Some(broker) = topic.broker {
                assert_eq!(broker_key(broker).map(|key| key.kind), Some(topic.key.kind), "{broker}");
            }
        }
    }
}

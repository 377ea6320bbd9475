//! The broker's settings that mean something here: name, type, default, limits, when a change counts, whether it is
//! honoured yet, and one sentence. Names, types, defaults and limits are Apache Kafka 4.3's where the sentence does not
//! say otherwise. Add a line here and DescribeConfigs, the warnings and the checks know it; read it in `super::Settings`.

use super::key::Effect::{NotYet, Used};
use super::key::Kind::{Boolean, Double, Int, List, Long, Short, Text};
use super::key::Rule::{Any, AtLeast, Between, BetweenOrMinusOne, ListOf, OneOf, Size};
use super::key::Update::{ClusterWide, PerBroker, ReadOnly};
use super::key::{Effect, Key, Kind, Rule, Update};

/// Codecs of `compression.type`.
pub(super) const COMPRESSION_TYPES: Rule = OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
/// Values of `cleanup.policy`.
pub(super) const CLEANUP_POLICIES: Rule = ListOf(&["compact", "delete"]);
/// Values of `message.timestamp.type`.
pub(super) const TIMESTAMP_TYPES: Rule = OneOf(&["CreateTime", "LogAppendTime"]);
/// A long's largest value, Kafka's "never".
pub(super) const LONG_MAX: &str = "9223372036854775807";

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    rule: Rule,
    update: Update,
    effect: Effect,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, rule, update, effect, doc }
}

/// The table, by name.
#[rustfmt::skip]
pub(crate) const BROKER_KEYS: &[Key] = &[
    key("advertised.listeners", List, None, Any, ReadOnly, Used,
        "Host and port that clients are told; shard i is told as port + i. Default: what listeners says."),
    key("allow.colocated.replicas", Boolean, Some("false"), Any, ReadOnly, Used,
        "Ours: whether replicas of a partition may lie on shards of one host, which fail together."),
    key("auto.create.topics.enable", Boolean, Some("true"), Any, ReadOnly, Used,
        "Whether a topic that a client asks metadata for is created."),
    key("broker.rack", Text, None, Any, ReadOnly, Used,
        "Rack that clients are told, for every shard."),
    key("compression.gzip.level", Int, Some("-1"), BetweenOrMinusOne(1, 9), ClusterWide, Used,
        "Level of gzip where the broker compresses; -1 is the codec's own default."),
    key("compression.lz4.level", Int, Some("9"), Between(1, 17), ClusterWide, Used,
        "Level of lz4 where the broker compresses."),
    key("compression.type", Text, Some("producer"), COMPRESSION_TYPES, ClusterWide, Used,
        "Codec in which batches are kept; producer keeps them as they came."),
    key("compression.zstd.level", Int, Some("3"), Between(-131_072, 22), ClusterWide, Used,
        "Level of zstd where the broker compresses."),
    key("connections.max.idle.ms", Long, Some("600000"), Any, ReadOnly, Used,
        "Milliseconds after which a connection that says nothing is closed."),
    key("controller.listener.names", List, None, Any, ReadOnly, Used,
        "Listeners of a KRaft controller: none is opened here, they are taken out of listeners."),
    key("controller.quota.window.num", Int, Some("11"), AtLeast(1), ReadOnly, Used,
        "Windows whose tokens a client may save up for changes of topics (controller_mutation_rate)."),
    key("controller.quota.window.size.seconds", Int, Some("1"), AtLeast(1), ReadOnly, Used,
        "Seconds of such a window."),
    key("default.replication.factor", Int, Some("1"), AtLeast(1), ReadOnly, Used,
        "Replication factor of topics that do not name one."),
    key("delete.topic.enable", Boolean, Some("true"), Any, ReadOnly, Used,
        "Whether topics can be deleted."),
    key("fetch.max.bytes", Int, Some("57671680"), AtLeast(1024), ReadOnly, Used,
        "The most bytes of one fetch response; a first batch that is larger still goes out."),
    key("group.consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0), ClusterWide, Used,
        "The least milliseconds between two target assignments of a group of the consumer protocol; the first comes at once."),
    key("group.consumer.assignors", List, Some("uniform,range"), ListOf(&["uniform", "range"]), ReadOnly, Used,
        "Assignors of groups of the consumer protocol: the first one where no member prefers another. A class of one's own has no place."),
    key("group.consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), ReadOnly, Used,
        "Milliseconds between two heartbeats of a member of the consumer protocol."),
    key("group.consumer.max.assignment.interval.ms", Int, Some("15000"), AtLeast(0), ReadOnly, Used,
        "The most that a group may have of consumer.assignment.interval.ms."),
    key("group.consumer.max.heartbeat.interval.ms", Int, Some("15000"), AtLeast(1), ReadOnly, Used,
        "The most that a group may have of consumer.heartbeat.interval.ms."),
    key("group.consumer.max.session.timeout.ms", Int, Some("60000"), AtLeast(1), ReadOnly, Used,
        "The most that a group may have of consumer.session.timeout.ms."),
    key("group.consumer.max.size", Int, Some("2147483647"), AtLeast(1), ReadOnly, Used,
        "The most members of a group of the consumer protocol."),
    key("group.consumer.min.assignment.interval.ms", Int, Some("0"), AtLeast(0), ReadOnly, Used,
        "The least that a group may have of consumer.assignment.interval.ms."),
    key("group.consumer.min.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), ReadOnly, Used,
        "The least that a group may have of consumer.heartbeat.interval.ms."),
    key("group.consumer.min.session.timeout.ms", Int, Some("45000"), AtLeast(1), ReadOnly, Used,
        "The least that a group may have of consumer.session.timeout.ms."),
    key("group.consumer.regex.refresh.interval.ms", Int, Some("600000"), AtLeast(10_000), ReadOnly, Used,
        "Milliseconds after which the topics of subscribed patterns are looked for even if no topic came or went."),
    key("group.consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), ReadOnly, Used,
        "Milliseconds after which a silent member of the consumer protocol is out."),
    key("group.initial.rebalance.delay.ms", Int, Some("3000"), Any, ReadOnly, Used,
        "Milliseconds that an empty group waits for more members before its first rebalance."),
    key("group.max.session.timeout.ms", Int, Some("1800000"), Any, ReadOnly, Used,
        "The longest session timeout that a consumer may ask for, in milliseconds."),
    key("group.max.size", Int, Some("2147483647"), AtLeast(1), ReadOnly, Used,
        "The most members of a consumer group."),
    key("group.min.session.timeout.ms", Int, Some("6000"), Any, ReadOnly, Used,
        "The shortest session timeout that a consumer may ask for, in milliseconds."),
    key("listener.security.protocol.map", Text, Some("PLAINTEXT:PLAINTEXT"), Any, PerBroker, Used,
        "Security protocol of each listener's name. Only PLAINTEXT is served for now."),
    key("listeners", List, Some("PLAINTEXT://127.0.0.1:9092"), Any, PerBroker, Used,
        "Where to listen; shard i listens on port + i, port 0 takes free ports. Kafka's default is PLAINTEXT://:9092."),
    key("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0), ClusterWide, Used,
        "Milliseconds between two looks for logs to compact, where there was none."),
    key("log.cleaner.dedupe.buffer.size", Long, Some("134217728"), AtLeast(0), ClusterWide, Used,
        "The most bytes for the keys of the logs that are being compacted, of all shards together."),
    key("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0), ClusterWide, Used,
        "Milliseconds that a compacted log keeps its tombstones."),
    key("log.cleaner.enable", Boolean, Some("true"), Any, ReadOnly, Used,
        "Whether logs are compacted."),
    key("log.cleaner.io.buffer.load.factor", Double, Some("0.9"), Any, ClusterWide, Used,
        "How full the memory for keys may become: fuller is more keys and slower."),
    key("log.cleaner.io.buffer.size", Int, Some("524288"), AtLeast(0), ClusterWide, Used,
        "Bytes that compaction reads at a time, of all shards together; 64 KiB of each at least."),
    key("log.cleaner.io.max.bytes.per.second", Double, Some("1.7976931348623157E308"), Any, ClusterWide, Used,
        "The most bytes a second that compaction reads and writes, of all shards together."),
    key("log.cleaner.max.compaction.lag.ms", Long, Some(LONG_MAX), AtLeast(1), ClusterWide, Used,
        "The longest that a record may stay uncompacted, in milliseconds."),
    key("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Between(0, 1), ClusterWide, Used,
        "Share of a log that must be dirty before it is compacted."),
    key("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0), ClusterWide, Used,
        "The shortest that a record stays uncompacted, in milliseconds."),
    key("log.cleanup.policy", List, Some("delete"), CLEANUP_POLICIES, ClusterWide, Used,
        "What happens to old segments: delete, compact, or both."),
    key("log.dir", List, Some("./ringlog-data"), Any, ReadOnly, Used,
        "Folder of the logs where log.dirs is not set. Kafka's default is /tmp/kafka-logs."),
    key("log.dirs", List, None, Any, ReadOnly, Used,
        "Folder of the logs. One, for now."),
    key("log.flush.interval.messages", Long, Some(LONG_MAX), AtLeast(1), ClusterWide, Used,
        "Records after which a log is synced; with 1 each acknowledgement waits for its sync."),
    key("log.flush.interval.ms", Long, None, Any, ClusterWide, Used,
        "Milliseconds after which a log is synced. Default: what log.flush.scheduler.interval.ms says."),
    key("log.flush.scheduler.interval.ms", Long, Some(LONG_MAX), Any, ReadOnly, Used,
        "The value of log.flush.interval.ms where that is not set."),
    key("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), ClusterWide, Used,
        "Bytes of log between two entries of its index."),
    key("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), ClusterWide, Used,
        "The most bytes of an index; a segment rolls when it is full."),
    key("log.initial.task.delay.ms", Long, Some("30000"), AtLeast(0), ReadOnly, Used,
        "Milliseconds after the start at which it is looked for segments to remove for the first time."),
    key("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), ClusterWide, NotYet,
        "Bytes kept here of a log whose old segments are in remote storage."),
    key("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), ClusterWide, NotYet,
        "Milliseconds kept here of a log whose old segments are in remote storage."),
    key("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), ClusterWide, Used,
        "How far ahead of the broker's clock a record's timestamp may be, in milliseconds."),
    key("log.message.timestamp.before.max.ms", Long, Some(LONG_MAX), AtLeast(0), ClusterWide, Used,
        "How far behind the broker's clock a record's timestamp may be, in milliseconds."),
    key("log.message.timestamp.type", Text, Some("CreateTime"), TIMESTAMP_TYPES, ClusterWide, Used,
        "Whose time a record carries: the producer's (CreateTime) or the broker's (LogAppendTime)."),
    key("log.preallocate", Boolean, Some("false"), Any, ClusterWide, Used,
        "Whether a new segment's blocks are allocated at once."),
    key("log.retention.bytes", Long, Some("-1"), Any, ClusterWide, Used,
        "Bytes of a partition above which its oldest segments go; -1 is no limit."),
    key("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1), ReadOnly, Used,
        "Milliseconds between two looks for segments to remove."),
    key("log.retention.hours", Int, Some("168"), Any, ReadOnly, Used,
        "Hours after which a segment goes, where log.retention.minutes and log.retention.ms are not set."),
    key("log.retention.minutes", Int, None, Any, ReadOnly, Used,
        "Minutes after which a segment goes, where log.retention.ms is not set."),
    key("log.retention.ms", Long, None, Any, ClusterWide, Used,
        "Milliseconds after which a segment goes; -1 is never."),
    key("log.roll.hours", Int, Some("168"), AtLeast(1), ReadOnly, Used,
        "Hours after which a segment is closed even if it is not full, where log.roll.ms is not set."),
    key("log.roll.jitter.hours", Int, Some("0"), AtLeast(0), ReadOnly, Used,
        "The most hours by which a roll by time comes earlier, where log.roll.jitter.ms is not set."),
    key("log.roll.jitter.ms", Long, None, Any, ClusterWide, Used,
        "The most milliseconds by which a roll by time comes earlier."),
    key("log.roll.ms", Long, None, Any, ClusterWide, Used,
        "Milliseconds after which a segment is closed even if it is not full."),
    key("log.segment.bytes", Int, Some("1073741824"), AtLeast(1 << 20), ClusterWide, Used,
        "The most bytes of a segment."),
    key("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0), ClusterWide, Used,
        "Milliseconds between taking a file out of a log and removing it."),
    key("max.connections", Int, Some("2147483647"), AtLeast(0), ClusterWide, Used,
        "The most connections of a shard (of a broker, as clients see it). A change while it runs goes up to the start's."),
    key("max.incremental.fetch.session.cache.slots", Int, Some("1000"), AtLeast(0), ReadOnly, Used,
        "The most fetch sessions that a shard keeps."),
    key("message.max.bytes", Int, Some("1048588"), AtLeast(0), ClusterWide, Used,
        "The most bytes of a record batch."),
    key("metadata.log.max.record.bytes.between.snapshots", Long, Some("20971520"), AtLeast(1), ReadOnly, Used,
        "Bytes of the metadata log after which it is snapshotted."),
    key("metadata.log.max.snapshot.interval.ms", Long, Some("3600000"), AtLeast(0), ReadOnly, Used,
        "Milliseconds after which the metadata log is snapshotted where it grew at all; 0 is never."),
    key("metadata.log.segment.bytes", Int, Some("1073741824"), AtLeast(8 << 20), ReadOnly, Used,
        "The most bytes of a segment of the metadata log."),
    key("metadata.log.segment.ms", Long, Some("604800000"), Any, ReadOnly, Used,
        "Milliseconds after which a segment of the metadata log is closed even if it is not full."),
    key("metadata.max.retention.bytes", Long, Some("104857600"), Any, ReadOnly, Used,
        "Bytes of the metadata log and its snapshots above which the oldest snapshot goes, and what lies before the next one; negative is no limit."),
    key("metadata.max.retention.ms", Long, Some("604800000"), Any, ReadOnly, Used,
        "Milliseconds after which they go, the newest snapshot aside; negative is never."),
    key("min.insync.replicas", Int, Some("1"), AtLeast(1), ClusterWide, Used,
        "Replicas that must have a write before acks=all is answered. Read at the first start only, then the cluster's."),
    key("node.id", Int, Some("1"), AtLeast(0), ReadOnly, Used,
        "Node id of shard 0; shard i has node.id + i. Kafka has no default."),
    key("num.partitions", Int, Some("1"), AtLeast(1), ReadOnly, Used,
        "Partitions of topics that do not name a number."),
    key("offset.metadata.max.bytes", Int, Some("4096"), Any, ReadOnly, Used,
        "The most bytes of what a client writes beside an offset."),
    key("offsets.retention.check.interval.ms", Long, Some("600000"), AtLeast(1), ReadOnly, NotYet,
        "Milliseconds between two looks for committed offsets to drop."),
    key("offsets.retention.minutes", Int, Some("10080"), AtLeast(1), ReadOnly, NotYet,
        "Minutes that offsets of an empty group are kept."),
    key("offsets.topic.num.partitions", Int, Some("50"), AtLeast(1), ReadOnly, Used,
        "Partitions of __consumer_offsets, fixed when it is created."),
    key("offsets.topic.replication.factor", Short, Some("1"), AtLeast(1), ReadOnly, Used,
        "Replication factor of __consumer_offsets. Kafka's default is 3, which one host cannot give."),
    key("offsets.topic.segment.bytes", Int, Some("104857600"), AtLeast(1), ReadOnly, Used,
        "The most bytes of a segment of __consumer_offsets."),
    key("process.roles", List, Some("broker,controller"), ListOf(&["broker", "controller"]), ReadOnly, Used,
        "What this process is: broker and controller both, for now. Kafka has no default."),
    key("producer.id.expiration.ms", Int, Some("86400000"), AtLeast(1), ClusterWide, Used,
        "Milliseconds after which the state of a producer that is silent is forgotten."),
    key("quota.window.num", Int, Some("11"), AtLeast(1), ReadOnly, Used,
        "Windows over which a client's rate is taken: the last whole ones and the one that runs."),
    key("quota.window.size.seconds", Int, Some("1"), AtLeast(1), ReadOnly, Used,
        "Seconds of such a window."),
    key("ringlog.io", Text, Some("auto"), OneOf(&["auto", "uring", "epoll"]), ReadOnly, Used,
        "Ours: how the kernel is asked (also --io): uring, epoll, or auto (uring where it is allowed)."),
    key("ringlog.log.format", Text, Some("text"), OneOf(&["text", "json"]), ReadOnly, Used,
        "Ours: how lines of the broker's log look (also --log-format)."),
    key("ringlog.memory", Text, None, Size, ReadOnly, Used,
        "Ours: bytes of memory that the broker may take (also --memory), k, m or g behind the number; the page cache is not in it. Default: half of what the cgroup or the machine has."),
    key("ringlog.metrics.listen", Text, None, Any, ReadOnly, Used,
        "Ours: where metrics and health are served over HTTP (also --metrics-listen): a port, which is 127.0.0.1's, or an address with one. Default: nowhere."),
    key("ringlog.shards", Int, Some("1"), Between(1, 256), ReadOnly, Used,
        "Ours: shards (also --shards): each is a thread on a core of its own with a port and a node id of its own."),
    key("ringlog.transfer", Text, Some("auto"), OneOf(&["auto", "copy", "sendfile"]), ReadOnly, Used,
        "Ours: how ranges of the log leave: copied, by sendfile, or auto (sendfile to other machines)."),
    key("ringlog.writeback.bytes", Text, None, Size, ReadOnly, Used,
        "Ours: bytes of logs that may be written and not be on the disk yet, of all shards together, k, m or g behind the number; from half of it on produces are throttled, at all of it they wait. Default: a 16th of the memory, 16 MiB to 2 GiB, and at most what makes the kernel write by itself."),
    key("socket.receive.buffer.bytes", Int, Some("102400"), AtLeast(-1), ReadOnly, Used,
        "SO_RCVBUF of a connection; -1 leaves it to the kernel."),
    key("socket.request.max.bytes", Int, Some("104857600"), AtLeast(1), ReadOnly, Used,
        "The most bytes of a request; a larger one closes its connection."),
    key("socket.send.buffer.bytes", Int, Some("102400"), AtLeast(-1), ReadOnly, Used,
        "SO_SNDBUF of a connection; -1 leaves it to the kernel."),
    key("transactional.id.expiration.ms", Int, Some("604800000"), AtLeast(1), ReadOnly, NotYet,
        "Milliseconds after which an unused transactional id is forgotten."),
    key("unclean.leader.election.enable", Boolean, Some("false"), Any, ClusterWide, NotYet,
        "Whether a replica that is not in sync may lead."),
];

/// The setting of that name.
#[must_use]
pub(crate) fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_KEYS.binary_search_by(|key| key.name.cmp(name)).ok().and_then(|index| BROKER_KEYS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_by_name() {
        assert!(BROKER_KEYS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_default_keeps_its_own_rule() {
        for key in BROKER_KEYS {
            if let Some(default) = key.default {
                assert_eq!(key.canonical(default).as_deref(), Ok(default), "{}", key.name);
            }
        }
    }
}

//! Every metric: its name, its labels, its unit, what it is, and where its name comes from. A page is written with these
//! constants and nothing else; `engine/docs/metrics.md` shows the table, and a test holds the two together.
//!
//! Names under `kafka_` are those that Kafka's JMX exporter gives under the rules of strimzi's kafka-metrics configuration
//! (source: the MBean), or kafka_exporter's; `process_` are those of Prometheus' client libraries; `ringlog_` is what nobody
//! else shows.

/// What a metric's number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

impl Kind {
    /// Its name in the text format.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Between commas.
    pub(crate) labels: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) words: &'static str,
    pub(crate) source: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$labels:literal] $unit:literal: $words:literal, $source:expr;)+) => {
        $(pub(crate) const $constant: Metric = Metric {
            name: $name, kind: Kind::$kind, labels: $labels, unit: $unit, words: $words, source: $source,
        };)+

        /// All of them, in the order of a page.
        #[cfg(test)]
        pub(crate) const METRICS: &[&Metric] = &[$(&$constant),+];
    };
}

const TOPICS: &str = "kafka.server:type=BrokerTopicMetrics";
const REPLICAS: &str = "kafka.server:type=ReplicaManager";
const REQUESTS_SOURCE: &str = "kafka.network:type=RequestMetrics";
const CONTROLLER: &str = "kafka.controller:type=KafkaController";
const PARTITION: &str = "kafka.cluster:type=Partition";
const LOG: &str = "kafka.log:type=Log";
const GROUP_MANAGER: &str = "kafka.coordinator.group:type=GroupMetadataManager";
const EXPORTER: &str = "kafka_exporter";
const PROMETHEUS: &str = "Prometheus' client libraries";
const OURS: &str = "ours";

metrics! {
    BYTES_IN = Counter "kafka_server_brokertopicmetrics_bytesin_total" ["topic"] "bytes":
        "Record batches that were appended, as they came. Without a topic: all, those that are gone included.", TOPICS;
    BYTES_OUT = Counter "kafka_server_brokertopicmetrics_bytesout_total" ["topic"] "bytes":
        "Record batches that fetches were answered with. Without a topic: all.", TOPICS;
    MESSAGES_IN = Counter "kafka_server_brokertopicmetrics_messagesin_total" ["topic"] "records":
        "Records that were appended. Without a topic: all.", TOPICS;
    PRODUCES = Counter "kafka_server_brokertopicmetrics_totalproducerequests_total" ["topic"] "batches":
        "Batches that produce requests brought, each for a partition. Without a topic: all.", TOPICS;
    FAILED_PRODUCES = Counter "kafka_server_brokertopicmetrics_failedproducerequests_total" ["topic"] "batches":
        "Those of them that were refused. Without a topic: all, those for unknown topics included.", TOPICS;
    FETCHES = Counter "kafka_server_brokertopicmetrics_totalfetchrequests_total" ["topic"] "partitions":
        "Partitions that answered fetch requests looked at. Without a topic: all.", TOPICS;
    FAILED_FETCHES = Counter "kafka_server_brokertopicmetrics_failedfetchrequests_total" ["topic"] "partitions":
        "Those of them that were answered with an error. Without a topic: all.", TOPICS;

    REQUESTS = Counter "kafka_network_requestmetrics_requests_total" ["request, version"] "requests":
        "Requests that were answered.", REQUESTS_SOURCE;
    TOTAL_TIME = Gauge "kafka_network_requestmetrics_totaltimems" ["request, quantile"] "ms":
        "From the last bytes of a request to the end of the step in which its answer was given to the kernel: quantiles of the last five minutes. Kafka's ends when the answer is in the socket.", REQUESTS_SOURCE;
    TOTAL_TIME_COUNT = Counter "kafka_network_requestmetrics_totaltimems_count" ["request"] "requests":
        "How many those are, since the start.", REQUESTS_SOURCE;

    LEADERS = Gauge "kafka_server_replicamanager_leadercount" ["shard"] "partitions":
        "Partitions that a shard leads. A shard is a broker: count the series to count brokers.", REPLICAS;
    PARTITIONS = Gauge "kafka_server_replicamanager_partitioncount" ["shard"] "partitions":
        "Partitions of which a shard has the log.", REPLICAS;
    UNDER_REPLICATED = Gauge "kafka_server_replicamanager_underreplicatedpartitions" ["shard"] "partitions":
        "Partitions led here of which a replica is not in sync.", REPLICAS;
    UNDER_MIN_ISR = Gauge "kafka_server_replicamanager_underminisrpartitioncount" ["shard"] "partitions":
        "Partitions led here with fewer replicas in sync than min.insync.replicas.", REPLICAS;
    OFFLINE_REPLICAS = Gauge "kafka_server_replicamanager_offlinereplicacount" ["shard"] "partitions":
        "Partitions led here whose log takes no records or could not be opened.", REPLICAS;

    ACTIVE_CONTROLLERS = Gauge "kafka_controller_kafkacontroller_activecontrollercount" ["shard"] "controllers":
        "1 for the shard that is the controller.", CONTROLLER;
    OFFLINE_PARTITIONS = Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" [""] "partitions":
        "Partitions that nobody leads.", CONTROLLER;
    GLOBAL_TOPICS = Gauge "kafka_controller_kafkacontroller_globaltopiccount" [""] "topics":
        "Topics of the cluster.", CONTROLLER;
    GLOBAL_PARTITIONS = Gauge "kafka_controller_kafkacontroller_globalpartitioncount" [""] "partitions":
        "Partitions of the cluster.", CONTROLLER;
    ACTIVE_BROKERS = Gauge "kafka_controller_kafkacontroller_activebrokercount" [""] "brokers":
        "Registered brokers that take clients.", CONTROLLER;
    FENCED_BROKERS = Gauge "kafka_controller_kafkacontroller_fencedbrokercount" [""] "brokers":
        "Registered brokers that do not.", CONTROLLER;
    PREFERRED_IMBALANCE = Gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" [""] "partitions":
        "Partitions that another than their first replica leads.", CONTROLLER;

    BROKER_STATE = Gauge "kafka_server_kafkaserver_brokerstate" [""] "state":
        "1 while it starts, 3 while it serves, 6 while it stops.", "kafka.server:type=KafkaServer";
    DISK_READ = Gauge "kafka_server_kafkaserver_linux_disk_read_bytes" [""] "bytes":
        "Bytes that storage was asked to read for the process.", "kafka.server:type=KafkaServer";
    DISK_WRITTEN = Gauge "kafka_server_kafkaserver_linux_disk_write_bytes" [""] "bytes":
        "Bytes that storage was asked to write for the process.", "kafka.server:type=KafkaServer";
    HANDLERS_IDLE = Gauge "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent" [""] "share":
        "Share of the last half minute in which the shards waited, their mean.", "kafka.server:type=KafkaRequestHandlerPool";
    NETWORK_IDLE = Gauge "kafka_network_socketserver_networkprocessoravgidle_percent" [""] "share":
        "The same: a shard does what Kafka's request handlers and network processors do.", "kafka.network:type=SocketServer";
    CONNECTIONS = Gauge "kafka_server_socket_server_metrics_connection_count" ["listener, networkProcessor"] "connections":
        "Connections that are open. The network processor is the shard.", "kafka.server:type=socket-server-metrics";
    RAFT_LEADER = Gauge "kafka_server_raftmetrics_current_leader" [""] "node id":
        "The controller's node id.", "kafka.server:type=raft-metrics";
    RAFT_HIGH_WATERMARK = Gauge "kafka_server_raftmetrics_high_watermark" [""] "offset":
        "The offset up to which the metadata log is decided.", "kafka.server:type=raft-metrics";

    REPLICAS_COUNT = Gauge "kafka_cluster_partition_replicascount" ["topic, partition"] "replicas":
        "Replicas of a partition.", PARTITION;
    IN_SYNC = Gauge "kafka_cluster_partition_insyncreplicascount" ["topic, partition"] "replicas":
        "Those of them that are in sync.", PARTITION;
    PARTITION_UNDER_REPLICATED = Gauge "kafka_cluster_partition_underreplicated" ["topic, partition"] "1 or 0":
        "Whether a replica is not in sync.", PARTITION;
    AT_MIN_ISR = Gauge "kafka_cluster_partition_atminisr" ["topic, partition"] "1 or 0":
        "Whether as many replicas are in sync as min.insync.replicas says.", PARTITION;
    PARTITION_UNDER_MIN_ISR = Gauge "kafka_cluster_partition_underminisr" ["topic, partition"] "1 or 0":
        "Whether fewer are.", PARTITION;

    LOG_SIZE = Gauge "kafka_log_log_size" ["topic, partition"] "bytes":
        "All segments of a log.", LOG;
    LOG_START = Gauge "kafka_log_log_logstartoffset" ["topic, partition"] "offset":
        "The first offset of a log.", LOG;
    LOG_END = Gauge "kafka_log_log_logendoffset" ["topic, partition"] "offset":
        "The offset that the next record will have.", LOG;
    LOG_SEGMENTS = Gauge "kafka_log_log_numlogsegments" ["topic, partition"] "segments":
        "Segments of a log.", LOG;
    FLUSH_TIME = Gauge "kafka_log_logflushstats_logflushrateandtimems" ["quantile"] "ms":
        "From asking for a flush of a log to its end: quantiles of the last five minutes.", "kafka.log:type=LogFlushStats";
    FLUSH_COUNT = Counter "kafka_log_logflushstats_logflushrateandtimems_count" [""] "flushes":
        "How many those are, since the start.", "kafka.log:type=LogFlushStats";
    OFFLINE_DIRECTORIES = Gauge "kafka_log_logmanager_offlinelogdirectorycount" [""] "folders":
        "1 where the log directory is offline: a sync failed.", "kafka.log:type=LogManager";

    GROUPS = Gauge "kafka_coordinator_group_groupmetadatamanager_numgroups" [""] "groups":
        "Groups, those that only keep offsets included.", GROUP_MANAGER;
    GROUPS_EMPTY = Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsempty" [""] "groups":
        "Groups without members.", GROUP_MANAGER;
    GROUPS_PREPARING = Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance" [""] "groups":
        "Groups that wait for their members to join.", GROUP_MANAGER;
    GROUPS_COMPLETING = Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance" [""] "groups":
        "Groups that wait for their leader's assignment.", GROUP_MANAGER;
    GROUPS_STABLE = Gauge "kafka_coordinator_group_groupmetadatamanager_numgroupsstable" [""] "groups":
        "Groups whose members have their partitions.", GROUP_MANAGER;
    OFFSETS = Gauge "kafka_coordinator_group_groupmetadatamanager_numoffsets" [""] "offsets":
        "Committed offsets.", GROUP_MANAGER;

    BROKERS = Gauge "kafka_brokers" [""] "brokers":
        "Registered brokers that take clients.", EXPORTER;
    BROKER_INFO = Gauge "kafka_broker_info" ["id, address"] "1":
        "A registered broker, and where clients are told that it is.", EXPORTER;
    TOPIC_PARTITIONS = Gauge "kafka_topic_partitions" ["topic"] "partitions":
        "Partitions of a topic.", EXPORTER;
    CURRENT_OFFSET = Gauge "kafka_topic_partition_current_offset" ["topic, partition"] "offset":
        "The high watermark.", EXPORTER;
    OLDEST_OFFSET = Gauge "kafka_topic_partition_oldest_offset" ["topic, partition"] "offset":
        "The first offset.", EXPORTER;
    PARTITION_LEADER = Gauge "kafka_topic_partition_leader" ["topic, partition"] "node id":
        "Who leads a partition, -1 where nobody does.", EXPORTER;
    LEADER_IS_PREFERRED = Gauge "kafka_topic_partition_leader_is_preferred" ["topic, partition"] "1 or 0":
        "Whether its first replica does.", EXPORTER;
    PARTITION_REPLICAS = Gauge "kafka_topic_partition_replicas" ["topic, partition"] "replicas":
        "Replicas of a partition.", EXPORTER;
    PARTITION_IN_SYNC = Gauge "kafka_topic_partition_in_sync_replica" ["topic, partition"] "replicas":
        "Those of them that are in sync.", EXPORTER;
    TOPIC_UNDER_REPLICATED = Gauge "kafka_topic_partition_under_replicated_partition" ["topic, partition"] "1 or 0":
        "Whether a replica is not in sync.", EXPORTER;
    GROUP_MEMBERS = Gauge "kafka_consumergroup_members" ["consumergroup"] "members":
        "Members of a group.", EXPORTER;
    GROUP_OFFSET = Gauge "kafka_consumergroup_current_offset" ["consumergroup, topic, partition"] "offset":
        "What a group committed.", EXPORTER;
    GROUP_LAG = Gauge "kafka_consumergroup_lag" ["consumergroup, topic, partition"] "records":
        "From what a group committed to the high watermark; -1 where the partition is not here.", EXPORTER;

    CPU_SECONDS = Counter "process_cpu_seconds_total" [""] "seconds":
        "Processor time of all threads.", PROMETHEUS;
    RESIDENT = Gauge "process_resident_memory_bytes" [""] "bytes":
        "Resident memory.", PROMETHEUS;
    OPEN_FDS = Gauge "process_open_fds" [""] "descriptors":
        "Descriptors that are open.", PROMETHEUS;
    MAX_FDS = Gauge "process_max_fds" [""] "descriptors":
        "Descriptors that may be.", PROMETHEUS;
    START_TIME = Gauge "process_start_time_seconds" [""] "seconds since 1970":
        "When the process started.", PROMETHEUS;

    BUILD_INFO = Gauge "ringlog_build_info" ["version, io"] "1":
        "The version, and how the kernel is asked.", OURS;
    SHARD_ANSWERS = Gauge "ringlog_shard_answers" ["shard"] "1 or 0":
        "Whether a shard said what it has within two seconds. Where it did not, what it said before is shown.", OURS;
    STEPS = Counter "ringlog_shard_steps_total" ["shard"] "steps":
        "Times that a shard had something to do: a wait's events and what follows from them.", OURS;
    BUSY = Counter "ringlog_shard_busy_seconds_total" ["shard"] "seconds":
        "How long they took. The rest of the time a shard waited, or the kernel worked for it in its wait.", OURS;
    PHASES = Counter "ringlog_phase_seconds_total" ["shard, phase"] "seconds":
        "Where that time went: read (events until a request is there), check (decoding, checking, handling), append (into the page cache), send (answers, to the kernel); one step in 32 is timed and stands for the others. flush_wait is what flushes took, together, each exactly; no thread waits for them.", OURS;
    STALL = Gauge "ringlog_shard_stall_seconds" ["shard, did"] "seconds":
        "The worst step of the last minute or two, and what it did. One of a quarter of a second is logged too.", OURS;
    BLOCKED = Counter "ringlog_shard_blocked_seconds_total" ["shard"] "seconds":
        "How long a shard's thread waited in the kernel for a disk (state D of proc(5)), as looks every 10 ms say. It should not: what waits there is done beside the thread.", OURS;
    REQUEST_SECONDS = Histogram "ringlog_request_seconds" ["request, le"] "seconds":
        "As kafka_network_requestmetrics_totaltimems, since the start.", OURS;
    REFUSED = Counter "ringlog_connections_refused_total" ["shard"] "connections":
        "Connections that were closed for what they asked: a request that cannot be read, or that is not served.", OURS;
    SYSCALLS = Counter "ringlog_syscalls_total" ["shard"] "calls":
        "System calls of a shard's thread.", OURS;
    RECEIVED = Counter "ringlog_socket_received_bytes_total" ["shard"] "bytes":
        "Bytes that came in over connections.", OURS;
    SENT = Counter "ringlog_socket_sent_bytes_total" ["shard"] "bytes":
        "Bytes that left over connections.", OURS;
    COPIED = Counter "ringlog_copied_bytes_total" ["shard, way"] "bytes":
        "Bytes that were copied: append (into the page cache), answer (out of it), held (requests that had to wait).", OURS;
    UNCOPIED = Counter "ringlog_referred_bytes_total" ["shard"] "bytes":
        "Bytes of answers that went out by reference, without a copy (sendfile).", OURS;
    COLD = Counter "ringlog_cold_bytes_total" ["shard"] "bytes":
        "Bytes of answers that were read from the disk.", OURS;
    SYSCALLS_PER_MB = Gauge "ringlog_syscalls_per_mb" [""] "calls a MB":
        "System calls for each MB (10^6 bytes) that came in or left, since the start.", OURS;
    COPIED_PER_MB = Gauge "ringlog_copied_bytes_per_mb" [""] "bytes a MB":
        "Bytes copied for each MB (10^6 bytes) that came in or left, since the start.", OURS;
    MEMORY_BUDGET = Gauge "ringlog_memory_budget_bytes" ["shard, part"] "bytes":
        "What a shard may take for each purpose (--memory): sessions, waiting, output, frames; shard is all of it.", OURS;
    MEMORY_USED = Gauge "ringlog_memory_used_bytes" ["shard, part"] "bytes":
        "What it takes of it now.", OURS;
    UNWRITTEN = Gauge "ringlog_unwritten_bytes" ["shard"] "bytes":
        "Bytes of a shard's logs that are in the page cache and may not be on the disk.", OURS;
    WRITTEN = Counter "ringlog_written_back_bytes_total" ["shard"] "bytes":
        "Bytes of logs that were sent to the disk by write-back; syncs and the kernel send others.", OURS;
    WRITTEN_SPEED = Gauge "ringlog_written_back_bytes_per_second" ["shard"] "bytes a second":
        "What the disk took of them in the last seconds in which it had some to take.", OURS;
    THROTTLED = Counter "ringlog_produce_throttled_seconds_total" ["shard"] "seconds":
        "For how long answers held producers back because the disk does not keep up.", OURS;
    UNWRITTEN_MAX = Gauge "ringlog_unwritten_bytes_max" [""] "bytes":
        "How many of all shards there may be (ringlog.writeback.bytes): from half of it on produces are throttled, at all of it they wait.", OURS;
    CONNECTIONS_MAX = Gauge "ringlog_connections_max" ["shard"] "connections":
        "How many connections a shard may have.", OURS;
    UNDER_WAY = Gauge "ringlog_under_way" ["shard, what"] "number":
        "What a shard has begun and not ended: produces, fetches that wait, calls to the controller, flushes, deletions, tasks; openings: logs of the last run that are not opened yet.", OURS;
    PAGE_CACHE = Gauge "ringlog_page_cache_bytes" ["topic, partition"] "bytes":
        "How much of a log is in the page cache. 256 logs are looked at for a page, the others when their turn comes.", OURS;
    SPACE = Gauge "ringlog_log_dir_bytes" ["what"] "bytes":
        "The log directory's file system: total, and usable.", OURS;
    LEFT_OUT = Gauge "ringlog_left_out" ["what"] "number":
        "Partitions and offsets that are more than a page shows.", OURS;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_labels_are_prometheus_and_no_name_stands_twice() {
        let is_name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(is_name(metric.name), "{}", metric.name);
            assert!(metric.labels.is_empty() || metric.labels.split(", ").all(is_name), "{}", metric.name);
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total") || metric.name.ends_with("_count") && metric.name != CONNECTIONS.name,
                "{}",
                metric.name
            );
            assert!(
                metric.words.ends_with('.') && !metric.source.is_empty() && !metric.unit.is_empty(),
                "{}",
                metric.name
            );
        }
    }
}

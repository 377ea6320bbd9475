//! The one table of columns: rows.csv, the JSON of a row, the dictionary in results/README.md and the reader come from it.
//!
//! A column is a line of the table: its words, its name (units are last), its type, its unit, where its value comes from.
//! MB are 10^6 bytes. An empty cell means: not known here, or not so for this kind of trial.
//!
//! - A column that is added is empty in older files: raise [`SCHEMA`], and nothing else has to change.
//! - A column is never renamed and never changes its meaning: a new one takes its place.

use serde::{Deserialize, Serialize};

/// Version of the columns below.
pub const SCHEMA: u32 = 5;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header.
    pub name: &'static str,
    /// Its unit; empty for names, counts of things that the name says, and shares (0 to 1).
    pub unit: &'static str,
    /// What it says.
    pub words: &'static str,
    /// Where the value comes from.
    pub source: &'static str,
}

/// Whether cells of a type have figures.
trait Kind {
    const IS_FIGURE: bool = true;
}

/// A cell as a figure.
trait Figure {
    /// The figure; `None` where the cell is empty or a name.
    fn figure(&self) -> Option<f64>;
    /// What stands in the cell; `None` where it is empty.
    fn words(&self) -> Option<String>;
}

impl Kind for String {
    const IS_FIGURE: bool = false;
}

impl Figure for String {
    fn figure(&self) -> Option<f64> {
        None
    }
    fn words(&self) -> Option<String> {
        Some(self.clone()).filter(|it| !it.is_empty())
    }
}

impl Kind for bool {
    const IS_FIGURE: bool = false;
}

impl Figure for bool {
    fn figure(&self) -> Option<f64> {
        None
    }
    fn words(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Kind> Kind for Option<T> {
    const IS_FIGURE: bool = T::IS_FIGURE;
}

impl<T: Figure> Figure for Option<T> {
    fn figure(&self) -> Option<f64> {
        self.as_ref().and_then(T::figure)
    }
    fn words(&self) -> Option<String> {
        self.as_ref().and_then(T::words)
    }
}

macro_rules! figures {
    ($($kind:ty),+) => {
        $(impl Kind for $kind {}

        impl Figure for $kind {
            fn figure(&self) -> Option<f64> {
                Some(*self as f64)
            }
            fn words(&self) -> Option<String> {
                Some(self.to_string())
            }
        })+
    };
}

figures!(u32, u64, i16, i32, f64);

macro_rules! columns {
    ($($(#[doc = $words:literal])+ $name:ident: $kind:ty, $unit:literal, $source:literal;)+) => {
        /// One trial's row, or one of its two where what was written is read back as a workload of its own.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Row {
            $($(#[doc = $words])+ pub $name: $kind,)+
        }

        impl Row {
            /// The figure of a column by its name; `None` where it is empty, a name, no number (NaN, inf), or no column at all.
            #[must_use]
            pub fn figure(&self, column: &str) -> Option<f64> {
                self.cell(column).and_then(Figure::figure).filter(|it| it.is_finite())
            }

            /// What stands in a column; `None` where it is empty.
            #[must_use]
            pub fn words(&self, column: &str) -> Option<String> {
                self.cell(column).and_then(Figure::words)
            }

            /// Whether a figure of a column is none: NaN, inf.
            #[must_use]
            pub fn is_no_number(&self, column: &str) -> bool {
                self.cell(column).and_then(Figure::figure).is_some_and(|it| !it.is_finite())
            }

            fn cell(&self, column: &str) -> Option<&dyn Figure> {
                match column {
                    $(stringify!($name) => Some(&self.$name),)+
                    _ => None,
                }
            }
        }

        /// Whether a column can have figures.
        #[must_use]
        pub fn is_figure(column: &str) -> bool {
            match column {
                $(stringify!($name) => <$kind as Kind>::IS_FIGURE,)+
                _ => false,
            }
        }

        /// Every column, in the order of the file.
        pub const COLUMNS: &[Column] = &[
            $(Column { name: stringify!($name), unit: $unit, words: concat!($($words),+), source: $source },)+
        ];
    };
}

columns! {
    /// Version of these columns.
    schema: u32, "", "this program";
    /// When the measured time began, ISO 8601 in UTC.
    time: String, "", "system clock";
    /// Commit of this program's source; `-dirty` where files were changed.
    commit: String, "", "git";
    /// Branch of this program's source.
    branch: String, "", "git";
    /// `release` or `debug`.
    build: String, "", "this program";
    /// Hardware profile: cores, memory, file system.
    profile: String, "", "probed";
    /// How the profile was had: `native`, `emulated`, or `emulated in part` and what is missing.
    fidelity: String, "", "this program";
    /// Seed of what is random in the trial: values, and the order of targets.
    seed: u64, "", "options";
    /// Number of the round, from 1. Trials of a round ran one after the other.
    round: u32, "", "run";
    /// Name of the workload.
    workload: String, "", "workload";
    /// `produce`, `latency` or `consume`.
    kind: String, "", "workload";
    /// Name of the target.
    target: String, "", "target";
    /// `subject`, or `ceiling` for a null broker.
    role: String, "", "target";
    /// `measured`, `invalid` or `skipped`. Only a measured row has figures to believe.
    validity: String, "", "run";
    /// Why a row is invalid or was skipped.
    why: String, "", "run";
    /// Whether more rounds were due after this one: empty, or why none was: `interval` (narrow enough), `time` (over), `most` (rounds), `fixed-rate` (its rate was given: the least rounds).
    rounds_end: String, "", "run";

    /// Size of a record's value, or its mean.
    record_bytes: u32, "bytes", "workload";
    /// Distribution of that size.
    record_size_dist: String, "", "workload";
    /// Partitions of the topic.
    partitions: u32, "", "workload";
    /// Replicas of each partition; -1 where nothing was measured and it was left to the broker.
    replication_factor: i16, "", "topic";
    /// Producers or consumers at once.
    clients: u32, "", "workload";
    /// Consumer groups at once; 0 where partitions are assigned by hand.
    groups: u32, "", "workload";
    /// Members of each group.
    consumers: u32, "", "workload";
    /// Readers that began with the first record when the measured time began.
    catch_up: u32, "", "workload";
    /// Written before the warm-up, in units of 10^6 bytes: what catch-up readers had before them.
    backlog_mb: u64, "MB", "workload";
    /// Records a second that were asked for; empty where it was as fast as possible.
    rate_records_s: Option<f64>, "1/s", "workload";
    /// `acks`.
    acks: String, "", "client's settings";
    /// `batch.size`.
    batch_size_bytes: Option<u64>, "bytes", "client's settings";
    /// `linger.ms`.
    linger_ms: Option<f64>, "ms", "client's settings";
    /// `compression.type`.
    compression_type: String, "", "client's settings";
    /// Level of the compression; empty where the codec has none, and before schema 3 also where it was the codec's own.
    compression_level: Option<i32>, "", "client's settings";
    /// `buffer.memory`.
    buffer_memory_bytes: Option<u64>, "bytes", "client's settings";
    /// `max.in.flight.requests.per.connection`.
    max_in_flight: Option<u64>, "", "client's settings";
    /// `enable.idempotence`, as it took effect.
    idempotence: String, "", "client's settings";
    /// `fetch.min.bytes`.
    fetch_min_bytes: Option<u64>, "bytes", "client's settings";
    /// `fetch.max.wait.ms`.
    fetch_max_wait_ms: Option<u64>, "ms", "client's settings";
    /// `fetch.max.bytes`.
    fetch_max_bytes: Option<u64>, "bytes", "client's settings";
    /// `max.partition.fetch.bytes`.
    max_partition_fetch_bytes: Option<u64>, "bytes", "client's settings";
    /// `max.poll.records`.
    max_poll_records: Option<u64>, "", "client's settings";
    /// `security.protocol`.
    security_protocol: String, "", "client's settings";
    /// When the broker's log is flushed: `os`, or its `flush.messages` and `flush.ms`; empty where we did not start it.
    flush: String, "", "target";
    /// Shards of a ringlog broker that we started.
    shards: Option<u32>, "", "target";
    /// How a ringlog broker talks to the kernel.
    io: Option<String>, "", "target";

    /// Records acknowledged (written) or read in the measured time.
    records: Option<u64>, "", "client";
    /// Their values' bytes.
    bytes: Option<u64>, "bytes", "client";
    /// The measured time.
    seconds: Option<f64>, "s", "monotonic clock";
    /// Bytes a second in units of 10^6.
    mb_s: Option<f64>, "MB/s", "bytes / seconds";
    /// Records a second.
    records_s: Option<f64>, "1/s", "records / seconds";
    /// Response time, from the moment a record was due: half of the records stayed below.
    response_us_p50: Option<f64>, "us", "latency.hlog";
    /// 90 of 100.
    response_us_p90: Option<f64>, "us", "latency.hlog";
    /// 99 of 100.
    response_us_p99: Option<f64>, "us", "latency.hlog";
    /// 999 of 1000.
    response_us_p999: Option<f64>, "us", "latency.hlog";
    /// The worst.
    response_us_max: Option<f64>, "us", "latency.hlog";
    /// Service time, from the moment a record was sent: half of the records stayed below.
    service_us_p50: Option<f64>, "us", "latency.hlog";
    /// 90 of 100.
    service_us_p90: Option<f64>, "us", "latency.hlog";
    /// 99 of 100.
    service_us_p99: Option<f64>, "us", "latency.hlog";
    /// 999 of 1000.
    service_us_p999: Option<f64>, "us", "latency.hlog";
    /// The worst.
    service_us_max: Option<f64>, "us", "latency.hlog";
    /// Records whose response time was above an hour: counted at the hour.
    saturated_records: Option<u64>, "", "latency.hlog";

    /// Records acknowledged, warm-up included; every one of them was read back once, in order, unchanged.
    ledger_verified_records: Option<u64>, "", "ledger";
    /// Records that the client gave up.
    failed_records: Option<u64>, "", "ledger";
    /// Records that the client sent again.
    retried_records: Option<u64>, "", "client";

    /// Processor time of the client's process: ours, or from its start to its end the one that `client` names.
    client_cpu_ms: Option<f64>, "ms", "CPU clock of the process";
    /// Processor time of the broker's processes, kernel workers of their rings included.
    broker_cpu_ms: Option<f64>, "ms", "CPU clocks of the processes";
    /// Of that, the kernel workers of rings.
    broker_ring_workers_cpu_ms: Option<f64>, "ms", "schedstat of iou-* tasks";
    /// Processor time of the broker's control group, where it has one that is not ours too.
    broker_cgroup_cpu_ms: Option<f64>, "ms", "cpuacct.usage, cpu.stat";
    /// Processor time of the whole machine: what its cores were not idle, kernel threads and interrupts included.
    machine_cpu_ms: Option<f64>, "ms", "cores * seconds - idle - iowait - steal of /proc/stat";
    /// Processor time of that process for each MB.
    client_cpu_ms_per_mb: Option<f64>, "ms/MB", "client_cpu_ms / bytes";
    /// Processor time of the broker's processes for each MB.
    broker_cpu_ms_per_mb: Option<f64>, "ms/MB", "broker_cpu_ms / bytes";
    /// Share of a core that our busiest thread ran; all threads together of a process that `client` names.
    client_core_share: Option<f64>, "", "schedstat";
    /// Share of the time in which it could have run and another thread had the core.
    client_core_waited_share: Option<f64>, "", "schedstat";
    /// Share of a core that the broker's busiest thread ran.
    broker_core_share: Option<f64>, "", "schedstat";
    /// Share of the time in which it could have run and another thread had the core.
    broker_core_waited_share: Option<f64>, "", "schedstat";
    /// The broker's busiest thread.
    broker_thread: String, "", "comm";
    /// Time the hypervisor gave to others.
    steal_ms: Option<u64>, "ms", "/proc/stat";
    /// Share of the time in which some task waited for a core.
    pressure_cpu_share: Option<f64>, "", "/proc/pressure/cpu";
    /// Share of the time in which some task waited for a disk.
    pressure_io_share: Option<f64>, "", "/proc/pressure/io";
    /// Share of the time in which sends waited for `buffer.memory`.
    buffer_wait_share: Option<f64>, "", "client";
    /// Share of its speed that the busiest network interface used; empty where none says its speed.
    network_share: Option<f64>, "", "/sys/class/net";
    /// System calls of the client's driver for each MB.
    client_syscalls_per_mb: Option<f64>, "1/MB", "driver's counters";
    /// Bytes of requests and answers for each record.
    wire_bytes_per_record: Option<f64>, "bytes", "client's network";
    /// Bytes that the broker made the storage write, for each byte of a value.
    write_amplification: Option<f64>, "", "write_bytes of /proc/PID/io / bytes";
    /// Share of the bytes read that storage did not have to give.
    page_cache_hit_share: Option<f64>, "", "1 - read_bytes of /proc/PID/io / bytes";
    /// Resident memory of the broker's processes at the end.
    broker_resident_bytes: Option<u64>, "bytes", "VmRSS";
    /// The most resident memory that they ever had.
    broker_resident_bytes_max: Option<u64>, "bytes", "VmHWM";

    /// Gaps of a fixed rate's schedule: `constant` or `poisson`; empty where it was as fast as possible.
    arrivals: String, "", "workload";
    /// Keys: `none`, `sequence`, `uniform:N`, `zipf:N,S`.
    keys: String, "", "workload";
    /// By how much zstd makes values smaller, as it was asked for; empty for random letters (about 1.6).
    compressibility: Option<f64>, "", "workload";

    /// Name of the sweep; empty in other runs.
    sweep: String, "", "sweep";
    /// The part of the sweep.
    part: String, "", "sweep";
    /// What the sweep varies, with its values here: `batch.size=16384 linger.ms=0`. An offered rate is in `rate_records_s`.
    cell: String, "", "sweep";
    /// Whether an offered rate was held: `yes`, or what was missed: `rate` (too little of it was sent), `p99` (slower than stated).
    holds: String, "", "sweep";
    /// Settings that the topic was made with.
    topic_settings: String, "", "workload, options";
    /// How long the warm-up took whose end was looked for.
    warm_up_s: Option<f64>, "s", "monotonic clock";
    /// Standard deviation of the last rates of that warm-up, as a share of their mean.
    warm_up_cv: Option<f64>, "", "acknowledged records of ticks";
    /// Whether a steady state was found; empty where it was not looked for.
    is_steady: Option<bool>, "", "acknowledged records of ticks";
    /// Standard deviation of the rates of whole measured seconds, as a share of their mean; empty below three.
    rates_cv: Option<f64>, "", "acknowledged records of seconds";

    /// What was done to the target or to a group, and when: `kill@2 restart@3`, seconds after the measured time began.
    events: String, "", "workload";
    /// Records that the client gave up, refused or without an answer for too long; where there were events.
    given_up_records: Option<u64>, "", "producers";
    /// The longest time without an acknowledgement from the beginning of the measured time on; where there were events.
    service_gap_ms: Option<f64>, "ms", "producers";
    /// What 99 of 100 records may take, as it is stated.
    p99_ms_max: Option<f64>, "ms", "workload";
    /// From the first event until that was so again, for good; empty also where it never was.
    recovery_s: Option<f64>, "s", "producers";
    /// What a group that read nothing for a while had to read when it went on.
    lagged_records: Option<u64>, "", "consumers";
    /// How long it took for that.
    lagged_catch_up_s: Option<f64>, "s", "consumers";
    /// The broker's threads that ran most, with their shares of a core.
    broker_threads: String, "", "comm, schedstat";
    /// Page faults of the broker's processes that found or made their page.
    broker_minor_faults: Option<u64>, "", "/proc/PID/stat";
    /// Page faults that waited for storage.
    broker_major_faults: Option<u64>, "", "/proc/PID/stat";
    /// Bytes that the broker made the storage write.
    broker_disk_written_bytes: Option<u64>, "bytes", "write_bytes of /proc/PID/io";
    /// Bytes that storage had to read for it.
    broker_disk_read_bytes: Option<u64>, "bytes", "read_bytes of /proc/PID/io";
    /// Bytes a second that all interfaces of our machine sent, loopback included, in units of 10^6.
    network_mb_s: Option<f64>, "MB/s", "/sys/class/net";
    /// Heap in use in the broker's JVM after the last collection.
    jvm_heap_used_bytes: Option<u64>, "bytes", "hsperfdata, jvm_memory_used_bytes";
    /// Time that its garbage collections took.
    jvm_gc_ms: Option<f64>, "ms", "hsperfdata, jvm_gc_collection_seconds_sum";
    /// Share of the time in which Kafka's request handlers had nothing to do, in the last minute.
    handler_idle_share: Option<f64>, "", "RequestHandlerAvgIdlePercent of --metrics-from";
    /// Share of the processor time of the broker's machine that was used.
    target_cpu_share: Option<f64>, "", "node_cpu_seconds_total of --metrics-from";
    /// Bytes a second that its disks read and wrote, in units of 10^6.
    target_disk_mb_s: Option<f64>, "MB/s", "node_disk_* of --metrics-from";
    /// Bytes a second that its interfaces sent, in units of 10^6.
    target_network_mb_s: Option<f64>, "MB/s", "node_network_transmit_bytes_total of --metrics-from";

    /// How long brokers wanted the clients to hold back (quotas), all clients together. They did, as Java's do.
    throttle_ms: Option<u64>, "ms", "throttle_time_ms of answers";
    /// Bytes a second that all groups together read beside the writers in the measured time, in units of 10^6.
    consumed_mb_s: Option<f64>, "MB/s", "consumers";
    /// Age of the records when a group read them beside the writers, from their timestamps (whole milliseconds): half stayed below.
    end_to_end_us_p50: Option<f64>, "us", "latency.hlog";
    /// 99 of 100.
    end_to_end_us_p99: Option<f64>, "us", "latency.hlog";
    /// 999 of 1000.
    end_to_end_us_p999: Option<f64>, "us", "latency.hlog";
    /// The worst.
    end_to_end_us_max: Option<f64>, "us", "latency.hlog";
    /// Acknowledged records that the group furthest behind had still to read when the measured time ended.
    group_lag_records_max: Option<u64>, "", "consumers";
    /// From then until the last group had read everything.
    group_drain_s: Option<f64>, "s", "monotonic clock";
    /// Records that a group read again because a partition went from one member to another meanwhile.
    reread_records: Option<u64>, "", "ledger";
    /// Bytes a second, in units of 10^6, at which catch-up readers together read what was there before they began.
    catch_up_mb_s: Option<f64>, "MB/s", "consumers";
    /// How long the slowest of them took for it.
    catch_up_s: Option<f64>, "s", "monotonic clock";

    /// Requests that clients sent.
    requests: Option<u64>, "", "client's network";
    /// Batches that were acknowledged; empty where records were read.
    batches: Option<u64>, "", "client";

    /// Number of the pair of a comparison, from 1: both sides of it ran one after the other.
    pair: Option<u32>, "", "compare";
    /// Side of a comparison: `a` (before) or `b` (after).
    side: String, "", "compare";

    /// The program that wrote and read, where it is another process than ours: then it is what is measured.
    client: String, "", "options";
    /// Records of that program's run that stands for its start and end.
    client_start_records: Option<u64>, "", "run";
    /// Processor time of that run.
    client_start_cpu_ms: Option<f64>, "ms", "CPU clock of the process";
    /// Records for each second of that program's processor time, beyond its start.
    client_records_per_cpu_s: Option<f64>, "1/s", "(records - client_start_records) / (client_cpu_ms - client_start_cpu_ms)";
    /// Records that the broker held after that program wrote, by its offsets: there is no ledger of another program's records.
    held_records: Option<u64>, "", "ListOffsets";

    /// The machine that was emulated, in the words of `--emulate`: then `profile` is that machine. Empty where none was.
    emulated: String, "", "options";
    /// Processor time that a broker was limited to.
    emulated_cores: Option<f64>, "cores", "options, hardware profile";
    /// What busy threads had of it before the first broker was started.
    achieved_cores: Option<f64>, "cores", "CPU clock of a process in such a group";
    /// Memory that a broker was limited to, page cache included.
    emulated_memory_gib: Option<f64>, "GiB", "options, hardware profile";
    /// What the kernel says that the limit is.
    achieved_memory_gib: Option<f64>, "GiB", "memory.limit_in_bytes, memory.max";
    /// Bytes a second that a broker's disk was limited to, writing.
    emulated_disk_write_mb_s: Option<f64>, "MB/s", "options, hardware profile";
    /// What went past the page cache before the first broker was started.
    achieved_disk_write_mb_s: Option<f64>, "MB/s", "1 MiB x 8 in such a group";
    /// The same, reading.
    emulated_disk_read_mb_s: Option<f64>, "MB/s", "options, hardware profile";
    /// What came past the page cache.
    achieved_disk_read_mb_s: Option<f64>, "MB/s", "1 MiB x 8 in such a group";
    /// Operations a second that a broker's disk was limited to, writing.
    emulated_disk_write_iops: Option<f64>, "1/s", "options, hardware profile";
    /// What went past the page cache.
    achieved_disk_write_iops: Option<f64>, "1/s", "4 KiB x 32 in such a group";
    /// The same, reading.
    emulated_disk_read_iops: Option<f64>, "1/s", "options, hardware profile";
    /// What came past the page cache.
    achieved_disk_read_iops: Option<f64>, "1/s", "4 KiB x 32 in such a group";
    /// What a broker's network was limited to in each direction.
    emulated_network_gbps: Option<f64>, "Gb/s", "options, hardware profile";
    /// What one connection to a limited port carried.
    achieved_network_gbps: Option<f64>, "Gb/s", "monotonic clock";
    /// How long an fsync of a broker was to last at least: half stay below.
    emulated_fdatasync_us_p50: Option<f64>, "us", "options, hardware profile";
    /// How long an append of 4 KiB with fdatasync lasted.
    achieved_fdatasync_us_p50: Option<f64>, "us", "monotonic clock";
    /// 99 of 100, where the profile says it.
    emulated_fdatasync_us_p99: Option<f64>, "us", "hardware profile";
    /// 99 of 100.
    achieved_fdatasync_us_p99: Option<f64>, "us", "monotonic clock";

    /// System calls of our broker's shards for each MB. The kernel tells none of another process: /proc/PID/io counts neither recv,
    /// send nor io_uring.
    broker_syscalls_per_mb: Option<f64>, "1/MB", "ringlog_syscalls_total of --metrics-from";

    /// Records after which a transaction was committed; empty where there were none or its time alone decided.
    transaction_records: Option<u32>, "", "workload";
    /// Milliseconds after which a transaction was committed; the same.
    transaction_ms: Option<u32>, "ms", "workload";
    /// `isolation.level` of who read.
    isolation_level: String, "", "client's settings";
    /// `group.protocol` of groups.
    group_protocol: String, "", "client's settings";
    /// Transactions that were committed in the measured time.
    transactions: Option<u64>, "", "client";
    /// How long a commit took, what was still to be sent of its records included: half stayed below.
    commit_us_p50: Option<f64>, "us", "client";
    /// 99 of 100.
    commit_us_p99: Option<f64>, "us", "client";
    /// The worst.
    commit_us_max: Option<f64>, "us", "client";
    /// Processor time of the broker's processes for each transaction, its records included.
    broker_cpu_us_per_transaction: Option<f64>, "us", "broker_cpu_ms / transactions";

    /// The ceiling that the share is of; empty where none counts.
    ceiling: String, "", "run";
    /// Rate as a share of that ceiling's, in the same round.
    ceiling_share: Option<f64>, "", "run";
    /// Why no ceiling counts.
    ceiling_why: String, "", "run";
    /// What limited: `client-core`, `broker-core`, `disk`, `buffer-memory`, `schedule`, `network`, `none`.
    bottleneck: String, "", "run";
    /// What else disturbed, joined with `+`.
    disturbances: String, "", "run";
}

/// Values of [`Row::validity`].
pub mod validity {
    /// The figures are to be believed.
    pub const MEASURED: &str = "measured";
    /// Something was wrong: `why` says what. There are no figures.
    pub const INVALID: &str = "invalid";
    /// It did not run: `why` says why.
    pub const SKIPPED: &str = "skipped";
}

impl Row {
    /// Whether the figures are to be believed.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.validity == validity::MEASURED
    }
}

/// What somebody chose: rows that differ in one of these were measured in different ways.
pub const SETTINGS: [&str; 37] = [
    "record_bytes",
    "record_size_dist",
    "partitions",
    "replication_factor",
    "clients",
    "groups",
    "consumers",
    "catch_up",
    "backlog_mb",
    "rate_records_s",
    "acks",
    "batch_size_bytes",
    "linger_ms",
    "compression_type",
    "compression_level",
    "buffer_memory_bytes",
    "max_in_flight",
    "idempotence",
    "fetch_min_bytes",
    "fetch_max_wait_ms",
    "fetch_max_bytes",
    "max_partition_fetch_bytes",
    "max_poll_records",
    "security_protocol",
    "isolation_level",
    "group_protocol",
    "transaction_records",
    "transaction_ms",
    "arrivals",
    "keys",
    "compressibility",
    "topic_settings",
    "events",
    "emulated",
    "flush",
    "shards",
    "io",
];
/// Of those, the ones that no trial is without: 0 is a cell that an older version did not have.
const NEVER_ZERO: [&str; 4] = ["record_bytes", "partitions", "replication_factor", "clients"];

impl Row {
    /// A setting as it stands in the row; `None` where it is not known, or does not apply.
    #[must_use]
    pub fn setting(&self, column: &str) -> Option<String> {
        self.words(column).filter(|it| !(NEVER_ZERO.contains(&column) && it == "0"))
    }
}

/// The header line of rows.csv.
#[must_use]
pub fn header() -> String {
    COLUMNS.iter().map(|it| it.name).collect::<Vec<_>>().join(",")
}

/// The dictionary as a Markdown table: what results/README.md has between its marks.
#[must_use]
pub fn dictionary() -> String {
    let line = |it: &Column| format!("| `{}` | {} | {} | {} |\n", it.name, it.unit, it.words.trim(), it.source);
    let lines: String = COLUMNS.iter().map(line).collect();
    format!("| column | unit | meaning | from |\n|---|---|---|---|\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// results/README.md, which holds the dictionary between two marks.
    const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/README.md");
    const MARKS: [&str; 2] = ["<!-- columns -->\n", "<!-- /columns -->"];

    #[test]
    fn the_dictionary_in_the_readme_is_the_table() {
        let readme = std::fs::read_to_string(README).unwrap();
        let (before, rest) = readme.split_once(MARKS[0]).expect("the first mark");
        let (found, after) = rest.split_once(MARKS[1]).expect("the second mark");
        if found != dictionary() && std::env::var_os("RINGLOG_WRITE_DICTIONARY").is_some() {
            let text = format!("{before}{}{}{}{after}", MARKS[0], dictionary(), MARKS[1]);
            return std::fs::write(README, text).unwrap();
        }
        let words = "results/README.md is not the table of columns: RINGLOG_WRITE_DICTIONARY=1 cargo test -p ringlog-harness dictionary writes it";
        assert!(found == dictionary(), "{words}");
    }

    #[test]
    fn names_are_unique_have_their_units_last_and_no_cell_of_the_dictionary_breaks_it() {
        let mut names: Vec<&str> = COLUMNS.iter().map(|it| it.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
        for column in COLUMNS {
            assert!(!column.words.trim().is_empty() && !column.source.is_empty(), "{column:?}");
            assert!(!format!("{}{}", column.words, column.source).contains(['|', '\n']), "{column:?}");
        }
    }

    #[test]
    fn csv_and_json_have_the_columns_of_the_table() {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).unwrap();
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        assert_eq!(text.lines().next(), Some(header().as_str()));
        let json = serde_json::to_value(Row::default()).unwrap();
        assert_eq!(json.as_object().unwrap().len(), COLUMNS.len());
    }
}

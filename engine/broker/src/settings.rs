//! The broker's settings: `server.properties` under Kafka's names, overrides from the command line, and the table that
//! says what each may be.
//!
//! ```text
//!   --config FILE    --override K=V  --shards N  --io X
//!     properties          arguments
//!           \              /
//!            Vec<Entry>                    broker_keys (honoured), known (Kafka's other names)
//!                |  checked against the table, warnings by name
//!             Values ----> Settings (immutable, shared by all shards) ----> topic_config: LogConfig of a topic
//!                \----> DescribeConfigs       ^
//!   metadata log: Dynamic -------- with -------+  settings anew, where something was set while the broker runs
//! ```
//!
//! Where a default is not Kafka's: `listeners` (127.0.0.1, not every address), `log.dir` (./ringlog-data),
//! `offsets.topic.replication.factor` (1: one host), `node.id` (1) and `process.roles` (both). Each says so in its
//! sentence.

pub(crate) mod arguments;
pub(crate) mod broker_keys;
pub(crate) mod describe;
pub(crate) mod dynamic;
mod error;
pub(crate) mod group_config;
pub(crate) mod key;
pub(crate) mod known;
pub(crate) mod listeners;
#[cfg(test)]
#[path = "settings/manual_tests.rs"]
mod manual;
mod metrics_listen;
pub(crate) mod properties;
pub(crate) mod topic_config;
pub(crate) mod topic_keys;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ringlog_io::{Choice, Files, OsFiles, SocketOptions};

use self::arguments::Arguments;
use self::dynamic::Dynamic;
pub(crate) use self::error::SettingsError;
use self::key::list_items;
use self::listeners::{Endpoint, Listeners};
use self::values::{Entry, Values};
use crate::metadata::ids::{Here, NodeId, ShardId};

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Run with these settings.
    Settings(Box<Settings>),
    /// Say what these settings would do.
    Check(Box<Settings>),
    /// Print this text.
    Help(&'static str),
}

/// What the arguments after `ringlog broker` ask for. Reads the file that `--config` names.
pub(crate) fn from_args(args: &[String]) -> Result<Parsed, SettingsError> {
    load(args, &OsFiles::new())
}

fn load(args: &[String], files: &dyn Files) -> Result<Parsed, SettingsError> {
    let arguments = Arguments::parse(args)?;
    if arguments.help {
        return Ok(Parsed::Help(arguments::HELP));
    }
    let mut entries = match &arguments.config {
        Some(path) => read_file(files, path)?,
        None => Vec::new(),
    };
    entries.extend(arguments.overrides);
    let (values, warnings) = Values::check(&entries)?;
    let mut settings = Settings::from_values(values, &host_name(files))?;
    settings.warnings = warnings;
    let settings = Box::new(settings);
    Ok(if arguments.check { Parsed::Check(settings) } else { Parsed::Settings(settings) })
}

macro_rules! typed {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $key:literal;)+) => {
        /// Values that are read often, parsed once.
        #[derive(Clone, Debug)]
        struct Typed { $($name: $type,)+ }

        impl Typed {
            fn read(values: &Values) -> Result<Self, SettingsError> {
                Ok(Self { $($name: values.get($key)?,)+ })
            }
        }

        impl Settings {
            $($(#[$doc])* #[must_use] pub(crate) fn $name(&self) -> $type { self.typed.$name })+
        }
    };
}

typed! {
    /// `ringlog.shards`.
    shards: usize = "ringlog.shards";
    /// `num.partitions`.
    num_partitions: i32 = "num.partitions";
    /// `default.replication.factor`.
    default_replication_factor: i16 = "default.replication.factor";
    /// `auto.create.topics.enable`.
    auto_create_topics_enable: bool = "auto.create.topics.enable";
    /// `delete.topic.enable`.
    delete_topic_enable: bool = "delete.topic.enable";
    /// `allow.colocated.replicas`.
    allow_colocated_replicas: bool = "allow.colocated.replicas";
    /// `socket.request.max.bytes`.
    socket_request_max_bytes: usize = "socket.request.max.bytes";
    /// `max.connections`, of each shard.
    max_connections: usize = "max.connections";
    /// `connections.max.idle.ms`; negative is for ever.
    connections_max_idle_ms: i64 = "connections.max.idle.ms";
    /// `fetch.max.bytes`.
    fetch_max_bytes: usize = "fetch.max.bytes";
    /// `max.incremental.fetch.session.cache.slots`, of each shard.
    max_incremental_fetch_session_cache_slots: usize = "max.incremental.fetch.session.cache.slots";
    /// `offsets.topic.num.partitions`.
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions";
    /// `offsets.topic.replication.factor`.
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor";
    /// `offsets.topic.segment.bytes`.
    offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes";
    /// `group.min.session.timeout.ms`.
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms";
    /// `group.max.session.timeout.ms`.
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms";
    /// `group.initial.rebalance.delay.ms`.
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms";
    /// `group.max.size`.
    group_max_size: usize = "group.max.size";
    /// `group.consumer.assignment.interval.ms`.
    group_consumer_assignment_interval_ms: i32 = "group.consumer.assignment.interval.ms";
    /// `group.consumer.heartbeat.interval.ms`.
    group_consumer_heartbeat_interval_ms: i32 = "group.consumer.heartbeat.interval.ms";
    /// `group.consumer.max.size`.
    group_consumer_max_size: usize = "group.consumer.max.size";
    /// `group.consumer.regex.refresh.interval.ms`.
    group_consumer_regex_refresh_interval_ms: i32 = "group.consumer.regex.refresh.interval.ms";
    /// `group.consumer.session.timeout.ms`.
    group_consumer_session_timeout_ms: i32 = "group.consumer.session.timeout.ms";
    /// `offset.metadata.max.bytes`.
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes";
    /// `min.insync.replicas`, the default of topics.
    min_insync_replicas: usize = "min.insync.replicas";
    /// `log.cleaner.backoff.ms`.
    log_cleaner_backoff_ms: u64 = "log.cleaner.backoff.ms";
    /// `log.cleaner.dedupe.buffer.size`, of all shards together.
    log_cleaner_dedupe_buffer_size: usize = "log.cleaner.dedupe.buffer.size";
    /// `log.cleaner.enable`.
    log_cleaner_enable: bool = "log.cleaner.enable";
    /// `log.cleaner.io.buffer.load.factor`.
    log_cleaner_io_buffer_load_factor: f64 = "log.cleaner.io.buffer.load.factor";
    /// `log.cleaner.io.buffer.size`, of all shards together.
    log_cleaner_io_buffer_size: usize = "log.cleaner.io.buffer.size";
    /// `log.cleaner.io.max.bytes.per.second`, of all shards together.
    log_cleaner_io_max_bytes_per_second: f64 = "log.cleaner.io.max.bytes.per.second";
    /// `log.initial.task.delay.ms`.
    log_initial_task_delay_ms: u64 = "log.initial.task.delay.ms";
    /// `log.retention.check.interval.ms`.
    log_retention_check_interval_ms: u64 = "log.retention.check.interval.ms";
    /// `metadata.log.max.record.bytes.between.snapshots`.
    metadata_log_max_record_bytes_between_snapshots: u64 = "metadata.log.max.record.bytes.between.snapshots";
    /// `metadata.log.max.snapshot.interval.ms`; 0 is never.
    metadata_log_max_snapshot_interval_ms: u64 = "metadata.log.max.snapshot.interval.ms";
    /// `metadata.log.segment.bytes`.
    metadata_log_segment_bytes: u32 = "metadata.log.segment.bytes";
    /// `metadata.log.segment.ms`.
    metadata_log_segment_ms: i64 = "metadata.log.segment.ms";
    /// `metadata.max.retention.bytes`; negative is no limit.
    metadata_max_retention_bytes: i64 = "metadata.max.retention.bytes";
    /// `metadata.max.retention.ms`; negative is never.
    metadata_max_retention_ms: i64 = "metadata.max.retention.ms";
    /// `controller.quota.window.num`.
    controller_quota_window_num: usize = "controller.quota.window.num";
    /// `controller.quota.window.size.seconds`.
    controller_quota_window_size_seconds: u64 = "controller.quota.window.size.seconds";
    /// `quota.window.num`.
    quota_window_num: usize = "quota.window.num";
    /// `quota.window.size.seconds`.
    quota_window_size_seconds: u64 = "quota.window.size.seconds";
    /// `add.partitions.to.txn.retry.backoff.max.ms`.
    add_partitions_to_txn_retry_backoff_max_ms: i32 = "add.partitions.to.txn.retry.backoff.max.ms";
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    transaction_abort_interval_ms: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    /// `transaction.max.timeout.ms`.
    transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms";
    /// `transaction.partition.verification.enable`.
    transaction_partition_verification_enable: bool = "transaction.partition.verification.enable";
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    transaction_expire_interval_ms: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms";
    /// `transaction.state.log.num.partitions`.
    transaction_state_log_num_partitions: i32 = "transaction.state.log.num.partitions";
    /// `transaction.state.log.replication.factor`.
    transaction_state_log_replication_factor: i16 = "transaction.state.log.replication.factor";
    /// `transaction.state.log.segment.bytes`.
    transaction_state_log_segment_bytes: i32 = "transaction.state.log.segment.bytes";
    /// `transactional.id.expiration.ms`.
    transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms";
    /// `producer.id.expiration.ms`.
    producer_id_expiration_ms: i64 = "producer.id.expiration.ms";
}

/// The settings of a broker. They do not change: where something is set while it runs, they are made anew.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: Values,
    typed: Typed,
    listeners: Listeners,
    metrics_listen: Option<SocketAddr>,
    log_dir: PathBuf,
    /// What the metadata log has for this broker, readable or not.
    dynamic: Dynamic,
    topic_defaults: BTreeMap<&'static str, String>,
    /// Those that count whatever the settings say.
    topic_forced: BTreeMap<&'static str, String>,
    host_name: String,
    warnings: Vec<String>,
}

impl Settings {
    /// Settings out of checked values. `host_name` is what clients are told where neither `listeners` nor
    /// `advertised.listeners` names a host.
    pub(crate) fn from_values(values: Values, host_name: &str) -> Result<Self, SettingsError> {
        let typed = Typed::read(&values)?;
        let listeners = Listeners::read(&values)?;
        let metrics_listen = metrics_listen::read(&values)?;
        let log_dir = log_dir(&values)?;
        let topic_defaults = topic_config::broker_defaults(&values)?;
        let host_name = host_name.to_owned();
        let settings = Self {
            values,
            typed,
            listeners,
            metrics_listen,
            log_dir,
            dynamic: Dynamic::default(),
            topic_defaults,
            topic_forced: BTreeMap::new(),
            host_name,
            warnings: Vec::new(),
        };
        settings.check_together()?;
        Ok(settings)
    }

    /// The same broker's settings, with what is set while it runs.
    #[must_use]
    pub(crate) fn with(&self, dynamic: Dynamic) -> Self {
        let values = self.values.with(dynamic.usable());
        let read = Typed::read(&values).and_then(|typed| Ok((typed, topic_config::broker_defaults(&values)?)));
        match read {
            Ok((typed, mut topic_defaults)) => {
                topic_defaults.extend(self.topic_forced.clone());
                Self { values, typed, dynamic, topic_defaults, ..self.clone() }
            }
            Err(error) => {
                tracing::error!(%error, "what is set for this broker in the metadata log does not count");
                Self { dynamic, ..self.clone() }
            }
        }
    }

    /// What the metadata log has for this broker.
    #[must_use]
    pub(crate) fn dynamic(&self) -> &Dynamic {
        &self.dynamic
    }

    /// Settings out of `(key, value)` pairs, without a file and a command line.
    pub(crate) fn of_pairs(pairs: &[(&str, &str)]) -> Result<Self, SettingsError> {
        let entry = |(key, value): &(&str, &str)| Entry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            source: "code".to_owned(),
        };
        let entries: Vec<Entry> = pairs.iter().map(entry).collect();
        Self::from_values(Values::check(&entries)?.0, "here")
    }

    /// Sets what topics have that do not say otherwise, whatever it may be: under the simulation limits are small.
    pub(crate) fn set_topic_default(&mut self, name: &'static str, value: String) {
        self.topic_forced.insert(name, value.clone());
        self.topic_defaults.insert(name, value);
    }

    /// Settings out of `(key, value)` pairs, for tests.
    ///
    /// # Panics
    /// On pairs that [`Settings::from_values`] refuses.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self::of_pairs(pairs).unwrap()
    }

    /// `group.consumer.assignors`.
    #[must_use]
    pub(crate) fn group_consumer_assignors(&self) -> Vec<&str> {
        list_items(self.values.text("group.consumer.assignors").unwrap_or_default()).collect()
    }

    /// `group.consumer.migration.policy`.
    #[must_use]
    pub(crate) fn group_consumer_migration_policy(&self) -> &str {
        self.values.text("group.consumer.migration.policy").unwrap_or_default()
    }

    /// What one value cannot know: sums that must fit, roles that must be there.
    fn check_together(&self) -> Result<(), SettingsError> {
        let shards = self.shards();
        let refuse = |key: &'static str, why: String| {
            let value = self.values.text(key).unwrap_or_default().to_owned();
            Err(SettingsError::Unusable { key, value, why })
        };
        for (key, endpoint) in
            [("listeners", Some(&self.listeners.listen)), ("advertised.listeners", self.listeners.advertised.as_ref())]
        {
            let last = endpoint.map_or(0, |endpoint| usize::from(endpoint.port)) + shards - 1;
            if last > usize::from(u16::MAX) {
                return refuse(
                    key,
                    format!("{shards} shards need ports up to {last}, above 65535: choose a lower port"),
                );
            }
        }
        if i32::try_from(shards).ok().and_then(|shards| self.node_id().checked_add(shards)).is_none() {
            return refuse("node.id", format!("{shards} shards need as many node ids from here: choose a lower one"));
        }
        let roles: Vec<&str> = list_items(self.values.text("process.roles").unwrap_or_default()).collect();
        if !(roles.contains(&"broker") && roles.contains(&"controller")) {
            return refuse("process.roles", "shard 0 is the controller, for now: say broker,controller".to_owned());
        }
        if let Some((key, why)) = group_config::beyond_limits(&self.values)? {
            return refuse(key, why);
        }
        for key in [
            "default.replication.factor",
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
        ] {
            if self.values.get::<i64>(key)? > 1 && !self.allow_colocated_replicas() {
                let why = "the shards of one host fail together, so one replica is all that it can keep: say 1, or \
                           allow.colocated.replicas=true for a rehearsal";
                return refuse(key, why.to_owned());
            }
        }
        Ok(())
    }

    /// What was given and means nothing here, a sentence each.
    #[must_use]
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The texts behind this: what was given, and the defaults.
    #[must_use]
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Which nodes this process is.
    #[must_use]
    pub(crate) fn here(&self) -> Here {
        Here { first_node: NodeId(self.node_id()), shards: self.shards() }
    }

    /// `node.id`: shard 0's. Shard i has `node.id + i`.
    #[must_use]
    pub(crate) fn node_id(&self) -> i32 {
        self.values.text("node.id").and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// `ringlog.io`.
    #[must_use]
    pub(crate) fn io(&self) -> Choice {
        match self.values.text("ringlog.io") {
            Some("uring") => Choice::Uring,
            Some("epoll") => Choice::Epoll,
            _ => Choice::Auto,
        }
    }

    /// `ringlog.log.format`: whether lines of the log are JSON.
    #[must_use]
    pub(crate) fn logs_json(&self) -> bool {
        self.values.text("ringlog.log.format") == Some("json")
    }

    /// `ringlog.metrics.listen`: where metrics and health are served.
    #[must_use]
    pub(crate) fn metrics_listen(&self) -> Option<SocketAddr> {
        self.metrics_listen
    }

    /// `ringlog.memory` in bytes, where it is given.
    #[must_use]
    pub(crate) fn memory(&self) -> Option<u64> {
        key::size(self.values.text("ringlog.memory")?)
    }

    /// `ringlog.writeback.bytes`, where it is given.
    #[must_use]
    pub(crate) fn writeback_bytes(&self) -> Option<u64> {
        key::size(self.values.text("ringlog.writeback.bytes")?)
    }

    /// `ringlog.transfer`: whether ranges of the log go to `peer` by reference.
    pub(crate) fn sends_by_reference(&self, peer: std::net::IpAddr) -> bool {
        match self.values.text("ringlog.transfer") {
            Some("copy") => false,
            Some("sendfile") => true,
            _ => !peer.to_canonical().is_loopback(),
        }
    }

    /// `log.dirs` or `log.dir`.
    #[must_use]
    pub(crate) fn log_dir(&self) -> &Path {
        &self.log_dir
    }

    /// The same from the root on, as clients are told.
    #[must_use]
    pub(crate) fn log_dir_absolute(&self) -> PathBuf {
        std::path::absolute(&self.log_dir).unwrap_or_else(|_| self.log_dir.clone())
    }

    /// `broker.rack`.
    #[must_use]
    pub(crate) fn rack(&self) -> Option<&str> {
        self.values.text("broker.rack")
    }

    /// The listener's name, `PLAINTEXT` where nothing else is said.
    #[must_use]
    pub(crate) fn listener_name(&self) -> &str {
        &self.listeners.listen.name
    }

    /// The host of `listeners`, `0.0.0.0` where it names none.
    #[must_use]
    pub(crate) fn listen_host(&self) -> &str {
        match self.listeners.listen.host.as_str() {
            "" => "0.0.0.0",
            host => host,
        }
    }

    /// Where a shard listens: port + i, or 0 where any free port will do.
    pub(crate) fn listen_address(&self, shard: usize) -> Result<SocketAddr, SettingsError> {
        let listen = &self.listeners.listen;
        listen.address(port_of(listen, shard))
    }

    /// Host and port that clients are told for a shard that listens on `bound_port`.
    #[must_use]
    pub(crate) fn advertised(&self, shard: ShardId, bound_port: u16) -> (&str, u16) {
        match (&self.listeners.advertised, self.listeners.listen.host.as_str()) {
            (Some(told), _) if told.port != 0 => (&told.host, port_of(told, shard.0)),
            (Some(told), _) => (&told.host, bound_port),
            (None, "" | "0.0.0.0" | "::") => (&self.host_name, bound_port),
            (None, host) => (host, bound_port),
        }
    }

    /// The core that a shard is pinned to; `None` where there are more shards than cores.
    #[must_use]
    pub(crate) fn core_of(&self, shard: usize, cores: &[usize]) -> Option<usize> {
        if self.shards() > cores.len() { None } else { cores.get(shard).copied() }
    }

    /// `socket.send.buffer.bytes` and `socket.receive.buffer.bytes`; -1 leaves it to the kernel.
    #[must_use]
    pub(crate) fn socket_options(&self) -> SocketOptions {
        let bytes = |key| self.values.text(key).and_then(|text| text.parse().ok());
        SocketOptions {
            send_buffer_bytes: bytes("socket.send.buffer.bytes"),
            receive_buffer_bytes: bytes("socket.receive.buffer.bytes"),
        }
    }

    /// `connections.max.idle.ms` in nanoseconds; `u64::MAX` is for ever.
    #[must_use]
    pub(crate) fn connections_max_idle_ns(&self) -> u64 {
        u64::try_from(self.connections_max_idle_ms()).map_or(u64::MAX, |ms| ms.saturating_mul(1_000_000))
    }

    /// The broker's default of a topic's setting, as text.
    #[must_use]
    pub(crate) fn topic_default(&self, name: &str) -> Option<&str> {
        self.topic_defaults.get(name).map(String::as_str)
    }
}

fn port_of(endpoint: &Endpoint, shard: usize) -> u16 {
    match endpoint.port {
        0 => 0,
        port => u16::try_from(usize::from(port) + shard).unwrap_or(u16::MAX),
    }
}

fn read_file(files: &dyn Files, path: &str) -> Result<Vec<Entry>, SettingsError> {
    let unreadable = |error| SettingsError::Unreadable { path: path.to_owned(), error };
    let bytes = files.read(Path::new(path)).map_err(unreadable)?;
    let pairs = properties::parse(&bytes).map_err(|error| SettingsError::Syntax { path: path.to_owned(), error })?;
    Ok(pairs.into_iter().map(|(key, value)| Entry { key, value, source: path.to_owned() }).collect())
}

/// The host's name as the kernel has it, for clients.
fn host_name(files: &dyn Files) -> String {
    let name = files.read(Path::new("/proc/sys/kernel/hostname")).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

fn log_dir(values: &Values) -> Result<PathBuf, SettingsError> {
    let key = if values.given("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let text = values.text(key).unwrap_or_default();
    let mut folders = list_items(text);
    match (folders.next(), folders.next()) {
        (Some(folder), None) => Ok(PathBuf::from(folder)),
        (None, _) => Err(unusable_dir(key, text, "it names no folder")),
        (Some(_), Some(_)) => Err(unusable_dir(key, text, "one folder is used, for now: name one")),
    }
}

fn unusable_dir(key: &'static str, value: &str, why: &str) -> SettingsError {
    SettingsError::Unusable { key, value: value.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> String {
        let entry =
            |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into(), source: "t".into() };
        let entries: Vec<Entry> = pairs.iter().map(entry).collect();
        let checked = Values::check(&entries).and_then(|(values, _)| Settings::from_values(values, "here"));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn shards_have_ports_and_node_ids_in_a_row() {
        let settings =
            Settings::of(&[("listeners", "PLAINTEXT://127.0.0.1:7000"), ("node.id", "5"), ("ringlog.shards", "3")]);
        assert_eq!(settings.listen_address(2).unwrap().to_string(), "127.0.0.1:7002");
        assert_eq!(settings.advertised(ShardId(2), 7002), ("127.0.0.1", 7002));
        assert_eq!(settings.here().node(ShardId(2)), NodeId(7));
    }

    #[test]
    fn a_free_port_is_told_as_it_was_found() {
        let settings = Settings::of(&[("listeners", "PLAINTEXT://127.0.0.1:0"), ("ringlog.shards", "2")]);
        assert_eq!(settings.listen_address(1).unwrap().port(), 0);
        assert_eq!(settings.advertised(ShardId(1), 40123), ("127.0.0.1", 40123));
    }

    #[test]
    fn advertised_listeners_win() {
        let told = ("advertised.listeners", "PLAINTEXT://broker.example:19092");
        let settings = Settings::of(&[("listeners", "PLAINTEXT://:9092"), told, ("ringlog.shards", "2")]);
        assert_eq!(settings.advertised(ShardId(1), 9093), ("broker.example", 19093));
        let settings = Settings::of(&[("listeners", "PLAINTEXT://:9092")]);
        assert_eq!(settings.advertised(ShardId(0), 9092), ("here", 9092));
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(refused(&[("listeners", "PLAINTEXT://:65535"), ("ringlog.shards", "2")]).contains("above 65535"));
        assert!(refused(&[("node.id", "2147483647"), ("ringlog.shards", "2")]).contains("node.id"));
        assert!(refused(&[("log.dirs", "/a,/b")]).contains("name one"));
        assert!(refused(&[("process.roles", "broker")]).contains("broker,controller"));
        assert!(refused(&[("default.replication.factor", "3")]).contains("allow.colocated.replicas"));
    }

    #[test]
    fn what_is_set_while_it_runs_counts_for_one_broker_before_all_before_the_file() {
        let set = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            std::sync::Arc::new(pairs.collect::<topic_config::Overrides>())
        };
        let started = Settings::of(&[("log.retention.hours", "1"), ("min.insync.replicas", "2")]);
        let cluster = set(&[("log.retention.ms", "7"), ("min.insync.replicas", "3")]);
        let all = started.with(Dynamic { cluster: std::sync::Arc::clone(&cluster), own: set(&[]) });
        assert_eq!((all.topic_default("retention.ms"), all.min_insync_replicas()), (Some("7"), 3));
        let one = started.with(Dynamic { cluster, own: set(&[("min.insync.replicas", "4")]) });
        assert_eq!((one.topic_default("min.insync.replicas"), one.min_insync_replicas()), (Some("4"), 4));
        let again = one.with(Dynamic::default());
        assert_eq!((again.topic_default("retention.ms"), again.min_insync_replicas()), (Some("3600000"), 2));
    }

    #[test]
    fn log_dirs_wins_over_log_dir() {
        assert_eq!(Settings::of(&[]).log_dir(), Path::new("./ringlog-data"));
        assert_eq!(Settings::of(&[("log.dir", "/a"), ("log.dirs", "/b")]).log_dir(), Path::new("/b"));
    }

    #[test]
    fn shards_are_pinned_where_there_are_cores_for_all() {
        let settings = Settings::of(&[("ringlog.shards", "2")]);
        assert_eq!(settings.core_of(1, &[4, 6]), Some(6));
        assert_eq!(settings.core_of(1, &[4]), None);
    }
}

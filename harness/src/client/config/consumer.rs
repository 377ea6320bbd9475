//! A consumer's settings.

use std::time::Duration;

use super::super::properties::Properties;
use super::take::Take;
use super::{CommonConfig, ConfigError, Parsed};

/// `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// The log's start.
    Earliest,
    /// The log's end.
    Latest,
    /// An error instead.
    None,
}

/// A consumer's settings.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// What both clients have.
    pub common: CommonConfig,
    /// `group.id`.
    pub group_id: Option<String>,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// `auto.offset.reset`.
    pub offset_reset: OffsetReset,
    /// `enable.auto.commit` with `auto.commit.interval.ms`.
    pub auto_commit: Option<Duration>,
    /// `fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `fetch.max.wait.ms`.
    pub fetch_max_wait_ms: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`.
    pub max_poll_records: usize,
    /// `isolation.level=read_committed`.
    pub read_committed: bool,
    /// `check.crcs`.
    pub check_crcs: bool,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: the group's rebalance timeout.
    pub max_poll_interval: Duration,
    /// `default.api.timeout.ms`.
    pub default_api_timeout: Duration,
    /// `client.rack`.
    pub client_rack: String,
}

impl ConsumerConfig {
    /// Reads a consumer's settings.
    pub fn parse(properties: &Properties) -> Result<Parsed<Self>, ConfigError> {
        let mut take = Take::new(properties);
        let config = Self::take(&mut take)?;
        Ok(Parsed { config, unused: take.unused(), effective: take.effective })
    }

    fn take(take: &mut Take<'_>) -> Result<Self, ConfigError> {
        let auto_commit = take.bool("enable.auto.commit", true)?;
        let auto_commit_interval = take.millis("auto.commit.interval.ms", 5000)?;
        take.range_assignor_only()?;
        take.choice("group.protocol", "classic", &["classic"])?;
        Ok(Self {
            common: take.common("consumer-1", 131_072, 65_536)?,
            group_id: take.text("group.id").map(str::to_owned),
            group_instance_id: take.text("group.instance.id").map(str::to_owned),
            offset_reset: take.offset_reset()?,
            auto_commit: auto_commit.then_some(auto_commit_interval),
            fetch_min_bytes: take.i32("fetch.min.bytes", 1, 0)?,
            fetch_max_wait_ms: take.i32("fetch.max.wait.ms", 500, 0)?,
            fetch_max_bytes: take.i32("fetch.max.bytes", 52_428_800, 0)?,
            max_partition_fetch_bytes: take.i32("max.partition.fetch.bytes", 1_048_576, 0)?,
            max_poll_records: take.usize("max.poll.records", 500, 1)?,
            read_committed: take.choice(
                "isolation.level",
                "read_uncommitted",
                &["read_uncommitted", "read_committed"],
            )? == "read_committed",
            check_crcs: take.bool("check.crcs", true)?,
            session_timeout: take.millis("session.timeout.ms", 45_000)?,
            heartbeat_interval: take.millis("heartbeat.interval.ms", 3000)?,
            max_poll_interval: take.millis("max.poll.interval.ms", 300_000)?,
            default_api_timeout: take.millis("default.api.timeout.ms", 60_000)?,
            client_rack: take.text("client.rack").unwrap_or_default().to_owned(),
        })
    }
}

impl Take<'_> {
    fn offset_reset(&mut self) -> Result<OffsetReset, ConfigError> {
        Ok(match self.choice("auto.offset.reset", "latest", &["latest", "earliest", "none"])? {
            "earliest" => OffsetReset::Earliest,
            "latest" => OffsetReset::Latest,
            _ => OffsetReset::None,
        })
    }

    fn range_assignor_only(&mut self) -> Result<(), ConfigError> {
        let name = "partition.assignment.strategy";
        let Some(value) = self.text(name) else { return Ok(()) };
        let classes: Vec<&str> = value.split(',').map(str::trim).collect();
        if classes.iter().any(|class| matches!(*class, "range" | "org.apache.kafka.clients.consumer.RangeAssignor")) {
            return Ok(());
        }
        let instead = "the range assignor is what runs; leave it out or name RangeAssignor";
        Err(ConfigError::NotSupported { name, value: value.to_owned(), instead })
    }
}

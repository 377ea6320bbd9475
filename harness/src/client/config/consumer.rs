//! A consumer's settings.

use std::time::Duration;

use super::super::properties::Properties;
use super::take::{Take, conflict, invalid};
use super::{CommonConfig, ConfigError, Parsed};

/// `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// The log's start.
    Earliest,
    /// The log's end.
    Latest,
    /// The first record that is not older than so long before now (KIP-1106), or the log's end where there is none.
    ByDuration(Duration),
    /// An error instead.
    None,
}

/// `group.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Assigned by the member that leads.
    Classic,
    /// Assigned by the broker (KIP-848).
    Consumer,
}

/// One of `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentStrategy {
    /// RangeAssignor.
    Range,
    /// RoundRobinAssignor.
    RoundRobin,
    /// StickyAssignor.
    Sticky,
    /// CooperativeStickyAssignor.
    CooperativeSticky,
}

impl AssignmentStrategy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// Its name in JoinGroup.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Kafka's class.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Range => "org.apache.kafka.clients.consumer.RangeAssignor",
            Self::RoundRobin => "org.apache.kafka.clients.consumer.RoundRobinAssignor",
            Self::Sticky => "org.apache.kafka.clients.consumer.StickyAssignor",
            Self::CooperativeSticky => "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        }
    }
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
    /// `group.protocol`.
    pub group_protocol: GroupProtocol,
    /// `group.remote.assignor`.
    pub group_remote_assignor: Option<String>,
    /// `partition.assignment.strategy`, best first.
    pub assignment_strategies: Vec<AssignmentStrategy>,
    /// `exclude.internal.topics`: patterns do not match Kafka's own topics.
    pub exclude_internal_topics: bool,
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
        let auto_commit_interval = take.int_millis("auto.commit.interval.ms", 5000, 0)?;
        let group_protocol = take.group_protocol()?;
        let group_id = take.text("group.id").map(str::to_owned);
        if group_id.is_none() && auto_commit && take.text("enable.auto.commit").is_some() {
            return conflict("enable.auto.commit cannot be set to true when default group id (null) is used.");
        }
        let session_timeout = take.int_millis("session.timeout.ms", 45_000, 0)?;
        let heartbeat_interval = take.int_millis("heartbeat.interval.ms", 3000, 0)?;
        // Heartbeat's constructor: a member that beats more seldom than its session lasts is thrown out again and again.
        let is_classic_member = group_protocol == GroupProtocol::Classic && group_id.is_some();
        if is_classic_member && heartbeat_interval >= session_timeout {
            return conflict(&format!(
                "Heartbeat must be set lower than the session timeout: heartbeat.interval.ms is {}, session.timeout.ms is {}",
                heartbeat_interval.as_millis(),
                session_timeout.as_millis()
            ));
        }
        Ok(Self {
            common: take.common("consumer-1", 131_072, 65_536)?,
            group_id,
            group_instance_id: take.group_instance_id()?,
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
            session_timeout,
            heartbeat_interval,
            max_poll_interval: take.int_millis("max.poll.interval.ms", 300_000, 1)?,
            default_api_timeout: take.int_millis("default.api.timeout.ms", 60_000, 0)?,
            client_rack: take.text("client.rack").unwrap_or_default().to_owned(),
            group_protocol,
            group_remote_assignor: take.text("group.remote.assignor").map(str::to_owned),
            assignment_strategies: take.assignment_strategies()?,
            exclude_internal_topics: take.bool("exclude.internal.topics", true)?,
        })
    }
}

/// What the consumer protocol leaves to the broker, and the classic one to the members.
const CLASSIC_ONLY: [&str; 3] = ["partition.assignment.strategy", "heartbeat.interval.ms", "session.timeout.ms"];

impl Take<'_> {
    /// ConsumerConfig.checkUnsupportedConfigsPostProcess.
    fn group_protocol(&mut self) -> Result<GroupProtocol, ConfigError> {
        let name = "group.protocol";
        let text = self.text(name).unwrap_or("classic");
        let is_consumer = text.eq_ignore_ascii_case("consumer");
        if !is_consumer && !text.eq_ignore_ascii_case("classic") {
            let reason = "String must be one of (case insensitive): CLASSIC, CONSUMER".into();
            return Err(invalid(name, text, reason));
        }
        let unsupported = if is_consumer { &CLASSIC_ONLY[..] } else { &["group.remote.assignor"][..] };
        let set: Vec<&str> = unsupported.iter().copied().filter(|name| self.properties.get(name).is_some()).collect();
        if !set.is_empty() {
            let protocol = text.to_ascii_uppercase();
            return conflict(&format!("{} cannot be set when group.protocol={protocol}", set.join(", ")));
        }
        Ok(if is_consumer { GroupProtocol::Consumer } else { GroupProtocol::Classic })
    }

    fn group_instance_id(&mut self) -> Result<Option<String>, ConfigError> {
        let name = "group.instance.id";
        match self.text(name) {
            Some("") => Err(invalid(name, "", "String must be non-empty".into())),
            id => Ok(id.map(str::to_owned)),
        }
    }

    /// AutoOffsetResetStrategy.
    fn offset_reset(&mut self) -> Result<OffsetReset, ConfigError> {
        let name = "auto.offset.reset";
        let text = self.text(name).unwrap_or("latest");
        match text {
            "earliest" => Ok(OffsetReset::Earliest),
            "latest" => Ok(OffsetReset::Latest),
            "none" => Ok(OffsetReset::None),
            other => other.strip_prefix("by_duration:").and_then(iso_duration).map(OffsetReset::ByDuration).ok_or_else(|| {
                let reason = format!("Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest', 'none' or of the format 'by_duration:<PnDTnHnMn.nS.>'.");
                invalid(name, text, reason)
            }),
        }
    }

    fn assignment_strategies(&mut self) -> Result<Vec<AssignmentStrategy>, ConfigError> {
        let name = "partition.assignment.strategy";
        let Some(text) = self.text(name) else {
            return Ok(vec![AssignmentStrategy::Range, AssignmentStrategy::CooperativeSticky]);
        };
        let known = |word: &&str| {
            AssignmentStrategy::ALL.into_iter().find(|strategy| *word == strategy.name() || *word == strategy.class())
        };
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let strategies: Vec<AssignmentStrategy> = words.iter().filter_map(known).collect();
        if strategies.is_empty() || strategies.len() < words.len() {
            let instead = "the strategies are RangeAssignor, RoundRobinAssignor, StickyAssignor and CooperativeStickyAssignor (or range, roundrobin, sticky, cooperative-sticky)";
            return Err(ConfigError::NotSupported { name, value: text.to_owned(), instead });
        }
        Ok(strategies)
    }
}

/// As java.time.Duration.parse reads it: days, hours, minutes, seconds. None where it is negative or something else.
fn iso_duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    if !text.trim_start().starts_with(['P', 'p'])
        || span.get_years() != 0
        || span.get_months() != 0
        || span.get_weeks() != 0
    {
        return None;
    }
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConsumerConfig, String> {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "localhost:9092");
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.for_each(|(key, value)| properties.set(key, value));
        ConsumerConfig::parse(&properties).map(|parsed| parsed.config).map_err(|error| error.to_string())
    }

    #[test]
    fn strategies_have_kafka_s_classes_short_names_and_default() {
        let strategies = |text: &str| parse(text).unwrap().assignment_strategies;
        assert_eq!(strategies(""), [AssignmentStrategy::Range, AssignmentStrategy::CooperativeSticky]);
        let classes = AssignmentStrategy::ALL.map(AssignmentStrategy::class).join(",");
        assert_eq!(strategies(&format!("partition.assignment.strategy={classes}")), AssignmentStrategy::ALL);
        let names = AssignmentStrategy::ALL.map(AssignmentStrategy::name).join(",");
        assert_eq!(strategies(&format!("partition.assignment.strategy={names}")), AssignmentStrategy::ALL);
        let error = parse("partition.assignment.strategy=range,com.example.Mine").unwrap_err();
        assert!(error.contains("com.example.Mine is not supported"), "{error}");
    }

    #[test]
    fn each_group_protocol_refuses_the_other_s_settings_as_java_does() {
        for name in CLASSIC_ONLY {
            let error = parse(&format!("group.protocol=consumer {name}=1000")).unwrap_err();
            assert_eq!(error, format!("{name} cannot be set when group.protocol=CONSUMER"));
        }
        assert_eq!(
            parse("group.remote.assignor=uniform").unwrap_err(),
            "group.remote.assignor cannot be set when group.protocol=CLASSIC"
        );
        let config = parse("group.protocol=CONSUMER group.remote.assignor=range").unwrap();
        assert_eq!(
            (config.group_protocol, config.group_remote_assignor.as_deref()),
            (GroupProtocol::Consumer, Some("range"))
        );
        assert!(parse("group.protocol=share").unwrap_err().contains("CLASSIC, CONSUMER"));
    }

    #[test]
    fn a_reset_by_duration_is_iso_8601_and_not_negative() {
        let reset = |text: &str| parse(&format!("auto.offset.reset={text}")).map(|config| config.offset_reset);
        assert_eq!(reset("by_duration:PT1H30M"), Ok(OffsetReset::ByDuration(Duration::from_secs(5400))));
        assert_eq!(reset("by_duration:P2DT0.5S"), Ok(OffsetReset::ByDuration(Duration::from_millis(172_800_500))));
        for bad in ["by_duration:", "by_duration", "by_duration:1h", "by_duration:-PT1H", "by_duration:P1M", "soon"] {
            assert!(reset(bad).unwrap_err().contains("by_duration:<PnDTnHnMn.nS.>"), "{bad}");
        }
    }

    #[test]
    fn a_heartbeat_comes_more_often_than_the_session_ends() {
        let error = parse("group.id=g session.timeout.ms=6000 heartbeat.interval.ms=6000").unwrap_err();
        assert!(error.starts_with("Heartbeat must be set lower than the session timeout"), "{error}");
        assert!(parse("group.id=g session.timeout.ms=6000 heartbeat.interval.ms=5999").is_ok());
        assert!(parse("session.timeout.ms=1").is_ok(), "without a group nobody beats");
    }

    #[test]
    fn times_that_are_an_int_in_kafka_end_where_an_int_does() {
        for name in ["max.poll.interval.ms", "session.timeout.ms", "request.timeout.ms", "default.api.timeout.ms"] {
            assert!(parse(&format!("{name}=2147483647")).is_ok(), "{name}");
            assert!(parse(&format!("{name}=2147483648")).unwrap_err().contains("Not a number of type INT"), "{name}");
        }
        assert!(parse("max.poll.interval.ms=0").unwrap_err().contains("Value must be at least 1"));
    }

    #[test]
    fn auto_commit_without_a_group_is_refused_only_where_it_was_asked_for() {
        assert!(parse("").is_ok());
        let error = parse("enable.auto.commit=true").unwrap_err();
        assert_eq!(error, "enable.auto.commit cannot be set to true when default group id (null) is used.");
    }
}

//! The clients' settings, under the Java client's names, with its defaults, limits and error texts.
//!
//! Properties go in, typed settings come out, and beside them the names that had no effect: a property that we do not
//! know is named in a warning, never ignored in silence. A property whose value we could not honour (TLS, SASL, a
//! partitioner class) is an error, because going on would measure something else.

use std::time::Duration;

use ringlog_wire::compression::Codec;

use super::properties::Properties;

/// A setting that cannot be. The texts are those of Kafka's ConfigException where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not parse or is out of its limits.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The property.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting without which nothing can start.
    #[error("Missing required configuration \"{0}\" which has no default value.")]
    Missing(&'static str),
    /// Two settings that cannot be together, or an address that cannot be used.
    #[error("{0}")]
    Conflict(String),
    /// A setting of Kafka's that this build does not have.
    #[error("{name}={value} is not supported by this build yet: {instead}")]
    NotSupported {
        /// The property.
        name: &'static str,
        /// Its value.
        value: String,
        /// What to do.
        instead: &'static str,
    },
}

/// What both clients have.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// `host:port` of each server of `bootstrap.servers`.
    pub bootstrap_servers: Vec<(String, u16)>,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub retry_backoff: Backoff,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
    pub reconnect_backoff: Backoff,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `send.buffer.bytes`; `None` leaves the kernel's (-1).
    pub send_buffer_bytes: Option<usize>,
    /// `receive.buffer.bytes`; `None` leaves the kernel's (-1).
    pub receive_buffer_bytes: Option<usize>,
    /// `allow.auto.create.topics` (a producer always allows it).
    pub allow_auto_create_topics: bool,
}

/// A pause that doubles from `first` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause before attempt `attempts + 1`, without jitter.
    #[must_use]
    pub fn after(&self, attempts: u32) -> Duration {
        self.first.saturating_mul(1u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(self.max.max(self.first))
    }
}

/// `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// 0: no answer at all.
    None,
    /// 1: the leader has it.
    Leader,
    /// all, -1: every replica in sync has it.
    All,
}

impl Acks {
    /// The number in the request.
    #[must_use]
    pub fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// `compression.type` with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The level; `None` is the codec's own default.
    pub level: Option<i32>,
}

/// A producer's settings.
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// What both clients have.
    pub common: CommonConfig,
    /// `acks`.
    pub acks: Acks,
    /// `enable.idempotence`, after Kafka's rules of when it is silently off.
    pub idempotence: bool,
    /// `batch.size` in bytes.
    pub batch_size: usize,
    /// `linger.ms`.
    pub linger: Duration,
    /// `buffer.memory` in bytes.
    pub buffer_memory: usize,
    /// `max.block.ms`.
    pub max_block: Duration,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `max.request.size` in bytes.
    pub max_request_size: usize,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `retries`.
    pub retries: u32,
    /// `compression.type`, `compression.<type>.level`.
    pub compression: Compression,
    /// `partitioner.ignore.keys`.
    pub partitioner_ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`.
    pub partitioner_adaptive: bool,
    /// `transactional.id`. Transactions are refused where it is set.
    pub transactional_id: Option<String>,
}

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

/// Typed settings and the names of the properties that had no effect.
pub struct Parsed<C> {
    /// The settings.
    pub config: C,
    /// Properties that nobody read.
    pub unused: Vec<String>,
}

/// Java classes that every script names and that mean nothing here.
const JAVA_ONLY: [&str; 4] = ["key.serializer", "value.serializer", "key.deserializer", "value.deserializer"];

impl ProducerConfig {
    /// Reads a producer's settings. The default `linger.ms` is that of Kafka 4 (5).
    pub fn parse(properties: &Properties) -> Result<Parsed<Self>, ConfigError> {
        let mut take = Take::new(properties);
        let config = Self::take(&mut take)?;
        Ok(Parsed { config, unused: take.unused() })
    }

    fn take(take: &mut Take<'_>) -> Result<Self, ConfigError> {
        let acks = take.acks()?;
        let retries = take.u32("retries", 2_147_483_647, 0)?;
        let max_in_flight = take.usize("max.in.flight.requests.per.connection", 5, 1)?;
        let idempotence = take.idempotence(acks, retries, max_in_flight)?;
        let linger = take.millis("linger.ms", 5)?;
        let common = take.common("producer-1", 131_072, 32_768)?;
        let delivery_timeout = take.delivery_timeout(linger, common.request_timeout)?;
        take.refuse("partitioner.class", "the built-in partitioner (KIP-794) is what runs; leave it out")?;
        Ok(Self {
            acks,
            idempotence,
            batch_size: take.usize("batch.size", 16_384, 0)?,
            linger,
            buffer_memory: take.usize("buffer.memory", 33_554_432, 0)?,
            max_block: take.millis("max.block.ms", 60_000)?,
            max_in_flight,
            max_request_size: take.usize("max.request.size", 1_048_576, 0)?,
            delivery_timeout,
            retries,
            compression: take.compression()?,
            partitioner_ignore_keys: take.bool("partitioner.ignore.keys", false)?,
            partitioner_adaptive: take.bool("partitioner.adaptive.partitioning.enable", true)?,
            transactional_id: take.text("transactional.id").map(str::to_owned),
            common,
        })
    }
}

impl ConsumerConfig {
    /// Reads a consumer's settings.
    pub fn parse(properties: &Properties) -> Result<Parsed<Self>, ConfigError> {
        let mut take = Take::new(properties);
        let config = Self::take(&mut take)?;
        Ok(Parsed { config, unused: take.unused() })
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

/// Reads properties and remembers which were read.
struct Take<'a> {
    properties: &'a Properties,
    used: Vec<&'static str>,
}

impl<'a> Take<'a> {
    fn new(properties: &'a Properties) -> Self {
        Self { properties, used: JAVA_ONLY.to_vec() }
    }

    fn unused(&self) -> Vec<String> {
        let names = self.properties.iter().map(|(name, _)| name);
        names.filter(|name| !self.used.contains(name)).map(str::to_owned).collect()
    }

    fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.used.push(name);
        self.properties.get(name).map(str::trim)
    }

    fn i64(&mut self, name: &'static str, default: i64, min: i64, max: i64) -> Result<i64, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let kind = if max > i64::from(i32::MAX) { "LONG" } else { "INT" };
        let value: i64 = text.parse().map_err(|_| invalid(name, text, format!("Not a number of type {kind}")))?;
        if value < min {
            return Err(invalid(name, text, format!("Value must be at least {min}")));
        }
        if value > max {
            return Err(invalid(name, text, format!("Not a number of type {kind}")));
        }
        Ok(value)
    }

    fn i32(&mut self, name: &'static str, default: i32, min: i32) -> Result<i32, ConfigError> {
        let value = self.i64(name, i64::from(default), i64::from(min), i64::from(i32::MAX))?;
        Ok(i32::try_from(value).unwrap_or(default))
    }

    fn u32(&mut self, name: &'static str, default: u32, min: i64) -> Result<u32, ConfigError> {
        let value = self.i64(name, i64::from(default), min, i64::from(i32::MAX))?;
        Ok(u32::try_from(value).unwrap_or(default))
    }

    fn usize(&mut self, name: &'static str, default: usize, min: i64) -> Result<usize, ConfigError> {
        // buffer.memory is Kafka's only LONG among these; the others fit an INT.
        let max = if name == "buffer.memory" { i64::MAX } else { i64::from(i32::MAX) };
        let value = self.i64(name, i64::try_from(default).unwrap_or(max), min, max)?;
        Ok(usize::try_from(value).unwrap_or(default))
    }

    fn millis(&mut self, name: &'static str, default: u64) -> Result<Duration, ConfigError> {
        let value = self.i64(name, i64::try_from(default).unwrap_or(i64::MAX), 0, i64::MAX)?;
        Ok(Duration::from_millis(u64::try_from(value).unwrap_or(default)))
    }

    fn bool(&mut self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(text) => Err(invalid(name, text, "Expected value to be either true or false".into())),
        }
    }

    fn choice(&mut self, name: &'static str, default: &'a str, of: &[&str]) -> Result<&'a str, ConfigError> {
        let text = self.text(name).unwrap_or(default);
        if of.contains(&text) {
            return Ok(text);
        }
        Err(invalid(name, text, format!("String must be one of: {}", of.join(", "))))
    }

    fn refuse(&mut self, name: &'static str, instead: &'static str) -> Result<(), ConfigError> {
        match self.text(name) {
            None | Some("") => Ok(()),
            Some(value) => Err(ConfigError::NotSupported { name, value: value.to_owned(), instead }),
        }
    }

    fn acks(&mut self) -> Result<Acks, ConfigError> {
        Ok(match self.choice("acks", "all", &["all", "-1", "0", "1"])? {
            "0" => Acks::None,
            "1" => Acks::Leader,
            _ => Acks::All,
        })
    }

    /// Kafka's ProducerConfig.postProcessAndValidateIdempotenceConfigs.
    fn idempotence(&mut self, acks: Acks, retries: u32, max_in_flight: usize) -> Result<bool, ConfigError> {
        let asked = self.properties.get("enable.idempotence").is_some();
        let wanted = self.bool("enable.idempotence", true)?;
        let transactional = self.properties.get("transactional.id").is_some();
        if transactional && !wanted {
            return conflict("Cannot set a transactional.id without also enabling idempotence.");
        }
        let must = asked || transactional;
        if wanted && acks != Acks::All && must {
            return conflict(
                "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.",
            );
        }
        if wanted && retries == 0 && must {
            return conflict("Must set retries to non-zero when using the idempotent producer.");
        }
        let enabled = wanted && acks == Acks::All && retries > 0;
        if enabled && max_in_flight > 5 {
            return conflict(
                "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.",
            );
        }
        Ok(enabled)
    }

    fn delivery_timeout(&mut self, linger: Duration, request: Duration) -> Result<Duration, ConfigError> {
        let asked = self.properties.get("delivery.timeout.ms").is_some();
        let timeout = self.millis("delivery.timeout.ms", 120_000)?;
        if timeout >= linger + request {
            return Ok(timeout);
        }
        if asked {
            return conflict("delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms");
        }
        Ok(linger + request)
    }

    fn compression(&mut self) -> Result<Compression, ConfigError> {
        let gzip = self.level("compression.gzip.level", &[-1], 1, 9)?;
        let lz4 = self.level("compression.lz4.level", &[], 1, 17)?;
        let zstd = self.level("compression.zstd.level", &[], -131_072, 22)?;
        let of = ["none", "gzip", "snappy", "lz4", "zstd"];
        Ok(match self.choice("compression.type", "none", &of)? {
            "gzip" => Compression { codec: Codec::Gzip, level: gzip.filter(|level| *level >= 0) },
            "snappy" => Compression { codec: Codec::Snappy, level: None },
            "lz4" => Compression { codec: Codec::Lz4, level: lz4 },
            "zstd" => Compression { codec: Codec::Zstd, level: zstd },
            _ => Compression { codec: Codec::None, level: None },
        })
    }

    fn level(&mut self, name: &'static str, also: &[i32], min: i32, max: i32) -> Result<Option<i32>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let level: i32 = text.parse().map_err(|_| invalid(name, text, "Not a number of type INT".into()))?;
        if also.contains(&level) || (min..=max).contains(&level) {
            return Ok(Some(level));
        }
        Err(invalid(name, text, format!("Value must be between {min} and {max}")))
    }

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

    fn common(&mut self, client_id: &'a str, send: i64, receive: i64) -> Result<CommonConfig, ConfigError> {
        self.plaintext_only()?;
        Ok(CommonConfig {
            bootstrap_servers: self.bootstrap_servers()?,
            client_id: self.text("client.id").unwrap_or(client_id).to_owned(),
            request_timeout: self.millis("request.timeout.ms", 30_000)?,
            retry_backoff: Backoff {
                first: self.millis("retry.backoff.ms", 100)?,
                max: self.millis("retry.backoff.max.ms", 1000)?,
            },
            reconnect_backoff: Backoff {
                first: self.millis("reconnect.backoff.ms", 50)?,
                max: self.millis("reconnect.backoff.max.ms", 1000)?,
            },
            metadata_max_age: self.millis("metadata.max.age.ms", 300_000)?,
            send_buffer_bytes: self.socket_buffer("send.buffer.bytes", send)?,
            receive_buffer_bytes: self.socket_buffer("receive.buffer.bytes", receive)?,
            allow_auto_create_topics: self.bool("allow.auto.create.topics", true)?,
        })
    }

    fn socket_buffer(&mut self, name: &'static str, default: i64) -> Result<Option<usize>, ConfigError> {
        Ok(usize::try_from(self.i64(name, default, -1, i64::from(i32::MAX))?).ok())
    }

    fn plaintext_only(&mut self) -> Result<(), ConfigError> {
        let name = "security.protocol";
        match self.text(name) {
            None | Some("PLAINTEXT") => Ok(()),
            Some(value) if ["SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&value) => Err(ConfigError::NotSupported {
                name,
                value: value.to_owned(),
                instead: "use a PLAINTEXT listener of the broker",
            }),
            Some(value) => {
                let reason = "String must be one of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT";
                Err(invalid(name, value, reason.into()))
            }
        }
    }

    /// ClientUtils.parseAndValidateAddresses; names are resolved when they are connected to.
    fn bootstrap_servers(&mut self) -> Result<Vec<(String, u16)>, ConfigError> {
        let name = "bootstrap.servers";
        let text = self.text(name).ok_or(ConfigError::Missing(name))?;
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        let servers: Vec<(String, u16)> = urls.map(host_port).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return conflict("No resolvable bootstrap urls given in bootstrap.servers");
        }
        Ok(servers)
    }
}

fn host_port(url: &str) -> Result<(String, u16), ConfigError> {
    let bare = url.rsplit_once("://").map_or(url, |(_, rest)| rest);
    let split = bare.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let parsed = split.and_then(|(host, port)| Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| ConfigError::Conflict(format!("Invalid url in bootstrap.servers: {url}")))
}

fn invalid(name: &str, value: &str, reason: String) -> ConfigError {
    ConfigError::Invalid { name: name.to_owned(), value: value.to_owned(), reason }
}

fn conflict<T>(text: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Conflict(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(text: &str) -> Properties {
        let mut properties = Properties::new();
        properties.set("bootstrap.servers", "localhost:9092");
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .for_each(|(key, value)| properties.set(key, value));
        properties
    }

    fn producer(text: &str) -> Result<ProducerConfig, String> {
        ProducerConfig::parse(&properties(text)).map(|parsed| parsed.config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_kafka_4() {
        let config = producer("").unwrap();
        assert!(config.idempotence);
        assert_eq!((config.acks, config.batch_size, config.linger), (Acks::All, 16_384, Duration::from_millis(5)));
        assert_eq!((config.buffer_memory, config.max_in_flight, config.retries), (33_554_432, 5, 2_147_483_647));
        assert_eq!(config.common.bootstrap_servers, [("localhost".to_owned(), 9092)]);
    }

    #[test]
    fn idempotence_is_silently_off_unless_it_was_asked_for() {
        assert!(!producer("acks=1").unwrap().idempotence);
        assert!(!producer("retries=0").unwrap().idempotence);
        assert!(!producer("acks=1 max.in.flight.requests.per.connection=50").unwrap().idempotence);
        let error = producer("acks=1 enable.idempotence=true").unwrap_err();
        assert!(error.starts_with("Must set acks to all in order to use the idempotent producer."), "{error}");
        assert!(producer("max.in.flight.requests.per.connection=6").unwrap_err().contains("at most 5"));
    }

    #[test]
    fn the_delivery_timeout_is_raised_unless_it_was_asked_for() {
        assert_eq!(producer("request.timeout.ms=200000").unwrap().delivery_timeout, Duration::from_millis(200_005));
        assert!(producer("delivery.timeout.ms=10").unwrap_err().starts_with("delivery.timeout.ms should be"));
    }

    #[test]
    fn bad_values_are_named_as_kafka_names_them() {
        let cases = [
            ("acks=2", "Invalid value 2 for configuration acks: String must be one of: all, -1, 0, 1"),
            ("batch.size=x", "Invalid value x for configuration batch.size: Not a number of type INT"),
            ("batch.size=-1", "Invalid value -1 for configuration batch.size: Value must be at least 0"),
            ("bootstrap.servers=foo", "Invalid url in bootstrap.servers: foo"),
            ("bootstrap.servers=,", "No resolvable bootstrap urls given in bootstrap.servers"),
        ];
        for (text, wanted) in cases {
            assert_eq!(producer(text).unwrap_err(), wanted);
        }
        let missing = ProducerConfig::parse(&Properties::new()).err().map(|error| error.to_string());
        assert_eq!(
            missing.unwrap(),
            "Missing required configuration \"bootstrap.servers\" which has no default value."
        );
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_and_what_is_unknown_is_named() {
        assert!(producer("security.protocol=SASL_SSL").unwrap_err().contains("not supported by this build yet"));
        let parsed = ProducerConfig::parse(&properties("compresion.type=lz4 key.serializer=x")).unwrap();
        assert_eq!(parsed.unused, ["compresion.type"]);
    }

    #[test]
    fn backoff_doubles_to_its_limit() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let pauses: Vec<u128> = (0..6).map(|attempts| backoff.after(attempts).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.after(99).as_millis(), 1000);
    }
}

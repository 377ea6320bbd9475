//! A producer's settings.

use std::time::Duration;

use ringlog_wire::compression::Codec;

use super::super::properties::Properties;
use super::take::{Take, conflict, invalid};
use super::{CommonConfig, ConfigError, Parsed};

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

/// `partitioner.class`: who chooses the partition of a record that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// Kafka's built-in one: keys by murmur2, the others sticky by bytes and load (KIP-480, KIP-794).
    BuiltIn,
    /// `RoundRobinPartitioner`: the next partition for each record, whatever its key. As in Kafka 4: older ones skip
    /// a partition with each new batch (KAFKA-9965).
    RoundRobin,
    /// Any partition for each record.
    Random,
    /// `UniformStickyPartitioner` (until 3.9): whatever the key, one partition until a batch is full, then another.
    UniformSticky,
    /// `DefaultPartitioner` (until 3.9): keys by murmur2, the others as `UniformSticky`.
    Default,
}

/// The Java classes that are played, and our own short names.
const PARTITIONERS: [(&str, Partitioner); 7] = [
    ("org.apache.kafka.clients.producer.RoundRobinPartitioner", Partitioner::RoundRobin),
    ("org.apache.kafka.clients.producer.UniformStickyPartitioner", Partitioner::UniformSticky),
    ("org.apache.kafka.clients.producer.internals.DefaultPartitioner", Partitioner::Default),
    ("round-robin", Partitioner::RoundRobin),
    ("random", Partitioner::Random),
    ("sticky", Partitioner::UniformSticky),
    ("murmur2", Partitioner::Default),
];

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
    /// `partitioner.class`.
    pub partitioner: Partitioner,
    /// `partitioner.ignore.keys`. The built-in partitioner's alone, as the next two.
    pub partitioner_ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`.
    pub partitioner_adaptive: bool,
    /// `partitioner.availability.timeout.ms`; zero never leaves a partition out.
    pub partitioner_availability_timeout: Duration,
    /// `transactional.id`.
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`: after how long the coordinator ends an idle transaction by itself.
    pub transaction_timeout: Duration,
}

impl ProducerConfig {
    /// Reads a producer's settings. The default `linger.ms` is that of Kafka 4 (5).
    pub fn parse(properties: &Properties) -> Result<Parsed<Self>, ConfigError> {
        let mut take = Take::new(properties);
        let config = Self::take(&mut take)?;
        Ok(Parsed { config, unused: take.unused(), effective: take.effective })
    }

    fn take(take: &mut Take<'_>) -> Result<Self, ConfigError> {
        let acks = take.acks()?;
        let retries = take.u32("retries", 2_147_483_647, 0)?;
        let max_in_flight = take.usize("max.in.flight.requests.per.connection", 5, 1)?;
        let idempotence = take.idempotence(acks, retries, max_in_flight)?;
        let linger = take.millis("linger.ms", 5)?;
        let common = take.common("producer-1", 131_072, 32_768)?;
        let delivery_timeout = take.delivery_timeout(linger, common.request_timeout)?;
        take.no_rack_awareness()?;
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
            partitioner: take.partitioner()?,
            partitioner_ignore_keys: take.bool("partitioner.ignore.keys", false)?,
            partitioner_adaptive: take.bool("partitioner.adaptive.partitioning.enable", true)?,
            partitioner_availability_timeout: take.millis("partitioner.availability.timeout.ms", 0)?,
            transactional_id: take.transactional_id()?,
            transaction_timeout: take.transaction_timeout()?,
            common,
        })
    }
}

impl Take<'_> {
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
            return conflict(&format!(
                "To use the idempotent producer, max.in.flight.requests.per.connection must be set to at most 5. Current \
                 value is {max_in_flight}."
            ));
        }
        Ok(enabled)
    }

    fn delivery_timeout(&mut self, linger: Duration, request: Duration) -> Result<Duration, ConfigError> {
        let asked = self.properties.get("delivery.timeout.ms").is_some();
        let timeout = self.int_millis("delivery.timeout.ms", 120_000, 0)?;
        if timeout >= linger + request {
            return Ok(timeout);
        }
        if asked {
            return conflict("delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms");
        }
        Ok(linger + request)
    }

    /// ConfigDef.Type.CLASS cannot load what is not played here.
    fn partitioner(&mut self) -> Result<Partitioner, ConfigError> {
        let name = "partitioner.class";
        let Some(class) = self.text(name).filter(|class| !class.is_empty() && *class != "null") else {
            return Ok(Partitioner::BuiltIn);
        };
        let known = PARTITIONERS.iter().find(|(known, _)| *known == class);
        known.map(|(_, partitioner)| *partitioner).ok_or_else(|| {
            let names: Vec<&str> = PARTITIONERS.iter().map(|(name, _)| *name).collect();
            let reason =
                format!("no such partitioner here; leave it out for the built-in one, or take {}", names.join(", "));
            invalid(name, class, reason)
        })
    }

    /// KIP-1123's setting is newer than the clients that we follow.
    fn no_rack_awareness(&mut self) -> Result<(), ConfigError> {
        let name = "partitioner.rack.aware";
        if !self.bool(name, false)? {
            return Ok(());
        }
        self.refuse(name, "partitions are chosen without regard to racks; leave it out")
    }

    fn transactional_id(&mut self) -> Result<Option<String>, ConfigError> {
        let name = "transactional.id";
        match self.text(name) {
            Some("") => Err(invalid(name, "", "String must be non-empty".into())),
            id => Ok(id.map(str::to_owned)),
        }
    }

    fn transaction_timeout(&mut self) -> Result<Duration, ConfigError> {
        let ms = self.i64("transaction.timeout.ms", 60_000, i64::from(i32::MIN), i64::from(i32::MAX))?;
        Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
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
        let also = also.iter().map(|it| format!(" or equal to {it}")).collect::<String>();
        Err(invalid(name, text, format!("Value must be between {min} and {max}{also}")))
    }
}

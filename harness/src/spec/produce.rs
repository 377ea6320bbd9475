//! What producers are to do. A workload profile and a perf tool's argv both end here, with every setting resolved: what
//! nobody asked for is a value too.
//!
//! ```text
//!   profiles/workloads/*.toml --> Workload::produce --.
//!                                                     +--> Produce --> load::produce
//!   producer-perf's argv ------> Options, Extras -----'
//! ```

use std::time::Duration;

use ringlog_wire::compression::{Codec, level_default};

use crate::cli::compat::Compat;
use crate::client::config::{Acks, Compression, Parsed, ProducerConfig};
use crate::load::schedule::Arrivals;
use crate::load::shapes::{KeyShape, Sizes};
use crate::measure::ledger::AcknowledgedBy;

/// What producers are to do.
#[derive(Clone, Debug)]
pub(crate) struct Produce {
    pub(crate) topic: String,
    /// Producers, each on a thread of its own. They share records, rate, bytes and warm-up.
    pub(crate) clients: usize,
    pub(crate) pace: Pace,
    pub(crate) until: Until,
    pub(crate) warmup: Warmup,
    pub(crate) records: RecordShape,
    /// When a transaction is committed, where there are transactions.
    pub(crate) commit_when: CommitWhen,
    /// Where the ledger's stamp of a record is; `None`: there is no ledger.
    pub(crate) stamps: Option<StampPlace>,
    /// Whether the load's seconds are kept.
    pub(crate) has_series: bool,
    /// One record to each partition, and its answer, before anything is counted. A partition that was made a moment ago
    /// may refuse at first; were five batches on their way then, trying again would change their order, which is
    /// nobody's fault without idempotence.
    pub(crate) primes: bool,
    pub(crate) config: ProducerConfig,
    /// The producer's settings under Kafka's names, each default resolved.
    pub(crate) settings: Vec<(String, String)>,
}

/// When a transaction is committed: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitWhen {
    /// A record was sent so many ms after the first one.
    pub(crate) ms: i64,
    /// It has so many records, 1 or more.
    pub(crate) records: u64,
}

impl CommitWhen {
    /// With the end of the load.
    pub(crate) const AT_THE_END: Self = Self { ms: i64::MAX, records: u64::MAX };

    pub(crate) fn after_ms(ms: i64) -> Self {
        Self { ms, ..Self::AT_THE_END }
    }
}

/// When records are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// One after the other.
    Free,
    /// One after the other, records per second at most: 0 sends one and no more.
    Throttled(f64),
    /// When a schedule says, which waits for nobody: records per second, above 0.
    Open(f64, Arrivals),
}

impl Pace {
    /// Records per second; below 0 where there is no limit.
    pub(crate) fn records_s(self) -> f64 {
        match self {
            Self::Free => -1.0,
            Self::Throttled(rate) | Self::Open(rate, _) => rate,
        }
    }

    /// The arrivals of an open loop.
    pub(crate) fn arrivals(self) -> Option<Arrivals> {
        match self {
            Self::Open(_, arrivals) => Some(arrivals),
            Self::Free | Self::Throttled(_) => None,
        }
    }
}

/// What ends a load: whichever comes first. `None` does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Until {
    pub(crate) records: Option<u64>,
    /// Warm-up included.
    pub(crate) duration: Option<Duration>,
    /// Payload bytes, for a closed loop of a known duration: the warm-up, and the time after it, has its share by time.
    pub(crate) bytes: Option<u64>,
}

/// What comes before the steady state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Warmup {
    Without,
    Records(u64),
    Time(Duration),
    /// Until the rate no longer varies. Only for a load with a duration: its measured time is what is left of that after the
    /// longest warm-up.
    Found(Found),
}

/// When a warm-up that is looked for is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// It takes so long at least, and at most.
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    /// Standard deviation of the rates of the last ticks at most, as a share of their mean.
    pub(crate) cv_max: f64,
    /// How long a rate is counted.
    pub(crate) tick: Duration,
}

/// A rate is counted over a part of the longest warm-up, within these limits.
const TICKS_OF_A_WARM_UP: u32 = 20;
const TICK_MIN: Duration = Duration::from_millis(100);
const TICK_MAX: Duration = Duration::from_secs(1);

impl Found {
    pub(crate) fn new(least: Duration, most: Duration, cv_max: f64) -> Self {
        Self { least, most, cv_max, tick: (most / TICKS_OF_A_WARM_UP).clamp(TICK_MIN, TICK_MAX) }
    }
}

/// What the records are like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordShape {
    pub(crate) payload: PayloadSource,
    pub(crate) keys: Keys,
    /// In place of the payload.
    pub(crate) sizes: Option<Sizes>,
    /// By how much the payloads compress.
    pub(crate) ratio: Option<f64>,
    /// In place of the keys.
    pub(crate) key_shape: Option<KeyShape>,
    /// Client `c` has this and `c` as its own.
    pub(crate) seed: i64,
}

/// What a payload is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PayloadSource {
    /// Random letters, so many bytes.
    Random(usize),
    /// One of the pieces of a file.
    File { path: String, delimiter: String, compat: Compat },
    /// The record's number in decimal.
    Monotonic,
    /// Random letters that are made beforehand: so many values, which take turns.
    Prepared { bytes: usize, values: usize },
}

/// How keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    None,
    Range(i32),
    Random(i32),
}

/// Where the stamp of a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StampPlace {
    /// In the first bytes of the payload.
    #[default]
    Payload,
    /// In a header: the payload stays as it is.
    Header,
}

impl Produce {
    /// Whose word counts in the ledger.
    pub(crate) fn acknowledged_by(&self) -> AcknowledgedBy {
        if self.config.transactional_id.is_some() {
            let transaction_timeout_ms = u64::try_from(self.config.transaction_timeout.as_millis()).unwrap_or(u64::MAX);
            return AcknowledgedBy::Commit { transaction_timeout_ms };
        }
        if self.config.acks == Acks::None { AcknowledgedBy::Nobody } else { AcknowledgedBy::Broker }
    }
}

/// The settings with their defaults; those that depend on others as they came out.
pub(crate) fn settings(parsed: &Parsed<ProducerConfig>) -> Vec<(String, String)> {
    let mut own = vec![
        ("enable.idempotence", parsed.config.idempotence.to_string()),
        ("delivery.timeout.ms", parsed.config.delivery_timeout.as_millis().to_string()),
    ];
    own.extend(level(&parsed.config.compression));
    let read = parsed.effective.iter().filter(|(name, _)| own.iter().all(|(known, _)| known != name));
    read.cloned().chain(own.clone()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The level of the codec that is used, where it has one.
fn level(compression: &Compression) -> Option<(&'static str, String)> {
    let name = match compression.codec {
        Codec::None | Codec::Snappy => return None,
        Codec::Gzip => "compression.gzip.level",
        Codec::Lz4 => "compression.lz4.level",
        Codec::Zstd => "compression.zstd.level",
    };
    let level = compression.level.or(level_default(compression.codec))?;
    Some((name, level.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::properties::Properties;

    #[test]
    fn the_level_of_the_codec_that_is_used_is_resolved() {
        let of = |given: &[(&str, &str)]| {
            let mut properties = Properties::new();
            properties.set("bootstrap.servers", "localhost:9092");
            given.iter().for_each(|(name, value)| properties.set(name, value));
            let all = settings(&ProducerConfig::parse(&properties).unwrap());
            all.into_iter().filter(|(name, _)| name.ends_with(".level")).collect::<Vec<_>>()
        };
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[("compression.type", "zstd")]), one("compression.zstd.level", "3"));
        assert_eq!(of(&[("compression.type", "gzip")]), one("compression.gzip.level", "-1"));
        assert_eq!(of(&[("compression.type", "snappy")]), []);
        let asked = [("compression.type", "lz4"), ("compression.lz4.level", "12")];
        assert_eq!(of(&asked), one("compression.lz4.level", "12"));
    }
}

//! From a workload to what clients are to do: every setting resolved, with brokers that are reached in a way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::arrivals;
use super::{Kind, MB, Workload};
use crate::client::config::{ConfigError, ConsumerConfig, ProducerConfig};
use crate::client::properties::Properties;
use crate::load::schedule::Arrivals;
use crate::load::shapes::{KeyShape, Sizes};
use crate::measure::ledger::STAMP_LEN;
use crate::spec::produce::settings;
use crate::spec::{
    CommitWhen, Consume, Found, Keys, Pace, PayloadSource, Produce, RecordShape, StampPlace, Until, Warmup, What,
    consume,
};

/// A broker that is gone ends a round in half a minute instead of Kafka's two.
const GIVE_UP_SOON: [(&str, &str); 2] = [("request.timeout.ms", "20000"), ("delivery.timeout.ms", "30000")];
/// Different values that records take in turn, so that no broker or disk sees one value only, and none is made while it is
/// measured.
const VALUES: usize = 256;
/// Without a record for so long, what is missing is lost.
const SILENCE_MS_MAX: i64 = 10_000;

impl Workload {
    /// What producers are to do in one round, with brokers that are reached by `way`: every setting resolved.
    pub(crate) fn produce(&self, topic: &str, way: &Properties) -> Result<Produce, ConfigError> {
        let mut given = way.clone();
        self.producer.iter().for_each(|(name, value)| given.set(name, value));
        if self.has_transactions() {
            given.set_default("transactional.id", &format!("bench-{topic}"));
        }
        GIVE_UP_SOON.iter().for_each(|(name, value)| given.set_default(name, value));
        let parsed = ProducerConfig::parse(&given)?;
        let records = self.record_shape();
        let least = records.sizes.as_ref().map_or(self.record_bytes as usize, Sizes::min);
        let warmup = Duration::from_secs_f64(self.warmup_s);
        Ok(Produce {
            topic: topic.to_owned(),
            clients: self.clients as usize,
            pace: match (self.kind, self.rate_records_s) {
                (Kind::Latency, Some(rate)) => Pace::Open(rate, arrivals(&self.arrivals).unwrap_or(Arrivals::Constant)),
                _ => Pace::Free,
            },
            until: Until {
                records: self.records_max,
                duration: Some(Duration::from_secs_f64(self.round_s())),
                bytes: self.megabytes_max.map(|megabytes| megabytes.saturating_mul(MB)),
            },
            warmup: match self.warmup_s_max {
                Some(most) => Warmup::Found(Found::new(warmup, Duration::from_secs_f64(most), self.steady_cv_max)),
                None if warmup.is_zero() => Warmup::Without,
                None => Warmup::Time(warmup),
            },
            records,
            commit_when: self.commit_when(),
            stamps: Some(if least >= STAMP_LEN { StampPlace::Payload } else { StampPlace::Header }),
            has_series: true,
            primes: true,
            settings: settings(&parsed),
            config: parsed.config,
        })
    }

    /// What a consumer is to do in one round, with brokers that are reached by `way`; `duration` counts from the first
    /// record.
    pub(crate) fn consume(
        &self,
        what: What,
        duration: Option<Duration>,
        way: &Properties,
    ) -> Result<Consume, ConfigError> {
        let mut given = way.clone();
        self.consumer.iter().for_each(|(name, value)| given.set(name, value));
        given.set_default("auto.offset.reset", "earliest");
        let parsed = ConsumerConfig::parse(&given)?;
        Ok(Consume {
            clients: 1,
            what,
            records: u64::MAX,
            silence_ms: SILENCE_MS_MAX,
            duration,
            is_timed_from_the_first: true,
            has_series: false,
            settings: consume::settings(&parsed.effective),
            config: parsed.config,
        })
    }

    fn commit_when(&self) -> CommitWhen {
        CommitWhen {
            ms: self.transaction_ms.map_or(i64::MAX, i64::from),
            records: self.transaction_records.map_or(u64::MAX, u64::from),
        }
    }

    /// What was refused with the profile is not here.
    fn record_shape(&self) -> RecordShape {
        let bytes = self.record_bytes as usize;
        let sizes = self.record_size_dist.as_deref().and_then(|text| Sizes::parse(text).ok());
        RecordShape {
            payload: if self.compressibility.is_some() {
                PayloadSource::Random(bytes)
            } else {
                PayloadSource::Prepared { bytes, values: VALUES }
            },
            keys: Keys::None,
            sizes,
            ratio: self.compressibility,
            key_shape: KeyShape::parse(&self.keys).ok().filter(|shape| *shape != KeyShape::None),
            seed: self.seed,
        }
    }

    /// The client's settings, every default resolved, without those of the way to a broker; none where they are refused.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut nowhere = Properties::new();
        nowhere.set("bootstrap.servers", "localhost:9092");
        let all = match self.kind {
            Kind::Consume => self.consume(What::Assigned(String::new()), None, &nowhere).map(|it| it.settings),
            Kind::Produce | Kind::Latency => self.read_settings(&nowhere).and_then(|read| {
                let written = self.produce("", &nowhere)?.settings;
                Ok(read.into_iter().chain(written).collect())
            }),
        };
        let of_the_way =
            |name: &str| ["bootstrap.", "security.", "ssl.", "sasl."].iter().any(|it| name.starts_with(it));
        all.unwrap_or_default().into_iter().filter(|(name, _)| !of_the_way(name)).collect()
    }
}

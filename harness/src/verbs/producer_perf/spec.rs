//! What the arguments ask for, as the spec that every load has.

use super::extras::Extras;
use super::options::Options;
use crate::client::config::{Parsed, ProducerConfig};
use crate::spec::produce::settings;
use crate::spec::{CommitWhen, Pace, Produce, RecordShape, Until, Warmup};

/// `--transaction-duration-ms` where transactions are on by another route.
const TRANSACTION_MS_DEFAULT: i64 = 3000;

/// The records that are asked for.
pub(super) fn record_shape(options: &Options, extras: &Extras) -> RecordShape {
    RecordShape {
        payload: options.payload.clone(),
        keys: options.keys,
        sizes: extras.sizes,
        ratio: extras.ratio,
        key_shape: extras.keys,
        seed: options.seed,
    }
}

/// The whole of it.
pub(super) fn produce(options: &Options, extras: &Extras, parsed: &Parsed<ProducerConfig>) -> Produce {
    let rate = options.throughput;
    Produce {
        topic: options.topic.clone(),
        clients: extras.clients,
        pace: match extras.arrivals {
            Some(arrivals) => Pace::Open(rate, arrivals),
            None if rate >= 0.0 => Pace::Throttled(rate),
            None => Pace::Free,
        },
        until: Until { records: options.known_records(), duration: extras.duration, bytes: None },
        warmup: match (extras.warmup, options.warmup_records) {
            (Some(span), _) => Warmup::Time(span),
            (None, 0) => Warmup::Without,
            (None, records) => Warmup::Records(records),
        },
        records: record_shape(options, extras),
        commit_when: CommitWhen::after_ms(options.transaction_duration_ms.unwrap_or(TRANSACTION_MS_DEFAULT)),
        stamps: extras.stamp_place(options),
        has_series: extras.measures(),
        primes: false,
        config: parsed.config.clone(),
        settings: settings(parsed),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::parse;
    use super::*;
    use crate::load::schedule::Arrivals;
    use crate::spec::{Keys, PayloadSource, StampPlace};

    fn spec(more: &str) -> Produce {
        let line = format!("--topic t --bootstrap-server h:1 --record-size 20 {more}");
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (options, extras) = parse(&args).unwrap();
        let parsed = ProducerConfig::parse(&options.properties().unwrap()).unwrap();
        produce(&options, &extras, &parsed)
    }

    #[test]
    fn what_nobody_asked_for_is_a_value_too() {
        let spec = spec("--num-records 7 --throughput -1");
        assert_eq!((spec.topic.as_str(), spec.clients, spec.pace), ("t", 1, Pace::Free));
        assert_eq!(spec.until, Until { records: Some(7), duration: None, bytes: None });
        assert_eq!((spec.warmup, spec.stamps, spec.commit_when.ms), (Warmup::Without, None, 3000));
        assert_eq!((&spec.records.payload, spec.records.keys), (&PayloadSource::Random(20), Keys::None));
        let of = |name: &str| spec.settings.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
        assert_eq!((of("linger.ms"), of("batch.size"), of("acks")), (Some("5"), Some("16384"), Some("all")));
        assert_eq!((of("enable.idempotence"), of("delivery.timeout.ms")), (Some("true"), Some("120000")));
    }

    #[test]
    fn every_option_that_shapes_the_load_is_in_it() {
        let spec =
            spec("--throughput 30 --open-loop --duration 9 --warmup-seconds 2 --clients 3 --verify --latency-summary");
        assert_eq!(spec.pace, Pace::Open(30.0, Arrivals::Constant));
        assert_eq!(spec.until, Until { records: None, duration: Some(Duration::from_secs(9)), bytes: None });
        assert_eq!(spec.warmup, Warmup::Time(Duration::from_secs(2)));
        assert_eq!((spec.clients, spec.stamps, spec.has_series), (3, Some(StampPlace::Payload), true));
    }
}

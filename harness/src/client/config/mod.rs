//! The clients' settings, under the Java client's names, with its defaults, limits and error texts.
//!
//! Properties go in, typed settings come out, and beside them the names that had no effect: a property that we do not
//! know is named in a warning, never ignored in silence. A property whose value we could not honour (Kerberos, a
//! partitioner class) is an error, because going on would measure something else.

mod common;
mod consumer;
mod producer;
pub mod security;
mod take;

pub(crate) use common::NO_BOOTSTRAP_URLS;
pub use common::{Backoff, CommonConfig};
pub use consumer::{AssignmentStrategy, ConsumerConfig, GroupProtocol, OffsetReset};
pub use producer::{Acks, Compression, Partitioner, ProducerConfig};
pub use security::SecurityConfig;

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

/// Typed settings and the names of the properties that had no effect.
pub struct Parsed<C> {
    /// The settings.
    pub config: C,
    /// Properties that nobody read.
    pub unused: Vec<String>,
    /// Every setting that was read, with its value after defaults. Secrets are not shown. What depends on another
    /// setting (idempotence, the delivery timeout) is in `config`.
    pub effective: Vec<(&'static str, String)>,
}

/// Java classes that every script names and that mean nothing here.
const JAVA_ONLY: [&str; 4] = ["key.serializer", "value.serializer", "key.deserializer", "value.deserializer"];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::properties::Properties;
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
            (
                "client.dns.lookup=foo",
                "Invalid value foo for configuration client.dns.lookup: String must be one of: use_all_dns_ips, \
                 resolve_canonical_bootstrap_servers_only",
            ),
            ("interceptor.classes=foo", "Class foo cannot be found"),
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
        assert!(producer("partitioner.rack.aware=true").unwrap_err().contains("not supported by this build yet"));
        let parsed = ProducerConfig::parse(&properties("compresion.type=lz4 key.serializer=x")).unwrap();
        assert_eq!(parsed.unused, ["compresion.type"]);
    }

    #[test]
    fn a_partitioner_is_taken_by_its_class_or_its_short_name_and_any_other_is_named() {
        let class = |name: &str| producer(&format!("partitioner.class={name}")).map(|config| config.partitioner);
        let played = [
            ("org.apache.kafka.clients.producer.RoundRobinPartitioner", Partitioner::RoundRobin),
            ("org.apache.kafka.clients.producer.UniformStickyPartitioner", Partitioner::UniformSticky),
            ("org.apache.kafka.clients.producer.internals.DefaultPartitioner", Partitioner::Default),
            ("null", Partitioner::BuiltIn),
            ("random", Partitioner::Random),
            ("sticky", Partitioner::UniformSticky),
            ("murmur2", Partitioner::Default),
            ("round-robin", Partitioner::RoundRobin),
        ];
        for (name, wanted) in played {
            assert_eq!(class(name), Ok(wanted));
        }
        assert_eq!(producer("").unwrap().partitioner, Partitioner::BuiltIn);
        let error = class("com.example.MyPartitioner").unwrap_err();
        assert!(error.starts_with("Invalid value com.example.MyPartitioner for configuration partitioner.class:"));
        assert!(producer("partitioner.rack.aware=true").unwrap_err().contains("not supported"));
        assert!(producer("partitioner.rack.aware=false").is_ok());
    }

    #[test]
    fn a_transactional_producer_must_be_idempotent() {
        let config = producer("transactional.id=t transaction.timeout.ms=7000").unwrap();
        assert_eq!((config.transactional_id.as_deref(), config.idempotence), (Some("t"), true));
        assert_eq!(config.transaction_timeout, Duration::from_millis(7000));
        assert!(producer("transactional.id=t acks=1").unwrap_err().starts_with("Must set acks to all"));
        let error = producer("transactional.id=t enable.idempotence=false").unwrap_err();
        assert_eq!(error, "Cannot set a transactional.id without also enabling idempotence.");
    }

    #[test]
    fn jitter_moves_a_pause_by_a_fifth_and_never_above_the_maximum() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let pauses = [0.0, 0.5, 1.0].map(|fraction| backoff.jittered(1, fraction).as_millis());
        assert_eq!(pauses, [160, 200, 240]);
        assert_eq!(backoff.jittered(9, 1.0).as_millis(), 1000);
    }

    #[test]
    fn backoff_doubles_to_its_limit() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let pauses: Vec<u128> = (0..6).map(|attempts| backoff.after(attempts).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.after(99).as_millis(), 1000);
    }
}

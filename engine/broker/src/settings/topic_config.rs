//! A topic's settings: its own where it has them, the broker's defaults for the rest; what `CreateTopics` accepts; and
//! what storage is told.

use std::collections::BTreeMap;
use std::str::FromStr;

use ringlog_storage::{LogConfig, Ratio};
use ringlog_wire::batch::{Recompression, Rules, TimestampType};
use ringlog_wire::compression::Codec;

use super::key::InvalidValue;
use super::topic_keys::{TOPIC_KEYS, TopicKey, topic_key};
use super::values::Values;
use super::{Settings, SettingsError};

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_HOUR: i64 = 3_600_000;

/// A topic's own settings: name and text.
pub(crate) type Overrides = BTreeMap<String, String>;

/// Why a topic's settings are refused (INVALID_CONFIG), in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidConfig {
    /// No setting of topics has this name.
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    /// A setting without a value.
    #[error("Null value not supported for topic configs: {0}")]
    Null(String),
    /// A value that its setting does not take.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Two values that contradict each other.
    #[error("conflict topic config setting min.compaction.lag.ms ({min_ms}) > max.compaction.lag.ms ({max_ms})")]
    CompactionLag {
        /// `min.compaction.lag.ms`.
        min_ms: i64,
        /// `max.compaction.lag.ms`.
        max_ms: i64,
    },
}

/// The broker's defaults of all topic settings, as text. Hours and minutes become milliseconds.
pub(super) fn broker_defaults(values: &Values) -> Result<BTreeMap<&'static str, String>, SettingsError> {
    TOPIC_KEYS.iter().map(|topic| Ok((topic.key.name, broker_default(topic, values)?))).collect()
}

fn broker_default(topic: &TopicKey, values: &Values) -> Result<String, SettingsError> {
    let scaled = |key: &'static str, unit_ms: i64| -> Result<Option<i64>, SettingsError> {
        Ok(values.find::<i64>(key)?.map(|count| if count < 0 { -1 } else { count.saturating_mul(unit_ms) }))
    };
    let first = |of: [Option<i64>; 3]| of.into_iter().flatten().next();
    let ms = match topic.key.name {
        "retention.ms" => first([
            scaled("log.retention.ms", 1)?,
            scaled("log.retention.minutes", MS_PER_MINUTE)?,
            scaled("log.retention.hours", MS_PER_HOUR)?,
        ]),
        "segment.ms" => first([scaled("log.roll.ms", 1)?, scaled("log.roll.hours", MS_PER_HOUR)?, None]),
        "segment.jitter.ms" => {
            first([scaled("log.roll.jitter.ms", 1)?, scaled("log.roll.jitter.hours", MS_PER_HOUR)?, None])
        }
        "flush.ms" => first([scaled("log.flush.interval.ms", 1)?, scaled("log.flush.scheduler.interval.ms", 1)?, None]),
        _ => None,
    };
    let text = ms.map(|ms| ms.to_string()).or_else(|| Some(values.text(topic.broker?)?.to_owned()));
    Ok(text.or_else(|| topic.key.default.map(str::to_owned)).unwrap_or_default())
}

/// Checks the settings of a topic that is to be made, and gives them as they are kept.
pub(crate) fn check<'a>(
    given: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    settings: &Settings,
) -> Result<Overrides, InvalidConfig> {
    let mut overrides = Overrides::new();
    for (name, value) in given {
        let topic = topic_key(name).ok_or_else(|| InvalidConfig::Unknown(name.to_owned()))?;
        let value = value.ok_or_else(|| InvalidConfig::Null(name.to_owned()))?;
        overrides.insert(name.to_owned(), topic.key.canonical(value)?);
    }
    let min_ms = number(&overrides, settings, "min.compaction.lag.ms");
    let max_ms = number(&overrides, settings, "max.compaction.lag.ms");
    if min_ms > max_ms { Err(InvalidConfig::CompactionLag { min_ms, max_ms }) } else { Ok(overrides) }
}

/// The text that holds for a topic's setting.
#[must_use]
pub(crate) fn text<'a>(overrides: &'a Overrides, settings: &'a Settings, name: &str) -> &'a str {
    overrides.get(name).map(String::as_str).or_else(|| settings.topic_default(name)).unwrap_or_default()
}

/// The value that holds for a topic's setting. A log that another broker wrote may have a text that means nothing: it is
/// told, and the broker's default holds.
#[must_use]
pub(crate) fn number<T: FromStr + Default>(overrides: &Overrides, settings: &Settings, name: &str) -> T {
    let own = text(overrides, settings, name);
    own.parse().unwrap_or_else(|_| {
        tracing::warn!(name, value = own, "a topic's setting cannot be read; the broker's default holds");
        settings.topic_default(name).and_then(|default| default.parse().ok()).unwrap_or_default()
    })
}

/// What storage is told of a topic.
#[must_use]
pub(crate) fn log_config(overrides: &Overrides, settings: &Settings) -> LogConfig {
    LogConfig {
        segment_bytes: number(overrides, settings, "segment.bytes"),
        segment_ms: number(overrides, settings, "segment.ms"),
        segment_jitter_ms: number(overrides, settings, "segment.jitter.ms"),
        segment_index_bytes: number(overrides, settings, "segment.index.bytes"),
        index_interval_bytes: number(overrides, settings, "index.interval.bytes"),
        flush_messages: number(overrides, settings, "flush.messages"),
        flush_ms: number(overrides, settings, "flush.ms"),
        preallocate: number(overrides, settings, "preallocate"),
        compact: has_policy(overrides, settings, "compact"),
        min_cleanable_dirty_ratio: Ratio::of(number(overrides, settings, "min.cleanable.dirty.ratio")),
        min_compaction_lag_ms: number(overrides, settings, "min.compaction.lag.ms"),
        max_compaction_lag_ms: number(overrides, settings, "max.compaction.lag.ms"),
        delete_retention_ms: number(overrides, settings, "delete.retention.ms"),
        delete: has_policy(overrides, settings, "delete"),
        retention_ms: number(overrides, settings, "retention.ms"),
        retention_bytes: number(overrides, settings, "retention.bytes"),
        file_delete_delay_ms: number(overrides, settings, "file.delete.delay.ms"),
        producer_id_expiration_ms: settings.producer_id_expiration_ms(),
    }
}

fn has_policy(overrides: &Overrides, settings: &Settings, policy: &str) -> bool {
    text(overrides, settings, "cleanup.policy").split(',').any(|named| named == policy)
}

/// What a batch of a producer must satisfy in a topic.
pub(crate) fn rules(overrides: &Overrides, settings: &Settings) -> Rules {
    let log_append_time = text(overrides, settings, "message.timestamp.type") == "LogAppendTime";
    let batch_len_max = number(overrides, settings, "max.message.bytes");
    Rules {
        batch_len_max,
        inflated_len_max: Rules::inflated_len_max(batch_len_max),
        timestamp_type: if log_append_time { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_max_ms: number(overrides, settings, "message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number(overrides, settings, "message.timestamp.after.max.ms"),
        compacted: has_policy(overrides, settings, "compact"),
        compression: compression(overrides, settings),
        ..Rules::default()
    }
}

/// What a topic's batches are kept in; `None`: as they came.
fn compression(overrides: &Overrides, settings: &Settings) -> Option<Recompression> {
    let named = |codec, level: Option<&str>| {
        Some(Recompression { codec, level: level.map(|level| number(overrides, settings, level)) })
    };
    match text(overrides, settings, "compression.type") {
        "uncompressed" => named(Codec::None, None),
        "gzip" => named(Codec::Gzip, Some("compression.gzip.level")),
        "snappy" => named(Codec::Snappy, None),
        "lz4" => named(Codec::Lz4, Some("compression.lz4.level")),
        "zstd" => named(Codec::Zstd, Some("compression.zstd.level")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &[(&str, &str)]) -> String {
        let given = given.iter().map(|(name, value)| (*name, Some(*value)));
        check(given, &Settings::of(&[])).unwrap_err().to_string()
    }

    /// The texts on the right are those that Kafka 4.3.1's LogConfig.validate throws.
    #[test]
    fn refusals_have_kafkas_words() {
        let one_of = "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer";
        for (name, value, text) in [
            ("segment.bytes", "abc", "Invalid value abc for configuration segment.bytes: Not a number of type INT"),
            ("segment.bytes", "1", "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576"),
            ("segment.bytes", "", "Invalid value  for configuration segment.bytes: Not a number of type INT"),
            ("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
            ("retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG"),
            ("compression.type", "LZ4", &format!("Invalid value LZ4 for configuration compression.type: {one_of}")),
            (
                "cleanup.policy",
                "compact,foo",
                "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "min.cleanable.dirty.ratio",
                "1.5",
                "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
            ),
            (
                "preallocate",
                "yes",
                "Invalid value yes for configuration preallocate: Expected value to be either true or false",
            ),
            (
                "compression.gzip.level",
                "0",
                "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
            ),
            (
                "compression.zstd.level",
                "50",
                "Invalid value 50 for configuration compression.zstd.level: Value must be no more than 22",
            ),
            ("foo", "1", "Unknown topic config name: foo"),
        ] {
            assert_eq!(refused(&[(name, value)]), text);
        }
        assert_eq!(
            refused(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
        );
        assert!(
            refused(&[("leader.replication.throttled.replicas", "x")]).contains("must be the literal '*' or a list")
        );
        let null = check([("segment.bytes", None)], &Settings::of(&[])).unwrap_err();
        assert_eq!(null.to_string(), "Null value not supported for topic configs: segment.bytes");
    }

    #[test]
    fn accepted_values_are_kept_in_kafkas_form() {
        for (name, value, kept) in [
            ("segment.bytes", " +2000000 ", "2000000"),
            ("cleanup.policy", "compact, delete", "compact,delete"),
            ("cleanup.policy", "", ""),
            ("cleanup.policy", "delete,delete", "delete"),
            ("preallocate", "TRUE", "true"),
            ("min.cleanable.dirty.ratio", "1", "1.0"),
            ("min.cleanable.dirty.ratio", "0.50", "0.5"),
            ("leader.replication.throttled.replicas", "1:1, 2:2", "1:1,2:2"),
        ] {
            let overrides = check([(name, Some(value))], &Settings::of(&[])).unwrap();
            assert_eq!(overrides.get(name).map(String::as_str), Some(kept), "{name}={value}");
        }
    }

    #[test]
    fn the_brokers_hours_become_the_topics_milliseconds() {
        let default = |pairs: &[(&str, &str)], name: &str| Settings::of(pairs).topic_default(name).unwrap().to_owned();
        assert_eq!(default(&[], "retention.ms"), "604800000");
        assert_eq!(default(&[("log.retention.hours", "1")], "retention.ms"), "3600000");
        assert_eq!(default(&[("log.retention.hours", "1"), ("log.retention.minutes", "2")], "retention.ms"), "120000");
        assert_eq!(default(&[("log.retention.ms", "-1")], "retention.ms"), "-1");
        assert_eq!(default(&[("log.roll.hours", "2")], "segment.ms"), "7200000");
        assert_eq!(default(&[], "flush.ms"), "9223372036854775807");
        assert_eq!(default(&[("message.max.bytes", "5")], "max.message.bytes"), "5");
    }

    #[test]
    fn a_topics_own_settings_win() {
        let settings = Settings::of(&[("log.flush.interval.messages", "10"), ("log.index.interval.bytes", "512")]);
        let overrides = check([("flush.messages", Some("1")), ("cleanup.policy", Some("compact"))], &settings).unwrap();
        let config = log_config(&overrides, &settings);
        assert_eq!((config.flush_messages, config.index_interval_bytes, config.compact), (1, 512, true));
        assert_eq!(log_config(&Overrides::new(), &settings).flush_messages, 10);
    }

    #[test]
    fn a_topic_keeps_its_own_codec_or_the_brokers_or_what_came() {
        let kept = |broker: &[(&str, &str)], own: &[(&str, &str)]| {
            let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            rules(&own, &Settings::of(broker)).compression.map(|to| (to.codec, to.level))
        };
        assert_eq!(kept(&[], &[]), None);
        assert_eq!(kept(&[], &[("compression.type", "gzip")]), Some((Codec::Gzip, Some(-1))));
        assert_eq!(
            kept(&[("compression.lz4.level", "3")], &[("compression.type", "lz4")]),
            Some((Codec::Lz4, Some(3)))
        );
        let zstd = [("compression.type", "zstd"), ("compression.zstd.level", "9")];
        assert_eq!(kept(&zstd, &[]), Some((Codec::Zstd, Some(9))));
        assert_eq!(kept(&zstd, &[("compression.zstd.level", "-7")]), Some((Codec::Zstd, Some(-7))));
        assert_eq!(kept(&zstd, &[("compression.type", "producer")]), None);
        assert_eq!(kept(&zstd, &[("compression.type", "snappy")]), Some((Codec::Snappy, None)));
        assert_eq!(kept(&zstd, &[("compression.type", "uncompressed")]), Some((Codec::None, None)));
    }
}

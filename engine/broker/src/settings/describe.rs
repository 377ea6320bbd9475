//! Settings as DescribeConfigs and CreateTopics tell them: value, where it comes from, and its synonyms.

use super::Settings;
use super::broker_keys::{BROKER_KEYS, broker_key};
use super::key::{Key, Update};
use super::topic_config::{self, Overrides};
use super::topic_keys::{TOPIC_KEYS, TopicKey};

/// Where a value comes from (DescribeConfigsResponse.ConfigSource).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Source {
    /// The topic's own.
    Topic = 1,
    /// The broker's settings as it was started.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

/// A setting under another name, which counts where those before it are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synonym {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value.
    pub(crate) value: String,
    /// Where that comes from.
    pub(crate) source: Source,
}

/// A setting with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// What it is.
    pub(crate) key: &'static Key,
    /// Its value, `None` for null.
    pub(crate) value: Option<String>,
    /// Where that comes from.
    pub(crate) source: Source,
    /// It cannot be changed while the broker runs.
    pub(crate) read_only: bool,
    /// What was looked at for the value, the first one counts.
    pub(crate) synonyms: Vec<Synonym>,
}

/// A topic's settings, by name.
#[must_use]
pub(crate) fn topic(overrides: &Overrides, settings: &Settings) -> Vec<Described> {
    TOPIC_KEYS.iter().map(|topic| topic_setting(topic, overrides, settings)).collect()
}

fn topic_setting(topic: &'static TopicKey, overrides: &Overrides, settings: &Settings) -> Described {
    let name = topic.key.name;
    let own = overrides.get(name).map(|value| Synonym { name, value: value.clone(), source: Source::Topic });
    let mut synonyms: Vec<Synonym> = own.into_iter().collect();
    synonyms.extend(topic.broker.map(|broker| broker_synonyms(broker, settings)).unwrap_or_default());
    Described {
        key: &topic.key,
        value: Some(topic_config::text(overrides, settings, name).to_owned()),
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        read_only: false,
        synonyms,
    }
}

/// This broker's settings, by name.
#[must_use]
pub(crate) fn broker(settings: &Settings) -> Vec<Described> {
    BROKER_KEYS.iter().map(|key| broker_setting(key, settings)).collect()
}

fn broker_setting(key: &'static Key, settings: &Settings) -> Described {
    let synonyms = broker_synonyms(key.name, settings);
    Described {
        key,
        value: settings.values().text(key.name).map(str::to_owned),
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        read_only: key.update == Update::ReadOnly,
        synonyms,
    }
}

/// As KafkaConfig's synonyms: what was given, then the default; nothing where only a coarser unit of the same setting
/// (`log.retention.hours` for `log.retention.ms`) was.
fn broker_synonyms(name: &str, settings: &Settings) -> Vec<Synonym> {
    let Some(key) = broker_key(name) else { return Vec::new() };
    let synonym = |value: &str, source| Synonym { name: key.name, value: value.to_owned(), source };
    let given = settings.values().given(name).map(|value| synonym(value, Source::StaticBroker));
    let default = key.default.map(|value| synonym(value, Source::Default));
    given.into_iter().chain(default).collect()
}

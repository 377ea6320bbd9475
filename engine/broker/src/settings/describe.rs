//! Settings as DescribeConfigs and CreateTopics tell them: value, where it comes from, and its synonyms.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Settings;
use super::broker_keys::BROKER_KEYS;
use super::dynamic::{Dynamic, is_sensitive};
use super::group_config;
use super::key::{Key, Update};
use super::known;
use super::topic_config::{self, Overrides};
use super::topic_keys::{TOPIC_KEYS, TopicKey};

/// Where a value comes from (DescribeConfigsResponse.ConfigSource).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Source {
    /// The topic's own.
    Topic = 1,
    /// Set for this broker while it runs.
    DynamicBroker = 2,
    /// Set for all brokers while they run.
    DynamicCluster = 3,
    /// The broker's settings as it was started.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The group's own.
    Group = 8,
}

/// A setting under another name, which counts where those before it are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synonym {
    /// Its name.
    pub(crate) name: Cow<'static, str>,
    /// Its value, `None` where it is kept from who asks.
    pub(crate) value: Option<String>,
    /// Where that comes from.
    pub(crate) source: Source,
}

/// A setting with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// Its name.
    pub(crate) name: Cow<'static, str>,
    /// What it is; `None` where nobody knows.
    pub(crate) key: Option<&'static Key>,
    /// Its value, `None` for null, and where it is kept from who asks.
    pub(crate) value: Option<String>,
    /// Where that comes from.
    pub(crate) source: Source,
    /// It cannot be changed while the broker runs.
    pub(crate) read_only: bool,
    /// It is kept from who asks.
    pub(crate) is_sensitive: bool,
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
    let own = overrides.get(name).map(|value| Synonym {
        name: Cow::Borrowed(name),
        value: Some(value.clone()),
        source: Source::Topic,
    });
    let mut synonyms: Vec<Synonym> = own.into_iter().collect();
    synonyms.extend(topic.broker.map(|broker| broker_synonyms(broker, settings)).unwrap_or_default());
    Described {
        name: Cow::Borrowed(name),
        key: Some(&topic.key),
        value: Some(topic_config::text(overrides, settings, name).to_owned()),
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        read_only: false,
        is_sensitive: false,
        synonyms,
    }
}

/// A group's settings, by name.
#[must_use]
pub(crate) fn group(overrides: &Overrides, settings: &Settings) -> Vec<Described> {
    let one = |key: &'static Key| {
        let own = overrides.get(key.name).cloned();
        let source = if own.is_some() { Source::Group } else { Source::Default };
        let brokers = group_config::brokers(key.name).and_then(|name| settings.values().text(name));
        let value = own.or_else(|| brokers.or(key.default).map(str::to_owned));
        Described {
            name: Cow::Borrowed(key.name),
            key: Some(key),
            value: value.clone(),
            source,
            read_only: false,
            is_sensitive: false,
            synonyms: vec![Synonym { name: Cow::Borrowed(key.name), value, source }],
        }
    };
    group_config::keys().map(one).collect()
}

/// This broker's settings, by name: those of the table, and what else was set.
#[must_use]
pub(crate) fn broker(settings: &Settings) -> Vec<Described> {
    let values = settings.values();
    let Dynamic { cluster, own } = values.dynamic();
    let ours = BROKER_KEYS.iter().map(|key| key.name).chain(values.all_given());
    let names: BTreeSet<&str> = ours.chain(cluster.keys().chain(own.keys()).map(String::as_str)).collect();
    names.into_iter().map(|name| broker_setting(name, settings)).collect()
}

/// What is set for all brokers while they run.
#[must_use]
pub(crate) fn cluster(settings: &Settings) -> Vec<Described> {
    let names = settings.values().dynamic().cluster.keys();
    let of_cluster = |name: &String| {
        let mut described = broker_setting(name, settings);
        described.synonyms.retain(|synonym| synonym.source == Source::DynamicCluster);
        described.source = Source::DynamicCluster;
        described.value = described.synonyms.first().and_then(|synonym| synonym.value.clone());
        described
    };
    names.map(of_cluster).collect()
}

fn broker_setting(name: &str, settings: &Settings) -> Described {
    let key = known::key(name);
    let is_sensitive = is_sensitive(key);
    let synonyms = broker_synonyms(name, settings);
    Described {
        name: owned(name, key),
        key,
        value: settings.values().text(name).filter(|_| !is_sensitive).map(str::to_owned),
        source: synonyms.first().map_or(Source::Default, |first| first.source),
        read_only: key.is_none_or(|key| key.update == Update::ReadOnly),
        is_sensitive,
        synonyms,
    }
}

fn owned(name: &str, key: Option<&'static Key>) -> Cow<'static, str> {
    key.map_or_else(|| Cow::Owned(name.to_owned()), |key| Cow::Borrowed(key.name))
}

/// The same setting in other units, the finest first (DynamicBrokerConfig.brokerConfigSynonyms).
const UNITS: &[&[&str]] = &[
    &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    &["log.roll.ms", "log.roll.hours"],
];

/// As ConfigHelper lists them: of every place in turn what was set under one of the setting's names; nothing before the
/// first of its own name.
fn broker_synonyms(name: &str, settings: &Settings) -> Vec<Synonym> {
    let is_of_units = |units: &&&[&str]| units.contains(&name) && name != "log.flush.scheduler.interval.ms";
    let names = UNITS.iter().find(is_of_units).copied();
    let names: &[&str] = names.unwrap_or(std::slice::from_ref(&name));
    let values = settings.values();
    let Dynamic { cluster, own } = values.dynamic();
    let find = |source: Source, name: &str| match source {
        Source::DynamicBroker => own.get(name).map(String::as_str),
        Source::DynamicCluster => cluster.get(name).map(String::as_str),
        Source::StaticBroker => values.given(name),
        Source::Default | Source::Topic | Source::Group => known::key(name)?.default,
    };
    let places = [Source::DynamicBroker, Source::DynamicCluster, Source::StaticBroker, Source::Default];
    let mut synonyms = Vec::new();
    for source in places {
        for name in names {
            let Some(value) = find(source, name) else { continue };
            let key = known::key(name);
            let value = (!is_sensitive(key)).then(|| value.to_owned());
            synonyms.push(Synonym { name: owned(name, key), value, source });
        }
    }
    let before = synonyms.iter().take_while(|synonym| synonym.name != name).count();
    synonyms.split_off(before)
}

//! A group's own settings (GroupConfig). Those of groups of the consumer protocol count instead of the broker's, between the
//! limits that the broker sets; those of share and streams groups are checked, kept and described, so that what sets them does
//! not fail, and nothing acts on them.

use super::error::SettingsError;
use super::key::{InvalidValue, Key};
use super::known::{self, Scope};
use super::topic_config::Overrides;
use super::values::Values;

/// A setting of a group of the consumer protocol: its own name, then the broker's: its default, least and most.
const LIMITED: &[[&str; 4]] = &[
    [
        "consumer.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ],
    [
        "consumer.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ],
    [
        "consumer.session.timeout.ms",
        "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ],
];

/// Why a group's settings are refused (INVALID_CONFIG), in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidGroupConfig {
    /// No setting of groups has this name.
    #[error("Unknown group config name: {0}")]
    Unknown(String),
    /// A value that its setting does not take.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// A value beyond what the broker allows.
    #[error("{0}")]
    Limit(String),
}

/// The settings of groups, by name.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    known::all().iter().filter(|(scope, _)| *scope == Scope::Group).map(|(_, key)| key)
}

/// Whether something acts on it.
pub(crate) fn is_used(name: &str) -> bool {
    LIMITED.iter().any(|[own, ..]| *own == name)
}

/// The broker's setting that counts where a group has none of its own.
pub(super) fn brokers(name: &str) -> Option<&'static str> {
    LIMITED.iter().find(|[own, ..]| *own == name).map(|[_, brokers, ..]| *brokers)
}

/// Checks the settings that a group is to have, and gives them as they are kept.
pub(crate) fn check(wanted: &Overrides, values: &Values) -> Result<Overrides, InvalidGroupConfig> {
    let canonical = |(name, value): (&String, &String)| {
        let key = keys().find(|key| key.name == name).ok_or_else(|| InvalidGroupConfig::Unknown(name.clone()))?;
        Ok((name.clone(), key.canonical(value)?))
    };
    let kept: Overrides = wanted.iter().map(canonical).collect::<Result<_, InvalidGroupConfig>>()?;
    let number = |name: &'static str| values.get::<i64>(name).unwrap_or(0);
    let own = |name: &str| kept.get(name).and_then(|value| value.parse::<i64>().ok());
    for [name, _, least, most] in LIMITED {
        match own(name) {
            Some(value) if value < number(least) => {
                return Err(InvalidGroupConfig::Limit(format!("{name} must be greater than or equal to {least}")));
            }
            Some(value) if value > number(most) => {
                return Err(InvalidGroupConfig::Limit(format!("{name} must be less than or equal to {most}")));
            }
            _ => {}
        }
    }
    let counts = |name: &'static str| own(name).or_else(|| brokers(name).map(number)).unwrap_or(0);
    if counts("consumer.session.timeout.ms") <= counts("consumer.heartbeat.interval.ms") {
        let message = "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
        return Err(InvalidGroupConfig::Limit(message.to_owned()));
    }
    Ok(kept)
}

/// A broker's setting that is not between the limits that the broker itself sets, and why not.
pub(super) fn beyond_limits(values: &Values) -> Result<Option<(&'static str, String)>, SettingsError> {
    for [_, brokers, least, most] in LIMITED {
        let (value, low, high): (i64, i64, i64) = (values.get(brokers)?, values.get(least)?, values.get(most)?);
        if low > high {
            return Ok(Some((*least, format!("it is above {most}={high}: lower the one or raise the other"))));
        }
        if !(low..=high).contains(&value) {
            return Ok(Some((*brokers, format!("{least}={low} and {most}={high} are its limits: move them too"))));
        }
    }
    let (session, heartbeat) = ("group.consumer.session.timeout.ms", "group.consumer.heartbeat.interval.ms");
    let (session_ms, heartbeat_ms): (i64, i64) = (values.get(session)?, values.get(heartbeat)?);
    let is_out_at_once = heartbeat_ms >= session_ms;
    Ok(is_out_at_once
        .then(|| (heartbeat, format!("members would be out before their next heartbeat: {session}={session_ms}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn said(name: &str, value: &str) -> Result<String, String> {
        let settings = Settings::of(&[]);
        let kept = check(&Overrides::from([(name.to_owned(), value.to_owned())]), settings.values());
        kept.map(|kept| kept[name].clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_types_and_the_brokers_limits_are_checked() {
        assert_eq!(said("consumer.session.timeout.ms", " 50000 "), Ok("50000".to_owned()));
        assert_eq!(said("retention.ms", "1"), Err("Unknown group config name: retention.ms".to_owned()));
        let due = "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT";
        assert_eq!(said("consumer.session.timeout.ms", "x"), Err(due.to_owned()));
        for (name, value, due) in [
            ("consumer.session.timeout.ms", "44999", "greater than or equal to group.consumer.min.session.timeout.ms"),
            (
                "consumer.heartbeat.interval.ms",
                "15001",
                "less than or equal to group.consumer.max.heartbeat.interval.ms",
            ),
            (
                "consumer.assignment.interval.ms",
                "15001",
                "less than or equal to group.consumer.max.assignment.interval.ms",
            ),
        ] {
            assert_eq!(said(name, value), Err(format!("{name} must be {due}")));
        }
    }

    #[test]
    fn a_broker_keeps_its_own_limits() {
        let start =
            |name: &str, value: &str| Settings::of_pairs(&[(name, value)]).map(drop).map_err(|error| error.to_string());
        assert_eq!(start("group.consumer.session.timeout.ms", "50000"), Ok(()));
        let error = start("group.consumer.session.timeout.ms", "70000").unwrap_err();
        assert!(error.contains("group.consumer.max.session.timeout.ms=60000 are its limits"), "{error}");
        let error = start("group.consumer.min.heartbeat.interval.ms", "16000").unwrap_err();
        assert!(error.contains("above group.consumer.max.heartbeat.interval.ms=15000"), "{error}");
    }
}

//! A group's own settings (GroupConfig): those of the newer kinds of groups, which are not served. They are checked, kept and
//! described, so that what sets them does not fail; nothing acts on them.

use super::key::{InvalidValue, Key};
use super::known::{self, Scope};
use super::topic_config::Overrides;

/// Why a group's settings are refused (INVALID_CONFIG), in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidGroupConfig {
    /// No setting of groups has this name.
    #[error("Unknown group config name: {0}")]
    Unknown(String),
    /// A value that its setting does not take.
    #[error(transparent)]
    Value(#[from] InvalidValue),
}

/// The settings of groups, by name.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    known::all().iter().filter(|(scope, _)| *scope == Scope::Group).map(|(_, key)| key)
}

/// Checks the settings that a group is to have, and gives them as they are kept.
pub(crate) fn check(wanted: &Overrides) -> Result<Overrides, InvalidGroupConfig> {
    let canonical = |(name, value): (&String, &String)| {
        let key = keys().find(|key| key.name == name).ok_or_else(|| InvalidGroupConfig::Unknown(name.clone()))?;
        Ok((name.clone(), key.canonical(value)?))
    };
    wanted.iter().map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_checked_and_nothing_else() {
        let check = |name: &str, value: &str| {
            let kept = check(&Overrides::from([(name.to_owned(), value.to_owned())]));
            kept.map(|kept| kept[name].clone()).map_err(|error| error.to_string())
        };
        assert_eq!(check("consumer.session.timeout.ms", " 50000 "), Ok("50000".to_owned()));
        assert_eq!(check("retention.ms", "1"), Err("Unknown group config name: retention.ms".to_owned()));
        let due = "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT";
        assert_eq!(check("consumer.session.timeout.ms", "x"), Err(due.to_owned()));
    }
}

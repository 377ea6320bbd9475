//! The settings that were given, at the start and since, checked against the table; warnings about those that mean nothing
//! here.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::SettingsError;
use super::broker_keys::BROKER_KEYS;
use super::dynamic::Dynamic;
use super::key::{Effect, Key};
use super::known::{self, Scope};

/// One `key=value` as it was given, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The setting's name.
    pub(crate) key: String,
    /// Its text.
    pub(crate) value: String,
    /// Where it stands: a file's name, or the option of the command line.
    pub(crate) source: String,
}

/// The values of all settings: what was given, and the defaults for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    given: BTreeMap<&'static str, String>,
    dynamic: Dynamic,
}

impl Values {
    /// Checks the entries, the last one of a key counting, and gives the warnings that they are worth.
    pub(crate) fn check(entries: &[Entry]) -> Result<(Self, Vec<String>), SettingsError> {
        let mut values = Self::default();
        let mut warnings = Vec::new();
        let last: BTreeMap<&str, &Entry> = entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
        for (name, entry) in last {
            match known::key(name) {
                Some(key) => values.take(key, entry, &mut warnings)?,
                None => warnings.push(warning_of_strange(name, &entry.source)),
            }
        }
        Ok((values, warnings))
    }

    fn take(&mut self, key: &'static Key, entry: &Entry, warnings: &mut Vec<String>) -> Result<(), SettingsError> {
        let text = key.canonical(&entry.value).map_err(|invalid| {
            let default = key.default.unwrap_or("none");
            SettingsError::Invalid { invalid, place: entry.source.clone(), default: default.to_owned() }
        })?;
        let is_asked_for = Some(text.as_str()) != key.default;
        match key.effect {
            Effect::NotYet if is_asked_for => {
                warnings.push(format!("{} ({}) is kept and shown, but nothing acts on it yet", key.name, entry.source));
            }
            Effect::Idle if is_asked_for => {
                warnings.push(format!("{} ({}) has no effect here: {}", key.name, entry.source, key.doc));
            }
            Effect::Refused if is_asked_for => {
                return Err(SettingsError::Unusable { key: key.name, value: text, why: key.doc.to_owned() });
            }
            _ => {}
        }
        self.given.insert(key.name, text);
        Ok(())
    }

    /// The same, with what is set while the broker runs.
    #[must_use]
    pub(super) fn with(&self, dynamic: Dynamic) -> Self {
        Self { given: self.given.clone(), dynamic }
    }

    /// What was set while the broker runs.
    #[must_use]
    pub(crate) fn dynamic(&self) -> &Dynamic {
        &self.dynamic
    }

    /// All that was given at the start, by name, with its text.
    pub(crate) fn given_pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// The text that was given for a setting at the start.
    #[must_use]
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// What was given at the start, by name.
    pub(super) fn all_given(&self) -> impl Iterator<Item = &str> {
        self.given.keys().copied()
    }

    /// The text that holds for a setting: this broker's own, that for all brokers, the one given at the start, its default.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Dynamic { own, cluster } = &self.dynamic;
        let set = own.get(name).or_else(|| cluster.get(name)).map(String::as_str);
        set.or_else(|| self.given(name)).or_else(|| known::key(name)?.default)
    }

    /// The value that holds for a setting, where there is one.
    pub(super) fn find<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, SettingsError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let value = text.parse().map_err(|_| SettingsError::Unusable {
            key: name,
            value: text.to_owned(),
            why: "it does not fit".to_owned(),
        })?;
        Ok(Some(value))
    }

    /// The value that holds for a setting that has a default.
    pub(super) fn get<T: FromStr>(&self, name: &'static str) -> Result<T, SettingsError> {
        self.find(name)?.ok_or_else(|| SettingsError::Unusable {
            key: name,
            value: String::new(),
            why: "it has no default and must be set".to_owned(),
        })
    }
}

fn warning_of_strange(name: &str, source: &str) -> String {
    if known::is_of_family(name) {
        return format!("{name} ({source}) has no effect here");
    }
    match nearest(name) {
        Some(near) => format!("{name} ({source}) is not a setting; did you mean {near}?"),
        None => format!("{name} ({source}) is not a setting"),
    }
}

/// The setting whose name is fewest edits away, if they are few.
fn nearest(name: &str) -> Option<&'static str> {
    let ours = BROKER_KEYS.iter().map(|key| key.name);
    let kafkas = known::all().iter().filter(|(scope, _)| *scope == Scope::Broker).map(|(_, key)| key.name);
    let candidates = ours.chain(kafkas);
    let limit = (name.len() / 4).clamp(1, 4);
    let close = candidates.map(|candidate| (edit_distance(name, candidate), candidate));
    close.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements of bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str) -> Entry {
        Entry { key: key.into(), value: value.into(), source: "test".into() }
    }

    fn warnings(key: &str, value: &str) -> Vec<String> {
        Values::check(&[entry(key, value)]).unwrap().1
    }

    #[test]
    fn the_last_value_of_a_key_counts_and_defaults_fill_the_rest() {
        let entries = [entry("num.partitions", "3"), entry("num.partitions", " 7 ")];
        let (values, warnings) = Values::check(&entries).unwrap();
        assert_eq!(values.get::<i32>("num.partitions").unwrap(), 7);
        assert_eq!(values.text("log.segment.bytes"), Some("1073741824"));
        assert_eq!(values.given("log.segment.bytes"), None);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn settings_that_do_nothing_are_warned_about_by_name() {
        assert_eq!(
            warnings("num.network.threads", "8"),
            [
                "num.network.threads (test) has no effect here: A shard is one thread with connections of its own: there are \
              no pools, and no queue between them."
            ]
        );
        assert_eq!(warnings("num.network.threads", "3"), Vec::<String>::new(), "the default asks for nothing");
        assert_eq!(warnings("listener.name.a.ssl.x", "3"), ["listener.name.a.ssl.x (test) has no effect here"]);
        assert_eq!(
            warnings("num.partition", "3"),
            ["num.partition (test) is not a setting; did you mean num.partitions?"]
        );
        assert_eq!(warnings("frobnicate", "3"), ["frobnicate (test) is not a setting"]);
        assert_eq!(
            warnings("unclean.leader.election.enable", "false"),
            Vec::<String>::new(),
            "the default asks for nothing"
        );
        assert!(warnings("unclean.leader.election.enable", "true")[0].contains("nothing acts on it yet"));
    }

    #[test]
    fn impossible_values_fail_with_key_value_limit_and_what_to_do() {
        let message = |key, value| Values::check(&[entry(key, value)]).unwrap_err().to_string();
        assert_eq!(
            message("num.partitions", "0"),
            "Invalid value 0 for configuration num.partitions: Value must be at least 1 \
             (in test: give another value, or leave it out for the default, 1)"
        );
        assert!(message("log.segment.bytes", "x").contains("Not a number of type INT"));
        assert!(message("log.segment.bytes", "99999999999").contains("Not a number of type INT"));
        assert!(message("auto.create.topics.enable", "yes").contains("either true or false"));
        assert!(message("process.roles", "zookeeper").contains("String must be one of: broker, controller"));
        assert!(
            message("group.consumer.migration.policy", "sideways")
                .contains("String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL")
        );
        assert!(message("ringlog.shards", "0").contains("at least 1"));
        assert!(message("num.io.threads", "0").contains("at least 1"), "of what has no effect too");
        assert!(message("authorizer.class.name", "a.B").starts_with("authorizer.class.name=a.B: There are no ACLs"));
    }

    #[test]
    fn an_edit_is_an_insertion_a_deletion_or_a_replacement() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }
}

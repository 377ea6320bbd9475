//! IncrementalAlterConfigs and AlterConfigs (ConfigAdminManager, ConfigurationControlManager): settings of topics and groups;
//! those of brokers: `broker_configs`.

use std::collections::BTreeMap;

use ringlog_wire::ErrorCode;
use ringlog_wire::records::metadata::ConfigRecord;

use super::super::ids::NodeId;
use super::super::image::{RESOURCE_BROKER, RESOURCE_GROUP, RESOURCE_TOPIC};
use super::super::names;
use super::create::{Refusal, warn_of_idle};
use super::{Controller, Draft};
use crate::settings::key::{Kind, list_items};
use crate::settings::topic_config::{self, Overrides};
use crate::settings::topic_keys::topic_key;
use crate::settings::{Settings, group_config};

/// A change of one setting (AlterConfigOp.OpType).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Has this value from now on.
    Set(Option<String>),
    /// Has its default again.
    Delete,
    /// These items join its list.
    Append(Option<String>),
    /// These items leave its list.
    Subtract(Option<String>),
    /// An operation that Kafka does not have, by its number.
    Unknown(i8),
}

impl Change {
    /// The number of an operation that Kafka does not have.
    pub(super) fn unknown(&self) -> Option<i8> {
        if let Self::Unknown(number) = self { Some(*number) } else { None }
    }
}

/// What a resource's settings are to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// These changes (IncrementalAlterConfigs).
    Change(Vec<(String, Change)>),
    /// Exactly these (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
}

/// A resource: its type and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// ConfigResource.Type.
    pub(crate) kind: i8,
    /// Its name.
    pub(crate) name: String,
}

/// What both requests ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlterConfigs {
    /// Each resource and what its settings are to become.
    pub(crate) wishes: Vec<(Resource, Wish)>,
    /// Check only.
    pub(crate) validate_only: bool,
    /// The broker that was asked: of brokers, it speaks for itself alone.
    pub(crate) node: NodeId,
}

/// What became of a resource: the error, `NONE` where there is none, and its words.
pub(crate) type Altered = (Resource, ErrorCode, Option<String>);

impl Controller {
    pub(super) fn alter_configs(&self, request: AlterConfigs, draft: &mut Draft) -> Vec<Altered> {
        let mut dry_run = Draft::new(&draft.image);
        let target = if request.validate_only { &mut dry_run } else { draft };
        let mut times: BTreeMap<Resource, usize> = BTreeMap::new();
        for (resource, _) in &request.wishes {
            *times.entry(resource.clone()).or_default() += 1;
        }
        let mut alter = |(resource, wish): (Resource, Wish)| {
            let result = match times.get(&resource) {
                Some(1) => self.alter(&resource, &wish, request.node, target),
                _ => invalid("Each resource must appear at most once."),
            };
            match result {
                Ok(()) => (resource, ErrorCode::NONE, None),
                Err(refusal) => (resource, refusal.code, Some(refusal.message)),
            }
        };
        request.wishes.into_iter().map(&mut alter).collect()
    }

    fn alter(&self, resource: &Resource, wish: &Wish, node: NodeId, draft: &mut Draft) -> Result<(), Refusal> {
        check_form(wish)?;
        match resource.kind {
            RESOURCE_TOPIC => self.alter_topic(resource, wish, draft),
            RESOURCE_BROKER => self.alter_broker(&resource.name, wish, node, draft),
            RESOURCE_GROUP => alter_group(resource, wish, &self.settings, draft),
            other => invalid(format!("Unknown resource type {other}")),
        }
    }

    fn alter_topic(&self, resource: &Resource, wish: &Wish, draft: &mut Draft) -> Result<(), Refusal> {
        if resource.name.is_empty() {
            return invalid("Default topic resources are not allowed.");
        }
        names::check(&resource.name).map_err(|message| Refusal::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message))?;
        let topic = draft.image.topic(&resource.name);
        let before = topic.map(|topic| Overrides::clone(&topic.configs)).unwrap_or_default();
        let wanted = wanted(&before, wish, &|name, operation| list_of(name, &before, &self.settings, operation))?;
        let given = wanted.iter().map(|(name, value)| (name.as_str(), Some(value.as_str())));
        let after = topic_config::check(given, &self.settings)
            .map_err(|invalid| Refusal::new(ErrorCode::INVALID_CONFIG, invalid.to_string()))?;
        if topic.is_none() {
            let message = format!("The topic '{}' does not exist.", resource.name);
            return Err(Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
        }
        let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
        warn_of_idle(&resource.name, &changed.map(|(name, value)| (name.clone(), value.clone())).collect());
        record(resource, &before, &after, draft);
        Ok(())
    }
}

/// A group need not be there.
fn alter_group(resource: &Resource, wish: &Wish, settings: &Settings, draft: &mut Draft) -> Result<(), Refusal> {
    if resource.name.is_empty() {
        return invalid("Default group resources are not allowed.");
    }
    let before = draft.image.configs(RESOURCE_GROUP, &resource.name);
    let is_list = |name: &str, operation| Err(no_list(name, operation));
    let wanted = wanted(&before, wish, &is_list)?;
    let after = group_config::check(&wanted, settings.values())
        .map_err(|invalid| Refusal::new(ErrorCode::INVALID_CONFIG, invalid.to_string()))?;
    let idle: Vec<&String> = after.keys().filter(|name| !group_config::is_used(name)).collect();
    if after != *before && !idle.is_empty() {
        tracing::warn!(group = resource.name, settings = ?idle, "a group's settings are kept, and nothing acts on them");
    }
    record(resource, &before, &after, draft);
    Ok(())
}

fn no_list(name: &str, operation: &str) -> Refusal {
    let message = format!("Can't {operation} to key {name} because its type is not LIST.");
    Refusal::new(ErrorCode::INVALID_CONFIG, message)
}

pub(super) fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::INVALID_REQUEST, message))
}

/// What Kafka's broker looks at before it asks the controller: each name once, a value where one is needed.
fn check_form(wish: &Wish) -> Result<(), Refusal> {
    let (names, null): (Vec<&str>, Vec<&str>) = match wish {
        Wish::Change(changes) => {
            let is_null =
                |change: &Change| matches!(change, Change::Set(None) | Change::Append(None) | Change::Subtract(None));
            let null = changes.iter().filter(|(_, change)| is_null(change));
            (changes.iter().map(|(name, _)| name.as_str()).collect(), null.map(|(name, _)| name.as_str()).collect())
        }
        Wish::Replace(values) => {
            let null = values.iter().filter(|(_, value)| value.is_none());
            (values.iter().map(|(name, _)| name.as_str()).collect(), null.map(|(name, _)| name.as_str()).collect())
        }
    };
    let once: std::collections::BTreeSet<&&str> = names.iter().collect();
    if once.len() != names.len() {
        return invalid("Error due to duplicate config keys");
    }
    if !null.is_empty() {
        return invalid(format!("Null value not supported for : {}", null.join(", ")));
    }
    Ok(())
}

/// The items of a setting's list as it is now, for this operation on it.
pub(super) type ListOf<'a> = &'a dyn Fn(&str, &'static str) -> Result<Vec<String>, Refusal>;

/// The settings that a resource is to have, before they are checked.
pub(super) fn wanted(before: &Overrides, wish: &Wish, list_of: ListOf<'_>) -> Result<Overrides, Refusal> {
    let changes = match wish {
        Wish::Replace(values) => {
            return Ok(values.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect());
        }
        Wish::Change(changes) => changes,
    };
    let mut after = before.clone();
    for (name, change) in changes {
        match change {
            Change::Set(value) => drop(after.insert(name.clone(), value.clone().unwrap_or_default())),
            Change::Delete => drop(after.remove(name)),
            Change::Append(items) => {
                let mut list = list_of(name, "APPEND")?;
                for item in items.iter().flat_map(|items| items.split(',')) {
                    if !list.iter().any(|present| present == item) {
                        list.push(item.to_owned());
                    }
                }
                after.insert(name.clone(), list.join(","));
            }
            Change::Subtract(items) => {
                let mut list = list_of(name, "SUBTRACT")?;
                for item in items.iter().flat_map(|items| items.split(',')) {
                    list.retain(|present| present != item);
                }
                after.insert(name.clone(), list.join(","));
            }
            Change::Unknown(number) => return invalid(format!("Unknown operation type {number}")),
        }
    }
    Ok(after)
}

/// The items of a list as it is now, its default's where the topic has none of its own.
fn list_of(name: &str, before: &Overrides, settings: &Settings, operation: &str) -> Result<Vec<String>, Refusal> {
    if topic_key(name).is_none_or(|topic| topic.key.kind != Kind::List) {
        return Err(no_list(name, operation));
    }
    Ok(list_items(topic_config::text(before, settings, name)).map(str::to_owned).collect())
}

/// A record for each setting that changes; a null value takes the setting away.
pub(super) fn record(resource: &Resource, before: &Overrides, after: &Overrides, draft: &mut Draft) {
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let records = set.map(|(name, value)| (name, Some(value.clone()))).chain(gone.map(|name| (name, None)));
    for (name, value) in records {
        draft.push(ConfigRecord {
            resource_type: resource.kind,
            resource_name: resource.name.clone(),
            name: name.clone(),
            value,
            ..ConfigRecord::default()
        });
    }
}

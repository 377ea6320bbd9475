//! IncrementalAlterConfigs and AlterConfigs of brokers: one broker's settings, asked of that broker, or those of all of them
//! (the resource without a name), asked of any. What may change while a broker runs: [`crate::settings::dynamic`].

use ringlog_wire::ErrorCode;

use super::super::ids::NodeId;
use super::super::image::RESOURCE_BROKER;
use super::configs::{Resource, Wish, invalid, record, wanted};
use super::create::Refusal;
use super::{Controller, Draft};
use crate::settings::dynamic::{self, Level};
use crate::settings::key::{Effect, Kind, list_items};
use crate::settings::known;
use crate::settings::topic_config::Overrides;

impl Controller {
    pub(super) fn alter_broker(&self, name: &str, wish: &Wish, node: NodeId, draft: &mut Draft) -> Result<(), Refusal> {
        let level = if name.is_empty() { Level::Cluster } else { Level::Broker };
        if level == Level::Broker {
            check_node(name, node)?;
        }
        if let Wish::Change(changes) = wish
            && let Some(number) = changes.iter().find_map(|(_, change)| change.unknown())
        {
            return invalid(format!("Unknown operations type {number}"));
        }
        let resource = Resource { kind: RESOURCE_BROKER, name: name.to_owned() };
        let before = draft.image.configs(RESOURCE_BROKER, name);
        let list_of = |key: &str, operation: &'static str| self.list_of_broker(&before, key, operation);
        let wanted = wanted(&before, wish, &list_of)?;
        let after = dynamic::check(&wanted, level).or_else(|refused| invalid(refused.to_string()))?;
        warn_of_idle(name, &before, &after);
        record(&resource, &before, &after, draft);
        Ok(())
    }

    /// The items of a list as it is now: what is set of this resource, or else what holds.
    fn list_of_broker(&self, before: &Overrides, name: &str, operation: &str) -> Result<Vec<String>, Refusal> {
        if known::key(name).is_none_or(|key| key.kind != Kind::List) {
            let operation = operation.to_lowercase();
            let message = format!("Config value {operation} is not allowed for config key: {name}");
            return Err(Refusal::new(ErrorCode::INVALID_CONFIG, message));
        }
        let text = before.get(name).map(String::as_str).or_else(|| self.settings.values().text(name));
        Ok(list_items(text.unwrap_or_default()).map(str::to_owned).collect())
    }
}

fn warn_of_idle(name: &str, before: &Overrides, after: &Overrides) {
    let broker = if name.is_empty() { "all" } else { name };
    for (setting, value) in after.iter().filter(|(setting, value)| before.get(*setting) != Some(*value)) {
        match known::key(setting).map(|key| (key.effect, key.doc)) {
            Some((Effect::Used, _)) => {}
            Some((Effect::NotYet, _)) => {
                tracing::warn!(broker, setting, value, "a setting is kept, and nothing acts on it yet");
            }
            Some((Effect::Idle | Effect::Refused, why)) => {
                tracing::warn!(broker, setting, value, why, "a setting is kept, and has no effect here");
            }
            None => tracing::warn!(broker, setting, "a setting is kept that nobody knows"),
        }
    }
}

/// A broker's own settings are asked of that broker.
fn check_node(name: &str, node: NodeId) -> Result<(), Refusal> {
    match name.parse::<i32>() {
        Ok(asked) if asked == node.0 => Ok(()),
        Ok(_) => invalid(format!("Unexpected broker id, expected {node}, but received {name}")),
        Err(_) => invalid(format!("Node id must be an integer, but it is: {name}")),
    }
}

//! Settings of brokers that are set while they run: for all brokers of the cluster (the resource without a name), or for one.
//!
//! ```text
//!   IncrementalAlterConfigs --check--> ConfigRecords in the metadata log --> Image::dynamic --> Dynamic
//!                                                                                                  |
//!        own, else the cluster's, else what the broker was started with, else the default <-- Settings::with
//! ```
//! What Kafka lets nobody change while a broker runs is refused in Kafka's words. A name that nobody knows is kept and shown,
//! as there: it may be a plug-in's.

use std::sync::Arc;

use super::key::{InvalidValue, Key, Update};
use super::known;
use super::topic_config::Overrides;

/// What the metadata log has for a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// For all brokers.
    pub(crate) cluster: Arc<Overrides>,
    /// For this one.
    pub(crate) own: Arc<Overrides>,
}

impl Dynamic {
    /// What of it counts: a log that another broker wrote may hold what nobody can read here.
    pub(super) fn usable(&self) -> Self {
        Self { cluster: usable(&self.cluster, Level::Cluster), own: usable(&self.own, Level::Broker) }
    }
}

/// Whom a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// All brokers of the cluster.
    Cluster,
    /// One broker.
    Broker,
}

/// Why settings of a broker are not changed while it runs (INVALID_REQUEST).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDynamic {
    /// They count from a start on.
    #[error("Cannot update these configs dynamically: [{0}]")]
    ReadOnly(String),
    /// They are set for a listener.
    #[error("These security configs can be dynamically updated only per-listener using the listener prefix: [{0}]")]
    PerListener(String),
    /// A value that its setting does not take.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// They differ from broker to broker.
    #[error("Cannot update these configs at default cluster level, broker id must be specified: [{0}]")]
    PerBroker(String),
}

/// Checks the settings that a broker, or all of them, are to have, and gives them as they are kept.
pub(crate) fn check(wanted: &Overrides, level: Level) -> Result<Overrides, NotDynamic> {
    let named = |is_so: &dyn Fn(&str) -> bool| -> Option<String> {
        let names: Vec<&str> = wanted.keys().map(String::as_str).filter(|name| is_so(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = named(&is_read_only) {
        return Err(NotDynamic::ReadOnly(names));
    }
    if let Some(names) = named(&|name| name.starts_with("ssl.") && known::key(name).is_some()) {
        return Err(NotDynamic::PerListener(names));
    }
    let kept: Result<Overrides, InvalidValue> = wanted.iter().map(canonical).collect();
    let kept = kept?;
    let is_per_broker = |name: &str| known::key(name).is_some_and(|key| key.update == Update::PerBroker);
    match named(&is_per_broker).filter(|_| level == Level::Cluster) {
        Some(names) => Err(NotDynamic::PerBroker(names)),
        None => Ok(kept),
    }
}

fn canonical((name, value): (&String, &String)) -> Result<(String, String), InvalidValue> {
    let kept = known::key(name).map_or_else(|| Ok(value.clone()), |key| key.canonical(value))?;
    Ok((name.clone(), kept))
}

/// Listeners are opened at a start; so is what they are secured with.
fn is_read_only(name: &str) -> bool {
    let is_listeners =
        matches!(name, "listeners" | "listener.security.protocol.map") || name.starts_with("listener.name.");
    is_listeners || known::key(name).is_some_and(|key| key.update == Update::ReadOnly)
}

fn usable(given: &Arc<Overrides>, level: Level) -> Arc<Overrides> {
    if check(given, level).is_ok_and(|kept| kept == **given) {
        return Arc::clone(given);
    }
    let is_usable = |(name, value): (&String, &String)| {
        let one = Overrides::from([(name.clone(), value.clone())]);
        check(&one, level)
            .inspect_err(
                |error| tracing::warn!(name, value, %error, "a broker's setting in the metadata log does not count"),
            )
            .ok()
    };
    Arc::new(given.iter().filter_map(is_usable).flatten().collect())
}

/// Whether a value is kept from whoever asks: passwords, and what nobody knows.
pub(super) fn is_sensitive(key: Option<&Key>) -> bool {
    key.is_none_or(|key| key.kind == super::key::Kind::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(pairs: &[(&str, &str)], level: Level) -> String {
        check(&overrides(pairs), level).unwrap_err().to_string()
    }

    /// The texts are those that a broker of Kafka 4.3.1 answers.
    #[test]
    fn what_is_no_dynamic_setting_is_refused_in_kafkas_words() {
        let both = [Level::Cluster, Level::Broker];
        for level in both {
            assert_eq!(
                refused(&[("num.partitions", "3"), ("log.retention.ms", "x"), ("node.id", "1")], level),
                "Cannot update these configs dynamically: [node.id, num.partitions]"
            );
            assert_eq!(
                refused(&[("log.retention.ms", "x")], level),
                "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
            );
            assert!(refused(&[("ssl.keystore.location", "/a")], level).contains("using the listener prefix: [ssl."));
        }
        assert_eq!(
            refused(&[("principal.builder.class", "a.B")], Level::Cluster),
            "Cannot update these configs at default cluster level, broker id must be specified: [principal.builder.class]"
        );
        assert!(check(&overrides(&[("principal.builder.class", "a.B")]), Level::Broker).is_ok());
    }

    #[test]
    fn what_can_change_is_kept_in_kafkas_form_and_names_that_nobody_knows_as_they_came() {
        let given =
            overrides(&[("log.retention.ms", " 5 "), ("log.cleanup.policy", "compact, delete"), ("my.own", " x ")]);
        let kept = overrides(&[("log.retention.ms", "5"), ("log.cleanup.policy", "compact,delete"), ("my.own", " x ")]);
        assert_eq!(check(&given, Level::Cluster), Ok(kept));
    }

    #[test]
    fn what_another_broker_wrote_and_nobody_can_read_here_does_not_count() {
        let cluster =
            Arc::new(overrides(&[("log.retention.ms", "x"), ("log.retention.bytes", "7"), ("num.partitions", "2")]));
        let usable = Dynamic { cluster, own: Arc::default() }.usable();
        assert_eq!(*usable.cluster, overrides(&[("log.retention.bytes", "7")]));
    }
}

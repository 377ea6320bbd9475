//! What Apache Kafka 4.3.1 documents, as its own classes list it (`scripts/kafka-settings` writes the list), and, for what
//! [`super::broker_keys`] does not honour, why. A configuration file of Kafka's can so be used as it is and still says what it
//! does not do.

use std::sync::LazyLock;

use super::broker_keys::broker_key;
use super::key::{Effect, Key, Kind, Rule, Update};

/// Lines of: whose it is, name, type, default, when a change counts, limits; tabs between them.
const LIST: &str = include_str!("kafka-4.3.1.tsv");

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A broker's.
    Broker,
    /// A topic's.
    Topic,
    /// A group's of the newer kinds.
    Group,
}

static LISTED: LazyLock<Vec<(Scope, Key)>> = LazyLock::new(|| LIST.lines().filter_map(listed).collect());

/// All that Kafka documents, by scope and name.
pub(crate) fn all() -> &'static [(Scope, Key)] {
    &LISTED
}

/// The broker's setting of that name: ours, or one that Kafka alone has.
#[must_use]
pub(crate) fn key(name: &str) -> Option<&'static Key> {
    broker_key(name).or_else(|| kafkas(name))
}

/// The broker's setting of that name in Kafka's list.
pub(super) fn kafkas(name: &str) -> Option<&'static Key> {
    all().iter().find(|(scope, key)| *scope == Scope::Broker && key.name == name).map(|(_, key)| key)
}

/// Whether a name is one of a family that Kafka knows: per listener, per plug-in.
#[must_use]
pub(super) fn is_of_family(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}

const FAMILIES: &[&str] = &["listener.name.", "remote.log.storage.manager.impl.", "rlmm.config.", "rsm.config."];

fn listed(line: &'static str) -> Option<(Scope, Key)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let scope = match next()? {
        "broker" => Scope::Broker,
        "topic" => Scope::Topic,
        _ => Scope::Group,
    };
    let (name, kind) = (next()?, kind(next()?));
    let default = next().filter(|text| *text != "null");
    let update = match next()? {
        "per-broker" => Update::PerBroker,
        "cluster-wide" => Update::ClusterWide,
        _ => Update::ReadOnly,
    };
    let rule = next().map_or(Rule::Any, rule);
    let (effect, doc) = reason(scope, name);
    Some((scope, Key { name, kind, default, rule, update, effect, doc }))
}

fn kind(name: &str) -> Kind {
    match name {
        "BOOLEAN" => Kind::Boolean,
        "INT" => Kind::Int,
        "SHORT" => Kind::Short,
        "LONG" => Kind::Long,
        "DOUBLE" => Kind::Double,
        "LIST" => Kind::List,
        "CLASS" => Kind::Class,
        "PASSWORD" => Kind::Password,
        _ => Kind::Text,
    }
}

/// `[1,...]`, `[0,...,1]` (ConfigDef.Range); other limits are not checked where nothing reads the value.
fn rule(text: &str) -> Rule {
    let range =
        text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|range| range.split_once(",..."));
    let Some((min, max)) = range else { return Rule::Any };
    match (min.parse(), max.trim_start_matches(',').parse()) {
        (Ok(min), Ok(max)) => Rule::Between(min, max),
        (Ok(min), Err(_)) => Rule::AtLeast(min),
        _ => Rule::Any,
    }
}

/// The longest beginning of a name that stands in [`REASONS`].
fn reason(scope: Scope, name: &str) -> (Effect, &'static str) {
    if scope == Scope::Group {
        return (Effect::Idle, NO_NEW_GROUPS);
    }
    let of_it = REASONS.iter().filter(|(beginning, ..)| name.starts_with(beginning));
    of_it.max_by_key(|(beginning, ..)| beginning.len()).map_or((Effect::Idle, ""), |(_, effect, why)| (*effect, *why))
}

const ALONE: &str =
    "The shards of one host are its brokers as long as it runs: there is nobody else to watch or to ask.";
const NO_CLASSES: &str = "It names a Java class, and what it should hold back would not be held back: leave it out.";
const NO_NEW_GROUPS: &str =
    "Groups of the newest kinds (share, streams) are not served: those of the classic and the consumer protocol are.";
const NO_POOLS: &str =
    "A shard is one thread with connections of its own: there are no pools, and no queue between them.";
const NO_PURGATORY: &str = "Who waits is answered when it happens or is due: there is no purgatory to sweep.";
const NO_QUORUM: &str = "Shard 0 is the only controller: there is no quorum to keep.";
const NO_REMOTE: &str = "There is no remote storage.";
const NO_REPLICATION: &str = "Nothing is replicated between hosts.";
const ONE_FOLDER: &str = "There is one folder of logs.";
const PLAIN: &str = "Listeners are plain text: there is no TLS and no SASL.";

/// Why nothing listens to a setting, by the beginning of its name; the longest one counts.
const REASONS: &[(&str, Effect, &str)] = &[
    (
        "add.partitions.to.txn.retry.backoff.ms",
        Effect::Idle,
        "A partition waits at the coordinator to become part of a transaction: it is not asked again.",
    ),
    ("alter.config.policy.class.name", Effect::Refused, NO_CLASSES),
    ("alter.log.dirs.", Effect::Idle, ONE_FOLDER),
    (
        "authorizer.class.name",
        Effect::Refused,
        "There are no ACLs: everybody would be let in. Leave it out, and let only those reach the listeners who may.",
    ),
    ("auto.leader.rebalance.enable", Effect::Idle, "A partition has one replica, which leads."),
    ("background.threads", Effect::Idle, NO_POOLS),
    ("broker.heartbeat.", Effect::Idle, ALONE),
    ("broker.id", Effect::Idle, "node.id is the id."),
    ("broker.session.", Effect::Idle, ALONE),
    ("client.quota.callback.class", Effect::Refused, NO_CLASSES),
    ("config.providers", Effect::Refused, "Values are taken as they stand, ${...} too: write the value itself."),
    ("connection.failed.authentication.", Effect::Idle, PLAIN),
    ("connections.max.reauth.ms", Effect::Idle, PLAIN),
    ("controlled.shutdown.", Effect::Idle, ALONE),
    ("controller.", Effect::Idle, NO_QUORUM),
    ("controller.performance.", Effect::Idle, "The controller's events are not timed one by one."),
    ("cordoned.log.dirs", Effect::Idle, ONE_FOLDER),
    ("create.topic.policy.class.name", Effect::Refused, NO_CLASSES),
    ("delegation.token.", Effect::Idle, PLAIN),
    ("delete.records.purgatory.", Effect::Idle, NO_PURGATORY),
    ("early.start.listeners", Effect::Idle, "Every listener opens when its shard is ready."),
    ("fetch.purgatory.", Effect::Idle, NO_PURGATORY),
    ("follower.", Effect::Idle, NO_REPLICATION),
    ("group.coordinator.", Effect::Idle, "A coordinator is a part of its shard, and writes at the end of each turn."),
    ("group.coordinator.rebalance.protocols", Effect::Idle, NO_NEW_GROUPS),
    ("group.share.", Effect::Idle, NO_NEW_GROUPS),
    ("group.streams.", Effect::Idle, NO_NEW_GROUPS),
    ("initial.broker.registration.", Effect::Idle, ALONE),
    ("inter.broker.", Effect::Idle, ALONE),
    ("internal.", Effect::Idle, "It is one of Kafka's own tests."),
    ("kafka.metrics.", Effect::Idle, "Reporters are Java classes: --metrics-listen gives the numbers."),
    ("leader.imbalance.", Effect::Idle, "A partition has one replica, which leads."),
    ("log.cleaner.", Effect::Idle, "One log of a shard is compacted at a time, beside its thread."),
    ("log.dir.failure.", Effect::Idle, "A folder that fails is offline at once, and says so."),
    ("log.flush.", Effect::Idle, "Checkpoints are written once a minute, and when a log's start moves."),
    ("max.connection.creation.rate", Effect::Idle, "Connections are counted, not timed: max.connections."),
    ("max.connections.per.ip", Effect::Idle, "Connections are counted for all addresses together: max.connections."),
    ("max.request.partition.size.limit", Effect::Idle, "The least of what is allowed of a request's memory counts."),
    ("metadata.log.dir", Effect::Idle, "The metadata log lies beside the others, in log.dirs."),
    ("metadata.max.idle.", Effect::Idle, "An idle controller writes nothing."),
    ("metric", Effect::Idle, "Reporters are Java classes: --metrics-listen gives the numbers."),
    ("num.", Effect::Idle, NO_POOLS),
    ("offsets.", Effect::Idle, "A coordinator is a part of its shard, and writes at the end of each turn."),
    ("principal.builder.class", Effect::Idle, PLAIN),
    (
        "producer.id.expiration.check.",
        Effect::Idle,
        "Producers that were silent are forgotten when a batch is looked at.",
    ),
    ("producer.purgatory.", Effect::Idle, NO_PURGATORY),
    ("queued.", Effect::Idle, NO_POOLS),
    ("remote.", Effect::Idle, NO_REMOTE),
    (
        "remote.log.storage.system.enable",
        Effect::Refused,
        "There is no remote storage: what local retention removes would be gone. Leave it out.",
    ),
    ("replica.", Effect::Idle, NO_REPLICATION),
    ("replication.", Effect::Idle, NO_REPLICATION),
    ("request.timeout.ms", Effect::Idle, ALONE),
    ("sasl.", Effect::Idle, PLAIN),
    ("security.", Effect::Idle, PLAIN),
    ("server.max.startup.time.ms", Effect::Idle, "A start ends when it has ended, or says why it failed."),
    ("share.", Effect::Idle, NO_NEW_GROUPS),
    ("socket.connection.setup.", Effect::Idle, ALONE),
    ("socket.listen.backlog.size", Effect::Idle, "The kernel's largest backlog is used."),
    ("ssl.", Effect::Idle, PLAIN),
    ("telemetry.", Effect::Idle, "Clients are not asked for their metrics."),
    ("transaction.state.log.", Effect::Idle, "A coordinator is a part of its shard, and a partition has one replica."),
    ("transaction.two.phase.commit.enable", Effect::Idle, "Transactions that others decide (KIP-939) are not served."),
    ("unclean.leader.election.interval.ms", Effect::Idle, "A partition has one replica, which leads."),
    ("unstable.", Effect::Idle, "What is not stable in Kafka is not served."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::broker_keys::BROKER_KEYS;
    use crate::settings::topic_keys::{TOPIC_KEYS, topic_key};

    fn of(wanted: Scope) -> impl Iterator<Item = &'static Key> {
        all().iter().filter(move |(scope, _)| *scope == wanted).map(|(_, key)| key)
    }

    #[test]
    fn every_line_of_the_list_is_a_setting_and_no_name_stands_there_twice() {
        assert_eq!(all().len(), LIST.lines().count());
        for scope in [Scope::Broker, Scope::Topic, Scope::Group] {
            let names: Vec<&str> = of(scope).map(|key| key.name).collect();
            assert!(names.len() > 10 && names.is_sorted_by(|a, b| a < b), "{scope:?}: {names:?}");
        }
    }

    #[test]
    fn what_is_not_honoured_has_a_reason() {
        for key in of(Scope::Broker).filter(|key| broker_key(key.name).is_none()) {
            assert!(!key.doc.is_empty(), "{}: a line of REASONS says why nothing listens to it", key.name);
        }
        for (beginning, ..) in REASONS {
            assert!(
                of(Scope::Broker).any(|key| key.name.starts_with(beginning) && broker_key(key.name).is_none()),
                "{beginning}: nothing needs this reason"
            );
        }
    }

    /// Where ours are not Kafka's, the sentence says so.
    #[test]
    fn types_defaults_and_the_time_when_a_change_counts_are_kafkas() {
        for key in BROKER_KEYS.iter().filter(|key| !key.doc.starts_with("Ours: ")) {
            let kafkas = kafkas(key.name).unwrap_or_else(|| panic!("{} is no setting of Kafka's", key.name));
            assert_eq!((kafkas.kind, kafkas.update), (key.kind, key.update), "{}", key.name);
            if !key.doc.contains("Kafka") && !key.doc.contains("Default:") && !key.doc.contains("for now") {
                assert_eq!(kafkas.default, key.default, "{}", key.name);
            }
        }
        for topic in TOPIC_KEYS {
            let kafkas = of(Scope::Topic).find(|key| key.name == topic.key.name);
            let kafkas = kafkas.unwrap_or_else(|| panic!("{} is no setting of Kafka's", topic.key.name));
            assert_eq!((kafkas.kind, kafkas.default), (topic.key.kind, topic.key.default), "{}", topic.key.name);
        }
        of(Scope::Topic)
            .for_each(|key| assert!(topic_key(key.name).is_some(), "{}: of a topic, and not here", key.name));
    }

    #[test]
    fn limits_are_read_as_kafka_writes_them() {
        assert_eq!(rule("[1,...]"), Rule::AtLeast(1));
        assert_eq!(rule("[0,...,1]"), Rule::Between(0, 1));
        for other in ["[...,5]", "", "[producer, gzip]", "non-empty string"] {
            assert_eq!(rule(other), Rule::Any, "{other}");
        }
    }

    #[test]
    fn names_of_a_family_are_known() {
        assert!(is_of_family("listener.name.internal.ssl.keystore.location"));
        assert!(!is_of_family("num.network.threads"));
        assert_eq!(key("num.network.threads").map(|key| key.effect), Some(Effect::Idle));
        assert_eq!(key("num.partitions").map(|key| key.effect), Some(Effect::Used));
        assert_eq!(key("num.partition"), None);
    }
}

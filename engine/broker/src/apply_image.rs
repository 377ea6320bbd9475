//! What a shard does with a new image: at once what needs no disk, and a queue of what does ([`crate::upkeep`]).
//!
//! Topics whose value is shared between the old and the new image did not change and are skipped.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_storage::{Checkpointed, PartitionName, Startup};
use ringlog_wire::ErrorCode;

use crate::broker::Broker;
use crate::coordinators::Coordinator;
use crate::group_desk;
use crate::metadata::image::{Image, Owner, Topic};
use crate::openings;
use crate::replica::PartitionKey;
use crate::settings::topic_config;
use crate::upkeep;

/// At start: every partition that the image gives to this shard is to be opened. One that cannot be opened is tried again later,
/// and the others are served.
pub(crate) fn load(broker: &mut Broker, startup: Startup, checkpointed: &BTreeMap<PartitionName, Checkpointed>) {
    let image = Arc::clone(&broker.image);
    broker.replicas.set_provisional(image.is_provisional());
    for topic in image.topics() {
        for number in topic.partitions.keys().copied() {
            if image.owner(topic, number, broker.shard) == Owner::Local {
                let name = PartitionName { topic: topic.name.to_string(), partition: number };
                let known = (startup, checkpointed.get(&name).copied().unwrap_or_default());
                openings::found(broker, topic, key(topic, number), known);
            }
        }
    }
    openings::check_logs(broker);
}

/// Takes a newer image.
pub(crate) fn apply(broker: &mut Broker, image: Arc<Image>) {
    broker.replicas.set_provisional(image.is_provisional());
    let old = std::mem::replace(&mut broker.image, Arc::clone(&image));
    let is_set_anew = take_settings(broker, &image);
    broker.transactions.take_features(&image);
    broker.throttle.take_quotas(image.quotas());
    let gone: Vec<&Arc<Topic>> = old.topics().filter(|topic| image.topic_by_id(topic.id).is_none()).collect();
    for topic in &gone {
        topic.partitions.keys().for_each(|number| let_go(broker, topic, *number));
    }
    group_desk::topics_deleted(broker, gone.iter().map(|topic| (topic.name.to_string(), topic.id)).collect());
    for topic in image.topics() {
        if !old.topic(&topic.name).is_some_and(|before| Arc::ptr_eq(before, topic)) {
            change(broker, &image, topic);
        } else if is_set_anew {
            set_anew(broker, topic);
        }
    }
}

/// What is set of this broker while it runs. True: it has other settings now.
fn take_settings(broker: &mut Broker, image: &Image) -> bool {
    let dynamic = image.dynamic(image.here().node(broker.shard));
    let is_other = dynamic != *broker.settings.dynamic();
    if is_other {
        tracing::info!(cluster = ?dynamic.cluster.keys(), own = ?dynamic.own.keys(), "settings were changed while the broker runs");
        broker.settings = Arc::new(broker.settings.with(dynamic));
        broker.groups.take_settings(&broker.settings);
    }
    is_other
}

/// The broker's settings are others: the logs here of a topic that did not change learn what it has of them.
fn set_anew(broker: &mut Broker, topic: &Topic) {
    let config = topic_config::log_config(&topic.configs, &broker.settings);
    for (number, partition) in &topic.partitions {
        if let Some(place) = broker.replicas.find(key(topic, *number)) {
            let role = upkeep::role(broker, topic, *number, partition);
            broker.replicas.at_mut(place).change(role, config.clone(), &mut broker.news);
        }
    }
}

fn key(topic: &Topic, partition: i32) -> PartitionKey {
    PartitionKey { topic_id: topic.id, partition }
}

/// A deleted partition: requests do not find it any more, who waits for it learns that now, and its folder goes in its turn.
fn let_go(broker: &mut Broker, topic: &Topic, number: i32) {
    resign(broker, topic, number, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let key = key(topic, number);
    if is_here(broker, key) {
        upkeep::enqueue(broker, key);
    }
}

/// Whether its folder is this shard's, its log opened or not.
fn is_here(broker: &Broker, key: PartitionKey) -> bool {
    broker.replicas.find(key).is_some() || broker.upkeep.has_unread(key)
}

/// A topic that is new or another one than before.
fn change(broker: &mut Broker, image: &Image, topic: &Topic) {
    let config = topic_config::log_config(&topic.configs, &broker.settings);
    for (number, partition) in &topic.partitions {
        let key = key(topic, *number);
        if image.owner(topic, *number, broker.shard) != Owner::Local {
            let moves = !partition.adding.is_empty() && is_here(broker, key);
            if moves {
                leave(broker, topic, *number);
                upkeep::enqueue(broker, key);
            } else {
                resign(broker, topic, *number, ErrorCode::NOT_LEADER_OR_FOLLOWER);
            }
        } else if let Some(place) = broker.replicas.find(key) {
            let role = upkeep::role(broker, topic, *number, partition);
            broker.replicas.at_mut(place).change(role, config.clone(), &mut broker.news);
            // Its leadership was away, and is back.
            if let Some(coordinator) = Coordinator::of(&topic.name)
                && !coordinator.expects(broker, *number)
            {
                coordinator.expect(broker, *number);
                upkeep::enqueue(broker, key);
            }
        } else {
            if let Some(coordinator) = Coordinator::of(&topic.name) {
                coordinator.expect(broker, *number);
            }
            upkeep::enqueue(broker, key);
        }
    }
}

/// A partition that moves to another shard: what is written goes along, so who waits for the disk alone is not refused.
fn leave(broker: &mut Broker, topic: &Topic, number: i32) {
    if let Some(place) = broker.replicas.find(key(topic, number)) {
        broker.replicas.at_mut(place).leave(ErrorCode::NOT_LEADER_OR_FOLLOWER, &mut broker.news);
    }
    unload(broker, topic, number);
}

/// A partition that this shard does not lead any more: who waits for it learns that now, its groups too.
fn resign(broker: &mut Broker, topic: &Topic, number: i32, error: ErrorCode) {
    if let Some(place) = broker.replicas.find(key(topic, number)) {
        broker.replicas.at_mut(place).resign(error, &mut broker.news);
    }
    unload(broker, topic, number);
}

fn unload(broker: &mut Broker, topic: &Topic, number: i32) {
    if let Some(coordinator) = Coordinator::of(&topic.name) {
        coordinator.unload(broker, number);
    }
}

//! What a shard does with a new image: it opens the partitions that became its own, and lets go of those that went.
//!
//! Topics whose value is shared between the old and the new image did not change and are skipped.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ringlog_storage::{Checkpointed, PartitionName, Startup};

use crate::broker::Broker;
use crate::group_desk;
use crate::metadata::image::{Image, OFFSETS_TOPIC, Owner, Partition, Topic};
use crate::replicas::{Opening, PartitionKey};
use crate::settings::topic_config;

/// At start: opens every partition that the image gives to this shard. An error names the folder and what is wrong.
pub(crate) fn load(
    broker: &mut Broker,
    startup: Startup,
    checkpointed: &BTreeMap<PartitionName, Checkpointed>,
) -> Result<(), String> {
    let image = Arc::clone(&broker.image);
    for topic in image.topics() {
        for (number, partition) in own(broker, &image, topic) {
            let name = PartitionName { topic: topic.name.to_string(), partition: number };
            let checkpointed = checkpointed.get(&name).copied().unwrap_or_default();
            open(broker, topic, number, partition, startup, checkpointed)?;
        }
    }
    Ok(())
}

/// Takes a newer image.
pub(crate) fn apply(broker: &mut Broker, image: Arc<Image>) {
    let old = std::mem::replace(&mut broker.image, Arc::clone(&image));
    let gone: Vec<&Arc<Topic>> = old.topics().filter(|topic| image.topic_by_id(topic.id).is_none()).collect();
    for topic in &gone {
        topic.partitions.keys().for_each(|number| let_go(broker, topic, *number));
    }
    group_desk::topics_deleted(broker, gone.iter().map(|topic| (topic.name.to_string(), topic.id)).collect());
    for topic in image.topics() {
        if !old.topic(&topic.name).is_some_and(|before| Arc::ptr_eq(before, topic)) {
            change(broker, &image, topic);
        }
    }
}

fn own<'a>(broker: &Broker, image: &Image, topic: &'a Topic) -> Vec<(i32, &'a Partition)> {
    let mine = |number: i32| image.owner(topic, number, broker.shard) == Owner::Local;
    topic.partitions.iter().filter(|(number, _)| mine(**number)).map(|(number, found)| (*number, found)).collect()
}

fn change(broker: &mut Broker, image: &Image, topic: &Topic) {
    for number in topic.partitions.keys() {
        if image.owner(topic, *number, broker.shard) != Owner::Local {
            disturb(broker, topic, *number);
        }
    }
    for (number, partition) in own(broker, image, topic) {
        let key = PartitionKey { topic_id: topic.id, partition: number };
        if let Some(place) = broker.replicas.find(key) {
            let config = topic_config::log_config(&topic.configs, &broker.settings);
            let rules = topic_config::rules(&topic.configs, &broker.settings);
            let missing = missing_replicas(broker, topic, number);
            let replica = broker.replicas.at_mut(place);
            replica.log.set_config(config);
            (replica.rules, replica.in_sync_replicas_missing, replica.leader_epoch) =
                (rules, missing, partition.leader_epoch);
        } else if let Err(error) = open(broker, topic, number, partition, Startup::SameBoot, Checkpointed::default()) {
            // The partition is ours and cannot be served: clients get KAFKA_STORAGE_ERROR.
            tracing::error!(topic = %topic.name, partition = number, error);
        }
    }
}

fn missing_replicas(broker: &Broker, topic: &Topic, number: i32) -> usize {
    topic.min_insync_replicas(&broker.settings).saturating_sub(topic.in_sync_replicas(number))
}

fn open(
    broker: &mut Broker,
    topic: &Topic,
    number: i32,
    partition: &Partition,
    how: Startup,
    checkpointed: Checkpointed,
) -> Result<(), String> {
    let opening = Opening {
        topic: Rc::from(&*topic.name),
        key: PartitionKey { topic_id: topic.id, partition: number },
        leader_epoch: partition.leader_epoch,
        config: topic_config::log_config(&topic.configs, &broker.settings),
        rules: topic_config::rules(&topic.configs, &broker.settings),
        in_sync_replicas_missing: missing_replicas(broker, topic, number),
        how,
        checkpointed,
    };
    let report = broker.replicas.open(opening, broker.wall_ms).map_err(|error| error.to_string())?;
    if let Some(report) = report.filter(|report| !report.is_quiet()) {
        tracing::warn!(topic = %topic.name, partition = number, ?report, "the log was repaired");
    }
    if &*topic.name == OFFSETS_TOPIC {
        group_desk::load(broker, number)?;
    }
    Ok(())
}

/// Forgets a deleted partition, tells who waits for it, removes its folder.
fn let_go(broker: &mut Broker, topic: &Topic, number: i32) {
    let key = PartitionKey { topic_id: topic.id, partition: number };
    match broker.replicas.remove(key) {
        Ok(waiters) => waiters.into_iter().for_each(|id| broker.fetches.disturb(id)),
        Err(error) => {
            tracing::error!(topic = %topic.name, partition = number, %error, "a deleted partition's folder was left behind");
        }
    }
    if &*topic.name == OFFSETS_TOPIC {
        group_desk::unload(broker, number);
    }
}

/// A partition that this shard does not lead any more: who waits for it learns that now.
fn disturb(broker: &mut Broker, topic: &Topic, number: i32) {
    let key = PartitionKey { topic_id: topic.id, partition: number };
    if let Some(place) = broker.replicas.find(key) {
        let waiters = std::mem::take(&mut broker.replicas.at_mut(place).waiters);
        waiters.into_iter().for_each(|id| broker.fetches.disturb(id));
    }
}

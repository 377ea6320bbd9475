//! What becomes of logs that the last run left ([`crate::unread`] says which): they are checked by jobs, opened, and who waits for
//! them goes on.

use std::sync::Arc;

use ringlog_io::Slice;
use ringlog_storage::LogCheck;

use crate::broker::Broker;
use crate::coordinators::Coordinator;
use crate::handlers::named;
use crate::jobs::Purpose;
use crate::metadata::image::{Owner, Topic};
use crate::replica::PartitionKey;
use crate::settings::topic_config;
use crate::timers::Timer;
use crate::unread::Known;
use crate::upkeep::{self, Handed};

/// A log that moves here is to be opened so.
pub(crate) fn takes_over(broker: &mut Broker, key: PartitionKey, handed: Handed) {
    let Handed { topic, known, producers } = handed;
    broker.upkeep.unread.takes_over(key, topic, known);
    broker.upkeep.knows_producers(key, producers);
    if broker.image.topic_by_id(key.topic_id).is_none() {
        upkeep::enqueue(broker, key);
    }
}

/// A log that the last run left. A coordinator's goes before the others, and who asks for what is in it is told that it is being
/// loaded.
pub(crate) fn found(broker: &mut Broker, topic: &Topic, key: PartitionKey, known: Known) {
    broker.upkeep.unread.found(key, Arc::clone(&topic.name), known);
    if let Some(coordinator) = Coordinator::of(&topic.name) {
        coordinator.expect(broker, key.partition);
        broker.upkeep.unread.ask_for(key);
    }
}

/// Whether a request can be handled, as far as logs are to be open for it. One that cannot waits for the last of them, and all of
/// them are opened before those that nobody asked for.
pub(crate) fn admits(broker: &mut Broker, frame: &Slice, connection: u32) -> bool {
    if !broker.upkeep.unread.are_coming() || broker.replicas.has_failed() {
        return true;
    }
    let named = named::of(broker, frame);
    let upkeep = &broker.upkeep;
    let is_awaited = |key: &PartitionKey| upkeep.unread.is_coming(*key) && !upkeep.has_failed(*key);
    let awaited: Vec<PartitionKey> = if named.all {
        upkeep.unread().map(|(key, _)| key).filter(is_awaited).collect()
    } else {
        named.partitions.into_iter().filter(is_awaited).collect()
    };
    let Some(&last) = awaited.last() else { return true };
    if !named.all {
        awaited.into_iter().for_each(|key| broker.upkeep.unread.ask_for(key));
    }
    broker.upkeep.unread.wait_for(last, connection);
    false
}

/// The log directory is offline: nothing is opened any more, and who waits for that is told so.
pub(crate) fn directory_failed(broker: &mut Broker) {
    broker.upkeep.unread.let_all_go();
}

/// Has logs checked that are to be opened, as many as may be at a time.
pub(crate) fn check_logs(broker: &mut Broker) {
    if broker.replicas.has_failed() {
        return;
    }
    let image = Arc::clone(&broker.image);
    while let Some(key) = broker.upkeep.unread.next_due() {
        // One whose topic is gone, or that is to be given up, stands in the queue.
        let topic = image.topic_by_id(key.topic_id);
        let topic = topic.filter(|topic| image.owner(topic, key.partition, broker.shard) == Owner::Local);
        if let (Some(topic), Some(known)) = (topic, broker.upkeep.unread.get(key).map(|log| log.known)) {
            let config = topic_config::log_config(&topic.configs, &broker.settings);
            let dir = broker.replicas.folder(&topic.name, key.partition);
            let known = ringlog_storage::Known { topic_id: key.topic_id, startup: known.0, checkpointed: known.1 };
            let (check, job) = LogCheck::new(dir, config, known, broker.wall_ms);
            broker.upkeep.unread.begun(key, check);
            broker.jobs.run(Purpose::Check(key), job);
        }
    }
}

/// A log was checked: it is opened, and who waits for it goes on.
pub(crate) fn checked(broker: &mut Broker, key: PartitionKey) {
    let Some((topic, check)) = broker.upkeep.unread.ended(key) else { return };
    let name = format!("{topic}-{}", key.partition);
    match check.outcome() {
        Some(Ok(checked)) => {
            if let Some(report) = checked.report.filter(|report| !report.is_quiet()) {
                tracing::warn!(name, ?report, "the log was repaired");
            }
            broker.upkeep.unread.checked(key, checked.startup);
            // One that leaves stands in the queue.
            if !upkeep::is_leaving(broker, key) {
                upkeep::settle(broker, key);
            }
        }
        Some(Err(error)) => {
            if error.is_final() {
                broker.news.failed.get_or_insert_with(|| error.to_string());
            }
            broker.upkeep.note(key, &name, Err(error.to_string()));
        }
        None => broker.upkeep.note(key, &name, Err("its check did not end".to_owned())),
    }
    broker.upkeep.unread.let_go(key);
    upkeep::went_quiet(broker);
    check_logs(broker);
    if broker.upkeep.has_read_all() {
        // The note that every log was checked does not wait for a minute.
        broker.timers.set(Timer::Checkpoint, Some(broker.now));
    }
    upkeep::set_timer(broker);
}

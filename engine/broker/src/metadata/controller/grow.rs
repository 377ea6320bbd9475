//! CreatePartitions: more partitions for topics that are there (ReplicationControlManager.createPartitions).

use std::collections::BTreeMap;
use std::sync::Arc;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use ringlog_wire::messages::create_topics::CreatableReplicaAssignment;

use super::super::image::{Image, Topic, is_internal};
use super::create::{PARTITIONS_PER_CALL, Refusal, new_partition};
use super::placement::{self, Assignment};
use super::{Controller, Draft};

impl Controller {
    pub(super) fn create_partitions(
        &mut self,
        request: CreatePartitionsRequest,
        draft: &mut Draft,
    ) -> CreatePartitionsResponse {
        let mut dry_run = Draft::new(&draft.image);
        let target = if request.validate_only { &mut dry_run } else { draft };
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for topic in &request.topics {
            *times.entry(&topic.name).or_default() += 1;
        }
        let mut room = PARTITIONS_PER_CALL;
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            // A name that stands there twice is answered once.
            let Some(times) = times.remove(topic.name.as_str()) else { continue };
            let result = match times {
                1 => self.grow(topic, &mut room, target),
                _ => Err(Refusal::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name.")),
            };
            results.push(told(&topic.name, result));
        }
        let throttle_time_ms = self.mutations.throttle_ms();
        CreatePartitionsResponse { results, throttle_time_ms, ..CreatePartitionsResponse::default() }
    }

    fn grow(&mut self, wanted: &CreatePartitionsTopic, room: &mut usize, draft: &mut Draft) -> Result<(), Refusal> {
        // Kafka says nothing in words here.
        let missing = || Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "");
        let topic = draft.image.topic(&wanted.name).map(Arc::clone).ok_or_else(missing)?;
        let added = increase(&topic, wanted.count)?;
        let partitions = usize::try_from(added).unwrap_or(usize::MAX);
        *room = room.checked_sub(partitions).ok_or_else(|| {
            Refusal::new(ErrorCode::POLICY_VIOLATION, "Excessively large number of partitions per request.")
        })?;
        self.mutations.charge(partitions)?;
        let assignment = self.place_more(&topic, wanted, added, &draft.image)?;
        for (number, replicas) in (next_number(&topic)..).zip(&assignment) {
            draft.push(new_partition(topic.id, number, replicas, self.directory_id));
        }
        Ok(())
    }

    fn place_more(
        &self,
        topic: &Topic,
        wanted: &CreatePartitionsTopic,
        added: i32,
        image: &Image,
    ) -> Result<Assignment, Refusal> {
        let colocated = self.settings.allow_colocated_replicas();
        let factor = topic.partitions.values().next().map_or(1, |partition| partition.replicas.len());
        let Some(given) = &wanted.assignments else {
            let factor = i16::try_from(factor).unwrap_or(i16::MAX);
            return placement::spread(image, added, factor, colocated, turn_after(topic, image));
        };
        let refuse = |message: String| Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        if i32::try_from(given.len()) != Ok(added) {
            let given = given.len();
            return refuse(format!(
                "Attempted to add {added} additional partition(s), but only {given} assignment(s) were specified."
            ));
        }
        let numbered = (0..).zip(given).map(|(partition_index, one)| CreatableReplicaAssignment {
            partition_index,
            broker_ids: one.broker_ids.clone(),
            ..CreatableReplicaAssignment::default()
        });
        // Whether replicas may share a host was decided when the topic was made, by its factor.
        let assignment = placement::manual(image, &numbered.collect::<Vec<_>>(), true)?;
        if let Some(other) = assignment.iter().map(Vec::len).find(|len| *len != factor) {
            return refuse(format!(
                "The manual partition assignment includes a partition with {other} replica(s), but this is not \
                 consistent with previous partitions, which have {factor} replica(s)."
            ));
        }
        Ok(assignment)
    }
}

/// How many partitions a topic is to get.
fn increase(topic: &Topic, count: i32) -> Result<i32, Refusal> {
    let (name, now) = (&topic.name, next_number(topic));
    if is_internal(name) {
        // Ids are found by their partition's number: with another count they would be looked for elsewhere.
        let message = format!("The number of partitions of internal topic {name} cannot be changed.");
        return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
    }
    let refuse = |message: String| Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message));
    match count {
        count if count == now => refuse(format!("Topic already has {now} partition(s).")),
        count if count < now => {
            refuse(format!("The topic {name} currently has {now} partition(s); {count} would not be an increase."))
        }
        count => Ok(count - now),
    }
}

fn next_number(topic: &Topic) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

/// The turn of the broker after the one that leads the last partition, so that leaders go on round.
fn turn_after(topic: &Topic, image: &Image) -> usize {
    let last = topic.partitions.values().next_back().and_then(|partition| partition.replicas.first());
    let place = image.live_brokers().position(|broker| Some(&broker.node) == last);
    place.map_or(0, |place| place + 1)
}

fn told(name: &str, result: Result<(), Refusal>) -> CreatePartitionsTopicResult {
    let (code, message) = match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(refusal) => (refusal.code, Some(refusal.message).filter(|message| !message.is_empty())),
    };
    CreatePartitionsTopicResult {
        name: name.to_owned(),
        error_code: code.0,
        error_message: message,
        ..CreatePartitionsTopicResult::default()
    }
}

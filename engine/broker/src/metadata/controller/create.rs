//! CreateTopics and automatic creation: what is refused and in which words (ControllerApis, ReplicationControlManager),
//! and the records of what is not.

use std::collections::BTreeMap;

use ringlog_wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use ringlog_wire::records::metadata::{ConfigRecord, PartitionRecord, TopicRecord};
use ringlog_wire::{ErrorCode, Uuid};

use super::super::ids::NodeId;
use super::super::image::{Image, METADATA_TOPIC, OFFSETS_TOPIC, RESOURCE_TOPIC, TRANSACTIONS_TOPIC, is_internal};
use super::super::names;
use super::placement::{self, Assignment};
use super::{Controller, Draft, random_id};
use crate::settings::key::Effect;
use crate::settings::topic_config::{self, Overrides};
use crate::settings::topic_keys::topic_key;
use crate::settings::{Settings, describe};

/// The most partitions that one request may make (ReplicationControlManager.MAX_PARTITIONS_PER_BATCH).
pub(crate) const PARTITIONS_PER_CALL: usize = 10_000;

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A topic that can be made.
struct Plan {
    name: String,
    overrides: Overrides,
    assignment: Assignment,
}

impl Controller {
    pub(super) fn create_topics(
        &mut self,
        request: CreateTopicsRequest,
        draft: &mut Draft,
        random: &mut dyn FnMut() -> u64,
    ) -> CreateTopicsResponse {
        let mut dry_run = Draft::new(&draft.image);
        let target = if request.validate_only { &mut dry_run } else { draft };
        let mut room = PARTITIONS_PER_CALL;
        let mut topics = Vec::with_capacity(request.topics.len());
        for (topic, times) in by_name(&request.topics) {
            let result = if times > 1 {
                Err(Refusal::new(ErrorCode::INVALID_REQUEST, "Duplicate topic name."))
            } else {
                self.create_topic(topic, &mut room, target, random)
            };
            topics.push(result.unwrap_or_else(|refusal| refused(&topic.name, refusal)));
        }
        let throttle_time_ms = self.mutations.throttle_ms();
        CreateTopicsResponse { topics, throttle_time_ms, ..CreateTopicsResponse::default() }
    }

    pub(super) fn auto_create(
        &mut self,
        names: Vec<String>,
        draft: &mut Draft,
        random: &mut dyn FnMut() -> u64,
    ) -> Vec<(String, ErrorCode)> {
        let mut room = PARTITIONS_PER_CALL;
        let mut create = |name: String| {
            let code = match self.create_topic(&automatic(&name, &self.settings.clone()), &mut room, draft, random) {
                Ok(_) => ErrorCode::NONE,
                Err(refusal) if refusal.code == ErrorCode::TOPIC_ALREADY_EXISTS => ErrorCode::NONE,
                Err(refusal) => {
                    tracing::warn!(topic = name, reason = refusal.message, "a topic cannot be created by itself");
                    refusal.code
                }
            };
            (name, code)
        };
        names.into_iter().map(&mut create).collect()
    }

    fn create_topic(
        &mut self,
        topic: &CreatableTopic,
        room: &mut usize,
        draft: &mut Draft,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<CreatableTopicResult, Refusal> {
        let plan = self.plan(topic, &draft.image)?;
        let left = room.checked_sub(plan.assignment.len());
        *room = left.ok_or_else(|| {
            Refusal::new(ErrorCode::POLICY_VIOLATION, "Excessively large number of partitions per request.")
        })?;
        self.mutations.charge(plan.assignment.len())?;
        let mut id = random_id(random);
        while draft.image.topic_by_id(id).is_some() {
            id = random_id(random);
        }
        self.rotation = self.rotation.wrapping_add(plan.assignment.len());
        warn_of_idle(&plan.name, &plan.overrides);
        record(&plan, id, self.directory_id, draft);
        Ok(made(&plan, id, &self.settings))
    }

    fn plan(&self, topic: &CreatableTopic, image: &Image) -> Result<Plan, Refusal> {
        check_name(&topic.name, image)?;
        let given = topic.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref()));
        let overrides = topic_config::check(given, &self.settings)
            .map_err(|invalid| Refusal::new(ErrorCode::INVALID_CONFIG, invalid.to_string()))?;
        let assignment = self.assign(topic, image)?;
        Ok(Plan { name: topic.name.clone(), overrides, assignment })
    }

    fn assign(&self, topic: &CreatableTopic, image: &Image) -> Result<Assignment, Refusal> {
        let colocated = self.settings.allow_colocated_replicas();
        if !topic.assignments.is_empty() {
            let set = "A manual partition assignment was specified, but";
            if topic.replication_factor != -1 {
                let message = format!("{set} replication factor was not set to -1.");
                return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
            }
            if topic.num_partitions != -1 {
                let message = format!("{set} numPartitions was not set to -1.");
                return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
            }
            return placement::manual(image, &topic.assignments, colocated);
        }
        let factor = or_default(topic.replication_factor, self.settings.default_replication_factor());
        if factor < 1 {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
        }
        let partitions = or_default(topic.num_partitions, self.settings.num_partitions());
        if partitions < 1 {
            let message = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        if usize::try_from(partitions).is_ok_and(|partitions| partitions > PARTITIONS_PER_CALL) {
            let message = "Excessively large number of partitions per request.";
            return Err(Refusal::new(ErrorCode::POLICY_VIOLATION, message));
        }
        placement::spread(image, partitions, factor, colocated, self.rotation)
    }
}

fn or_default<T: PartialEq + From<i8>>(given: T, default: T) -> T {
    if given == T::from(-1) { default } else { given }
}

/// The topics of a request in its order, each name once, with how often it stands there.
fn by_name(topics: &[CreatableTopic]) -> Vec<(&CreatableTopic, usize)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: Vec<(&CreatableTopic, usize)> = Vec::new();
    for topic in topics {
        match places.get(topic.name.as_str()) {
            Some(place) => found[*place].1 += 1,
            None => {
                places.insert(&topic.name, found.len());
                found.push((topic, 1));
            }
        }
    }
    found
}

fn check_name(name: &str, image: &Image) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
    if let Err(message) = names::check(name) {
        return invalid(message);
    }
    if name == METADATA_TOPIC {
        let message = format!("Creation of internal topic {name} is prohibited.");
        return Err(Refusal::new(ErrorCode::INVALID_REQUEST, message));
    }
    if image.topic(name).is_some() {
        return Err(Refusal::new(ErrorCode::TOPIC_ALREADY_EXISTS, format!("Topic '{name}' already exists.")));
    }
    if names::can_collide(name)
        && let Some(other) = image.topics().find(|topic| names::collide(&topic.name, name))
    {
        return invalid(format!("Topic '{name}' collides with existing topic: {}", other.name));
    }
    Ok(())
}

/// The topic that a client's or coordinator's wish stands for. The coordinator's own has its settings.
fn automatic(name: &str, settings: &Settings) -> CreatableTopic {
    let config = |name: &str, value: &str| CreatableTopicConfig {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..CreatableTopicConfig::default()
    };
    let wish = CreatableTopic {
        name: name.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        ..CreatableTopic::default()
    };
    match name {
        OFFSETS_TOPIC => CreatableTopic {
            num_partitions: settings.offsets_topic_num_partitions(),
            replication_factor: settings.offsets_topic_replication_factor(),
            configs: vec![
                config("cleanup.policy", "compact"),
                config("compression.type", "producer"),
                config("segment.bytes", &settings.offsets_topic_segment_bytes().max(1 << 20).to_string()),
            ],
            ..wish
        },
        TRANSACTIONS_TOPIC => CreatableTopic {
            num_partitions: settings.transaction_state_log_num_partitions(),
            replication_factor: settings.transaction_state_log_replication_factor(),
            configs: vec![
                config("cleanup.policy", "compact"),
                config("compression.type", "uncompressed"),
                config("segment.bytes", &settings.transaction_state_log_segment_bytes().max(1 << 20).to_string()),
                config("unclean.leader.election.enable", "false"),
            ],
            ..wish
        },
        _ => wish,
    }
}

/// Settings that are kept and shown, and that nothing acts on yet.
pub(super) fn warn_of_idle(topic: &str, overrides: &Overrides) {
    let is_idle = |name: &&String| {
        topic_key(name.as_str()).is_some_and(|topic| {
            topic.key.effect == Effect::NotYet && overrides.get(*name).map(String::as_str) != topic.key.default
        })
    };
    let idle: Vec<&String> = overrides.keys().filter(is_idle).collect();
    if !idle.is_empty() && !is_internal(topic) {
        tracing::warn!(topic, settings = ?idle, "these settings are kept, but nothing acts on them yet");
    }
}

fn record(plan: &Plan, id: Uuid, directory_id: Uuid, draft: &mut Draft) {
    draft.push(TopicRecord { name: plan.name.clone(), topic_id: id, ..TopicRecord::default() });
    for (name, value) in &plan.overrides {
        draft.push(ConfigRecord {
            resource_type: RESOURCE_TOPIC,
            resource_name: plan.name.clone(),
            name: name.clone(),
            value: Some(value.clone()),
            ..ConfigRecord::default()
        });
    }
    for (number, replicas) in (0..).zip(&plan.assignment) {
        draft.push(new_partition(id, number, replicas, directory_id));
    }
}

/// The leader alone is in sync at first: nothing replicates between shards of a host.
pub(super) fn new_partition(topic_id: Uuid, number: i32, replicas: &[NodeId], directory_id: Uuid) -> PartitionRecord {
    let ids: Vec<i32> = replicas.iter().map(|node| node.0).collect();
    let leader = ids.first().copied().unwrap_or(-1);
    PartitionRecord {
        partition_id: number,
        topic_id,
        directories: vec![directory_id; ids.len()],
        replicas: ids,
        isr: vec![leader],
        leader,
        leader_epoch: 0,
        partition_epoch: 0,
        ..PartitionRecord::default()
    }
}

fn refused(name: &str, refusal: Refusal) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.to_owned(),
        error_code: refusal.code.0,
        error_message: Some(refusal.message),
        ..CreatableTopicResult::default()
    }
}

fn made(plan: &Plan, id: Uuid, settings: &Settings) -> CreatableTopicResult {
    let count = |len: usize| i32::try_from(len).unwrap_or(i32::MAX);
    let config = |described: describe::Described| CreatableTopicConfigs {
        name: described.name.into_owned(),
        value: described.value,
        read_only: described.read_only,
        config_source: described.source as i8,
        is_sensitive: false,
        ..CreatableTopicConfigs::default()
    };
    CreatableTopicResult {
        name: plan.name.clone(),
        topic_id: id,
        error_code: ErrorCode::NONE.0,
        error_message: None,
        num_partitions: count(plan.assignment.len()),
        replication_factor: i16::try_from(plan.assignment.first().map_or(0, Vec::len)).unwrap_or(i16::MAX),
        configs: Some(describe::topic(&plan.overrides, settings).into_iter().map(config).collect()),
        ..CreatableTopicResult::default()
    }
}

/// Whether a topic that a client asks for may be made by itself. Of the brokers' own, only the coordinators' that are here.
#[must_use]
pub(crate) fn may_create(name: &str) -> bool {
    matches!(name, OFFSETS_TOPIC | TRANSACTIONS_TOPIC) || !is_internal(name)
}

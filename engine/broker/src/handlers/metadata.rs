//! Metadata: v0-13. Brokers, topics, leaders; asks for missing topics to be made where that is allowed.
//!
//! v0: an empty list is all topics. v1: null is all, empty is none. v4: the client may forbid creation. v8-10: operations
//! on the cluster. v10: topic ids in the answer. v12: topics may be asked for by id. v13: an error for the whole answer.

use std::collections::BTreeSet;

use ringlog_wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use ringlog_wire::{ErrorCode, Uuid};

use crate::metadata::controller::may_create;
use crate::metadata::ids::NodeId;
use crate::metadata::image::{Image, Partition, Topic, is_internal};
use crate::metadata::names;
use crate::settings::Settings;

/// Every operation on a topic, as bits (AclOperation): what one may do where there is no authorizer.
pub(crate) const TOPIC_OPERATIONS: i32 = 0xdf8;
/// Every operation on the cluster, as bits.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0x1fa0;

/// An answer, and the topics that should be made: the client is told that they are unknown and asks again.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: MetadataResponse,
    pub(crate) create: Vec<String>,
}

/// Answers from the image.
pub(crate) fn answer(request: &MetadataRequest, version: i16, image: &Image, settings: &Settings) -> Answer {
    let mut looked = Look { image, settings, request, version, topics: Vec::new(), create: Vec::new() };
    looked.look();
    let response = MetadataResponse {
        brokers: image.live_brokers().map(broker).collect(),
        cluster_id: Some(image.cluster_id().to_owned()),
        controller_id: image.controller().0,
        topics: looked.topics,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => i32::MIN,
        },
        ..MetadataResponse::default()
    };
    Answer { response, create: looked.create }
}

fn broker(broker: &crate::metadata::image::Node) -> MetadataResponseBroker {
    MetadataResponseBroker {
        node_id: broker.node.0,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        rack: broker.rack.clone(),
        ..MetadataResponseBroker::default()
    }
}

/// One request's way through the image.
struct Look<'a> {
    image: &'a Image,
    settings: &'a Settings,
    request: &'a MetadataRequest,
    version: i16,
    topics: Vec<MetadataResponseTopic>,
    create: Vec<String>,
}

impl Look<'_> {
    fn look(&mut self) {
        match &self.request.topics {
            Some(topics) if self.version > 0 || !topics.is_empty() => self.named(topics),
            _ => self.topics = self.image.topics().map(|topic| self.found(topic)).collect(),
        }
    }

    fn named(&mut self, topics: &[MetadataRequestTopic]) {
        let mut seen = BTreeSet::new();
        for topic in topics.iter().filter(|topic| seen.insert((&topic.name, topic.topic_id))) {
            let told = match &topic.name {
                _ if self.version < 12 && (topic.name.is_none() || !topic.topic_id.is_zero()) => {
                    missing(topic.name.clone().unwrap_or_default(), topic.topic_id, ErrorCode::INVALID_REQUEST)
                }
                // An id counts where there is one, whatever the name says.
                _ if !topic.topic_id.is_zero() => self.by_id(topic.topic_id),
                Some(name) => self.by_name(name),
                None => by_no_id(),
            };
            self.topics.push(told);
        }
    }

    fn by_id(&self, id: Uuid) -> MetadataResponseTopic {
        match self.image.topic_by_id(id) {
            Some(topic) => self.found(topic),
            None => MetadataResponseTopic { topic_id: id, ..by_no_id() },
        }
    }

    fn by_name(&mut self, name: &str) -> MetadataResponseTopic {
        if let Some(topic) = self.image.topic(name) {
            return self.found(topic);
        }
        if names::check(name).is_err() {
            return missing(name.to_owned(), Uuid::ZERO, ErrorCode::INVALID_TOPIC_EXCEPTION);
        }
        let wanted = self.version < 4 || self.request.allow_auto_topic_creation;
        if wanted && self.settings.auto_create_topics_enable() && may_create(name) {
            self.create.push(name.to_owned());
        }
        missing(name.to_owned(), Uuid::ZERO, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    fn found(&self, topic: &Topic) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().map(|(number, partition)| self.partition(*number, partition));
        MetadataResponseTopic {
            name: Some(topic.name.to_string()),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions: partitions.collect(),
            topic_authorized_operations: match self.request.include_topic_authorized_operations {
                true => TOPIC_OPERATIONS,
                false => i32::MIN,
            },
            ..MetadataResponseTopic::default()
        }
    }

    fn partition(&self, number: i32, partition: &Partition) -> MetadataResponsePartition {
        let view = view(self.image, partition);
        // Version 0 has no room for replicas that are away: it names only those that are there, and says so.
        let narrow = self.version == 0 && !view.offline.is_empty();
        let shown = |nodes: &[NodeId]| -> Vec<i32> {
            nodes.iter().map(|node| node.0).filter(|node| !narrow || !view.offline.contains(node)).collect()
        };
        MetadataResponsePartition {
            error_code: match view.error {
                ErrorCode::NONE if narrow => ErrorCode::REPLICA_NOT_AVAILABLE.0,
                error => error.0,
            },
            partition_index: number,
            leader_id: view.leader,
            leader_epoch: partition.leader_epoch,
            replica_nodes: shown(&partition.replicas),
            isr_nodes: shown(&partition.isr),
            offline_replicas: view.offline.clone(),
            ..MetadataResponsePartition::default()
        }
    }
}

/// What clients are told of a partition's leader and of replicas that are away.
pub(crate) struct View {
    pub(crate) error: ErrorCode,
    pub(crate) leader: i32,
    pub(crate) offline: Vec<i32>,
}

/// Looks who of a partition's brokers is there.
pub(crate) fn view(image: &Image, partition: &Partition) -> View {
    let live = |node: &NodeId| image.broker(node.0).is_some_and(|broker| !broker.fenced);
    let offline = partition.replicas.iter().filter(|node| !live(node)).map(|node| node.0).collect();
    match live(&partition.leader) {
        true => View { error: ErrorCode::NONE, leader: partition.leader.0, offline },
        false => View { error: ErrorCode::LEADER_NOT_AVAILABLE, leader: -1, offline },
    }
}

fn missing(name: String, topic_id: Uuid, error: ErrorCode) -> MetadataResponseTopic {
    let is_internal = is_internal(&name);
    MetadataResponseTopic {
        error_code: error.0,
        name: Some(name),
        topic_id,
        is_internal,
        ..MetadataResponseTopic::default()
    }
}

fn by_no_id() -> MetadataResponseTopic {
    MetadataResponseTopic { error_code: ErrorCode::UNKNOWN_TOPIC_ID.0, name: None, ..MetadataResponseTopic::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fixtures::{image, settings};

    fn ask(topics: Option<&[&str]>, version: i16) -> Answer {
        let topic = |name: &&str| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() };
        let topics = topics.map(|topics| topics.iter().map(topic).collect());
        answer(&MetadataRequest { topics, ..Default::default() }, version, &image(), &settings())
    }

    fn names(answer: &Answer) -> Vec<&str> {
        answer.response.topics.iter().filter_map(|topic| topic.name.as_deref()).collect()
    }

    fn errors(answer: &Answer) -> Vec<i16> {
        answer.response.topics.iter().map(|topic| topic.error_code).collect()
    }

    #[test]
    fn null_is_all_topics_and_so_is_an_empty_list_in_version_0() {
        assert_eq!(names(&ask(None, 12)), ["a", "b"]);
        assert_eq!(names(&ask(Some(&[]), 0)), ["a", "b"]);
        assert_eq!(names(&ask(Some(&[]), 1)), Vec::<&str>::new());
    }

    #[test]
    fn brokers_controller_and_cluster_are_told() {
        let response = ask(Some(&[]), 12).response;
        let nodes: Vec<_> = response.brokers.iter().map(|broker| (broker.node_id, broker.port)).collect();
        assert_eq!(nodes, [(1, 9092), (2, 9093)]);
        assert_eq!((response.controller_id, response.cluster_id.as_deref()), (1, Some("cluster")));
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
    }

    #[test]
    fn leaders_are_the_nodes_of_shards() {
        let response = ask(Some(&["a"]), 12).response;
        let leaders: Vec<_> =
            response.topics[0].partitions.iter().map(|one| (one.partition_index, one.leader_id)).collect();
        assert_eq!(leaders, [(0, 1), (1, 2), (2, 1)]);
    }

    #[test]
    fn a_missing_topic_is_unknown_and_made_if_the_client_lets_us() {
        let asked = ask(Some(&["new", "a", "new", "b d"]), 12);
        assert_eq!(errors(&asked), [3, 0, 17]);
        assert_eq!(asked.create, ["new"]);
        let topics = Some(vec![MetadataRequestTopic { name: Some("new".into()), ..Default::default() }]);
        let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
        assert_eq!(answer(&request, 12, &image(), &settings()).create, Vec::<String>::new());
        let never = Settings::of(&[("auto.create.topics.enable", "false")]);
        let request = MetadataRequest { allow_auto_topic_creation: true, ..request };
        assert_eq!(answer(&request, 12, &image(), &never).create, Vec::<String>::new());
    }

    #[test]
    fn the_brokers_own_topics_are_made_only_if_they_are_served_here() {
        assert_eq!(
            ask(Some(&["__consumer_offsets", "__transaction_state"]), 12).create,
            ["__consumer_offsets", "__transaction_state"]
        );
    }

    #[test]
    fn topics_are_found_by_id_from_version_12_on() {
        let by_id = |id, version| {
            let topics = Some(vec![MetadataRequestTopic { name: None, topic_id: id, ..Default::default() }]);
            answer(&MetadataRequest { topics, ..Default::default() }, version, &image(), &settings())
        };
        let id = image().topic("b").unwrap().id;
        assert_eq!(names(&by_id(id, 12)), ["b"]);
        assert_eq!(errors(&by_id(Uuid([9; 16]), 12)), [ErrorCode::UNKNOWN_TOPIC_ID.0]);
        assert_eq!(errors(&by_id(id, 11)), [ErrorCode::INVALID_REQUEST.0]);
    }
}

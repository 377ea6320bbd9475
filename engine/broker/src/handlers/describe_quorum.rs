//! DescribeQuorum: v0-2. Who keeps the metadata log: shard 0 is its leader and only voter, the other shards read it. v1 has
//! times, v2 messages, directories and addresses. What is not the metadata log's partition is unknown.

use ringlog_wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionData, PartitionResult, ReplicaState,
    TopicData, TopicResult,
};
use ringlog_wire::{ErrorCode, Uuid};

use crate::metadata::ids::NodeId;
use crate::metadata::image::{Image, METADATA_TOPIC};
use crate::settings::Settings;

/// Kafka's words for it (Errors.UNKNOWN_TOPIC_OR_PARTITION).
pub(super) const UNKNOWN: &str = "This server does not host this topic-partition.";

/// Answers from the image, which is what the log holds on the disk.
pub(crate) fn answer(
    request: &DescribeQuorumRequest,
    image: &Image,
    settings: &Settings,
    wall_ms: i64,
) -> DescribeQuorumResponse {
    let is_metadata_log = match request.topics.as_slice() {
        [topic] => topic.topic_name == METADATA_TOPIC && topic.partitions.iter().map(|one| one.partition_index).eq([0]),
        _ => false,
    };
    if !is_metadata_log {
        let topics = request.topics.iter().map(unknown).collect();
        return DescribeQuorumResponse { topics, error_message: None, ..Default::default() };
    }
    let partitions = vec![quorum(image, wall_ms)];
    let topic = TopicResult { topic_name: METADATA_TOPIC.to_owned(), partitions, ..Default::default() };
    let nodes = image.broker(image.controller().0).map(|broker| Node {
        node_id: broker.node.0,
        listeners: vec![Listener {
            name: settings.listener_name().to_owned(),
            host: broker.host.clone(),
            port: broker.port,
            ..Default::default()
        }],
        ..Default::default()
    });
    DescribeQuorumResponse {
        error_message: None,
        topics: vec![topic],
        nodes: nodes.into_iter().collect(),
        ..Default::default()
    }
}

fn quorum(image: &Image, wall_ms: i64) -> PartitionResult {
    let end_offset = image.version() + 1;
    let state = |node: NodeId| ReplicaState {
        replica_id: node.0,
        replica_directory_id: Uuid::ZERO,
        log_end_offset: end_offset,
        last_fetch_timestamp: wall_ms,
        last_caught_up_timestamp: wall_ms,
        ..Default::default()
    };
    let leader = image.controller();
    let others = image.live_brokers().map(|broker| broker.node).filter(|node| *node != leader);
    PartitionResult {
        partition_index: 0,
        error_message: None,
        leader_id: leader.0,
        leader_epoch: image.leader_epoch(),
        high_watermark: end_offset,
        current_voters: vec![state(leader)],
        observers: others.map(state).collect(),
        ..Default::default()
    }
}

fn unknown(topic: &TopicData) -> TopicResult {
    let partition = |asked: &PartitionData| PartitionResult {
        partition_index: asked.partition_index,
        error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
        error_message: Some(UNKNOWN.to_owned()),
        ..Default::default()
    };
    TopicResult {
        topic_name: topic.topic_name.clone(),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::fixtures::{image, settings};

    fn ask(topics: &[(&str, &[i32])]) -> DescribeQuorumResponse {
        let topic = |(name, partitions): &(&str, &[i32])| {
            let partition = |index: &i32| PartitionData { partition_index: *index, ..Default::default() };
            let partitions = partitions.iter().map(partition).collect();
            TopicData { topic_name: (*name).to_owned(), partitions, ..Default::default() }
        };
        let request = DescribeQuorumRequest { topics: topics.iter().map(topic).collect(), ..Default::default() };
        answer(&request, &image(), &settings(), 7)
    }

    #[test]
    fn shard_0_votes_and_the_others_read() {
        let told = ask(&[(METADATA_TOPIC, &[0])]);
        let partition = &told.topics[0].partitions[0];
        let ids = |states: &[ReplicaState]| states.iter().map(|state| state.replica_id).collect::<Vec<_>>();
        assert_eq!((partition.leader_id, partition.error_code), (1, 0));
        assert_eq!((ids(&partition.current_voters), ids(&partition.observers)), (vec![1], vec![2]));
        assert_eq!(partition.high_watermark, image().version() + 1);
        assert_eq!((told.nodes[0].node_id, told.nodes[0].listeners[0].name.as_str()), (1, "PLAINTEXT"));
    }

    #[test]
    fn nothing_else_has_a_quorum() {
        for topics in [&[("a", &[0][..])][..], &[(METADATA_TOPIC, &[0, 1])], &[(METADATA_TOPIC, &[0]), ("a", &[])]] {
            let told = ask(topics);
            assert!(told.nodes.is_empty() && told.topics.len() == topics.len());
            for partition in told.topics.iter().flat_map(|topic| &topic.partitions) {
                assert_eq!((partition.error_code, partition.error_message.as_deref()), (3, Some(UNKNOWN)));
            }
        }
    }
}

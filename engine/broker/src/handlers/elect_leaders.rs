//! ElectLeaders: v0-2. Nothing replicates between the shards of a host, so nobody but the leader is ever in sync: a partition
//! has the leader that it is to have, or there is nobody to elect.
//!
//! | partition (ReplicationControlManager.electLeader) | preferred (0) | unclean (1) |
//! |---|---|---|
//! | not there | UNKNOWN_TOPIC_OR_PARTITION | UNKNOWN_TOPIC_OR_PARTITION |
//! | its first replica leads | ELECTION_NOT_NEEDED | ELECTION_NOT_NEEDED |
//! | another leads | PREFERRED_LEADER_NOT_AVAILABLE | ELECTION_NOT_NEEDED |
//! | nobody leads | PREFERRED_LEADER_NOT_AVAILABLE | ELIGIBLE_LEADERS_NOT_AVAILABLE |

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

use crate::metadata::image::{Image, Partition};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// Answers from the image.
pub(crate) fn answer(request: &ElectLeadersRequest, image: &Image) -> ElectLeadersResponse {
    let is_known = matches!(request.election_type, PREFERRED | UNCLEAN);
    let error = if is_known { ErrorCode::NONE } else { ErrorCode::INVALID_REQUEST };
    let elect = |topic: &str, partition: i32| match is_known {
        true => elect(image, topic, partition, request.election_type),
        false => (ErrorCode::INVALID_REQUEST, format!("Unknown election type {}", request.election_type)),
    };
    let replica_election_results = match &request.topic_partitions {
        Some(topics) => topics
            .iter()
            .map(|topic| result(&topic.topic, topic.partitions.iter().copied(), &elect, |_| true))
            .collect(),
        None if !is_known => Vec::new(),
        // Of all, those are left out that need no election.
        None => {
            let is_needed = |error: ErrorCode| error != ErrorCode::ELECTION_NOT_NEEDED;
            let all = image.topics();
            all.map(|topic| result(&topic.name, topic.partitions.keys().copied(), &elect, is_needed)).collect()
        }
    };
    ElectLeadersResponse { error_code: error.0, replica_election_results, ..Default::default() }
}

fn result(
    topic: &str,
    partitions: impl Iterator<Item = i32>,
    elect: &dyn Fn(&str, i32) -> (ErrorCode, String),
    is_told: fn(ErrorCode) -> bool,
) -> ReplicaElectionResult {
    let told =
        partitions.map(|partition| (partition, elect(topic, partition))).filter(|(_, (error, _))| is_told(*error));
    let partition = |(partition_id, (error, message)): (i32, (ErrorCode, String))| PartitionResult {
        partition_id,
        error_code: error.0,
        error_message: Some(message),
        ..Default::default()
    };
    ReplicaElectionResult {
        topic: topic.to_owned(),
        partition_result: told.map(partition).collect(),
        ..Default::default()
    }
}

/// What becomes of an election, in Kafka's words.
fn elect(image: &Image, name: &str, number: i32, election_type: i8) -> (ErrorCode, String) {
    let Some(topic) = image.topic(name) else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("No such topic as {name}"));
    };
    let Some(partition) = topic.partition(number) else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("No such partition as {name}-{number}"));
    };
    let (code, message) = match (election_type, is_led(partition)) {
        (PREFERRED, _) if partition.replicas.first() == Some(&partition.leader) => NOT_NEEDED,
        (PREFERRED, _) => (ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, "The preferred leader was not available."),
        (_, true) => NOT_NEEDED,
        (_, false) => {
            (ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, "Eligible topic partition leaders are not available.")
        }
    };
    (code, message.to_owned())
}

const NOT_NEEDED: (ErrorCode, &str) =
    (ErrorCode::ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.");

fn is_led(partition: &Partition) -> bool {
    partition.leader.0 >= 0
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::elect_leaders::TopicPartitions;

    use super::*;
    use crate::metadata::fixtures::image;

    fn ask(election_type: i8, topics: Option<&[(&str, &[i32])]>) -> (i16, Vec<(i32, i16, String)>) {
        let topic = |(name, partitions): &(&str, &[i32])| TopicPartitions {
            topic: (*name).to_owned(),
            partitions: partitions.to_vec(),
            ..Default::default()
        };
        let topic_partitions = topics.map(|topics| topics.iter().map(topic).collect());
        let request = ElectLeadersRequest { election_type, topic_partitions, ..Default::default() };
        let told = answer(&request, &image());
        let all = told.replica_election_results.into_iter().flat_map(|topic| topic.partition_result);
        let all = all.map(|one| (one.partition_id, one.error_code, one.error_message.unwrap_or_default()));
        (told.error_code, all.collect())
    }

    #[test]
    fn a_partition_that_is_led_needs_no_election_and_one_that_is_not_there_has_none() {
        for election_type in [PREFERRED, UNCLEAN] {
            let (error, told) = ask(election_type, Some(&[("a", &[0, 9]), ("none", &[0])]));
            let codes: Vec<i16> = told.iter().map(|(_, code, _)| *code).collect();
            assert_eq!((error, codes), (0, vec![84, 3, 3]));
            assert_eq!((told[1].2.as_str(), told[2].2.as_str()), ("No such partition as a-9", "No such topic as none"));
            assert_eq!(ask(election_type, None), (0, Vec::new()), "of all, those that need one");
        }
    }

    #[test]
    fn an_election_of_a_kind_that_kafka_does_not_have_is_refused() {
        let told = (0, 42, "Unknown election type 7".to_owned());
        assert_eq!(ask(7, Some(&[("a", &[0])])), (42, vec![told]));
        assert_eq!(ask(7, None), (42, Vec::new()));
    }
}

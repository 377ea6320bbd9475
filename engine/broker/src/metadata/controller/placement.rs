//! Where replicas go: leaders in turn over the brokers, starting one further for each topic; or as the caller says.

use std::collections::{BTreeMap, BTreeSet};

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::create_topics::CreatableReplicaAssignment;

use super::super::ids::NodeId;
use super::super::image::Image;
use super::create::Refusal;

/// The replicas of each partition, the leader first.
pub(super) type Assignment = Vec<Vec<NodeId>>;

/// Places `partitions` of `replication_factor` replicas. `first` is the turn of partition 0.
pub(super) fn spread(
    image: &Image,
    partitions: i32,
    replication_factor: i16,
    colocated: bool,
    first: usize,
) -> Result<Assignment, Refusal> {
    let brokers: Vec<NodeId> = image.live_brokers().map(|broker| broker.node).collect();
    let factor = usize::try_from(replication_factor).unwrap_or(0);
    let (limit, reason) = reach(image, &brokers, colocated);
    if factor > limit {
        return Err(Refusal::new(
            ErrorCode::INVALID_REPLICATION_FACTOR,
            format!(
                "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot \
                 be reached because {reason}."
            ),
        ));
    }
    let partitions = usize::try_from(partitions).unwrap_or(0);
    let replica = |partition: usize, place: usize| brokers[(first + partition + place) % brokers.len()];
    Ok((0..partitions).map(|partition| (0..factor).map(|place| replica(partition, place)).collect()).collect())
}

/// The largest replication factor, and why it is no larger.
fn reach(image: &Image, brokers: &[NodeId], colocated: bool) -> (usize, String) {
    let hosts = hosts(image, brokers);
    if colocated || brokers.len() == hosts {
        return (brokers.len(), format!("only {} broker(s) are registered", brokers.len()));
    }
    let reason = format!(
        "the {} broker(s) that are registered are shards of {hosts} host(s), and those of one host fail together \
         (allow.colocated.replicas=true permits it for a rehearsal)",
        brokers.len()
    );
    (hosts, reason)
}

/// Hosts that these brokers are on: the shards of this process are one.
fn hosts(image: &Image, brokers: &[NodeId]) -> usize {
    let siblings = brokers.iter().filter(|node| image.here().shard(**node).is_some()).count();
    brokers.len() - siblings + usize::from(siblings > 0)
}

/// Takes a caller's own assignment (ReplicationControlManager.validateManualPartitionAssignment).
pub(super) fn manual(
    image: &Image,
    given: &[CreatableReplicaAssignment],
    colocated: bool,
) -> Result<Assignment, Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    let mut partitions: BTreeMap<i32, Vec<NodeId>> = BTreeMap::new();
    let mut factor = None;
    for assignment in given {
        let replicas: Vec<NodeId> = assignment.broker_ids.iter().copied().map(NodeId).collect();
        check_replicas(image, &replicas, colocated)?;
        let expected = *factor.get_or_insert(replicas.len());
        if replicas.len() != expected {
            return refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {expected} replica(s).",
                replicas.len()
            ));
        }
        let number = assignment.partition_index;
        if partitions.insert(number, replicas).is_some() {
            return refuse(format!("Found multiple manual partition assignments for partition {number}"));
        }
    }
    if !partitions.keys().copied().eq(0..i32::try_from(partitions.len()).unwrap_or(i32::MAX)) {
        return refuse("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(partitions.into_values().collect())
}

pub(super) fn check_replicas(image: &Image, replicas: &[NodeId], colocated: bool) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    if replicas.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut seen = BTreeSet::new();
    for node in replicas {
        if !image.live_brokers().any(|broker| broker.node == *node) {
            return refuse(format!(
                "The manual partition assignment includes broker {node}, but no such broker is registered."
            ));
        }
        if !seen.insert(*node) {
            return refuse(format!("The manual partition assignment includes the broker {node} more than once."));
        }
    }
    if !colocated && replicas.len() > hosts(image, replicas) {
        let message = format!(
            "The manual partition assignment names {} replicas on shards of one host, which fail together \
             (allow.colocated.replicas=true permits it for a rehearsal).",
            replicas.len()
        );
        return Err(Refusal::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    Ok(())
}

//! AlterPartitionReassignments (ReplicationControlManager.alterPartitionReassignment): a partition moves from one shard to
//! another, in two changes. Folders stay where they are, in the host's log directory.
//!
//! ```text
//!   [old], led by old --reassign--> [new, old], led by nobody --every shard has it so: old gave the log up--> finish_moves
//!                                                                                          [new], led by new
//! ```
//! Between the two no shard has the folder open; clients are told that the leader is not available, and ask again. A start in
//! between gives the partition to one of the two (`rehome`), and what is left of the move ends there.

use ringlog_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ringlog_wire::records::metadata::PartitionChangeRecord;
use ringlog_wire::{ErrorCode, Uuid};

use super::super::ids::NodeId;
use super::super::image::{Image, Topic};
use super::create::Refusal;
use super::placement::check_replicas;
use super::{Controller, Draft};

/// Nobody leads (LeaderConstants.NO_LEADER).
const NO_LEADER: i32 = -1;

impl Controller {
    pub(super) fn reassign(
        &self,
        request: AlterPartitionReassignmentsRequest,
        draft: &mut Draft,
    ) -> AlterPartitionReassignmentsResponse {
        let is_fixed = !request.allow_replication_factor_change;
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let one = |target: &ReassignablePartition| {
                let result = self.reassign_one(&topic.name, target, is_fixed, draft);
                told(target.partition_index, result.err())
            };
            let partitions = topic.partitions.iter().map(one).collect();
            responses.push(ReassignableTopicResponse { name: topic.name, partitions, ..Default::default() });
        }
        AlterPartitionReassignmentsResponse {
            allow_replication_factor_change: request.allow_replication_factor_change,
            error_message: None,
            responses,
            ..Default::default()
        }
    }

    fn reassign_one(
        &self,
        name: &str,
        target: &ReassignablePartition,
        is_fixed: bool,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        let colocated = self.settings.allow_colocated_replicas();
        let Some(change) = change(&draft.image, name, target, (is_fixed, colocated), self.directory_id)? else {
            return Ok(());
        };
        draft.push(change);
        Ok(())
    }
}

/// A partition's part of the answer.
pub(crate) fn told(partition_index: i32, refusal: Option<Refusal>) -> ReassignablePartitionResponse {
    ReassignablePartitionResponse {
        partition_index,
        error_code: refusal.as_ref().map_or(0, |refusal| refusal.code.0),
        error_message: refusal.map(|refusal| refusal.message).filter(|message| !message.is_empty()),
        ..Default::default()
    }
}

/// What begins a move; none where the partition is where it is to be. Refusals have Kafka's words.
fn change(
    image: &Image,
    name: &str,
    target: &ReassignablePartition,
    (is_fixed, colocated): (bool, bool),
    directory_id: Uuid,
) -> Result<Option<PartitionChangeRecord>, Refusal> {
    let number = target.partition_index;
    let unknown = |message: String| Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message);
    let topic: &Topic = image.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let partition =
        topic.partition(number).ok_or_else(|| unknown(format!("Unable to find partition {name}:{number}.")))?;
    if !partition.adding.is_empty() {
        let message = "A partition reassignment is in progress.";
        return Err(Refusal::new(ErrorCode::REASSIGNMENT_IN_PROGRESS, message));
    }
    let Some(replicas) = &target.replicas else {
        return Err(Refusal::new(ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, ""));
    };
    let replicas: Vec<NodeId> = replicas.iter().copied().map(NodeId).collect();
    check_replicas(image, &replicas, colocated)?;
    let (before, after) = (partition.replicas.len(), replicas.len());
    if is_fixed && before != after {
        let message = format!("The replication factor is changed from {before} to {after}");
        return Err(Refusal::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    match (partition.replicas.as_slice(), replicas.as_slice()) {
        (from, to) if from == to => Ok(None),
        ([from], [to]) => Ok(Some(PartitionChangeRecord {
            partition_id: number,
            topic_id: topic.id,
            leader: NO_LEADER,
            replicas: Some(vec![to.0, from.0]),
            adding_replicas: Some(vec![to.0]),
            removing_replicas: Some(vec![from.0]),
            directories: Some(vec![directory_id; 2]),
            ..Default::default()
        })),
        _ => {
            let message =
                format!("{name}-{number}: a partition that moves between shards has one replica before and after");
            Err(Refusal::new(ErrorCode::POLICY_VIOLATION, message))
        }
    }
}

/// Ends moves: those to whom they go lead now, and what a start has given to somebody stays there.
pub(super) fn finish_moves(moves: Vec<(Uuid, i32)>, directory_id: Uuid, draft: &mut Draft) {
    for (topic_id, partition_id) in moves {
        let topic = draft.image.topic_by_id(topic_id);
        let partition = topic.and_then(|topic| topic.partition(partition_id));
        let Some(partition) = partition.filter(|partition| !partition.adding.is_empty()) else { continue };
        let is_led = partition.leader.0 != NO_LEADER;
        let Some(leader) = (if is_led { Some(&partition.leader) } else { partition.adding.first() }).copied() else {
            continue;
        };
        draft.push(PartitionChangeRecord {
            partition_id,
            topic_id,
            isr: Some(vec![leader.0]),
            leader: if is_led { PartitionChangeRecord::default().leader } else { leader.0 },
            replicas: Some(vec![leader.0]),
            adding_replicas: Some(Vec::new()),
            removing_replicas: Some(Vec::new()),
            directories: Some(vec![directory_id]),
            ..Default::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::alter_partition_reassignments::ReassignableTopic;

    use super::*;
    use crate::metadata::controller::{Call, Decided};
    use crate::metadata::fixtures::{create, decide, settings, start, topic};
    use crate::metadata::image::Partition;

    fn controller() -> Controller {
        let mut controller = start(settings(), None).0;
        create(&mut controller, vec![topic("b", 1, &[])]);
        controller
    }

    fn ask(controller: &mut Controller, name: &str, number: i32, replicas: Option<&[i32]>) -> (usize, i16, String) {
        let replicas = replicas.map(<[i32]>::to_vec);
        let partition = ReassignablePartition { partition_index: number, replicas, ..Default::default() };
        let topic = ReassignableTopic { name: name.to_owned(), partitions: vec![partition], ..Default::default() };
        let request = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
        let proposal = decide(controller, Call::Reassign(request));
        let Decided::Reassign(mut response) = proposal.outcome else { panic!() };
        let told = response.responses.remove(0).partitions.remove(0);
        (proposal.records.len(), told.error_code, told.error_message.unwrap_or_default())
    }

    fn partition(controller: &Controller) -> Partition {
        controller.image().topic("b").unwrap().partition(0).unwrap().clone()
    }

    #[test]
    fn a_partition_that_moves_is_led_by_nobody_until_every_shard_knows() {
        let mut controller = controller();
        let before = partition(&controller);
        let (old, new) = (before.leader, NodeId(3 - before.leader.0));
        assert_eq!(ask(&mut controller, "b", 0, Some(&[old.0])), (0, 0, String::new()), "where it is");
        assert_eq!(ask(&mut controller, "b", 0, Some(&[new.0])), (1, 0, String::new()));
        let between = partition(&controller);
        assert_eq!((between.leader, &between.replicas, &between.isr), (NodeId(-1), &vec![new, old], &vec![old]));
        assert_eq!((between.adding, between.removing), (vec![new], vec![old]));
        assert_eq!(ask(&mut controller, "b", 0, Some(&[old.0])).1, ErrorCode::REASSIGNMENT_IN_PROGRESS.0);
        let moves: Vec<(Uuid, i32)> = controller.image().moves().collect();
        assert_eq!(decide(&mut controller, Call::FinishMoves(moves.clone())).records.len(), 1);
        let after = partition(&controller);
        assert_eq!((after.leader, after.replicas, after.isr), (new, vec![new], vec![new]));
        assert_eq!((after.leader_epoch, after.adding.len()), (before.leader_epoch + 2, 0));
        assert_eq!(controller.image().moves().len(), 0);
        assert_eq!(decide(&mut controller, Call::FinishMoves(moves)).records.len(), 0);
    }

    #[test]
    fn a_start_between_the_two_changes_ends_the_move() {
        let mut controller = controller();
        let old = partition(&controller).leader;
        ask(&mut controller, "b", 0, Some(&[3 - old.0]));
        let mut again = start(settings(), Some(controller.image().as_ref().clone())).0;
        let led = partition(&again).leader;
        assert!(led.0 > 0, "a start gives it to somebody");
        let moves = again.image().moves().collect();
        assert_eq!(decide(&mut again, Call::FinishMoves(moves)).records.len(), 1);
        let after = partition(&again);
        assert_eq!((after.leader, after.replicas, after.adding), (led, vec![led], Vec::new()));
    }

    #[test]
    fn what_cannot_be_is_refused_in_kafkas_words() {
        for (name, number, replicas, code, message) in [
            ("none", 0, Some(&[1][..]), 3, "Unable to find a topic named none."),
            ("b", 7, Some(&[1]), 3, "Unable to find partition b:7."),
            ("b", 0, None, 85, ""),
            ("b", 0, Some(&[]), 39, "The manual partition assignment includes an empty replica list."),
            ("b", 0, Some(&[9]), 39, "includes broker 9, but no such broker is registered."),
            ("b", 0, Some(&[1, 1]), 39, "includes the broker 1 more than once."),
        ] {
            let (records, error, said) = ask(&mut controller(), name, number, replicas);
            assert!((records, error) == (0, code) && said.contains(message), "{error} {said}");
        }
    }
}

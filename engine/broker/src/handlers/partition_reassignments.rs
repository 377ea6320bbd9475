//! ListPartitionReassignments: v0, from the image; AlterPartitionReassignments: v0-1, which the controller decides: partitions
//! move between the shards of this host.

use ringlog_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};
use ringlog_wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, OngoingPartitionReassignment,
    OngoingTopicReassignment,
};
use ringlog_wire::{ApiKey, EncodeError};

use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::handlers::{Handler, each_once};
use crate::metadata::controller::{Call, Decided};
use crate::metadata::ids::NodeId;
use crate::metadata::image::{Image, Partition};
use crate::response::{Asked, Response};

pub(crate) const ALTER: Handler = Handler::new(ApiKey::AlterPartitionReassignments, (0, 1), alter);

/// What is on its way.
pub(crate) fn list(request: &ListPartitionReassignmentsRequest, image: &Image) -> ListPartitionReassignmentsResponse {
    let mut topics: Vec<OngoingTopicReassignment> = Vec::new();
    for (topic_id, number) in image.moves() {
        let Some(topic) = image.topic_by_id(topic_id) else { continue };
        let is_named =
            |asked: &ringlog_wire::messages::list_partition_reassignments::ListPartitionReassignmentsTopics| {
                *asked.name == *topic.name && asked.partition_indexes.contains(&number)
            };
        let is_asked = request.topics.as_ref().is_none_or(|topics| topics.iter().any(is_named));
        let Some(partition) = topic.partition(number).filter(|_| is_asked) else { continue };
        let ongoing = ongoing(number, partition);
        match topics.last_mut().filter(|last| *last.name == *topic.name) {
            Some(last) => last.partitions.push(ongoing),
            None => {
                let name = topic.name.to_string();
                topics.push(OngoingTopicReassignment { name, partitions: vec![ongoing], ..Default::default() });
            }
        }
    }
    ListPartitionReassignmentsResponse { error_message: None, topics, ..Default::default() }
}

fn ongoing(partition_index: i32, partition: &Partition) -> OngoingPartitionReassignment {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    OngoingPartitionReassignment {
        partition_index,
        replicas: ids(&partition.replicas),
        adding_replicas: ids(&partition.adding),
        removing_replicas: ids(&partition.removing),
        ..Default::default()
    }
}

fn alter(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let mut request: AlterPartitionReassignmentsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    for topic in &mut request.topics {
        each_once(&mut topic.partitions, |partition| (partition.partition_index, partition.replicas.clone()));
    }
    let caller = Caller::Request { reply_to: incoming.reply_to, asked: incoming.asked, names: Vec::new(), answer };
    broker.calls.push((caller, Call::Reassign(request)));
    Outcome::Later
}

fn answer(asked: Asked, _: Vec<String>, decided: Decided) -> Result<Response, EncodeError> {
    let body = match decided {
        Decided::Reassign(body) => body,
        decided => {
            let refusal = decided.refusal();
            AlterPartitionReassignmentsResponse {
                error_code: refusal.code.0,
                error_message: Some(refusal.message),
                ..Default::default()
            }
        }
    };
    Response::of(asked, &body)
}

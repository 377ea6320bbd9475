//! Metadata v0-13, DescribeCluster v0-2, DescribeConfigs v1-4, DescribeTopicPartitions v0, DescribeQuorum v0-2,
//! ListConfigResources v0-1, ListPartitionReassignments v0, what changes nothing on one host (ElectLeaders v0-2),
//! and what there is none of (DescribeAcls, CreateAcls, DeleteAcls v1-3): questions that the image and the settings answer at once. What they answer stands in the file of each
//! API.

use ringlog_wire::messages::create_acls::CreateAclsRequest;
use ringlog_wire::messages::delete_acls::DeleteAclsRequest;
use ringlog_wire::messages::describe_acls::DescribeAclsRequest;
use ringlog_wire::messages::describe_cluster::DescribeClusterRequest;
use ringlog_wire::messages::describe_configs::DescribeConfigsRequest;
use ringlog_wire::messages::describe_quorum::DescribeQuorumRequest;
use ringlog_wire::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use ringlog_wire::messages::elect_leaders::ElectLeadersRequest;
use ringlog_wire::messages::list_config_resources::ListConfigResourcesRequest;
use ringlog_wire::messages::list_partition_reassignments::ListPartitionReassignmentsRequest;
use ringlog_wire::messages::metadata::MetadataRequest;
use ringlog_wire::{ApiKey, Message, Request};

use super::{
    Handler, acls, describe_cluster, describe_configs, describe_quorum, describe_topic_partitions, each_once,
    elect_leaders, list_config_resources, metadata, partition_reassignments,
};
use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::metadata::controller::Call;
use crate::response::Response;

pub(super) const METADATA: Handler = Handler::new(ApiKey::Metadata, (0, 13), answer_metadata);
pub(super) const DESCRIBE_ACLS: Handler = Handler::new(ApiKey::DescribeAcls, (1, 3), describe_acls);
pub(super) const CREATE_ACLS: Handler = Handler::new(ApiKey::CreateAcls, (1, 3), create_acls);
pub(super) const DELETE_ACLS: Handler = Handler::new(ApiKey::DeleteAcls, (1, 3), delete_acls);
pub(super) const DESCRIBE_CLUSTER: Handler = Handler::new(ApiKey::DescribeCluster, (0, 2), answer_cluster);
pub(super) const DESCRIBE_CONFIGS: Handler = Handler::new(ApiKey::DescribeConfigs, (1, 4), answer_configs);
pub(super) const DESCRIBE_TOPIC_PARTITIONS: Handler =
    Handler::new(ApiKey::DescribeTopicPartitions, (0, 0), answer_topic_partitions);
pub(super) const DESCRIBE_QUORUM: Handler = Handler::new(ApiKey::DescribeQuorum, (0, 2), answer_quorum);
pub(super) const LIST_CONFIG_RESOURCES: Handler =
    Handler::new(ApiKey::ListConfigResources, (0, 1), answer_config_resources);
pub(super) const ELECT_LEADERS: Handler = Handler::new(ApiKey::ElectLeaders, (0, 2), answer_elections);
pub(super) const LIST_PARTITION_REASSIGNMENTS: Handler =
    Handler::new(ApiKey::ListPartitionReassignments, (0, 0), answer_reassignments);

fn read<R: Request, M: Message>(incoming: &Incoming, answer: impl FnOnce(R) -> M) -> Outcome {
    match incoming.decode::<R>() {
        Ok(request) => Response::of(incoming.asked, &answer(request)).into(),
        Err(refused) => Outcome::Refuse(refused),
    }
}

fn answer_metadata(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: MetadataRequest| {
        let answer = metadata::answer(&request, incoming.asked.api_version, &broker.image, &broker.settings);
        if !answer.create.is_empty() {
            broker.calls.push((Caller::Nobody, Call::AutoCreate(answer.create)));
        }
        answer.response
    })
}

fn describe_acls(_: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: DescribeAclsRequest| acls::describe(&request))
}

fn create_acls(_: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: CreateAclsRequest| acls::create(&request))
}

fn delete_acls(_: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: DeleteAclsRequest| acls::delete(&request))
}

fn answer_cluster(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: DescribeClusterRequest| describe_cluster::answer(&request, &broker.image))
}

fn answer_configs(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let me = broker.image.here().node(broker.shard);
    read(incoming, |mut request: DescribeConfigsRequest| {
        each_once(&mut request.resources, |one| {
            (one.resource_type, one.resource_name.clone(), one.configuration_keys.clone())
        });
        describe_configs::answer(&request, me, &broker.image, &broker.settings)
    })
}

fn answer_topic_partitions(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: DescribeTopicPartitionsRequest| describe_topic_partitions::answer(&request, &broker.image))
}

fn answer_quorum(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: DescribeQuorumRequest| {
        describe_quorum::answer(&request, &broker.image, &broker.settings, broker.wall_ms)
    })
}

fn answer_config_resources(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: ListConfigResourcesRequest| {
        list_config_resources::answer(&request, incoming.asked.api_version, &broker.image)
    })
}

fn answer_elections(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |mut request: ElectLeadersRequest| {
        for topic in request.topic_partitions.iter_mut().flatten() {
            each_once(&mut topic.partitions, |partition| *partition);
        }
        elect_leaders::answer(&request, &broker.image)
    })
}

fn answer_reassignments(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    read(incoming, |request: ListPartitionReassignmentsRequest| partition_reassignments::list(&request, &broker.image))
}

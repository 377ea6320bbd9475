//! Metadata v0-13, DescribeCluster v0-2, DescribeConfigs v1-4, DescribeTopicPartitions v0: questions that the image and the
//! settings answer at once. What they answer stands in the file of each API.

use ringlog_wire::messages::describe_cluster::DescribeClusterRequest;
use ringlog_wire::messages::describe_configs::DescribeConfigsRequest;
use ringlog_wire::messages::describe_topic_partitions::DescribeTopicPartitionsRequest;
use ringlog_wire::messages::metadata::MetadataRequest;
use ringlog_wire::{ApiKey, Message, Request};

use super::{Handler, describe_cluster, describe_configs, describe_topic_partitions, each_once, metadata};
use crate::broker::{Broker, Caller, Incoming, Outcome};
use crate::metadata::controller::Call;
use crate::response::Response;

pub(super) const METADATA: Handler = Handler::new(ApiKey::Metadata, (0, 13), answer_metadata);
pub(super) const DESCRIBE_CLUSTER: Handler = Handler::new(ApiKey::DescribeCluster, (0, 2), answer_cluster);
pub(super) const DESCRIBE_CONFIGS: Handler = Handler::new(ApiKey::DescribeConfigs, (1, 4), answer_configs);
pub(super) const DESCRIBE_TOPIC_PARTITIONS: Handler =
    Handler::new(ApiKey::DescribeTopicPartitions, (0, 0), answer_topic_partitions);

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

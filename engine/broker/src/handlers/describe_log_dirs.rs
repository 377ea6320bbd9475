//! DescribeLogDirs: v1-5. The one folder that there is, the partitions that this shard leads there with the bytes of their
//! segments, and the room of its file system. Each shard is a broker of its own: its answer has its own partitions.
//!
//! A topic or a partition that is not here is left out, as in Kafka (ReplicaManager.describeLogDirs). Nothing lags and nothing
//! is on its way from another folder: offset lag 0, no future keys. The folder takes new partitions: it is not cordoned.

use std::collections::BTreeMap;

use ringlog_wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, Outcome};
use crate::handlers::Handler;
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::DescribeLogDirs, (1, 5), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: DescribeLogDirsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let answer = DescribeLogDirsResponse { results: vec![describe(broker, &request)], ..Default::default() };
    Response::of(incoming.asked, &answer).into()
}

fn describe(broker: &Broker, request: &DescribeLogDirsRequest) -> DescribeLogDirsResult {
    let log_dir = broker.settings.log_dir_absolute().display().to_string();
    if broker.replicas.has_failed() {
        return DescribeLogDirsResult { error_code: ErrorCode::KAFKA_STORAGE_ERROR.0, log_dir, ..Default::default() };
    }
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for replica in broker.replicas.all().filter(|replica| is_asked(request, &replica.topic, replica.key.partition)) {
        topics.entry(&replica.topic).or_default().push(DescribeLogDirsPartition {
            partition_index: replica.key.partition,
            partition_size: i64::try_from(replica.log().size_bytes()).unwrap_or(i64::MAX),
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&str, Vec<DescribeLogDirsPartition>)| DescribeLogDirsTopic {
        name: name.to_owned(),
        partitions,
        ..Default::default()
    };
    let (total_bytes, usable_bytes) = broker.replicas.space().unwrap_or_else(|error| {
        tracing::warn!(%error, log_dir, "its file system does not say how large it is");
        (-1, -1)
    });
    let topics = topics.into_iter().map(topic).collect();
    DescribeLogDirsResult { log_dir, topics, total_bytes, usable_bytes, ..Default::default() }
}

/// Whether a partition is named; null names all.
fn is_asked(request: &DescribeLogDirsRequest, topic: &str, partition: i32) -> bool {
    let Some(topics) = &request.topics else { return true };
    topics.iter().any(|asked| asked.topic == topic && asked.partitions.contains(&partition))
}

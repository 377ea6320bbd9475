//! AlterReplicaLogDirs: v1-2. There is one folder: a partition that lies in it lies where it is to lie, and nothing else can be
//! asked for.
//!
//! | asked (ReplicaManager.alterReplicaLogDirs) | answer |
//! |---|---|
//! | a folder that is none of this broker's | LOG_DIR_NOT_FOUND |
//! | the folder, while it is offline | KAFKA_STORAGE_ERROR |
//! | a partition that this shard does not have | REPLICA_NOT_AVAILABLE |

use std::path::Path;

use ringlog_wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use ringlog_wire::{ApiKey, ErrorCode};

use crate::broker::{Broker, Incoming, NotHere, Outcome};
use crate::handlers::Handler;
use crate::response::Response;

pub(crate) const HANDLER: Handler = Handler::new(ApiKey::AlterReplicaLogDirs, (1, 2), handle);

fn handle(broker: &mut Broker, incoming: &Incoming) -> Outcome {
    let request: AlterReplicaLogDirsRequest = match incoming.decode() {
        Ok(request) => request,
        Err(refused) => return Outcome::Refuse(refused),
    };
    let mut answer = AlterReplicaLogDirsResponse::default();
    for dir in &request.dirs {
        for topic in &dir.topics {
            let result = |partition: &i32| AlterReplicaLogDirPartitionResult {
                partition_index: *partition,
                error_code: place(broker, &dir.path, &topic.name, *partition).0,
                ..Default::default()
            };
            answer.results.push(AlterReplicaLogDirTopicResult {
                topic_name: topic.name.clone(),
                partitions: topic.partitions.iter().map(result).collect(),
                ..Default::default()
            });
        }
    }
    Response::of(incoming.asked, &answer).into()
}

fn place(broker: &Broker, dir: &str, topic: &str, partition: i32) -> ErrorCode {
    if Path::new(dir) != broker.settings.log_dir_absolute() {
        return ErrorCode::LOG_DIR_NOT_FOUND;
    }
    if broker.replicas.has_failed() {
        return ErrorCode::KAFKA_STORAGE_ERROR;
    }
    let found = broker.topic(topic, None).map_err(NotHere::from);
    match found.and_then(|topic| broker.place(topic, partition)) {
        Ok(_) => ErrorCode::NONE,
        Err(NotHere { error: ErrorCode::KAFKA_STORAGE_ERROR, .. }) => ErrorCode::KAFKA_STORAGE_ERROR,
        Err(_) => ErrorCode::REPLICA_NOT_AVAILABLE,
    }
}

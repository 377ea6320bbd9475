//! One file per API, and the one list that says which exist: ApiVersions announces what stands here.

pub(crate) mod acls;
pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod alter_configs;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod api_versions;
pub(crate) mod client_quotas;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod elect_leaders;
pub(crate) mod end_txn;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod named;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod partition_reassignments;
pub(crate) mod produce;
mod reads;
pub(crate) mod sasl;
pub(crate) mod scram_credentials;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod update_features;
pub(crate) mod write_txn_markers;

use std::collections::BTreeSet;

use ringlog_wire::ApiKey;

use crate::broker::{Broker, Incoming, Outcome};

/// One API: its versions, and what handles it.
pub(crate) struct Handler {
    pub(crate) key: ApiKey,
    /// First and last version that is handled.
    pub(crate) versions: (i16, i16),
    /// First version that ApiVersions announces, where it is lower: Produce says 0, or librdkafka disables compression
    /// (KAFKA-18659).
    pub(crate) announced_from: i16,
    pub(crate) handle: fn(&mut Broker, &Incoming) -> Outcome,
}

impl Handler {
    const fn new(key: ApiKey, versions: (i16, i16), handle: fn(&mut Broker, &Incoming) -> Outcome) -> Self {
        Self { key, versions, announced_from: versions.0, handle }
    }
}

/// Every API of this broker, by its number.
pub(crate) const HANDLERS: &[Handler] = &[
    produce::HANDLER,
    fetch::HANDLER,
    list_offsets::HANDLER,
    reads::METADATA,
    offset_commit::HANDLER,
    offset_fetch::HANDLER,
    find_coordinator::HANDLER,
    join_group::HANDLER,
    heartbeat::HANDLER,
    leave_group::HANDLER,
    sync_group::HANDLER,
    describe_groups::HANDLER,
    list_groups::HANDLER,
    sasl::HANDSHAKE,
    api_versions::HANDLER,
    create_topics::HANDLER,
    delete_topics::HANDLER,
    delete_records::HANDLER,
    init_producer_id::HANDLER,
    offset_for_leader_epoch::HANDLER,
    add_partitions_to_txn::HANDLER,
    add_offsets_to_txn::HANDLER,
    end_txn::HANDLER,
    write_txn_markers::HANDLER,
    txn_offset_commit::HANDLER,
    reads::DESCRIBE_ACLS,
    reads::CREATE_ACLS,
    reads::DELETE_ACLS,
    reads::DESCRIBE_CONFIGS,
    alter_configs::ALTER,
    alter_replica_log_dirs::HANDLER,
    describe_log_dirs::HANDLER,
    sasl::AUTHENTICATE,
    create_partitions::HANDLER,
    delete_groups::HANDLER,
    reads::ELECT_LEADERS,
    alter_configs::INCREMENTAL,
    partition_reassignments::ALTER,
    reads::LIST_PARTITION_REASSIGNMENTS,
    offset_delete::HANDLER,
    client_quotas::DESCRIBE,
    client_quotas::ALTER,
    scram_credentials::DESCRIBE,
    scram_credentials::ALTER,
    reads::DESCRIBE_QUORUM,
    update_features::HANDLER,
    reads::DESCRIBE_CLUSTER,
    describe_producers::HANDLER,
    describe_transactions::HANDLER,
    list_transactions::HANDLER,
    consumer_group_heartbeat::HANDLER,
    consumer_group_describe::HANDLER,
    reads::LIST_CONFIG_RESOURCES,
    reads::DESCRIBE_TOPIC_PARTITIONS,
];

/// The handler of a request, where its API and version are announced.
pub(crate) fn find(api: ApiKey, version: i16) -> Option<&'static Handler> {
    let handler = HANDLERS.iter().find(|handler| handler.key == api)?;
    (handler.versions.0..=handler.versions.1).contains(&version).then_some(handler)
}

/// Leaves out what is named again, where a name is short and its answer long: an answer is as large as what there is,
/// however often it is asked for. No client asks twice.
pub(crate) fn each_once<T, K: Ord>(named: &mut Vec<T>, name: impl Fn(&T) -> K) {
    let mut seen = BTreeSet::new();
    named.retain(|one| seen.insert(name(one)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_again_is_answered_once_in_the_place_of_its_first_time() {
        let mut named = vec!["b", "a", "b", "c", "a"];
        each_once(&mut named, |name| *name);
        assert_eq!(named, ["b", "a", "c"]);
    }
}

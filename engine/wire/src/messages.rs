//! Requests and responses, one file per API; the fields' names are those of Kafka's schemas in snake case.
//!
//! The declarations' form is explained in [`crate::schema`].

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod consumer_protocol;
pub mod create_acls;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod update_features;
pub mod write_txn_markers;

/// Calls `$each! { Key(module): Request => Response; ... }` with one line per API that has declarations, so that
/// dispatchers, tests and fuzz targets name no list of their own.
#[macro_export]
macro_rules! for_each_api {
    ($each:ident) => {
        $each! {
            Produce(produce): ProduceRequest => ProduceResponse;
            Fetch(fetch): FetchRequest => FetchResponse;
            ListOffsets(list_offsets): ListOffsetsRequest => ListOffsetsResponse;
            Metadata(metadata): MetadataRequest => MetadataResponse;
            OffsetCommit(offset_commit): OffsetCommitRequest => OffsetCommitResponse;
            OffsetFetch(offset_fetch): OffsetFetchRequest => OffsetFetchResponse;
            FindCoordinator(find_coordinator): FindCoordinatorRequest => FindCoordinatorResponse;
            JoinGroup(join_group): JoinGroupRequest => JoinGroupResponse;
            Heartbeat(heartbeat): HeartbeatRequest => HeartbeatResponse;
            LeaveGroup(leave_group): LeaveGroupRequest => LeaveGroupResponse;
            SyncGroup(sync_group): SyncGroupRequest => SyncGroupResponse;
            DescribeGroups(describe_groups): DescribeGroupsRequest => DescribeGroupsResponse;
            ListGroups(list_groups): ListGroupsRequest => ListGroupsResponse;
            SaslHandshake(sasl_handshake): SaslHandshakeRequest => SaslHandshakeResponse;
            ApiVersions(api_versions): ApiVersionsRequest => ApiVersionsResponse;
            CreateTopics(create_topics): CreateTopicsRequest => CreateTopicsResponse;
            DeleteTopics(delete_topics): DeleteTopicsRequest => DeleteTopicsResponse;
            DeleteRecords(delete_records): DeleteRecordsRequest => DeleteRecordsResponse;
            InitProducerId(init_producer_id): InitProducerIdRequest => InitProducerIdResponse;
            OffsetForLeaderEpoch(offset_for_leader_epoch): OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse;
            AddPartitionsToTxn(add_partitions_to_txn): AddPartitionsToTxnRequest => AddPartitionsToTxnResponse;
            AddOffsetsToTxn(add_offsets_to_txn): AddOffsetsToTxnRequest => AddOffsetsToTxnResponse;
            EndTxn(end_txn): EndTxnRequest => EndTxnResponse;
            WriteTxnMarkers(write_txn_markers): WriteTxnMarkersRequest => WriteTxnMarkersResponse;
            TxnOffsetCommit(txn_offset_commit): TxnOffsetCommitRequest => TxnOffsetCommitResponse;
            SaslAuthenticate(sasl_authenticate): SaslAuthenticateRequest => SaslAuthenticateResponse;
            DescribeAcls(describe_acls): DescribeAclsRequest => DescribeAclsResponse;
            CreateAcls(create_acls): CreateAclsRequest => CreateAclsResponse;
            DeleteAcls(delete_acls): DeleteAclsRequest => DeleteAclsResponse;
            DescribeConfigs(describe_configs): DescribeConfigsRequest => DescribeConfigsResponse;
            AlterConfigs(alter_configs): AlterConfigsRequest => AlterConfigsResponse;
            AlterReplicaLogDirs(alter_replica_log_dirs): AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse;
            DescribeLogDirs(describe_log_dirs): DescribeLogDirsRequest => DescribeLogDirsResponse;
            CreatePartitions(create_partitions): CreatePartitionsRequest => CreatePartitionsResponse;
            DeleteGroups(delete_groups): DeleteGroupsRequest => DeleteGroupsResponse;
            ElectLeaders(elect_leaders): ElectLeadersRequest => ElectLeadersResponse;
            IncrementalAlterConfigs(incremental_alter_configs): IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse;
            AlterPartitionReassignments(alter_partition_reassignments): AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse;
            ListPartitionReassignments(list_partition_reassignments): ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse;
            OffsetDelete(offset_delete): OffsetDeleteRequest => OffsetDeleteResponse;
            DescribeClientQuotas(describe_client_quotas): DescribeClientQuotasRequest => DescribeClientQuotasResponse;
            AlterClientQuotas(alter_client_quotas): AlterClientQuotasRequest => AlterClientQuotasResponse;
            DescribeUserScramCredentials(describe_user_scram_credentials): DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse;
            AlterUserScramCredentials(alter_user_scram_credentials): AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse;
            DescribeQuorum(describe_quorum): DescribeQuorumRequest => DescribeQuorumResponse;
            UpdateFeatures(update_features): UpdateFeaturesRequest => UpdateFeaturesResponse;
            DescribeCluster(describe_cluster): DescribeClusterRequest => DescribeClusterResponse;
            DescribeProducers(describe_producers): DescribeProducersRequest => DescribeProducersResponse;
            DescribeTransactions(describe_transactions): DescribeTransactionsRequest => DescribeTransactionsResponse;
            ListTransactions(list_transactions): ListTransactionsRequest => ListTransactionsResponse;
            ConsumerGroupDescribe(consumer_group_describe): ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse;
            ConsumerGroupHeartbeat(consumer_group_heartbeat): ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse;
            ListConfigResources(list_config_resources): ListConfigResourcesRequest => ListConfigResourcesResponse;
            DescribeTopicPartitions(describe_topic_partitions): DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse;
        }
    };
}

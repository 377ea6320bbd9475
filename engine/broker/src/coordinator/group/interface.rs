//! What goes into the coordinator and what comes out of it.

use ringlog_io::Nanos;
use ringlog_wire::Uuid;
use ringlog_wire::messages::consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
use ringlog_wire::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ringlog_wire::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use ringlog_wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use ringlog_wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ringlog_wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use ringlog_wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse};
use ringlog_wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use ringlog_wire::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use ringlog_wire::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use ringlog_wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
use ringlog_wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ringlog_wire::messages::txn_offset_commit::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::consumer::ConsumerSettings;
use super::reply::Waiter;

/// Where an answer goes. The coordinator does not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplyTo(pub(crate) u64);

/// An append that was asked for; comes back with [`super::GroupCoordinator::appended`]. Given out in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// A record's key and value; no value is a tombstone.
pub(crate) type KeyValue = (Vec<u8>, Option<Vec<u8>>);

/// A producer with transactions: its id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send the answer.
    Reply {
        /// To whom.
        to: ReplyTo,
        /// The body, in the form of the request's version.
        response: GroupResponse,
    },
    /// Append the records, as one batch, to a partition of `__consumer_offsets`; then call
    /// [`super::GroupCoordinator::appended`].
    Append {
        /// The partition.
        partition: i32,
        /// What to call back with.
        ticket: Ticket,
        /// The records in order.
        records: Vec<KeyValue>,
        /// Whose transaction they are part of.
        producer: Option<Producer>,
    },
}

/// A request for the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupRequest {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    OffsetCommit(OffsetCommitRequest),
    TxnOffsetCommit(TxnOffsetCommitRequest),
    OffsetFetch(OffsetFetchRequest),
    Describe(DescribeGroupsRequest),
    List(ListGroupsRequest),
    Delete(DeleteGroupsRequest),
    OffsetDelete(OffsetDeleteRequest),
    ConsumerHeartbeat(ConsumerGroupHeartbeatRequest),
    ConsumerDescribe(ConsumerGroupDescribeRequest),
}

/// The answer to a [`GroupRequest`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupResponse {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    Leave(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    OffsetFetch(OffsetFetchResponse),
    Describe(DescribeGroupsResponse),
    List(ListGroupsResponse),
    Delete(DeleteGroupsResponse),
    OffsetDelete(OffsetDeleteResponse),
    ConsumerHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerDescribe(ConsumerGroupDescribeResponse),
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// Where the answer goes.
    pub(crate) to: ReplyTo,
    /// The request's version; the answer is shaped for it.
    pub(crate) api_version: i16,
    /// The header's client id, empty where it is null.
    pub(crate) client_id: &'a str,
    /// The peer as Java prints an address: `/127.0.0.1`.
    pub(crate) client_host: &'a str,
}

impl Caller<'_> {
    pub(super) fn waiter(&self) -> Waiter {
        Waiter { to: self.to, api_version: self.api_version }
    }
}

/// What the coordinator needs to know of topics.
pub(crate) trait Topics {
    /// The id of the topic, `None` where it does not exist.
    fn topic_id(&self, name: &str) -> Option<Uuid>;
    /// The name of the topic, `None` where it does not exist.
    fn topic_name(&self, id: Uuid) -> Option<String>;
    /// How many partitions the topic has, `None` where it does not exist.
    fn partition_count(&self, name: &str) -> Option<i32>;
    /// All names.
    fn topic_names(&self) -> Box<dyn Iterator<Item = &str> + '_>;
    /// The racks of a partition's replicas, in order.
    fn racks(&self, name: &str, partition: i32) -> Vec<String>;
    /// Grows whenever something of the above may have changed.
    fn version(&self) -> i64;
    /// What a group has of its own of a setting.
    fn group_setting(&self, group: &str, name: &str) -> Option<String>;
}

/// The moment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The monotonic clock: timers.
    pub(crate) now: Nanos,
    /// Milliseconds since 1970: what is written into records.
    pub(crate) wall_ms: i64,
}

/// Settings under their names in server.properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub(crate) session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub(crate) session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`
    pub(crate) initial_rebalance_delay_ms: i32,
    /// `group.max.size`
    pub(crate) group_size_max: usize,
    /// `offset.metadata.max.bytes`
    pub(crate) offset_metadata_len_max: usize,
    /// What counts for groups of the consumer protocol.
    pub(crate) consumer: ConsumerSettings,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            group_size_max: i32::MAX as usize,
            offset_metadata_len_max: 4_096,
            consumer: ConsumerSettings::default(),
        }
    }
}

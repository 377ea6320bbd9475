//! ConsumerGroupHeartbeat, key 68 (KIP-848): versions 0 to 1, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 0;
    message ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;

    /// Joins, keeps, or leaves a group of the consumer protocol. What is null or -1 did not change.
    struct ConsumerGroupHeartbeatRequest {
        /// The group's id.
        group_id: String [0..],
        /// The id that the member gave to itself (version 0: or that the coordinator gave to it).
        member_id: String [0..],
        /// The member's epoch: 0 joins, -1 leaves, -2 leaves as a static member that comes back.
        member_epoch: i32 [0..],
        /// The static member's own id, null for dynamic members.
        instance_id: Option<String> [0..] null [0..] = None,
        /// The consumer's rack, null if it has none.
        rack_id: Option<String> [0..] null [0..] = None,
        /// How long the member may take to give partitions back, in ms.
        rebalance_timeout_ms: i32 [0..] = -1,
        /// The topics.
        subscribed_topic_names: Option<Vec<String>> [0..] null [0..] = None,
        /// The topics as a pattern that the broker resolves (RE2).
        subscribed_topic_regex: Option<String> [1..] null [1..] = None,
        /// The broker's assignor that the member prefers.
        server_assignor: Option<String> [0..] null [0..] = None,
        /// What the member owns.
        topic_partitions: Option<Vec<TopicPartitions>> [0..] null [0..] = None,
    }

    /// Partitions of a topic.
    struct TopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }

    /// What the member is to own.
    struct ConsumerGroupHeartbeatResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = None,
        /// The member's id.
        member_id: Option<String> [0..] null [0..] = None,
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// When the next heartbeat is due, in ms.
        heartbeat_interval_ms: i32 [0..],
        /// The member's partitions, null if they did not change.
        assignment: Option<Assignment> [0..] null [0..] = None,
    }

    /// The partitions that the member may use at once.
    struct Assignment {
        /// The partitions, by topic.
        topic_partitions: Vec<TopicPartitions> [0..],
    }
}

api!(ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse);

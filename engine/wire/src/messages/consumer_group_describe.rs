//! ConsumerGroupDescribe, key 69 (KIP-848): versions 0 to 1, flexible from 0 on.

use crate::schema::prelude::*;

messages! {
    versions 0..=1, flexible 0;
    message ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;

    /// Asks what groups of the consumer protocol are like.
    struct ConsumerGroupDescribeRequest {
        /// The groups' ids.
        group_ids: Vec<String> [0..],
        /// Whether to say what the asker may do.
        include_authorized_operations: bool [0..],
    }

    /// What the groups are like.
    struct ConsumerGroupDescribeResponse {
        /// How long the client was or should be held back, in ms.
        throttle_time_ms: i32 [0..],
        /// The groups.
        groups: Vec<DescribedGroup> [0..],
    }

    /// A group.
    struct DescribedGroup {
        /// What went wrong, 0 for nothing.
        error_code: i16 [0..],
        /// What went wrong, in words.
        error_message: Option<String> [0..] null [0..] = None,
        /// The group's id.
        group_id: String [0..],
        /// The group's state, as a word.
        group_state: String [0..],
        /// The group's epoch.
        group_epoch: i32 [0..],
        /// The target assignment's epoch.
        assignment_epoch: i32 [0..],
        /// The assignor that was chosen.
        assignor_name: String [0..],
        /// The group's members.
        members: Vec<Member> [0..],
        /// Bit field of allowed operations, `i32::MIN` if it was not asked for.
        authorized_operations: i32 [0..] = i32::MIN,
    }

    /// A member.
    struct Member {
        /// The member's id.
        member_id: String [0..],
        /// The static member's own id, null for dynamic members.
        instance_id: Option<String> [0..] null [0..] = None,
        /// The consumer's rack, null if it has none.
        rack_id: Option<String> [0..] null [0..] = None,
        /// The member's epoch.
        member_epoch: i32 [0..],
        /// What the client calls itself.
        client_id: String [0..],
        /// The address that the member came from.
        client_host: String [0..],
        /// The topics.
        subscribed_topic_names: Vec<String> [0..],
        /// The topics as a pattern.
        subscribed_topic_regex: Option<String> [0..] null [0..] = None,
        /// What the member has.
        assignment: Assignment [0..],
        /// What it is to have.
        target_assignment: Assignment [0..],
        /// -1: unknown, 0: speaks the classic protocol, 1: the consumer protocol.
        member_type: i8 [1..] = -1,
    }

    /// Partitions of several topics.
    struct Assignment {
        /// The partitions, by topic.
        topic_partitions: Vec<TopicPartitions> [0..],
    }

    /// Partitions of a topic.
    struct TopicPartitions {
        /// The topic's id.
        topic_id: Uuid [0..],
        /// The topic's name.
        topic_name: String [0..],
        /// The partitions' indexes.
        partitions: Vec<i32> [0..],
    }
}

api!(ConsumerGroupDescribe: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse);

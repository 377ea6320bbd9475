//! What consumers tell each other through a classic group: opaque bytes to the broker. Versions 0 to 3, never flexible;
//! a 16-bit version stands in front (`ConsumerProtocol`).

use crate::schema::prelude::*;

messages! {
    versions 0..=3, flexible NEVER;
    message ConsumerProtocolAssignment, ConsumerProtocolSubscription;

    /// What a consumer is given.
    struct ConsumerProtocolAssignment {
        /// What the member owns from now on.
        assigned_partitions: Vec<TopicPartition> [0..],
        /// Opaque to the broker.
        user_data: Option<Vec<u8>> [0..] null [0..],
    }

    /// Partitions of a topic.
    struct TopicPartition {
        /// The topic's name.
        topic: String [0..],
        /// The partitions.
        partitions: Vec<i32> [0..],
    }

    /// What a consumer says about itself when it joins.
    struct ConsumerProtocolSubscription {
        /// The topics.
        topics: Vec<String> [0..],
        /// Opaque to the broker.
        user_data: Option<Vec<u8>> [0..] null [0..],
        /// What the member owns now.
        owned_partitions: Vec<TopicPartition> [1..],
        /// The generation's number.
        generation_id: i32 [2..] = -1,
        /// The consumer's rack, empty or null if it has none.
        rack_id: Option<String> [3..] null [3..],
    }
}

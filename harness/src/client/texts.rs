//! Kafka's own words for the errors that a producer meets (`org.apache.kafka.common.protocol.Errors`, 4.3): users know
//! them, and search for them.

use ringlog_wire::ErrorCode;

/// What the broker said, or Kafka's words for the code, or its name where the producer has no words.
pub(crate) fn text_of(error: ErrorCode, said: Option<&str>) -> String {
    let words = || TEXTS.iter().find(|(code, _)| *code == error.0).map_or_else(|| error.name(), |(_, text)| *text);
    said.filter(|said| !said.is_empty()).map_or_else(|| words().to_owned(), str::to_owned)
}

const TEXTS: [(i16, &str); 45] = [
    (-1, "The server experienced an unexpected error when processing the request."),
    (
        2,
        "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt.",
    ),
    (3, "This server does not host this topic-partition."),
    (5, "There is no leader for this topic-partition as we are in the middle of a leadership election."),
    (
        6,
        "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition.",
    ),
    (7, "The request timed out."),
    (10, "The request included a message larger than the max message size the server will accept."),
    (13, "The server disconnected before a response was received."),
    (14, "The coordinator is loading and hence can't process requests."),
    (15, "The coordinator is not available."),
    (16, "This is not the correct coordinator."),
    (17, "The request attempted to perform an operation on an invalid topic."),
    (18, "The request included message batch larger than the configured segment size on the server."),
    (19, "Messages are rejected since there are fewer in-sync replicas than required."),
    (20, "Messages are written to the log, but to fewer in-sync replicas than required."),
    (21, "Produce request specified an invalid value for required acks."),
    (29, "Topic authorization failed."),
    (31, "Cluster authorization failed."),
    (32, "The timestamp of the message is out of acceptable range."),
    (35, "The version of API is not supported."),
    (37, "Number of partitions is below 1."),
    (
        42,
        "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.",
    ),
    (44, "Request parameters do not satisfy the configured policy."),
    (45, "The broker received an out of order sequence number."),
    (46, "The broker received a duplicate sequence number."),
    (47, "Producer attempted to produce with an old epoch."),
    (48, "The producer attempted a transactional operation in an invalid state."),
    (49, "The producer attempted to use a producer id which is not currently assigned to its transactional id."),
    (
        50,
        "The transaction timeout is larger than the maximum value allowed by the broker (as configured by transaction.max.timeout.ms).",
    ),
    (
        51,
        "The producer attempted to update a transaction while another concurrent operation on the same transaction was ongoing.",
    ),
    (
        52,
        "Indicates that the transaction coordinator sending a WriteTxnMarker is no longer the current coordinator for a given producer.",
    ),
    (53, "Transactional Id authorization failed."),
    (56, "Disk error when trying to access log file on the disk."),
    (
        59,
        "This exception is raised by the broker if it could not locate the producer metadata associated with the producerId in question. This could happen if, for instance, the producer's records were deleted because their retention time had elapsed. Once the last records of the producerId are removed, the producer's metadata is removed from the broker, and future appends by the producer will return this exception.",
    ),
    (74, "The leader epoch in the request is older than the epoch on the broker."),
    (75, "The leader epoch in the request is newer than the epoch on the broker."),
    (76, "The requesting client does not support the compression type of given partition."),
    (87, "This record has failed the validation on broker and hence will be rejected."),
    (89, "The throttling quota has been exceeded."),
    (90, "There is a newer producer with the same transactionalId which fences the current one."),
    (100, "This server does not host this topic ID."),
    (103, "The log's topic ID did not match the topic ID in the request."),
    (105, "The transactionalId could not be found."),
    (108, "The AlterPartition request successfully updated the partition state but the leader has changed."),
    (
        120,
        "The server encountered an error with the transaction. The client can abort the transaction to continue using this transactional ID.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_s_words_come_first_then_kafka_s_then_the_name() {
        assert_eq!(text_of(ErrorCode::PRODUCER_FENCED, Some("mine")), "mine");
        let large = "The request included a message larger than the max message size the server will accept.";
        assert_eq!(text_of(ErrorCode::MESSAGE_TOO_LARGE, Some("")), large);
        assert_eq!(text_of(ErrorCode::FEATURE_UPDATE_FAILED, None), "FEATURE_UPDATE_FAILED");
    }
}

//! DescribeTopicPartitions: v0 (KIP-966). Topics by name, their partitions a page at a time: the cursor says where the
//! next page begins.

use std::collections::BTreeSet;

use ringlog_wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ringlog_wire::{ErrorCode, Uuid};

use crate::handlers::metadata::{TOPIC_OPERATIONS, view};
use crate::metadata::image::{Image, Partition, Topic, is_internal};
use crate::metadata::names;

/// The most partitions of an answer (max.request.partition.size.limit).
const PARTITIONS_MAX: i32 = 2000;

/// Answers from the image.
pub(crate) fn answer(request: &DescribeTopicPartitionsRequest, image: &Image) -> DescribeTopicPartitionsResponse {
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        return refuse(request);
    }
    let mut room = usize::try_from(request.response_partition_limit.clamp(1, PARTITIONS_MAX)).unwrap_or(1);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in wanted(request, image) {
        if room == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.topic(name) else {
            response.topics.push(missing(name));
            continue;
        };
        let first = match &request.cursor {
            Some(cursor) if cursor.topic_name == name => cursor.partition_index,
            _ => 0,
        };
        let page: Vec<_> = topic.partitions.range(first..).take(room).collect();
        let last = page.last().map(|(number, _)| **number);
        room -= page.len();
        let partitions = page.into_iter().map(|(number, one)| partition(image, *number, one)).collect();
        response.topics.push(described(topic, partitions));
        let next = last.and_then(|last| topic.partitions.range(last.saturating_add(1)..).next());
        if let Some((next, _)) = next {
            response.next_cursor = Some(cursor(name, *next));
            break;
        }
    }
    response
}

/// The topics that are asked for, or all, from the cursor on, sorted.
fn wanted<'a>(request: &'a DescribeTopicPartitionsRequest, image: &'a Image) -> Vec<&'a str> {
    let from = request.cursor.as_ref().map_or("", |cursor| cursor.topic_name.as_str());
    if request.topics.is_empty() {
        return image.topics_from(from).map(|topic| topic.name.as_ref()).collect();
    }
    let named: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    named.into_iter().filter(|name| *name >= from).collect()
}

fn refuse(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let refused = |name: &str| DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST.0,
        name: Some(name.to_owned()),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| refused(&topic.name)).collect();
    DescribeTopicPartitionsResponse { topics, ..Default::default() }
}

fn cursor(topic: &str, partition_index: i32) -> Cursor {
    Cursor { topic_name: topic.to_owned(), partition_index, ..Cursor::default() }
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match names::check(name) {
        Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.0,
        name: Some(name.to_owned()),
        topic_id: Uuid::ZERO,
        is_internal: is_internal(name),
        ..Default::default()
    }
}

fn described(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn partition(image: &Image, number: i32, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let view = view(image, partition);
    DescribeTopicPartitionsResponsePartition {
        error_code: view.error.0,
        partition_index: number,
        leader_id: view.leader,
        leader_epoch: partition.leader_epoch,
        replica_nodes: partition.replicas.iter().map(|node| node.0).collect(),
        isr_nodes: partition.isr.iter().map(|node| node.0).collect(),
        // None are kept, and tools want a list: not null.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: view.offline,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use ringlog_wire::messages::describe_topic_partitions::TopicRequest;

    use super::*;
    use crate::metadata::fixtures::image;

    /// The pages of a request, as `topic-partition` or `topic!error`.
    fn pages(topics: &[&str], limit: i32) -> Vec<Vec<String>> {
        let topics = topics.iter().map(|name| TopicRequest { name: (*name).into(), ..Default::default() }).collect();
        let mut request =
            DescribeTopicPartitionsRequest { topics, response_partition_limit: limit, ..Default::default() };
        let mut pages = Vec::new();
        loop {
            let response = answer(&request, &image());
            pages.push(response.topics.iter().flat_map(shown).collect());
            request.cursor = response.next_cursor;
            if request.cursor.is_none() {
                return pages;
            }
        }
    }

    fn shown(topic: &DescribeTopicPartitionsResponseTopic) -> Vec<String> {
        let name = topic.name.as_deref().unwrap();
        match topic.error_code {
            0 => topic.partitions.iter().map(|one| format!("{name}-{}", one.partition_index)).collect(),
            error => vec![format!("{name}!{error}")],
        }
    }

    #[test]
    fn no_topics_are_all_topics_in_order() {
        assert_eq!(pages(&[], 2000), [["a-0", "a-1", "a-2", "b-0"]]);
    }

    #[test]
    fn pages_end_at_the_limit_and_go_on_at_the_cursor() {
        assert_eq!(pages(&[], 2), [vec!["a-0", "a-1"], vec!["a-2", "b-0"]]);
        assert_eq!(pages(&[], 3), [vec!["a-0", "a-1", "a-2"], vec!["b-0"]]);
        assert_eq!(pages(&["b", "a"], 0).len(), 4, "a limit below 1 is 1");
    }

    #[test]
    fn missing_topics_are_named_with_their_error() {
        assert_eq!(pages(&["x", "b", "b", "a b"], 10), [["a b!17", "b-0", "x!3"]]);
    }

    #[test]
    fn a_cursor_before_the_first_partition_is_refused() {
        let cursor = Some(Cursor { topic_name: "a".into(), partition_index: -1, ..Default::default() });
        let topics = vec![TopicRequest { name: "a".into(), ..Default::default() }];
        let response = answer(&DescribeTopicPartitionsRequest { topics, cursor, ..Default::default() }, &image());
        assert_eq!(response.topics[0].error_code, ErrorCode::INVALID_REQUEST.0);
    }
}

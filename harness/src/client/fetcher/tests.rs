//! Sessions and ids, without a broker.

use ringlog_wire::messages::fetch::FetchableTopicResponse;
use ringlog_wire::messages::metadata::{MetadataResponse, MetadataResponsePartition, MetadataResponseTopic};

use super::super::properties::Properties;
use super::*;

const NODE: NodeId = 1;

fn fetcher() -> Fetcher {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "localhost:1");
    properties.set("group.id", "g");
    let mut fetcher = Fetcher::new(&ConsumerConfig::parse(&properties).unwrap().config);
    fetcher.assign(&[("t".to_owned(), 0)], false);
    assert!(fetcher.seek(&("t".to_owned(), 0), 5));
    fetcher
}

fn know(metadata: &mut Metadata, id: u8) {
    let partition = MetadataResponsePartition { leader_id: NODE, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        topic_id: Uuid([id; 16]),
        partitions: vec![partition],
        ..Default::default()
    };
    metadata.update(&MetadataResponse { topics: vec![topic], ..Default::default() }, 0);
}

fn metadata() -> Metadata {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "localhost:1");
    let config = super::super::config::ProducerConfig::parse(&properties).unwrap().config;
    let mut metadata = Metadata::new(&config.common, true);
    metadata.use_topic("t");
    know(&mut metadata, 1);
    metadata
}

fn answer(session_id: i32, error: ErrorCode, id: u8) -> FetchResponse {
    let partition = PartitionData { partition_index: 0, high_watermark: 9, ..Default::default() };
    let topic = FetchableTopicResponse { topic_id: Uuid([id; 16]), partitions: vec![partition], ..Default::default() };
    let responses = if error.is_none() { vec![topic] } else { Vec::new() };
    FetchResponse { session_id, error_code: error.0, responses, ..Default::default() }
}

fn ask(fetcher: &mut Fetcher, metadata: &Metadata, now_ns: u64) -> FetchRequest {
    fetcher.request(NODE, metadata, now_ns).expect("a fetch is due").0
}

// What Kafka's own FetchSessionHandler goes on with (harness/tests/java/FetchSessions.java).
#[test]
fn a_session_that_the_broker_does_not_know_is_begun_anew_at_once() {
    for (error, session_id) in [
        (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0),
        (ErrorCode::INVALID_FETCH_SESSION_EPOCH, 77),
        (ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR, 77),
        (ErrorCode::INCONSISTENT_TOPIC_ID, 77),
    ] {
        let (mut fetcher, metadata, body) = (fetcher(), metadata(), Slice::from(Vec::new()));
        ask(&mut fetcher, &metadata, 1000);
        fetcher.response(NODE, answer(77, ErrorCode::NONE, 1), &body, 1000).unwrap();
        let second = ask(&mut fetcher, &metadata, 1000);
        assert_eq!((second.session_id, second.session_epoch, second.topics.len()), (77, 1, 0));
        let outcome = fetcher.response(NODE, answer(0, error, 1), &body, 1000).unwrap();
        let is_of_ids = matches!(error, ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR | ErrorCode::INCONSISTENT_TOPIC_ID);
        assert_eq!(outcome.stale_metadata, is_of_ids, "{error:?}");
        // No time has passed: a full fetch, which ends the session that the broker may still have.
        let third = ask(&mut fetcher, &metadata, 1000);
        assert_eq!((third.session_id, third.session_epoch, third.topics.len()), (session_id, 0, 1), "{error:?}");
    }
}

#[test]
fn a_fetch_that_was_lost_begins_anew_and_ends_the_session_that_the_broker_may_have() {
    let (mut fetcher, metadata, body) = (fetcher(), metadata(), Slice::from(Vec::new()));
    ask(&mut fetcher, &metadata, 1000);
    fetcher.response(NODE, answer(77, ErrorCode::NONE, 1), &body, 1000).unwrap();
    ask(&mut fetcher, &metadata, 1000);
    fetcher.lost(NODE);
    let next = ask(&mut fetcher, &metadata, 1000);
    assert_eq!((next.session_id, next.session_epoch, next.topics.len()), (77, 0, 1));
}

#[test]
fn any_other_error_of_a_whole_fetch_rests() {
    let (mut fetcher, metadata, body) = (fetcher(), metadata(), Slice::from(Vec::new()));
    ask(&mut fetcher, &metadata, 1000);
    fetcher.response(NODE, answer(0, ErrorCode::UNKNOWN_SERVER_ERROR, 1), &body, 1000).unwrap();
    assert!(fetcher.request(NODE, &metadata, 1000).is_none());
}

#[test]
fn an_answer_is_read_by_the_ids_of_its_request_though_the_topic_was_made_anew_since() {
    let (mut fetcher, mut metadata, body) = (fetcher(), metadata(), Slice::from(Vec::new()));
    ask(&mut fetcher, &metadata, 1000);
    know(&mut metadata, 2);
    fetcher.response(NODE, answer(77, ErrorCode::NONE, 1), &body, 1000).unwrap();
    assert_eq!(fetcher.lag(), 4, "the answer's high watermark 9 from offset 5");
    let next = ask(&mut fetcher, &metadata, 1000);
    assert_eq!((next.topics[0].topic_id, next.forgotten_topics_data[0].topic_id), (Uuid([2; 16]), Uuid([1; 16])));
    fetcher.response(NODE, answer(77, ErrorCode::NONE, 9), &body, 1000).unwrap();
}

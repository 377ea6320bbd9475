//! A client above its quota is told how long it waits, and nothing of it is handled before.

use ringlog_wire::messages::alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, fetch, fetched_bytes, frame, produce, produced};

/// Gives the rig's clients a quota of bytes a second.
fn give(rig: &mut Rig, client: ClientId, quota: &str, bytes: f64) {
    let part =
        EntityData { entity_type: "client-id".to_owned(), entity_name: Some("rig".to_owned()), ..Default::default() };
    let op = OpData { key: quota.to_owned(), value: bytes, ..Default::default() };
    let entry = EntryData { entity: vec![part], ops: vec![op], ..Default::default() };
    let request = AlterClientQuotasRequest { entries: vec![entry], ..Default::default() };
    assert_eq!(rig.ask(client, 1, &request).entries[0].error_code, 0);
}

#[test]
fn a_producer_above_its_quota_is_told_at_once_and_read_again_when_it_has_waited() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[]);
    give(&mut rig, client, "producer_byte_rate", 1000.0);
    rig.send(client, &[produce("t", 0, 1, 12_000)]);
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("at once");
    let wait_ms = answer.throttle_time_ms;
    assert!(produced(&answer).0 == 0 && (2_000..2_300).contains(&wait_ms), "{wait_ms}");
    rig.send(client, &[produce("t", 0, 1, 10), produce("t", 0, 1, 10)]);
    rig.pass_ms(wait_ms as u64 - 10);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none(), "it is not handled yet");
    rig.pass_ms(20);
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("handled when the time is over");
    assert_eq!(produced(&answer), (0, 1));
}

#[test]
fn other_clients_of_the_shard_are_served_meanwhile() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[]);
    give(&mut rig, client, "producer_byte_rate", 1000.0);
    rig.send(client, &[produce("t", 0, 1, 50_000)]);
    let reader = fetch("t", 0..1, 0, 1);
    assert!(fetched_bytes(&rig.ask(other, FETCH_VERSION, &reader)) > 0, "its share of consuming is another one");
}

#[test]
fn a_consumer_above_its_quota_gets_an_empty_answer_and_then_the_records() {
    let mut rig = Rig::new(&[]);
    let (client, reader) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[]);
    for _ in 0..4 {
        rig.send(client, &[produce("t", 0, 1, 5_000)]);
        assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_some());
    }
    give(&mut rig, client, "consumer_byte_rate", 1000.0);
    let first = rig.ask(reader, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(first.throttle_time_ms == 0 && fetched_bytes(&first) <= 10_000, "what ten seconds allow, and no more");
    let second = rig.ask(reader, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(second.throttle_time_ms > 0 && second.responses.is_empty(), "{second:?}");
    rig.send(reader, &[frame(FETCH_VERSION, &fetch("t", 0..1, 0, 1))]);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_none());
    rig.pass_ms(second.throttle_time_ms as u64 + 12_000);
    assert!(rig.answer::<FetchRequest>(reader, FETCH_VERSION).is_some(), "read again");
    rig.pass_ms(30_000);
    let last = rig.ask(reader, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(last.throttle_time_ms == 0 && fetched_bytes(&last) > 0, "{last:?}");
}

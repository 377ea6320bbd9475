//! A client above its quota is told how long it waits, and nothing of it is handled before.

use ringlog_wire::messages::alter_client_quotas::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::ProduceRequest;

use ringlog_wire::messages::create_topics::CreateTopicsRequest;
use ringlog_wire::messages::metadata::MetadataRequest;

use super::rig::{
    CREATE_VERSION, ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, creation, delete, fetch, fetched_bytes, frame,
    produce, produced,
};

/// Gives the rig's clients a quota of bytes a second.
fn give(rig: &mut Rig, client: ClientId, quota: &str, bytes: f64) {
    give_to(rig, client, ("client-id", Some("rig")), quota, bytes);
}

fn give_to(rig: &mut Rig, client: ClientId, (kind, name): (&str, Option<&str>), quota: &str, bytes: f64) {
    let part = EntityData { entity_type: kind.to_owned(), entity_name: name.map(str::to_owned), ..Default::default() };
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

const EXCEEDED: i16 = 89;

/// Eleven partitions at once, then one a second.
#[test]
fn who_makes_too_many_partitions_is_refused_where_its_request_knows_that_and_waits_where_not() {
    let mut rig = Rig::new(&[]);
    let (admin, client) = (rig.connect(), rig.connect());
    give(&mut rig, admin, "controller_mutation_rate", 1.0);
    assert_eq!(
        rig.ask(client, 6, &creation("a", 14, &[])).topics[0].error_code,
        0,
        "the last one may take more than there is"
    );
    let refused = rig.ask(client, 6, &creation("b", 1, &[]));
    assert_eq!((refused.topics[0].error_code, refused.throttle_time_ms), (EXCEEDED, 3_000));
    assert_eq!(refused.topics[0].error_message.as_deref(), Some("The throttling quota has been exceeded."));

    rig.send(client, &[frame(8, &MetadataRequest { topics: None, ..Default::default() })]);
    rig.pass_ms(2_900);
    assert!(rig.answer::<MetadataRequest>(client, 8).is_none(), "its connection is not read meanwhile");
    rig.pass_ms(200);
    assert_eq!(rig.answer::<MetadataRequest>(client, 8).expect("read again").topics.len(), 1, "nothing was made");

    assert_eq!(rig.ask(client, 5, &creation("c", 2, &[])).topics[0].error_code, 0, "an older request is served");
    rig.pass_ms(3_000);
    let removed = rig.ask(client, 4, &delete("a"));
    assert_eq!(removed.responses[0].error_code, 0, "what is removed is paid for too");
    assert!((12_000..15_000).contains(&removed.throttle_time_ms), "{}", removed.throttle_time_ms);
    rig.send(client, &[frame(CREATE_VERSION, &creation("d", 1, &[]))]);
    assert!(rig.answer::<CreateTopicsRequest>(client, CREATE_VERSION).is_none(), "and waits");
}

/// A percent over ten seconds is a tenth of a second of the shard's thread.
#[test]
fn whose_requests_take_too_much_of_the_thread_is_told_in_every_answer_and_waits() {
    let mut rig = Rig::new(&[]);
    let (admin, client) = (rig.connect(), rig.connect());
    rig.create_topic(admin, "t", 1, &[]);
    give(&mut rig, admin, "request_percentage", 1.0);
    let request = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(rig.ask(client, 8, &request).throttle_time_ms, 0);
    rig.step_took_ms(150);
    let waits = rig.ask(client, 8, &request).throttle_time_ms;
    assert_eq!(waits, 1_000, "five seconds would make up for it: a window at a time");
    rig.send(client, &[produce("t", 0, 1, 10)]);
    assert!(rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).is_none(), "its connection is not read meanwhile");
    rig.pass_ms(1_000);
    let produced = rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).expect("read again");
    assert!(produced.throttle_time_ms > 0, "{produced:?}");
    rig.pass_ms(1_000);
    let fetched = rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(fetched.throttle_time_ms > 0 && fetched.responses.is_empty(), "an empty answer, as for bytes: {fetched:?}");
    rig.pass_ms(12_000);
    let fetched = rig.ask(client, FETCH_VERSION, &fetch("t", 0..1, 0, 1));
    assert!(fetched.throttle_time_ms == 0 && fetched_bytes(&fetched) > 0, "{fetched:?}");
}

#[test]
fn an_address_that_opens_too_many_connections_is_turned_away_a_little_later() {
    let mut rig = Rig::new(&[]);
    let admin = rig.connect();
    give_to(&mut rig, admin, ("ip", None), "connection_creation_rate", 1.0);
    let clients: Vec<ClientId> = (0..14).map(|_| rig.connect()).collect();
    let closed = |rig: &Rig| clients.iter().filter(|client| rig.is_closed(**client)).count();
    assert_eq!((closed(&rig), rig.shard.vitals().connections), (0, 11), "ten windows, and the one that began");
    rig.pass_ms(1_000);
    assert_eq!(closed(&rig), 4, "not before it should have come");
    let request = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(rig.ask(clients[0], 8, &request).topics.len(), 0, "those that were let in are served");
    rig.pass_ms(12_000);
    let late = rig.connect();
    rig.ask(late, 8, &request);
}

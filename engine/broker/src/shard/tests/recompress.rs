//! Topics that keep another codec than their producers send: who waits, who does not, and in which order things come out.

use ringlog_wire::batch::{Batch, BatchBuilder, Batches};
use ringlog_wire::compression::{Codec, Scratch};
use ringlog_wire::messages::fetch::FetchRequest;
use ringlog_wire::messages::produce::{ProduceRequest, ProduceResponse};

use super::rig::{
    ClientId, FETCH_VERSION, PRODUCE_VERSION, Rig, alter, delete, fetch, fetched_bytes, frame, produce, produce_batch,
    produced,
};

const ALTER_VERSION: i16 = 1;
const MESSAGE_TOO_LARGE: i16 = 10;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

/// A batch of one record of an idempotent producer.
fn sent(topic: &str, codec: Codec, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None).set_producer(5, 0, sequence);
    builder.append(1_700_000_000_000, None, Some(format!("{sequence}-{}", "x".repeat(200)).as_bytes()), &[]);
    builder.finish(&mut Scratch::default()).unwrap();
    produce_batch(topic, 0, -1, &builder.take())
}

fn answered(rig: &mut Rig, client: ClientId) -> Option<(i16, i64)> {
    rig.answer::<ProduceRequest>(client, PRODUCE_VERSION).as_ref().map(produced)
}

/// Codec and sequence of every batch that a reader sees.
fn kept(rig: &mut Rig, client: ClientId, topic: &str) -> Vec<(Codec, i32)> {
    rig.send(client, &[frame(FETCH_VERSION, &fetch(topic, 0..1, 0, 1))]);
    let (answer, bytes) = rig.answer_in_frame::<FetchRequest>(client, FETCH_VERSION).expect("an answer at once");
    assert!(fetched_bytes(&answer) > 0);
    let ringlog_wire::Records::At(range) = &answer.responses[0].partitions[0].records else { panic!("no records") };
    let of = |batch: Batch<'_>| {
        batch.check_crc().unwrap();
        (batch.header.codec().unwrap(), batch.header.base_sequence)
    };
    Batches::new(&bytes[range.clone()]).map(|batch| of(batch.unwrap())).collect()
}

#[test]
fn a_producers_batches_stay_in_order_while_one_is_compressed_and_others_do_not_wait() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("compression.type", "zstd")]);
    rig.create_topic(client, "u", 1, &[]);
    rig.holds_jobs = true;
    // The second one is as the topic wants it, and the third repeats the first.
    rig.send(client, &[sent("t", Codec::None, 0), sent("t", Codec::Zstd, 1), sent("t", Codec::None, 0)]);
    assert_eq!(answered(&mut rig, client), None, "it waits for the job");
    rig.send(other, &[produce("u", 0, 1, 100)]);
    assert_eq!(answered(&mut rig, other), Some((0, 0)), "another topic goes on");
    rig.send(client, &[sent("t", Codec::Lz4, 2), sent("t", Codec::Gzip, 7)]);
    rig.holds_jobs = false;
    rig.end_jobs();
    let answers: Vec<_> = std::iter::from_fn(|| answered(&mut rig, client)).collect();
    let out_of_order = (OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    assert_eq!(answers, [(0, 0), (0, 1), (0, 0), (0, 2), out_of_order]);
    assert_eq!(kept(&mut rig, other, "t"), [(Codec::Zstd, 0), (Codec::Zstd, 1), (Codec::Zstd, 2)]);
    assert_eq!(rig.shard.vitals().held.recompressed, 0);
}

#[test]
fn what_is_too_large_in_the_topics_codec_is_refused_and_the_next_is_taken() {
    let mut rig = Rig::new(&[]);
    let client = rig.connect();
    rig.create_topic(client, "t", 1, &[("compression.type", "uncompressed"), ("max.message.bytes", "250")]);
    rig.send(client, &[sent("t", Codec::Gzip, 0)]);
    assert_eq!(answered(&mut rig, client), Some((MESSAGE_TOO_LARGE, -1)));
    rig.ask(client, ALTER_VERSION, &alter("t", "max.message.bytes", "400"));
    rig.send(client, &[sent("t", Codec::Gzip, 0)]);
    assert_eq!(answered(&mut rig, client), Some((0, 0)));
}

#[test]
fn who_is_held_up_when_the_topic_goes_is_told_so_and_the_job_is_nobodys() {
    let mut rig = Rig::new(&[]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("compression.type", "gzip")]);
    rig.holds_jobs = true;
    rig.send(client, &[sent("t", Codec::None, 0), sent("t", Codec::None, 1)]);
    rig.send(other, &[frame(4, &delete("t"))]);
    let refused = (UNKNOWN_TOPIC_OR_PARTITION, -1);
    assert_eq!((answered(&mut rig, client), answered(&mut rig, client)), (Some(refused), Some(refused)));
    rig.holds_jobs = false;
    rig.end_jobs();
    assert_eq!(rig.shard.vitals().held.recompressed, 0);
    rig.create_topic(client, "t", 1, &[("compression.type", "gzip")]);
    rig.send(client, &[sent("t", Codec::None, 0)]);
    assert_eq!(answered(&mut rig, client), Some((0, 0)));
}

#[test]
fn produces_wait_when_enough_is_held_and_fetches_do_not() {
    let mut rig = Rig::new(&[("ringlog.memory", "200m"), ("socket.request.max.bytes", "2000000")]);
    let (client, other) = (rig.connect(), rig.connect());
    rig.create_topic(client, "t", 1, &[("compression.type", "gzip")]);
    rig.create_topic(client, "u", 1, &[]);
    rig.send(other, &[produce("u", 0, 1, 100)]);
    assert_eq!(answered(&mut rig, other), Some((0, 0)));
    let limit = rig.shard.broker.budget.held_up_bytes();
    rig.holds_jobs = true;
    let mut count = 0;
    while rig.shard.broker.takes_produces() {
        rig.send(client, &[produce("t", 0, -1, 1_000_000)]);
        count += 1;
        assert!(count < 20, "{:?}", rig.shard.vitals().held);
    }
    assert!(rig.shard.vitals().held.recompressed >= limit);
    rig.send(other, &[produce("u", 0, 1, 100)]);
    assert_eq!(answered(&mut rig, other), None, "whatever its topic: there is no memory for it");
    let reader = rig.connect();
    assert_eq!(kept(&mut rig, reader, "u"), [(Codec::None, -1)]);
    rig.holds_jobs = false;
    rig.end_jobs();
    assert_eq!(answered(&mut rig, other), Some((0, 1)));
    let answers: Vec<ProduceResponse> =
        std::iter::from_fn(|| rig.answer::<ProduceRequest>(client, PRODUCE_VERSION)).collect();
    assert_eq!(answers.iter().map(produced).collect::<Vec<_>>(), (0..count).map(|at| (0, at)).collect::<Vec<_>>());
    assert_eq!(rig.shard.vitals().held.recompressed, 0);
}

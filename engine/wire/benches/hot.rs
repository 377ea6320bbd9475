//! What the broker does per request on its hot path: `cargo bench -p ringlog-wire --bench hot`. `cargo test` runs each once.
//!
//! Throughput lines count the batch's bytes; a batch's time divided by its records is the cost of one.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringlog_wire::batch::{Batch, BatchBuilder, Rules, validate};
use ringlog_wire::compression::{Codec, Scratch};
use ringlog_wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ringlog_wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog_wire::{Message, Reader, Records, Uuid, Writer};

const NOW: i64 = 1_700_000_000_000;

fn batch(codec: Codec, records: usize, value_len: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None);
    for n in 0..records {
        let value: Vec<u8> = (0..value_len).map(|at| b'A' + ((n * 31 + at * at * 7) % 26) as u8).collect();
        builder.append(NOW + n as i64 / 10, None, Some(&value), &[]);
    }
    builder.finish(&mut Scratch::new()).unwrap().to_vec()
}

fn validating(c: &mut Criterion) {
    let rules = Rules { batch_len_max: 2 << 20, ..Rules::default() };
    let mut scratch = Scratch::new();
    for (name, codec, records, value_len) in [
        ("validate/none/16KiB of 1KiB", Codec::None, 16, 1000),
        ("validate/none/16KiB of 100B", Codec::None, 150, 100),
        ("validate/none/1MiB of 1KiB", Codec::None, 1000, 1024),
        ("validate/none/1MiB of 100B", Codec::None, 9500, 100),
        ("validate/lz4/16KiB of 100B", Codec::Lz4, 150, 100),
        ("validate/snappy/16KiB of 100B", Codec::Snappy, 150, 100),
        ("validate/zstd/16KiB of 100B", Codec::Zstd, 150, 100),
        ("validate/gzip/16KiB of 100B", Codec::Gzip, 150, 100),
    ] {
        let bytes = batch(codec, records, value_len);
        let mut group = c.benchmark_group("batch");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| validate(black_box(&bytes), &rules, NOW, &mut scratch).unwrap()));
        group.finish();
    }
    let bytes = batch(Codec::None, 150, 100);
    c.bench_function("batch/crc/16KiB of 100B", |b| {
        b.iter(|| Batch::parse(black_box(&bytes)).unwrap().check_crc().unwrap())
    });
}

fn building(c: &mut Criterion) {
    let mut scratch = Scratch::new();
    let mut builder = BatchBuilder::with_capacity(17 << 10);
    let value = [b'v'; 1000];
    c.bench_function("batch/build/16KiB of 1KiB", |b| {
        b.iter(|| {
            builder.clear();
            for _ in 0..16 {
                builder.append(NOW, None, Some(black_box(&value)), &[]);
            }
            assert!(builder.finish(&mut scratch).unwrap().len() > 16_000);
        });
    });
}

fn decoding(c: &mut Criterion) {
    let produce = ProduceRequest {
        acks: 1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: "bench".into(),
            topic_id: Uuid([7; 16]),
            partition_data: vec![PartitionProduceData { records: Records::Outside(0), ..Default::default() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let partitions = (0..50).map(|partition| FetchPartition { partition, ..Default::default() }).collect();
    let fetch = FetchRequest {
        topics: vec![FetchTopic { topic_id: Uuid([7; 16]), partitions, ..Default::default() }],
        ..Default::default()
    };
    round(c, "message/produce v9, 1 partition", &produce, 9);
    round(c, "message/produce v13, 1 partition", &produce, 13);
    round(c, "message/fetch v17, 50 partitions", &fetch, 17);
}

fn round<M: Message>(c: &mut Criterion, name: &str, message: &M, version: i16) {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap();
    let bytes = w.bytes.clone();
    c.bench_function(&format!("{name}: decode"), |b| {
        b.iter(|| M::decode(&mut Reader::new(black_box(&bytes)), version).unwrap());
    });
    c.bench_function(&format!("{name}: encode"), |b| {
        b.iter(|| {
            w.clear();
            black_box(message).encode(&mut w, version).unwrap();
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(700));
    targets = validating, building, decoding
}
criterion_main!(benches);

//! Batches, memory, partitions: what goes when, and where.

use ringlog_wire::batch::{Batch, BatchHeader};
use ringlog_wire::compression::Codec;

use super::super::batch::RecordBytes;
use super::*;
use crate::client::RecordHeader;
use ringlog_io::Buf;

pub(super) const NODE: NodeId = 1;

pub(super) fn limits() -> Limits {
    Limits {
        batch_size: 300,
        linger_ns: 1000,
        buffer_memory: 4000,
        max_request_size: 1_000_000,
        delivery_timeout_ns: u64::MAX,
        retries: u32::MAX,
        backoff: Backoff { first: std::time::Duration::ZERO, max: std::time::Duration::ZERO },
        compression: Compression { codec: Codec::None, level: None },
        idempotence: true,
        transactional: false,
        one_in_flight: false,
        partitioner: Partitioner::BuiltIn,
        adaptive: true,
        ignore_keys: false,
        availability_timeout_ns: 0,
    }
}

pub(super) fn accumulator(limits: Limits, partitions: usize) -> (Accumulator, Topic) {
    let mut accumulator = Accumulator::new(limits, 7);
    let topic = accumulator.topic("t");
    accumulator.set_leaders(topic, &vec![(Some(NODE), 0); partitions]);
    accumulator.set_identity(10, 0);
    (accumulator, topic)
}

pub(super) fn buffer(len: usize) -> Buf {
    Buf::from(Vec::with_capacity(len))
}

pub(super) fn append(accumulator: &mut Accumulator, to: (Topic, Option<usize>), value: &[u8], now_ns: u64) -> Appended {
    let record = RecordBytes { timestamp_ms: 0, key: None, value, headers: &[] };
    let mark = Mark { intended_ns: now_ns, sent_ns: now_ns, tag: 0, bytes: 0 };
    accumulator.append(to, &record, mark, &mut buffer, |_, _| now_ns)
}

pub(super) fn values(batch: &[u8]) -> Vec<Vec<u8>> {
    let batch = Batch::parse(batch).unwrap();
    batch.check_crc().unwrap();
    let mut scratch = Scratch::new();
    let records = batch.records(&mut scratch, 1 << 20).unwrap();
    records.map(|record| record.unwrap().value.unwrap().to_vec()).collect()
}

pub(super) fn no_batches(batches: &[SentBatch]) -> bool {
    batches.is_empty()
}

#[test]
fn a_batch_is_ready_when_it_is_full_or_has_waited_or_somebody_waits() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    append(&mut accumulator, (topic, Some(0)), &[1; 50], 100);
    assert!(!accumulator.is_ready(NODE, 1099));
    assert!(accumulator.is_ready(NODE, 1100), "linger is over");
    accumulator.set_flushing(true);
    assert!(accumulator.is_ready(NODE, 100));
    accumulator.set_flushing(false);
    let mut appended = (0..5).map(|_| append(&mut accumulator, (topic, Some(0)), &[1; 50], 100));
    assert!(appended.any(|appended| matches!(appended, Appended::Taken { ready: true, .. })));
    assert!(accumulator.is_ready(NODE, 100), "one is full");
}

#[test]
fn memory_is_given_back_when_a_batch_is_done() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    let appended: Vec<Appended> = (0..60).map(|_| append(&mut accumulator, (topic, Some(0)), &[1; 260], 0)).collect();
    assert_eq!(appended.iter().filter(|appended| matches!(appended, Appended::NoMemory { .. })).count(), 60 - 11);
    assert_eq!(appended[11], Appended::NoMemory { wanted: 346, partition: 0 });
    let sent = accumulator.drain(NODE, 0, &mut buffer);
    assert_eq!(sent.len(), 1, "one batch of a partition per request");
    accumulator.done(&sent[0]);
    assert!(matches!(append(&mut accumulator, (topic, Some(0)), &[1; 260], 0), Appended::Taken { .. }));
}

#[test]
fn a_record_above_the_batch_size_gets_a_batch_of_its_own() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    append(&mut accumulator, (topic, Some(0)), &[1; 1000], 0);
    append(&mut accumulator, (topic, Some(0)), &[2; 10], 0);
    let first = accumulator.drain(NODE, 0, &mut buffer);
    assert_eq!(values(&first[0].bytes), [vec![1; 1000]]);
}

#[test]
fn a_request_stops_before_its_limit_and_the_next_goes_on_with_the_next_partition() {
    let (mut accumulator, topic) = accumulator(Limits { max_request_size: 700, ..limits() }, 4);
    for partition in 0..4 {
        append(&mut accumulator, (topic, Some(partition)), &[1; 230], 0);
    }
    let mut drained =
        || accumulator.drain(NODE, 5000, &mut buffer).iter().map(|batch| batch.partition).collect::<Vec<_>>();
    assert_eq!((drained(), drained(), drained()), (vec![0, 1], vec![2, 3], vec![]));
}

#[test]
fn one_in_flight_keeps_order_without_idempotence() {
    let (mut accumulator, topic) = accumulator(Limits { idempotence: false, one_in_flight: true, ..limits() }, 1);
    (0..4u8).for_each(|number| _ = append(&mut accumulator, (topic, Some(0)), &[number; 260], 0));
    let mut first = accumulator.drain(NODE, 0, &mut buffer);
    assert!(no_batches(&accumulator.drain(NODE, 0, &mut buffer)), "muted");
    assert!(accumulator.refused(first.remove(0), Refusal::Retry, 0).is_none());
    let again = accumulator.drain(NODE, 0, &mut buffer);
    assert_eq!(values(&again[0].bytes)[0][0], 0, "the refused one goes first");
}

#[test]
fn a_batch_that_waited_too_long_is_given_up_and_its_gap_ends_the_epoch() {
    let (mut accumulator, topic) = accumulator(Limits { delivery_timeout_ns: 10_000, ..limits() }, 1);
    append(&mut accumulator, (topic, Some(0)), &[0; 260], 0);
    append(&mut accumulator, (topic, Some(0)), &[1; 260], 9000);
    let mut sent = accumulator.drain(NODE, 1000, &mut buffer);
    assert!(accumulator.refused(sent.remove(0), Refusal::Retry, 1000).is_none());
    let expired = accumulator.expired(10_000);
    assert_eq!(expired.len(), 1);
    let next = accumulator.drain(NODE, 10_000, &mut buffer);
    let header = BatchHeader::parse(&next[0].bytes).unwrap();
    assert_eq!((header.producer_epoch, header.base_sequence), (1, 0));
}

#[test]
fn compressed_batches_hold_more_once_the_ratio_is_known() {
    let compression = Compression { codec: Codec::Zstd, level: None };
    let (mut accumulator, topic) = accumulator(Limits { compression, buffer_memory: 1 << 20, ..limits() }, 1);
    let mut counts = Vec::new();
    for _ in 0..60 {
        while !matches!(append(&mut accumulator, (topic, Some(0)), &[7; 50], 0), Appended::Taken { ready: true, .. }) {}
        let sent = accumulator.drain(NODE, 0, &mut buffer);
        counts.push(sent[0].marks.len());
        assert_eq!(values(&sent[0].bytes).len(), sent[0].marks.len());
        sent.iter().for_each(|batch| accumulator.done(batch));
    }
    assert!(counts[59] > counts[0], "{counts:?}");
}

#[test]
fn a_refused_batch_rests_unless_its_partition_has_another_leader() {
    let rests = Backoff { first: std::time::Duration::from_secs(9), max: std::time::Duration::from_secs(9) };
    let (mut accumulator, topic) = accumulator(Limits { backoff: rests, ..limits() }, 1);
    append(&mut accumulator, (topic, Some(0)), &[0; 260], 0);
    let mut sent = accumulator.drain(NODE, 5000, &mut buffer);
    assert!(accumulator.refused(sent.remove(0), Refusal::Retry, 5000).is_none());
    assert!(no_batches(&accumulator.drain(NODE, 6000, &mut buffer)));
    accumulator.set_leaders(topic, &[(Some(2), 1)]);
    assert!(no_batches(&accumulator.drain(NODE, 6000, &mut buffer)));
    assert_eq!(accumulator.drain(2, 6000, &mut buffer).len(), 1, "at once, to the new one");
}

#[test]
fn a_batch_that_is_over_its_time_in_flight_gives_back_its_memory_and_ends_the_epoch() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    append(&mut accumulator, (topic, Some(0)), &[0; 260], 0);
    append(&mut accumulator, (topic, Some(0)), &[1; 260], 0);
    let sent = accumulator.drain(NODE, 5000, &mut buffer);
    accumulator.abandon(&sent[0]);
    let next = accumulator.drain(NODE, 5000, &mut buffer);
    let header = BatchHeader::parse(&next[0].bytes).unwrap();
    assert_eq!((header.producer_epoch, header.base_sequence), (1, 0));
    accumulator.done(&next[0]);
    assert_eq!((accumulator.unfinished(), accumulator.free_bytes()), (0, 4000));
}

#[test]
fn parts_of_a_batch_keep_its_sequences_its_headers_and_its_memory() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    for number in 0..4u8 {
        append(&mut accumulator, (topic, Some(0)), &[number; 40], 0);
    }
    let whole = accumulator.drain(NODE, 5000, &mut buffer).remove(0);
    assert_eq!(accumulator.split(&whole, &mut buffer).unwrap(), 2);
    let mut heads = Vec::new();
    for _ in 0..2 {
        let part = accumulator.drain(NODE, 5000, &mut buffer).remove(0);
        let header = BatchHeader::parse(&part.bytes).unwrap();
        heads.push((header.producer_epoch, header.base_sequence, values(&part.bytes)));
        accumulator.done(&part);
    }
    let value = |number: u8| vec![number; 40];
    assert_eq!(heads, [(0, 0, vec![value(0), value(1)]), (0, 2, vec![value(2), value(3)])]);
    assert_eq!((accumulator.unfinished(), accumulator.free_bytes()), (0, 4000));
}

#[test]
fn in_a_transaction_nothing_goes_before_the_coordinator_knows_the_partition() {
    let (mut accumulator, topic) = accumulator(Limits { transactional: true, ..limits() }, 2);
    append(&mut accumulator, (topic, Some(0)), &[0; 260], 0);
    append(&mut accumulator, (topic, Some(1)), &[0; 260], 0);
    assert!(no_batches(&accumulator.drain(NODE, 5000, &mut buffer)));
    accumulator.enter_transaction(topic, 1);
    let sent = accumulator.drain(NODE, 5000, &mut buffer);
    assert_eq!(sent.iter().map(|batch| batch.partition).collect::<Vec<_>>(), [1]);
    assert!(BatchHeader::parse(&sent[0].bytes).unwrap().is_transactional());
    assert_eq!(accumulator.take_undrained().len(), 1);
    accumulator.leave_transaction();
    assert!(!accumulator.is_in_transaction(topic, 1));
}

#[test]
fn headers_are_kept_in_their_order_null_values_and_doubles_too() {
    let (mut accumulator, topic) = accumulator(limits(), 1);
    let headers = [("a", Some(&b"1"[..])), ("", None), ("a", Some(b""))];
    let headers = headers.map(|(key, value)| RecordHeader { key, value });
    let record = RecordBytes { timestamp_ms: 0, key: Some(b"k"), value: b"v", headers: &headers };
    let mark = Mark { intended_ns: 0, sent_ns: 0, tag: 0, bytes: 0 };
    for _ in 0..2 {
        accumulator.append((topic, Some(0)), &record, mark, &mut buffer, |_, _| 0);
    }
    let sent = accumulator.drain(NODE, 5000, &mut buffer);
    let batch = Batch::parse(&sent[0].bytes).unwrap();
    let mut scratch = Scratch::new();
    for record in batch.records(&mut scratch, 1 << 20).unwrap() {
        let record = record.unwrap();
        let got: Vec<_> =
            record.headers.map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec))).collect();
        let wanted = headers.map(|header| (header.key.as_bytes().to_vec(), header.value.map(<[u8]>::to_vec)));
        assert_eq!((got.as_slice(), record.value), (&wanted[..], Some(&b"v"[..])));
    }
    assert_eq!(batch.header.record_count, 2);
}

#[test]
fn partitions_change_and_batches_begin_where_they_do_in_kafka_s_own_accumulator() {
    let lines = include_str!("../sticky_vectors.txt").lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let parts: Vec<&str> = line.split(' ').collect();
        let numbers = |text: &str| text.split(',').filter_map(|it| it.parse().ok()).collect::<Vec<usize>>();
        let codec = match parts[0] {
            "none" => Codec::None,
            "gzip" => Codec::Gzip,
            _ => Codec::Lz4,
        };
        let limits = Limits {
            batch_size: parts[2].parse().unwrap(),
            buffer_memory: 1 << 30,
            compression: Compression { codec, level: None },
            ..limits()
        };
        let (mut accumulator, topic) = accumulator(limits, 400);
        accumulator.topics[0].compression_ratio = parts[1].parse().unwrap();
        let (mut last, mut switches, mut begun, sizes) = (None::<usize>, Vec::new(), Vec::new(), numbers(parts[3]));
        for at in 0..300 {
            let appended = append(&mut accumulator, (topic, None), &vec![0; sizes[at % sizes.len()]], 0);
            let Appended::Taken { partition, index, .. } = appended else { panic!("{appended:?}") };
            switches.extend(last.is_some_and(|last| last != partition).then_some(at));
            // The current partition stays that one without a leader, and is not chosen again: as in Kafka's run.
            accumulator.topics[0].partitions[partition].leader = None;
            begun.extend((index == 0).then_some(at));
            last = Some(partition);
        }
        assert_eq!((switches, begun), (numbers(parts[4]), numbers(parts[5])), "{line}");
        count += 1;
    }
    assert_eq!(count, 135);
}

/// What the batches of an accumulator hold, in bytes of their buffers.
fn held(accumulator: &Accumulator, sent: &[SentBatch]) -> usize {
    let queued = accumulator.topics.iter().flat_map(|topic| &topic.partitions).flat_map(|at| &at.queue);
    let queued: usize = queued.map(|queued| queued.batch.len()).sum();
    queued + sent.iter().map(|batch| batch.bytes.len()).sum::<usize>()
}

#[test]
fn under_compression_no_more_is_held_than_buffer_memory() {
    for codec in [Codec::Lz4, Codec::Gzip, Codec::Zstd, Codec::Snappy] {
        let compression = Compression { codec, level: None };
        let limits = Limits { batch_size: 1000, buffer_memory: 20_000, compression, ..limits() };
        let (mut accumulator, topic) = accumulator(limits, 4);
        // What was seen until now compresses well: a batch takes ten times its size before it is full.
        accumulator.topics[0].compression_ratio = 0.1;
        let (mut sent, mut refused, mut taken) = (Vec::new(), 0, 0);
        for number in 0..4000usize {
            let value: Vec<u8> = (0..90).map(|at| (number * 31 + at * at * 7) as u8).collect();
            match append(&mut accumulator, (topic, Some(number % 4)), &value, 0) {
                Appended::Taken { .. } => taken += 1,
                Appended::NoMemory { .. } => {
                    refused += 1;
                    sent.extend(accumulator.drain(NODE, 5000, &mut buffer));
                    if refused % 3 == 0 {
                        sent.drain(..).for_each(|batch| accumulator.done(&batch));
                    }
                }
                Appended::NoPartition => panic!("there are partitions"),
            }
            let held = held(&accumulator, &sent);
            assert!(
                held + accumulator.free_bytes() <= 20_000,
                "{codec:?}: {held} held, {} free",
                accumulator.free_bytes()
            );
        }
        assert!(refused > 10 && taken > 1000, "{codec:?}: {taken} taken, {refused} refused");
        accumulator.set_flushing(true);
        loop {
            sent.extend(accumulator.drain(NODE, 5000, &mut buffer));
            if sent.is_empty() {
                break;
            }
            sent.drain(..).for_each(|batch| accumulator.done(&batch));
        }
        assert_eq!((accumulator.free_bytes(), accumulator.unfinished()), (20_000, 0), "{codec:?}: all memory is back");
    }
}

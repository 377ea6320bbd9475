//! Appending and reading on a disk that behaves: offsets, rolls, producers, transactions, flushes.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::sim::SimFiles;
use ringlog_io::{Files, Job, OpenMode};
use ringlog_storage::{
    AbortedTransaction, AppendError, Isolation, LogConfig, LogRange, Origin, Partition, ReadError, Ready, Startup,
    StorageError,
};
use ringlog_wire::batch::BatchBuilder;
use ringlog_wire::{ErrorCode, Uuid};
use support::{
    WALL_MS, append, append_all, append_as, batch, checkpoint, disk, flush, look, maintain, open, producer_batch,
    read_bytes, read_records,
};

const TOPIC_ID: Uuid = Uuid([7; 16]);

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 2000, index_interval_bytes: 200, ..LogConfig::default() }
}

fn create(config: &LogConfig) -> (Rc<SimFiles>, Rc<dyn Files>, PathBuf, Partition) {
    let (sim, files) = disk(1);
    let dir = PathBuf::from("/log/topic-0");
    let partition = Partition::create(&files, &dir, TOPIC_ID, config.clone(), WALL_MS).unwrap();
    (sim, files, dir, partition)
}

fn values(files: &Rc<dyn Files>, partition: &Partition, how: Isolation) -> Vec<String> {
    let records = read_records(files, partition, 0, 1 << 20, how);
    records.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

#[test]
fn batches_get_offsets_and_the_epoch_and_are_read_back() {
    let (_, files, _, mut partition) = create(&LogConfig::default());
    let answers = append_as(&mut partition, &[&batch(5, &[b"a", b"b"]), &batch(6, &[b"c"])], Origin::Client, 9);
    let offsets: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap()).collect();
    assert_eq!((offsets[0].base_offset, offsets[0].last_offset), (0, 1));
    assert_eq!((offsets[1].base_offset, offsets[1].last_offset), (2, 2));
    assert_eq!(offsets[0].log_append_time_ms, -1);
    assert_eq!((partition.end_offset(), partition.high_watermark(), partition.latest_epoch()), (3, 3, 9));
    assert_eq!(values(&files, &partition, Isolation::ReadUncommitted), ["a", "b", "c"]);
    let bytes = read_bytes(&files, &partition, 2, 1, Isolation::ReadUncommitted);
    assert_eq!(bytes[..16], [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, bytes[11], 0, 0, 0, 9], "base offset and leader epoch");
}

#[test]
fn one_call_is_one_write() {
    let (sim, _, _, mut partition) = create(&LogConfig::default());
    append(&mut partition, &batch(1, &[b"first: writes the epoch"])).unwrap();
    for count in [1, 3, 40] {
        let batches = vec![batch(1, &[b"x"]); count];
        let before = sim.counters().writes;
        let answers = append_all(&mut partition, &batches.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(sim.counters().writes, before + 1, "{count} batches");
    }
}

#[test]
fn segments_roll_by_size_and_every_offset_is_found() {
    let (_, files, dir, mut partition) = create(&small_segments());
    for i in 0..200_i64 {
        append(&mut partition, &batch(1000 + i, &[format!("value {i}").as_bytes()])).unwrap();
    }
    assert!(partition.segment_count() > 5, "{}", partition.segment_count());
    let names = files.list(&dir).unwrap();
    assert!(names.iter().any(|entry| entry.name.ends_with(".snapshot")));
    for offset in 0..200 {
        for max in [1, 100, 300, 5000] {
            let range = partition.read(offset, max, true, Isolation::ReadUncommitted).unwrap();
            let mut bytes = vec![0; range.len];
            files.read_at(&range.file, &mut bytes, range.position).unwrap();
            assert_eq!(bytes[..8], offset.to_be_bytes(), "offset {offset}, at most {max} bytes");
            assert!(range.upper_bound_offset > offset);
        }
        let found = look(&files, &partition, |log| log.offset_for_timestamp(1000 + offset)).unwrap();
        assert_eq!((found.offset, found.timestamp_ms), (offset, 1000 + offset));
    }
    let records = read_records(&files, &partition, 0, 700, Isolation::ReadUncommitted);
    assert_eq!(records.len(), 200);
    assert_eq!(look(&files, &partition, |log| log.offset_of_max_timestamp()).unwrap().offset, 199);
    assert_eq!(partition.size_bytes(), records_len(&files, &partition));
}

fn records_len(files: &Rc<dyn Files>, partition: &Partition) -> u64 {
    let (mut offset, mut len) = (0, 0);
    loop {
        let bytes = read_bytes(files, partition, offset, 1, Isolation::LogEnd);
        if bytes.is_empty() {
            return len;
        }
        len += bytes.len() as u64;
        offset = ringlog_wire::batch::BatchHeader::parse(&bytes).unwrap().next_offset();
    }
}

#[test]
fn a_segment_rolls_by_the_age_of_its_first_batch() {
    let config = LogConfig { segment_ms: 1000, ..LogConfig::default() };
    let (_, _, _, mut partition) = create(&config);
    for timestamp_ms in [5000, 6000, 5500, 6001, 6002] {
        append(&mut partition, &batch(timestamp_ms, &[b"x"])).unwrap();
    }
    assert_eq!(partition.segment_count(), 2);
    assert_eq!(partition.read(3, 1, true, Isolation::LogEnd).unwrap().position, 0, "6001 began the second");
}

#[test]
fn a_segment_rolls_when_its_index_is_full_and_when_an_offset_is_too_far() {
    let config = LogConfig { segment_index_bytes: 36, index_interval_bytes: 1, ..LogConfig::default() };
    let (_, _, _, mut partition) = create(&config);
    (0..9).for_each(|i| assert!(append(&mut partition, &batch(i, &[b"x"])).is_ok()));
    assert!(partition.segment_count() >= 3, "{}", partition.segment_count());

    let (_, files, _, mut partition) = create(&LogConfig::default());
    let mut wide = support::validated(&batch(1, &[b"x"]), Origin::Client);
    wide.header.last_offset_delta = i32::MAX - 1;
    let bytes = batch(1, &[b"x"]);
    let new = ringlog_storage::NewBatch { validated: &wide, bytes: &bytes, origin: Origin::Coordinator };
    assert_eq!(partition.append(&[new], 0, WALL_MS)[0].as_ref().unwrap().last_offset, i64::from(i32::MAX) - 1);
    append(&mut partition, &batch(1, &[b"the last that fits"])).unwrap();
    let next = append(&mut partition, &batch(1, &[b"in the next segment"])).unwrap();
    assert_eq!((next.base_offset, partition.segment_count()), (1 << 31, 2));
    assert_eq!(read_bytes(&files, &partition, 1 << 31, 1, Isolation::LogEnd)[..8], (1_i64 << 31).to_be_bytes());
}

#[test]
fn reads_end_at_batches_and_honour_the_first_batch_rule() {
    let (_, files, _, mut partition) = create(&LogConfig { index_interval_bytes: 100, ..LogConfig::default() });
    let bytes = batch(1, &[&[b'x'; 300]]);
    (0..10).for_each(|_| assert!(append(&mut partition, &bytes).is_ok()));
    let len = |max, first| partition.read(3, max, first, Isolation::ReadUncommitted).unwrap().len;
    assert_eq!(len(10, false), 0);
    assert_eq!(len(10, true), bytes.len());
    assert_eq!(len(bytes.len() * 2 + 50, true), bytes.len() * 2, "no part of a batch");
    assert_eq!(len(1 << 20, true), bytes.len() * 7);
    assert_eq!(partition.read(10, 100, true, Isolation::ReadUncommitted).unwrap().len, 0);
    for outside in [-1, 11] {
        let error = partition.read(outside, 100, true, Isolation::ReadUncommitted).unwrap_err();
        assert!(matches!(error, ReadError::OffsetOutOfRange { log_start_offset: 0, end_offset: 10, .. }), "{error}");
    }
    drop(files);
}

#[test]
fn a_log_that_is_handed_over_in_a_run_knows_the_five_and_one_that_is_only_opened_the_last() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    for sequence in 0..6 {
        append(&mut partition, &producer_batch(7, 0, sequence, 1, false)).unwrap();
    }
    partition.close_clean().unwrap();
    let producers = partition.into_producers();
    let (mut opened, _) = support::open(&files, &dir, &LogConfig::default(), Startup::Clean);
    let forgotten = append(&mut opened, &producer_batch(7, 0, 2, 1, false)).unwrap_err();
    assert!(matches!(forgotten, AppendError::OutOfOrderSequence { last_sequence: 5, .. }), "a snapshot keeps one");
    opened.take_over(producers);
    for sequence in 1..6 {
        let again = append(&mut opened, &producer_batch(7, 0, sequence, 1, false)).unwrap();
        assert_eq!((again.base_offset, again.duplicate), (i64::from(sequence), true));
    }
    assert_eq!(append(&mut opened, &producer_batch(7, 0, 6, 1, false)).unwrap().base_offset, 6);
}

#[test]
fn producers_of_a_log_that_ended_elsewhere_are_not_taken_over() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append(&mut partition, &producer_batch(7, 0, 0, 1, false)).unwrap();
    partition.close_clean().unwrap();
    let producers = partition.into_producers();
    let (mut opened, _) = support::open(&files, &dir, &LogConfig::default(), Startup::Clean);
    append(&mut opened, &producer_batch(7, 0, 1, 1, false)).unwrap();
    opened.take_over(producers);
    assert!(append(&mut opened, &producer_batch(7, 0, 1, 1, false)).unwrap().duplicate, "what it knows itself stays");
}

#[test]
fn a_resent_batch_is_answered_with_its_first_offset() {
    let (_, files, _, mut partition) = create(&LogConfig::default());
    for i in 0..6 {
        assert_eq!(
            append(&mut partition, &producer_batch(7, 0, 2 * i, 2, false)).unwrap().base_offset,
            i64::from(2 * i)
        );
    }
    for i in 1..6 {
        let again = append(&mut partition, &producer_batch(7, 0, 2 * i, 2, false)).unwrap();
        assert_eq!((again.base_offset, again.duplicate), (i64::from(2 * i), true));
    }
    let forgotten = append(&mut partition, &producer_batch(7, 0, 0, 2, false)).unwrap_err();
    assert!(matches!(forgotten, AppendError::OutOfOrderSequence { last_sequence: 11, .. }), "five are remembered");
    let both = append_all(&mut partition, &[&producer_batch(7, 0, 12, 1, false), &producer_batch(7, 0, 12, 1, false)]);
    assert_eq!(both.iter().map(|it| it.as_ref().unwrap().duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(partition.end_offset(), 13);
    assert_eq!(values(&files, &partition, Isolation::ReadUncommitted).len(), 13);
}

#[test]
fn sequences_epochs_and_their_errors_are_kafkas() {
    let (_, _, _, mut partition) = create(&LogConfig::default());
    let mut try_append = |epoch, sequence, records| {
        let answer = append(&mut partition, &producer_batch(1, epoch, sequence, records, false));
        answer.map(|appended| appended.base_offset).map_err(|error| error.error_code().name())
    };
    assert_eq!(try_append(0, 40, 1), Ok(0), "an unknown producer begins anywhere");
    assert_eq!(try_append(0, 42, 1), Err("OUT_OF_ORDER_SEQUENCE_NUMBER"));
    assert_eq!(try_append(0, 41, 1), Ok(1));
    assert_eq!(try_append(2, 1, 1), Err("OUT_OF_ORDER_SEQUENCE_NUMBER"), "a new epoch begins at 0");
    assert_eq!(try_append(2, 0, 1), Ok(2));
    assert_eq!(try_append(1, 0, 1), Err("INVALID_PRODUCER_EPOCH"));
    assert_eq!(try_append(2, 1, 1), Ok(3));
}

#[test]
fn sequences_wrap_to_zero() {
    let (_, _, _, mut partition) = create(&LogConfig::default());
    append(&mut partition, &producer_batch(1, 0, i32::MAX - 1, 1, false)).unwrap();
    append(&mut partition, &producer_batch(1, 0, i32::MAX, 3, false)).unwrap();
    let again = append(&mut partition, &producer_batch(1, 0, i32::MAX, 3, false)).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (1, true));
    assert_eq!(append(&mut partition, &producer_batch(1, 0, 2, 1, false)).unwrap().base_offset, 4);
}

fn marker(partition: &mut Partition, id: i64, epoch: i16, commit: bool) -> Result<i64, AppendError> {
    let bytes = BatchBuilder::marker(WALL_MS, id, epoch, commit, 3);
    append_as(partition, &[&bytes], Origin::Coordinator, 0).remove(0).map(|appended| appended.base_offset)
}

/// KIP-890: the marker of a transaction of version 2 bears the epoch of the next one.
#[test]
fn a_late_marker_of_version_2_does_not_end_the_next_transaction() {
    let mark = |partition: &mut Partition, epoch: i16| {
        let bytes = BatchBuilder::marker(WALL_MS, 1, epoch, true, 3);
        let done = append_as(partition, &[&bytes], Origin::CoordinatorTv2, 0).remove(0);
        done.map(|appended| appended.base_offset).map_err(|error| error.error_code().name())
    };
    let (.., mut partition) = create(&LogConfig::default());
    append(&mut partition, &producer_batch(1, 0, 0, 1, true)).unwrap();
    assert_eq!(mark(&mut partition, 0), Err("INVALID_PRODUCER_EPOCH"), "it is older than the records");
    assert_eq!(mark(&mut partition, 1), Ok(1));
    assert_eq!(mark(&mut partition, 1), Ok(2), "nothing is open: it may have been written once already");
    let late = append(&mut partition, &producer_batch(1, 0, 1, 1, true)).unwrap_err();
    assert_eq!(late.error_code().name(), "INVALID_PRODUCER_EPOCH");
    append(&mut partition, &producer_batch(1, 1, 0, 1, true)).unwrap();
    assert_eq!(mark(&mut partition, 1), Err("INVALID_PRODUCER_EPOCH"));
    assert_eq!(mark(&mut partition, 2), Ok(4));
    assert_eq!(partition.last_stable_offset(), 5);
}

#[test]
fn a_transaction_of_version_2_begins_at_sequence_0_where_nothing_is_known_of_its_producer() {
    let (.., mut partition) = create(&LogConfig::default());
    let mut send = |sequence| {
        let bytes = producer_batch(1, 0, sequence, 1, true);
        let done = append_as(&mut partition, &[&bytes], Origin::ClientTv2, 0).remove(0);
        done.map(|appended| appended.base_offset).map_err(|error| error.error_code().name())
    };
    assert_eq!(send(1), Err("OUT_OF_ORDER_SEQUENCE_NUMBER"));
    assert_eq!((send(0), send(1)), (Ok(0), Ok(1)));
}

#[test]
fn open_transactions_hold_the_last_stable_offset() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append(&mut partition, &batch(1, &[b"plain"])).unwrap();
    append(&mut partition, &producer_batch(1, 0, 0, 2, true)).unwrap();
    append(&mut partition, &producer_batch(2, 0, 0, 1, true)).unwrap();
    assert_eq!((partition.last_stable_offset(), partition.high_watermark()), (1, 4));
    assert_eq!(partition.read(1, 1000, true, Isolation::ReadCommitted).unwrap().len, 0);
    assert_eq!(read_records(&files, &partition, 0, 1 << 20, Isolation::ReadCommitted).len(), 1);

    let outside = append(&mut partition, &producer_batch(2, 0, 1, 1, false)).unwrap_err();
    assert_eq!(outside.error_code().name(), "INVALID_TXN_STATE");
    assert_eq!(marker(&mut partition, 1, 0, false), Ok(4));
    assert_eq!(partition.last_stable_offset(), 3, "the other one is open");
    assert_eq!(marker(&mut partition, 2, 0, true), Ok(5));
    assert_eq!(partition.last_stable_offset(), 6);
    let aborted = [AbortedTransaction { producer_id: 1, first_offset: 1 }];
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0, 6)), aborted);
    assert_eq!(marker(&mut partition, 1, -1, true).unwrap_err().error_code().name(), "INVALID_PRODUCER_EPOCH");

    append(&mut partition, &producer_batch(5, 0, 0, 1, true)).unwrap();
    drop(partition);
    for how in [Startup::SameBoot, Startup::NewBoot, Startup::Clean] {
        let (partition, _) = open(&files, &dir, &LogConfig::default(), how);
        assert_eq!((partition.last_stable_offset(), partition.end_offset()), (6, 7), "{how:?}");
        assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0, 6)), aborted, "{how:?}");
    }
}

#[test]
fn aborted_transactions_are_found_across_segments() {
    let (_, files, _, mut partition) = create(&small_segments());
    for id in 0..20 {
        append(&mut partition, &producer_batch(id, 0, 0, 10, true)).unwrap();
        marker(&mut partition, id, 0, id % 2 == 0).unwrap();
    }
    assert!(partition.segment_count() > 2);
    let found = look(&files, &partition, |log| log.aborted_transactions(0, partition.end_offset()));
    assert_eq!(found.iter().map(|it| it.producer_id).collect::<Vec<_>>(), (1..20).step_by(2).collect::<Vec<i64>>());
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(150, 160)).len(), 1);
}

#[test]
fn nothing_is_visible_before_it_is_flushed_under_flush_messages_1() {
    let config = LogConfig { flush_messages: 1, ..small_segments() };
    let (sim, files, _, mut partition) = create(&config);
    append(&mut partition, &batch(1, &[b"a"])).unwrap();
    assert_eq!((partition.end_offset(), partition.high_watermark()), (1, 0));
    assert_eq!(partition.read(0, 1000, true, Isolation::ReadUncommitted).unwrap().len, 0);
    assert!(partition.flush_due(WALL_MS));
    let mut job = partition.flush_begin().unwrap();
    while job.up_to == 0 {
        assert!(partition.flush_begin().is_none(), "one at a time");
        let result = files.sync(&job.file);
        partition.flush_done(job, result);
        job = partition.flush_begin().unwrap();
    }
    append(&mut partition, &batch(2, &[b"b"])).unwrap();
    partition.flush_done(job, Ok(()));
    assert_eq!(partition.high_watermark(), 1, "what came after the job began waits for the next");
    for i in 0..100 {
        append(&mut partition, &batch(i, &[&[b'x'; 100]])).unwrap();
    }
    let syncs = sim.counters().syncs;
    flush(&files, &mut partition);
    assert_eq!((partition.high_watermark(), partition.flushed_offset()), (102, 102));
    assert!(sim.counters().syncs - syncs >= partition.segment_count() as u64 - 1, "every segment");
    assert!(!partition.flush_due(WALL_MS) && partition.flush_begin().is_none());
    assert_eq!(values(&files, &partition, Isolation::ReadUncommitted).len(), 102);
}

#[test]
fn a_read_gives_all_that_is_visible_where_there_is_room() {
    let config = LogConfig { flush_messages: 1, index_interval_bytes: 150, ..LogConfig::default() };
    let (_, files, _, mut partition) = create(&config);
    let bytes = batch(1, &[b"some value"]);
    for flushed in [7, 15] {
        (partition.end_offset()..flushed).for_each(|_| assert!(append(&mut partition, &bytes).is_ok()));
        flush(&files, &mut partition);
        (0..3).for_each(|_| assert!(append(&mut partition, &bytes).is_ok()));
        let visible = usize::try_from(flushed).unwrap() * bytes.len();
        for max in [visible, visible + 20, 1 << 20] {
            assert_eq!(partition.read(0, max, true, Isolation::ReadUncommitted).unwrap().len, visible);
        }
        let less = partition.read(0, visible - 1, true, Isolation::ReadUncommitted).unwrap().len;
        assert!(less < visible && less.is_multiple_of(bytes.len()), "whole batches");
    }
}

#[test]
fn flushes_are_due_by_count_by_time_and_after_a_roll() {
    let config = LogConfig { flush_messages: 3, flush_ms: 1000, ..LogConfig::default() };
    let (_, files, _, mut partition) = create(&config);
    append(&mut partition, &batch(1, &[b"a"])).unwrap();
    assert_eq!(partition.high_watermark(), 1, "only flush.messages=1 hides");
    assert!(!partition.flush_due(WALL_MS + 999) && partition.flush_due(WALL_MS + 1000));
    append(&mut partition, &batch(1, &[b"b", b"c"])).unwrap();
    assert!(partition.flush_due(WALL_MS));
    flush(&files, &mut partition);
    assert!(!partition.flush_due(WALL_MS + 5000));

    let (_, files, _, mut partition) = create(&small_segments());
    assert_eq!(checkpoint(&files, &mut partition).unwrap().recovery_point, 0);
    while partition.segment_count() == 1 {
        append(&mut partition, &batch(1, &[b"a"])).unwrap();
    }
    assert!(partition.flush_due(WALL_MS), "a sealed segment is flushed behind the scenes");
    flush(&files, &mut partition);
    assert_eq!(checkpoint(&files, &mut partition).unwrap().recovery_point, partition.end_offset());
}

#[test]
fn the_next_segment_is_made_before_it_is_needed() {
    let (sim, files, dir, mut partition) = create(&LogConfig { preallocate: true, ..small_segments() });
    while partition.size_bytes() < 1800 {
        maintain(&files, &mut partition);
        append(&mut partition, &batch(1, &[b"a"])).unwrap();
    }
    maintain(&files, &mut partition);
    assert!(files.exists(&dir.join("next-segment")));
    let before = sim.counters();
    while partition.segment_count() == 1 {
        append(&mut partition, &batch(1, &[b"a"])).unwrap();
    }
    assert!(!files.exists(&dir.join("next-segment")));
    assert_eq!(sim.counters().syncs, before.syncs, "a roll waits for no disk");
    assert_eq!(sim.counters().dir_syncs, before.dir_syncs);
}

#[test]
fn write_back_goes_in_pieces_over_every_segment_and_leaves_the_tail() {
    let segments = LogConfig { segment_bytes: 300_000, ..LogConfig::default() };
    let (_, _, _, mut partition) = create(&segments);
    assert!(partition.writeback_begin(1, true).is_none(), "nothing is there");
    let grow = |partition: &mut Partition| append(partition, &batch(1, &[&[b'x'; 10_000]])).unwrap();
    grow(&mut partition);
    let tail = partition.unwritten_bytes();
    assert!(
        tail > 10_000 && partition.writeback_begin(1 << 20, false).is_none(),
        "the next append writes its pages again"
    );
    while partition.segment_count() < 3 {
        grow(&mut partition);
    }
    let mut unwritten = partition.unwritten_bytes();
    assert_eq!(unwritten, partition.size_bytes());
    let mut pieces = Vec::new();
    while let Some(due) = partition.writeback_begin(100_000, false) {
        assert!(partition.writeback_begin(100_000, false).is_none(), "one at a time");
        assert_eq!(partition.unwritten_bytes(), unwritten, "until it is there");
        partition.writeback_done(Ok(()));
        unwritten -= due.len;
        assert_eq!(partition.unwritten_bytes(), unwritten);
        pieces.push((due.offset, due.len));
    }
    let sealed = [(0, 65_536), (65_536, 65_536), (131_072, 65_536), (196_608, 65_536)];
    assert_eq!(pieces[..4], sealed, "the oldest first");
    assert!(pieces[4].0 == 262_144 && pieces[4].1 < 65_536, "the end of a sealed one is no tail: {pieces:?}");
    assert_eq!(pieces[5..9], sealed);
    assert!(unwritten > 0 && unwritten < 65_536);
    let due = partition.writeback_begin(1, true).expect("the tail");
    assert_eq!(due.len, unwritten);
    partition.writeback_done(Ok(()));
    assert_eq!(partition.unwritten_bytes(), 0);
}

#[test]
fn what_a_sync_covers_needs_no_write_back() {
    let (_, files, _, mut partition) = create(&LogConfig { flush_messages: 10, ..LogConfig::default() });
    for _ in 0..10 {
        append(&mut partition, &batch(1, &[b"a"])).unwrap();
    }
    assert!(partition.unwritten_bytes() > 0);
    while let Some(job) = partition.flush_begin() {
        let result = files.sync(&job.file);
        partition.flush_done(job, result);
    }
    assert_eq!(partition.unwritten_bytes(), 0);
    partition.set_config(LogConfig { flush_messages: 1, ..LogConfig::default() });
    append(&mut partition, &batch(1, &[b"a"])).unwrap();
    assert_eq!(partition.unwritten_bytes(), 0, "who waits for its sync holds its producer");
}

#[test]
fn pages_that_write_back_lost_are_a_failed_sync() {
    let begun = || {
        let (_, _, _, mut partition) = create(&LogConfig::default());
        append(&mut partition, &batch(1, &[b"a"])).unwrap();
        partition.writeback_begin(1, true).expect("a piece");
        partition
    };
    let mut partition = begun();
    partition.writeback_done(Err(std::io::ErrorKind::WouldBlock.into()));
    append(&mut partition, &batch(1, &[b"a"])).expect("nothing was asked of the disk");
    for errno in [5, 28] {
        let mut partition = begun();
        partition.writeback_done(Err(std::io::Error::from_raw_os_error(errno)));
        assert!(partition.final_failure().is_some(), "errno {errno}");
        assert!(append(&mut partition, &batch(1, &[b"a"])).is_err());
        assert_eq!(partition.unwritten_bytes(), 0);
    }
}

#[test]
fn a_partition_is_deleted_whole() {
    let (_, files, dir, partition) = create(&LogConfig::default());
    partition.delete().unwrap().perform(&*files).unwrap();
    assert!(!files.exists(&dir));
    assert_eq!(files.list(Path::new("/log")).unwrap(), []);
}

#[test]
fn a_folder_that_holds_a_partition_is_not_made_again() {
    let (_, files, dir, _partition) = create(&LogConfig::default());
    let again = Partition::create(&files, &dir, TOPIC_ID, LogConfig::default(), WALL_MS);
    assert!(matches!(again.err(), Some(StorageError::Io { action: "open", .. })));
}

#[test]
fn bytes_that_are_not_what_was_validated_are_refused() {
    let (_, _, _, mut partition) = create(&LogConfig { segment_bytes: 100, ..LogConfig::default() });
    let (short, long) = (batch(1, &[b"x"]), batch(1, &[&[b'x'; 100]]));
    let validated = support::validated(&short, Origin::Client);
    let new = ringlog_storage::NewBatch { validated: &validated, bytes: &long, origin: Origin::Client };
    assert_eq!(partition.append(&[new], 0, WALL_MS)[0].as_ref().unwrap_err().error_code().name(), "CORRUPT_MESSAGE");
    assert_eq!(append(&mut partition, &long).unwrap_err().error_code().name(), "RECORD_LIST_TOO_LARGE");
    assert_eq!(partition.end_offset(), 0);
}

/// Runs the jobs that a read asks for; gives them beside what it found.
fn read_beside(files: &Rc<dyn Files>, partition: &mut Partition, offset: i64) -> (Vec<Job>, LogRange) {
    let mut jobs = Vec::new();
    loop {
        let (lookup, job) = match partition.read_ready(offset, 1, true, Isolation::ReadUncommitted).unwrap() {
            Ready::Now(range) => return (jobs, range),
            Ready::Later(job) => job.expect("nobody else asks"),
        };
        let again = partition.read_ready(offset, 1, true, Isolation::ReadUncommitted).unwrap();
        assert!(matches!(again, Ready::Later(None)), "one job for all who ask");
        job.perform(&**files).unwrap();
        partition.lookup_loaded(lookup);
        jobs.push(job);
    }
}

#[test]
fn a_lookup_of_what_is_not_cached_is_a_job_first_and_then_the_same_range() {
    let (sim, files, _, mut partition) = create(&small_segments());
    for i in 0..100 {
        append(&mut partition, &batch(1000 + i, &[b"value"])).unwrap();
    }
    assert!(partition.segment_count() > 2);
    for is_cached in [true, false] {
        sim.set_resident(is_cached);
        for offset in 0..100 {
            let (jobs, range) = read_beside(&files, &mut partition, offset);
            let inline = partition.read(offset, 1, true, Isolation::ReadUncommitted).unwrap();
            assert_eq!((range.position, range.len), (inline.position, inline.len), "{offset}");
            assert!(jobs.len() <= 2 && (is_cached || offset < 90 || jobs.is_empty()), "{offset}: {jobs:?}");
            assert!(jobs.iter().all(|job| matches!(job, Job::Load { .. })));
        }
    }
    let (jobs, range) = read_beside(&files, &mut partition, 100);
    assert_eq!((jobs.len(), range.len), (0, 0), "nothing is there to be looked up");
    assert!(partition.read_ready(101, 1, true, Isolation::ReadUncommitted).is_err());
}

/// Appends one batch of a client without rolling here and now.
fn append_ready(partition: &mut Partition, bytes: &[u8]) -> (Option<i64>, Option<Job>) {
    append_ready_at(partition, bytes, WALL_MS)
}

fn append_ready_at(partition: &mut Partition, bytes: &[u8], wall_ms: i64) -> (Option<i64>, Option<Job>) {
    let validated = support::validated(bytes, Origin::Client);
    let new = ringlog_storage::NewBatch { validated: &validated, bytes, origin: Origin::Client };
    let (mut answers, job) = partition.append_ready(&[new], 0, wall_ms);
    (answers.pop().map(|answer| answer.unwrap().base_offset), job)
}

#[test]
fn after_a_rest_the_last_page_is_loaded_in_a_job_before_the_append_where_it_is_not_cached() {
    let (sim, files, dir, mut partition) = create(&LogConfig::default());
    let bytes = batch(1, &[b"value"]);
    let mut at_ms = WALL_MS;
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (Some(0), None)), "nothing is there yet");
    sim.set_resident(false);
    at_ms += 499;
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (Some(1), None)), "it was there a moment ago");
    at_ms += 500;
    let (answer, job) = append_ready_at(&mut partition, &bytes, at_ms);
    let Some(Job::Load { ranges }) = &job else { panic!("{answer:?} {job:?}") };
    let size = 2 * bytes.len() as u64;
    assert_eq!((answer, ranges), (None, &vec![(dir.join("00000000000000000000.log"), 0, size)]));
    assert!(partition.holds_appends() && partition.is_busy());
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (None, None)), "one job for all that wait");
    let loaded = job.unwrap().perform(&*files);
    partition.beside_done(loaded, at_ms);
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (Some(2), None)), "asked once");
    at_ms += 1000;
    sim.set_resident(true);
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (Some(3), None)), "it is there");
    sim.set_resident(false);
    at_ms += 1000;
    let (_, job) = append_ready_at(&mut partition, &bytes, at_ms);
    assert!(matches!(job, Some(Job::Load { .. })));
    partition.beside_done(Err(std::io::Error::other("unreadable")), at_ms);
    assert!(matches!(append_ready_at(&mut partition, &bytes, at_ms), (Some(4), None)), "the append says what is wrong");
}

/// Appends until the segment is full. Gives the batch that did not fit, and the job of the roll.
fn fill(partition: &mut Partition) -> (Vec<u8>, Job) {
    for i in partition.end_offset().. {
        let bytes = batch(1000 + i, &[b"value"]);
        match append_ready(partition, &bytes) {
            (None, Some(job)) => return (bytes, job),
            (Some(offset), None) => assert_eq!(offset, i),
            other => panic!("{other:?}"),
        }
    }
    unreachable!("a segment is full some time")
}

#[test]
fn a_roll_is_a_job_and_appends_wait_for_it() {
    for is_prepared in [false, true] {
        let (_, files, dir, mut partition) = create(&small_segments());
        let (bytes, job) = fill(&mut partition);
        if is_prepared {
            // It came too late for this roll, and is there for the next one.
            maintain(&files, &mut partition);
        }
        let end = partition.end_offset();
        assert!(matches!(append_ready(&mut partition, &bytes), (None, None)), "one job, and nothing meanwhile");
        assert_eq!(read_records(&files, &partition, 0, 1 << 20, Isolation::LogEnd).len() as i64, end, "readers go on");
        flush(&files, &mut partition);
        partition.beside_done(job.perform(&*files), WALL_MS);
        assert_eq!((append_ready(&mut partition, &bytes).0, partition.segment_count()), (Some(end), 2));
        let (bytes, job) = fill(&mut partition);
        partition.beside_done(job.perform(&*files), WALL_MS);
        assert!(append_ready(&mut partition, &bytes).0.is_some());
        let end = partition.end_offset();
        drop(partition);
        let (partition, report) = open(&files, &dir, &small_segments(), Startup::SameBoot);
        assert!(partition.end_offset() == end && report.is_quiet(), "{report:?}");
    }
}

#[test]
fn a_kill_in_the_middle_of_a_roll_loses_nothing() {
    let steps = |job: &Job| match job {
        Job::Steps { steps } => steps.clone(),
        other => panic!("{other:?}"),
    };
    let count = steps(&fill(&mut create(&small_segments()).3).1).len();
    for done in 0..=count {
        let (_, files, dir, mut partition) = create(&small_segments());
        let (bytes, job) = fill(&mut partition);
        Job::Steps { steps: steps(&job)[..done].to_vec() }.perform(&*files).unwrap();
        let end = partition.end_offset();
        drop(partition);
        let (mut partition, report) = open(&files, &dir, &small_segments(), Startup::SameBoot);
        assert!(partition.end_offset() == end && report.cuts.is_empty(), "after {done} of {count}: {report:?}");
        assert_eq!(append(&mut partition, &bytes).unwrap().base_offset, end);
    }
}

#[test]
fn a_roll_that_fails_takes_the_partition_offline_until_it_is_asked_again() {
    let (sim, files, _, mut partition) = create(&small_segments());
    let (bytes, job) = fill(&mut partition);
    let end = partition.end_offset();
    sim.set_space_bytes(Some(0));
    partition.beside_done(job.perform(&*files), WALL_MS);
    assert!(
        partition.offline_reason().is_some_and(|reason| reason.contains("roll")),
        "{:?}",
        partition.offline_reason()
    );
    assert!(append(&mut partition, &bytes).is_err());
    sim.set_space_bytes(None);
    assert_eq!(support::append_at(&mut partition, &bytes, WALL_MS + 1000).unwrap().base_offset, end);
    assert_eq!(read_records(&files, &partition, 0, 1 << 20, Isolation::LogEnd).len() as i64, end + 1);
}

#[test]
fn a_clean_stop_of_what_did_not_change_writes_and_syncs_nothing() {
    let (sim, files, dir, mut partition) = create(&LogConfig::default());
    append(&mut partition, &batch(1, &[b"value"])).unwrap();
    partition.close_clean().unwrap();
    drop(partition);
    let (mut partition, _) = open(&files, &dir, &LogConfig::default(), Startup::Clean);
    let before = sim.counters();
    partition.close_clean().unwrap();
    assert_eq!(sim.counters(), before);
    drop(partition);
    let (mut partition, _) = open(&files, &dir, &LogConfig::default(), Startup::Clean);
    append(&mut partition, &batch(2, &[b"value"])).unwrap();
    partition.close_clean().unwrap();
    drop(partition);
    sim.crash();
    sim.power_on();
    let (partition, report) = open(&files, &dir, &LogConfig::default(), Startup::Clean);
    assert!(partition.end_offset() == 2 && report.is_quiet(), "{report:?}");
}

/// What lies before it is read, what lies in a later segment too; from there on the reader is told, and so is the log.
#[test]
fn a_batch_in_the_middle_whose_header_is_damaged_is_named_and_never_sent() {
    let config = LogConfig { segment_bytes: 2000, ..LogConfig::default() };
    for (at, damage, words) in
        [(8, &[0x7f, 0xff, 0xff, 0xff][..], "where"), (8, &[0; 4], "below 49"), (16, &[0], "format (magic) 0")]
    {
        let (_, files, dir, mut partition) = create(&config);
        let batch = batch(5, &[&[b'x'; 200]]);
        for _ in 0..20 {
            append(&mut partition, &batch).unwrap();
        }
        let path = |base: i64| dir.join(format!("{base:020}.log"));
        let base = (1..20).find(|base| files.exists(&path(*base))).unwrap();
        // The third batch of the second segment.
        let log = files.open(&path(base), OpenMode::Write).unwrap();
        files.write_all_at(&log, &[IoSlice::new(damage)], 2 * batch.len() as u64 + at).unwrap();
        let read = |offset| partition.read(offset, 1, true, Isolation::ReadUncommitted).map(|range| range.len);
        assert_eq!(
            (read(base).unwrap(), read(base + 1).unwrap(), read(19).unwrap()),
            (batch.len(), batch.len(), batch.len())
        );
        let error = read(base + 2).unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::CORRUPT_MESSAGE);
        let said = error.to_string();
        assert!(said.contains(&format!("{base:020}.log: at {}", 2 * batch.len())) && said.contains(words), "{said}");
    }
}

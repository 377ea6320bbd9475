//! A disk that fails: full, refusing, tearing, losing. What was acknowledged stays true, and nothing lies.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_storage::{
    AppendError, Checkpointed, Isolation, Known, LogConfig, NewBatch, Origin, Partition, Startup, StorageError,
};
use ringlog_wire::Uuid;
use support::{
    WALL_MS, append, append_all, append_at, batch, checkpoint, disk, flush, look, maintain, open, producer_batch, put,
    read_records, validated,
};

/// errno(3).
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

fn create(config: &LogConfig) -> (Rc<SimFiles>, Rc<dyn Files>, PathBuf, Partition) {
    let (sim, files) = disk(3);
    let dir = PathBuf::from("/log/topic-0");
    let partition = Partition::create(&files, &dir, Uuid([7; 16]), config.clone(), WALL_MS).unwrap();
    (sim, files, dir, partition)
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 2000, index_interval_bytes: 200, ..LogConfig::default() }
}

fn count(files: &Rc<dyn Files>, partition: &Partition) -> usize {
    read_records(files, partition, partition.log_start_offset(), 1 << 20, Isolation::LogEnd).len()
}

fn append_many(partition: &mut Partition, n: i64) {
    for i in 0..n {
        append(partition, &batch(1000 + i, &[b"value"])).unwrap();
    }
}

fn refused(answer: Result<ringlog_storage::Appended, AppendError>) {
    assert_eq!(answer.unwrap_err().error_code().name(), "KAFKA_STORAGE_ERROR");
}

#[test]
fn a_torn_write_is_not_visible_and_is_cut_off_before_the_next_append() {
    for torn in [0, 1, 30, 61, 80, 145] {
        let (sim, files, dir, mut partition) = create(&LogConfig::default());
        append_many(&mut partition, 3);
        sim.fail(Fault::torn_write(1, torn, EIO));
        let answers = append_all(&mut partition, &[&batch(1, &[b"lost"]), &batch(2, &[b"lost too"])]);
        answers.into_iter().for_each(refused);
        assert_eq!((partition.end_offset(), count(&files, &partition)), (3, 3));
        assert!(partition.offline_reason().unwrap().contains("write"), "{:?}", partition.offline_reason());
        assert_eq!(
            append(&mut partition, &batch(3, &[b"after"])).unwrap().base_offset,
            3,
            "what was refused is not there"
        );
        assert_eq!(partition.offline_reason(), None);
        drop(partition);
        let (partition, report) = open(&files, &dir, &LogConfig::default(), Startup::NewBoot);
        assert_eq!((partition.end_offset(), count(&files, &partition), report.cuts.len()), (4, 4, 0));
    }
}

/// Seeds of what a power cut leaves: the folders may have reached the disk by themselves, or not.
const CUTS: std::ops::Range<u64> = 0..20;

#[test]
fn a_topic_that_is_told_to_flush_after_it_was_made_survives_a_power_cut() {
    for seed in CUTS {
        let (sim, files) = disk(seed);
        files.create_dir_all(Path::new("/log")).unwrap();
        sim.settle();
        let dir = PathBuf::from("/log/topic-0");
        let mut partition = Partition::create(&files, &dir, Uuid([7; 16]), LogConfig::default(), WALL_MS).unwrap();
        partition.set_config(LogConfig { flush_messages: 1, ..LogConfig::default() });
        append(&mut partition, &batch(1, &[b"promised"])).unwrap();
        flush(&files, &mut partition);
        assert_eq!(partition.flushed_offset(), 1);
        sim.crash();
        sim.power_on();
        assert!(files.exists(&dir), "seed {seed}");
        assert_eq!(open(&files, &dir, &LogConfig::default(), Startup::NewBoot).0.end_offset(), 1, "seed {seed}");
    }
}

#[test]
fn what_a_killed_broker_had_not_synced_of_a_folder_is_synced_by_the_next() {
    for seed in CUTS {
        let (sim, files) = disk(seed);
        files.create_dir_all(Path::new("/log")).unwrap();
        sim.settle();
        let dir = PathBuf::from("/log/topic-0");
        drop(Partition::create(&files, &dir, Uuid([7; 16]), LogConfig::default(), WALL_MS).unwrap());
        let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
        let (mut partition, _) = open(&files, &dir, &config, Startup::SameBoot);
        append(&mut partition, &batch(1, &[b"promised"])).unwrap();
        flush(&files, &mut partition);
        sim.crash();
        sim.power_on();
        assert!(files.exists(&dir), "seed {seed}");
        assert_eq!(open(&files, &dir, &config, Startup::NewBoot).0.end_offset(), 1, "seed {seed}");
    }
}

#[test]
fn a_torn_write_before_a_kill_is_cut_at_the_next_open() {
    for torn in [0, 1, 30, 61, 80, 145] {
        let (sim, files, dir, mut partition) = create(&LogConfig::default());
        append_many(&mut partition, 3);
        sim.fail(Fault::torn_write(1, torn, EIO));
        let answers = append_all(&mut partition, &[&batch(1, &[b"lost"]), &batch(2, &[b"lost too"])]);
        answers.into_iter().for_each(refused);
        assert!(checkpoint(&files, &mut partition).is_err() && partition.close_clean().is_err());
        drop(partition);

        let (mut partition, report) = open(&files, &dir, &LogConfig::default(), Startup::SameBoot);
        let (first, second) = (batch(1, &[b"lost"]).len(), batch(2, &[b"lost too"]).len());
        let whole = usize::from(torn >= first) + usize::from(torn >= first + second);
        assert_eq!(partition.end_offset(), 3 + whole as i64, "torn after {torn} bytes");
        let cut_bytes = torn - [0, first, first + second][whole];
        assert_eq!(report.cuts.iter().map(|cut| cut.bytes).sum::<u64>(), cut_bytes as u64);
        append(&mut partition, &batch(3, &[b"after"])).unwrap();
        assert_eq!(count(&files, &partition) as i64, partition.end_offset());
    }
}

#[test]
fn a_full_disk_is_a_storage_error_and_keeps_what_was_there() {
    let (sim, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    sim.set_space_bytes(Some(40));
    refused(append(&mut partition, &batch(1, &[b"lost"])));
    refused(append(&mut partition, &batch(1, &[b"lost too"])));
    assert_eq!(count(&files, &partition), 3);
    sim.set_space_bytes(None);
    assert_eq!(append_at(&mut partition, &batch(1, &[b"room again"]), WALL_MS + 1000).unwrap().base_offset, 3);
    append_many(&mut partition, 2);
    assert_eq!((partition.offline_reason(), count(&files, &partition)), (None, 6));
    drop(partition);
    let (partition, report) = open(&files, &dir, &LogConfig::default(), Startup::SameBoot);
    assert_eq!((partition.end_offset(), report.is_quiet()), (6, true));
}

/// On the old code a second file was asked for while the first one waited for its name: whichever job came first, the later
/// roll had no file, or the same one twice.
#[test]
fn the_segment_after_next_is_asked_for_when_the_next_one_has_its_name() {
    let (_, files, _, mut partition) = create(&small_segments());
    let (bytes, mut rolls) = (batch(1, &[&[7; 40]]), 0);
    while rolls < 3 {
        let checked = validated(&bytes, Origin::Client);
        let new = NewBatch { validated: &checked, bytes: &bytes, origin: Origin::Client };
        let (_, roll) = partition.append_ready(&[new], 0, WALL_MS);
        let next = partition.next_segment_due();
        assert!(roll.is_none() || next.is_none(), "one after the other");
        if let Some(job) = next {
            partition.next_segment_made(job.perform(&*files));
        }
        if let Some(job) = roll {
            partition.beside_done(job.perform(&*files), WALL_MS);
            assert_eq!(partition.offline_reason(), None);
            rolls += 1;
        }
    }
    assert_eq!(partition.segment_count(), 4);
}

/// On the old code a snapshot's one batch was all that a partition knew of a producer when it came back: batches before it,
/// sent again because their answers were lost, were out of order.
#[test]
fn a_producer_that_meets_a_full_disk_may_send_what_it_has_under_way_again() {
    let (sim, files, _, mut partition) = create(&LogConfig::default());
    let numbered = |sequence| producer_batch(9, 0, sequence, 1, false);
    for sequence in 0..7 {
        append(&mut partition, &numbered(sequence)).unwrap();
    }
    checkpoint(&files, &mut partition).unwrap();
    append(&mut partition, &numbered(7)).unwrap();
    sim.set_space_bytes(Some(40));
    // Two of the five that a client may have under way: each of them is noted before the write fails.
    let batches: Vec<Vec<u8>> = (8..10).map(numbered).collect();
    let batches: Vec<&[u8]> = batches.iter().map(Vec::as_slice).collect();
    append_all(&mut partition, &batches).into_iter().for_each(refused);
    sim.set_space_bytes(None);
    let mut now_ms = WALL_MS;
    for sequence in 5..8 {
        now_ms += 1_000;
        let again = append_at(&mut partition, &numbered(sequence), now_ms).unwrap();
        assert_eq!((again.base_offset, again.duplicate), (i64::from(sequence), true));
    }
    let early = append(&mut partition, &numbered(9)).unwrap_err();
    assert!(matches!(early, AppendError::OutOfOrderSequence { last_sequence: 7, .. }));
    for sequence in 8..10 {
        let new = append(&mut partition, &numbered(sequence)).unwrap();
        assert_eq!((new.base_offset, new.duplicate), (i64::from(sequence), false));
    }
}

#[test]
fn every_call_that_an_append_makes_may_fail_once_and_the_next_append_is_well() {
    for (op, errno) in [(Op::Open, EMFILE), (Op::Write, ENOSPC), (Op::Rename, ENOSPC), (Op::Truncate, EIO)] {
        for nth in 1..12 {
            let (sim, files, dir, mut partition) = create(&small_segments());
            sim.fail(Fault::nth(op, nth, errno));
            let mut sequence = 0;
            for _ in 0..60 {
                if append(&mut partition, &producer_batch(9, 0, sequence, 1, false)).is_ok() {
                    sequence += 1;
                }
                maintain(&files, &mut partition);
            }
            assert!(sequence >= 59 && partition.offline_reason().is_none(), "{op:?} {nth}: {sequence}");
            assert_eq!(count(&files, &partition), sequence as usize, "{op:?} {nth}");
            drop(partition);
            sim.heal();
            let (partition, report) = open(&files, &dir, &small_segments(), Startup::SameBoot);
            assert_eq!((partition.end_offset(), report.cuts.len()), (i64::from(sequence), 0), "{op:?} {nth}");
        }
    }
}

#[test]
fn a_partition_that_cannot_come_back_is_not_tried_at_every_append() {
    let (sim, _, _, mut partition) = create(&small_segments());
    append_many(&mut partition, 3);
    sim.fail(Fault::nth(Op::Write, 1, ENOSPC));
    sim.fail(Fault::nth(Op::Truncate, 1, EIO).for_ever());
    refused(append(&mut partition, &batch(1, &[b"x"])));
    refused(append(&mut partition, &batch(1, &[b"x"])));
    let before = sim.counters();
    for _ in 0..100 {
        refused(append(&mut partition, &batch(1, &[b"x"])));
    }
    assert_eq!(sim.counters(), before);
    sim.heal();
    assert_eq!(append_at(&mut partition, &batch(1, &[b"x"]), WALL_MS + 1000).unwrap().base_offset, 3);
}

#[test]
fn a_flush_that_cannot_begin_loses_nothing_and_is_begun_again() {
    let config = LogConfig { flush_messages: 1, ..small_segments() };
    let (sim, files, dir, mut partition) = create(&config);
    append_many(&mut partition, 30);
    sim.fail(Fault::nth(Op::Open, 1, EMFILE).for_ever());
    flush(&files, &mut partition);
    assert!(partition.offline_reason().is_some() && partition.high_watermark() < 30);
    sim.heal();
    append_many(&mut partition, 1);
    flush(&files, &mut partition);
    assert_eq!((partition.offline_reason(), partition.high_watermark()), (None, 31));
    drop(partition);
    sim.crash();
    sim.power_on();
    let (partition, _) = open(&files, &dir, &config, Startup::NewBoot);
    assert_eq!(count(&files, &partition), 31);
}

#[test]
fn a_failed_flush_is_final() {
    let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
    let (sim, files, _, mut partition) = create(&config);
    append_many(&mut partition, 1);
    flush(&files, &mut partition);
    append_many(&mut partition, 1);
    sim.fail(Fault::nth(Op::Sync, 1, EIO));
    flush(&files, &mut partition);
    assert_eq!((partition.high_watermark(), partition.end_offset()), (1, 2), "never acknowledged");
    assert!(partition.flush_begin().is_none() && !partition.flush_due(WALL_MS), "never tried again");
    refused(append(&mut partition, &batch(1, &[b"x"])));
}

/// What was acknowledged before and after a failed flush is on the disk, whatever the page cache pretends.
#[test]
fn a_failed_flush_is_not_forgotten_by_a_restart_in_the_same_boot() {
    for failing in 1..8 {
        let config = LogConfig { flush_messages: 1, ..small_segments() };
        let (sim, files, dir, mut partition) = create(&config);
        sim.settle();
        for i in 0..30 {
            append(&mut partition, &producer_batch(9, 0, i, 1, false)).unwrap();
        }
        sim.fail(Fault::nth(Op::Sync, failing, EIO));
        flush(&files, &mut partition);
        if partition.offline_reason().is_none() {
            assert!(failing > 4, "a log of two segments, and the small files beside it");
            return;
        }
        refused(append(&mut partition, &producer_batch(9, 0, 30, 1, false)));
        drop(partition);

        let (mut partition, _) = open(&files, &dir, &config, Startup::SameBoot);
        let again = append(&mut partition, &producer_batch(9, 0, 29, 1, false)).unwrap();
        assert!(again.duplicate && partition.high_watermark() == 30, "acknowledged");
        drop(partition);
        sim.crash();
        sim.power_on();
        let (partition, report) = open(&files, &dir, &config, Startup::NewBoot);
        assert_eq!(count(&files, &partition), 30, "flush {failing}: {report:?}");
    }
}

/// The kernel goes on with the fdatasync of a process that was killed, and what became of it nobody hears.
#[test]
fn a_flush_that_fails_unheard_while_the_broker_is_killed_loses_nothing_that_is_acknowledged_later() {
    let config = LogConfig { flush_messages: 1, ..small_segments() };
    for (config, appends, killed_in) in [(config.clone(), 4, 1..5), (config, 30, 1..8), (small_segments(), 30, 1..8)] {
        for killed_in in killed_in {
            let (sim, files, dir, mut partition) = create(&config);
            sim.settle();
            for i in 0..appends {
                append(&mut partition, &producer_batch(9, 0, i, 1, false)).unwrap();
            }
            let mut unheard = None;
            for nth in 1..=killed_in {
                let Some(job) = partition.flush_begin() else { break };
                if nth == killed_in {
                    sim.fail(Fault::nth(Op::Sync, 1, EIO));
                    unheard = files.sync(&job.file).err();
                } else {
                    let synced = files.sync(&job.file);
                    partition.flush_done(job, synced);
                }
            }
            drop(partition);
            if unheard.is_none() {
                continue;
            }
            let (mut partition, _) = open(&files, &dir, &config, Startup::SameBoot);
            partition.set_config(LogConfig { flush_messages: 1, ..config.clone() });
            append(&mut partition, &producer_batch(9, 0, appends, 1, false)).unwrap();
            flush(&files, &mut partition);
            assert_eq!(partition.high_watermark(), i64::from(appends) + 1, "acknowledged");
            drop(partition);
            sim.crash();
            sim.power_on();
            let (partition, report) = open(&files, &dir, &config, Startup::NewBoot);
            assert_eq!(count(&files, &partition), appends as usize + 1, "killed in flush {killed_in}: {report:?}");
        }
    }
}

#[test]
fn a_disk_that_goes_on_failing_keeps_the_partition_closed() {
    let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
    let (sim, files, dir, mut partition) = create(&config);
    append_many(&mut partition, 3);
    sim.fail(Fault::nth(Op::Sync, 1, EIO).for_ever());
    flush(&files, &mut partition);
    drop(partition);
    for _ in 0..2 {
        let error = Partition::open(&files, &dir, config.clone(), Startup::SameBoot, WALL_MS).err().unwrap();
        assert!(error.is_final() && error.to_string().contains("/log/topic-0"), "{error}");
    }
    sim.heal();
    let (partition, _) = open(&files, &dir, &config, Startup::SameBoot);
    assert_eq!((partition.end_offset(), partition.flushed_offset()), (3, 3));
    let names: Vec<String> = files.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(!names.iter().any(|name| name.starts_with("flush-")), "{names:?}");
}

#[test]
fn a_sync_that_fails_while_a_log_is_opened_is_remembered_too() {
    let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
    let (sim, files, dir, mut partition) = create(&config);
    sim.settle();
    append_many(&mut partition, 3);
    drop(partition);
    sim.fail(Fault::nth(Op::Sync, 3, EIO));
    Partition::open(&files, &dir, config.clone(), Startup::SameBoot, WALL_MS).err().unwrap();
    let (partition, _) = open(&files, &dir, &config, Startup::SameBoot);
    assert_eq!(partition.high_watermark(), 3);
    drop(partition);
    sim.crash();
    sim.power_on();
    let (partition, _) = open(&files, &dir, &config, Startup::NewBoot);
    assert_eq!(partition.end_offset(), 3);
}

#[test]
fn a_folder_of_another_topic_is_never_served() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    drop(partition);
    let known = |id| Known { topic_id: Uuid([id; 16]), startup: Startup::Clean, checkpointed: Checkpointed::default() };
    let error = Partition::open_at(&files, &dir, LogConfig::default(), known(8), WALL_MS).err().unwrap();
    assert!(matches!(error, StorageError::OtherTopic { .. }), "{error}");
    let open = |id| Partition::open_or_create(&files, &dir, LogConfig::default(), known(id), WALL_MS).unwrap();
    assert_eq!(open(7).0.end_offset(), 3, "its own");
    let (new, report) = open(8);
    assert_eq!((new.end_offset(), new.topic_id(), report), (0, Uuid([8; 16]), None));
    assert_eq!(open(8).0.topic_id(), Uuid([8; 16]));
    let names: Vec<String> = files.list(Path::new("/log")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(names.contains(&format!("topic-0.{}-stray", "07".repeat(16))), "{names:?}");
}

#[test]
fn a_folder_that_lost_its_id_gets_it_again() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    drop(partition);
    put(&files, &dir.join("partition.metadata"), b"");
    let known =
        |id| Known { topic_id: Uuid([id; 16]), startup: Startup::SameBoot, checkpointed: Checkpointed::default() };
    let (partition, _) = Partition::open_at(&files, &dir, LogConfig::default(), known(7), WALL_MS).unwrap();
    assert_eq!(partition.topic_id(), Uuid([7; 16]));
    drop(partition);
    assert!(Partition::open_at(&files, &dir, LogConfig::default(), known(8), WALL_MS).is_err());
}

#[test]
fn a_folder_that_lost_its_id_in_a_power_cut_is_served_only_where_a_checkpoint_knows_it() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    drop(partition);
    let topic_id = Uuid([7; 16]);
    let known = |noted| Known {
        topic_id,
        startup: Startup::NewBoot,
        checkpointed: Checkpointed { topic_id: noted, ..Checkpointed::default() },
    };
    let open = |known| Partition::open_or_create(&files, &dir, LogConfig::default(), known, WALL_MS).unwrap();
    put(&files, &dir.join("partition.metadata"), b"versi");
    assert_eq!(open(known(topic_id)).0.end_offset(), 3, "noted at a checkpoint");
    put(&files, &dir.join("partition.metadata"), b"versi");
    let (new, report) = open(known(Uuid::ZERO));
    assert_eq!((new.end_offset(), new.topic_id(), report), (0, topic_id, None), "it may be an earlier topic's");
    let names: Vec<String> = files.list(Path::new("/log")).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(names.contains(&format!("topic-0.{}-stray", "00".repeat(16))), "{names:?}");
}

#[test]
fn what_readers_have_seen_is_never_taken_back_by_a_setting() {
    let (_, files, _, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 50);
    assert_eq!(partition.high_watermark(), 50);
    partition.set_config(LogConfig { flush_messages: 1, ..LogConfig::default() });
    assert_eq!(partition.high_watermark(), 50);
    assert_eq!(read_records(&files, &partition, 0, 1 << 20, Isolation::ReadUncommitted).len(), 50);
    append_many(&mut partition, 1);
    assert_eq!(partition.high_watermark(), 50, "what comes from now on waits for its flush");
    flush(&files, &mut partition);
    assert_eq!(partition.high_watermark(), 51);
    append_many(&mut partition, 1);
    partition.set_config(LogConfig::default());
    assert_eq!(partition.high_watermark(), 52);
    let offsets = partition.offsets();
    assert_eq!((offsets.log_start, offsets.stable, offsets.flushed, offsets.end), (0, 52, 51, 52));
}

#[test]
fn a_failed_roll_is_made_up_for_at_the_next_append() {
    let (sim, files, dir, mut partition) = create(&small_segments());
    while partition.size_bytes() < 1900 {
        append_many(&mut partition, 1);
    }
    let before = partition.end_offset();
    sim.fail(Fault::nth(Op::Rename, 1, ENOSPC));
    refused(append_all(&mut partition, &[&batch(1, &[&[b'x'; 200]])]).remove(0));
    assert_eq!((partition.end_offset(), count(&files, &partition) as i64), (before, before));
    append_many(&mut partition, 50);
    assert_eq!(count(&files, &partition) as i64, before + 50);
    drop(partition);
    let (mut partition, _) = open(&files, &dir, &small_segments(), Startup::SameBoot);
    append_many(&mut partition, 50);
    assert_eq!(count(&files, &partition) as i64, before + 100);
}

#[test]
fn an_index_that_cannot_be_written_stops_nobody() {
    let config = LogConfig { index_interval_bytes: 1, ..LogConfig::default() };
    let (sim, files, dir, mut partition) = create(&config);
    append_many(&mut partition, 1);
    sim.fail(Fault::nth(Op::Open, 1, EIO).for_ever());
    append_many(&mut partition, 1500);
    assert_eq!(partition.offline_reason(), None);
    sim.heal();
    append_many(&mut partition, 600);
    drop(partition);
    let (partition, report) = open(&files, &dir, &config, Startup::SameBoot);
    assert_eq!((count(&files, &partition), report.is_quiet()), (2101, true), "{report:?}");
    let range = partition.read(2000, 1, true, Isolation::LogEnd).unwrap();
    let mut first = [0; 8];
    files.read_at(&range.file, &mut first, range.position).unwrap();
    assert_eq!(i64::from_be_bytes(first), 2000);
}

#[test]
fn a_marker_whose_list_cannot_be_written_is_known_to_readers() {
    let (sim, files, dir, mut partition) = create(&LogConfig::default());
    append(&mut partition, &producer_batch(1, 0, 0, 2, true)).unwrap();
    sim.fail(Fault::nth(Op::Open, 1, EIO));
    let marker = ringlog_wire::batch::BatchBuilder::marker(WALL_MS, 1, 0, false, 0);
    support::append_as(&mut partition, &[&marker], ringlog_storage::Origin::Coordinator, 0).remove(0).unwrap();
    assert!(partition.offline_reason().is_some());
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0, 3)).len(), 1);
    append_many(&mut partition, 1);
    assert_eq!(
        (partition.offline_reason(), look(&files, &partition, |log| log.aborted_transactions(0, 3)).len()),
        (None, 1)
    );
    assert!(!files.read(&dir.join("00000000000000000000.txnindex")).unwrap().is_empty());
}

#[test]
fn a_read_only_folder_says_so() {
    let (sim, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    partition.close_clean().unwrap();
    drop(partition);
    sim.set_read_only(true);
    let error = Partition::open(&files, &dir, LogConfig::default(), Startup::Clean, WALL_MS).err().unwrap();
    assert!(matches!(&error, StorageError::Io { action: "open", .. }), "{error}");
    assert!(error.to_string().contains("/log/topic-0"), "{error}");
    let error = Partition::create(&files, Path::new("/log/new-0"), Uuid::ZERO, LogConfig::default(), WALL_MS);
    assert!(error.err().unwrap().to_string().contains("/log/new-0"));
}

#[test]
fn damaged_or_missing_indexes_are_made_again_and_lookups_stay_right() {
    type Damage = fn(&[u8]) -> Option<Vec<u8>>;
    let damages: [(&str, Damage); 6] = [
        ("missing", |_| None),
        ("empty", |_| Some(Vec::new())),
        ("short", |bytes| Some(bytes[..bytes.len() / 24 * 12].to_vec())),
        ("torn", |bytes| Some(bytes[..bytes.len() - 1].to_vec())),
        ("padded", |bytes| Some([bytes, &[0; 48]].concat())),
        ("scrambled", |bytes| Some(bytes.iter().map(|byte| byte ^ 0x55).collect())),
    ];
    for (what, damage) in damages {
        for suffix in ["index", "timeindex"] {
            for how in [Startup::Clean, Startup::SameBoot, Startup::NewBoot] {
                let (_, files, dir, mut partition) = create(&small_segments());
                append_many(&mut partition, 60);
                partition.close_clean().unwrap();
                drop(partition);
                let names: Vec<String> = files.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
                let mut good = Vec::new();
                for name in names.iter().filter(|name| name.ends_with(&format!(".{suffix}"))) {
                    let bytes = files.read(&dir.join(name)).unwrap();
                    match damage(&bytes) {
                        Some(damaged) => put(&files, &dir.join(name), &damaged),
                        None => files.remove_file(&dir.join(name)).unwrap(),
                    }
                    good.push((name, bytes));
                }
                let (partition, _) = open(&files, &dir, &small_segments(), how);
                assert_eq!(count(&files, &partition), 60, "{what} {suffix} {how:?}");
                for offset in 0..60 {
                    let range = partition.read(offset, 1, true, Isolation::LogEnd).unwrap();
                    let mut first = [0; 8];
                    files.read_at(&range.file, &mut first, range.position).unwrap();
                    assert_eq!(i64::from_be_bytes(first), offset, "{what} {suffix} {how:?}");
                    let found = look(&files, &partition, |log| log.offset_for_timestamp(1000 + offset)).unwrap();
                    assert_eq!(found.offset, offset, "{what} {suffix} {how:?}");
                }
                let mut partition = partition;
                partition.close_clean().unwrap();
                for (name, bytes) in good {
                    assert_eq!(files.read(&dir.join(name)).unwrap(), bytes, "{what} {name} {how:?}");
                }
            }
        }
    }
}

#[test]
fn after_a_kill_only_the_unfinished_tail_is_checked() {
    let (_, files, dir, mut partition) = create(&LogConfig { index_interval_bytes: 200, ..LogConfig::default() });
    append_many(&mut partition, 100);
    checkpoint(&files, &mut partition).unwrap();
    append_many(&mut partition, 5);
    let size = partition.size_bytes();
    drop(partition);
    let (partition, report) = open(&files, &dir, &LogConfig::default(), Startup::SameBoot);
    assert_eq!(partition.end_offset(), 105);
    assert!(report.checked_bytes < size / 10, "{report:?}");
    let (partition, report) = open(&files, &dir, &LogConfig::default(), Startup::NewBoot);
    assert_eq!((partition.end_offset(), report.checked_bytes), (105, size));
}

#[test]
fn the_first_bad_batch_ends_the_log_and_later_segments_go() {
    let (_, files, dir, mut partition) = create(&small_segments());
    append_many(&mut partition, 60);
    let first_len = partition.read(0, 1 << 20, true, Isolation::LogEnd).unwrap().len;
    drop(partition);
    let name = dir.join("00000000000000000000.log");
    let mut bytes = files.read(&name).unwrap();
    bytes[first_len - 1] ^= 1;
    put(&files, &name, &bytes);
    let (partition, report) = open(&files, &dir, &small_segments(), Startup::NewBoot);
    assert!(partition.end_offset() < 30 && partition.segment_count() == 1, "{report:?}");
    assert_eq!(count(&files, &partition) as i64, partition.end_offset());
    assert!(report.cuts.len() > 1 && report.cuts[0].reason.contains("crc"), "{:?}", report.cuts);
    let left = files.list(&dir).unwrap();
    assert_eq!(left.iter().filter(|entry| entry.name.ends_with(".log")).count(), 1);
}

#[test]
fn a_missing_segment_in_the_middle_ends_the_log() {
    let (_, files, dir, mut partition) = create(&small_segments());
    append_many(&mut partition, 60);
    drop(partition);
    let mut logs: Vec<String> = files.list(&dir).unwrap().into_iter().map(|entry| entry.name).collect();
    logs.retain(|name| name.ends_with(".log"));
    logs.sort();
    files.remove_file(&dir.join(&logs[1])).unwrap();
    let (partition, report) = open(&files, &dir, &small_segments(), Startup::NewBoot);
    assert_eq!(count(&files, &partition) as i64, partition.end_offset());
    assert_eq!(report.cuts.len(), logs.len() - 2);
}

#[test]
fn producers_survive_a_kill_and_a_power_cut() {
    for how in [Startup::SameBoot, Startup::NewBoot] {
        let (_, files, dir, mut partition) = create(&small_segments());
        for i in 0..40 {
            append(&mut partition, &producer_batch(9, 0, i, 1, false)).unwrap();
            if i == 25 {
                checkpoint(&files, &mut partition).unwrap();
            }
        }
        drop(partition);
        let (mut partition, report) = open(&files, &dir, &small_segments(), how);
        assert!(how == Startup::NewBoot || report.producers_replayed_from >= 26, "{report:?}");
        let again = append(&mut partition, &producer_batch(9, 0, 39, 1, false)).unwrap();
        assert_eq!((again.duplicate, again.base_offset), (true, 39));
        assert_eq!(append(&mut partition, &producer_batch(9, 0, 40, 1, false)).unwrap().base_offset, 40);
        refused_sequence(append(&mut partition, &producer_batch(9, 0, 42, 1, false)));
    }
}

fn refused_sequence(answer: Result<ringlog_storage::Appended, AppendError>) {
    assert!(matches!(answer.unwrap_err(), AppendError::OutOfOrderSequence { last_sequence: 40, .. }));
}

#[test]
fn leftovers_of_a_kill_are_removed() {
    let (_, files, dir, mut partition) = create(&LogConfig::default());
    append_many(&mut partition, 3);
    drop(partition);
    for name in ["next-segment", "leader-epoch-checkpoint.tmp", "00000000000000000099.snapshot"] {
        put(&files, &dir.join(name), b"half");
    }
    open(&files, &dir, &LogConfig::default(), Startup::SameBoot);
    for name in ["next-segment", "leader-epoch-checkpoint.tmp", "00000000000000000099.snapshot"] {
        assert!(!files.exists(&dir.join(name)), "{name}");
    }
}

#[test]
fn an_empty_folder_opens_as_an_empty_log() {
    let (_, files) = disk(1);
    files.create_dir_all(Path::new("/log/t-0")).unwrap();
    let (mut partition, _) = open(&files, Path::new("/log/t-0"), &LogConfig::default(), Startup::NewBoot);
    assert_eq!((partition.end_offset(), partition.topic_id()), (0, Uuid::ZERO));
    append_many(&mut partition, 1);
}

#[test]
fn a_disk_that_has_no_blocks_to_give_ahead_still_takes_appends() {
    let (sim, files, _, mut partition) = create(&LogConfig::default());
    sim.fail(Fault::nth(Op::Allocate, 1, ENOSPC).for_ever());
    let value = vec![b'x'; 1 << 20];
    for i in 0..8 {
        append(&mut partition, &batch(i, &[&value])).unwrap();
        maintain(&files, &mut partition);
    }
    assert_eq!(partition.offline_reason(), None);
    assert_eq!(read_records(&files, &partition, 0, 16 << 20, Isolation::ReadUncommitted).len(), 8);
}

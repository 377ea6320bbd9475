//! Where a log begins: old segments go by size and by time as Kafka has it, DeleteRecords moves the start, and whatever a
//! crash breaks off, what was deleted stays deleted and what was not is there.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::path::PathBuf;
use std::rc::Rc;

use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_storage::{Checkpointed, Isolation, Known, LogConfig, Partition, ReadError, Ready, Retained, Startup};
use ringlog_wire::Uuid;
use support::{WALL_MS, append, batch, disk, flush, producer_batch, read_records};

const TOPIC_ID: Uuid = Uuid([7; 16]);
const VALUE: [u8; 400] = [b'v'; 400];

/// Segments of three batches of a record; the one that is written holds two.
fn config(retention_bytes: i64, retention_ms: i64) -> LogConfig {
    LogConfig { segment_bytes: 1600, retention_bytes, retention_ms, ..LogConfig::default() }
}

/// Twenty records, a second apart, the last one an hour ago.
fn filled(config: &LogConfig, seed: u64) -> (Rc<SimFiles>, Rc<dyn Files>, PathBuf, Partition) {
    let (sim, files) = disk(seed);
    let dir = PathBuf::from("/log/topic-0");
    files.create_dir_all(&dir).unwrap();
    sim.settle();
    let mut partition = Partition::create(&files, &dir, TOPIC_ID, config.clone(), WALL_MS).unwrap();
    for i in 0..20 {
        append(&mut partition, &batch(WALL_MS - 3_600_000 - 1_000 * (19 - i), &[&VALUE])).unwrap();
    }
    assert_eq!(partition.segment_count(), 7);
    (sim, files, dir, partition)
}

/// What a shard does until nothing more is to go. `kept`: the checkpoint is written each time.
fn retain(files: &Rc<dyn Files>, partition: &mut Partition, wall_ms: i64, kept: bool) {
    loop {
        match partition.retain(wall_ms).unwrap() {
            Ready::Now(Retained::Nothing) => break,
            Ready::Now(Retained::Moved) => assert!(!partition.is_start_kept()),
            Ready::Now(Retained::Busy) => unreachable!("jobs end at once here"),
            Ready::Now(Retained::Roll(job)) => partition.beside_done(job.perform(&**files), wall_ms),
            Ready::Later(job) => {
                let (lookup, job) = job.unwrap();
                job.perform(&**files).unwrap();
                partition.lookup_loaded(lookup);
            }
        }
    }
    if kept {
        partition.start_kept(partition.log_start_offset());
        set_aside(files, partition);
    }
}

fn set_aside(files: &Rc<dyn Files>, partition: &mut Partition) {
    while let Some(job) = partition.set_aside_due() {
        partition.beside_done(job.perform(&**files), WALL_MS);
    }
}

fn names(files: &Rc<dyn Files>, ending: &str) -> Vec<String> {
    let names = files.list(&PathBuf::from("/log/topic-0")).unwrap().into_iter().map(|entry| entry.name);
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

fn offsets(files: &Rc<dyn Files>, partition: &Partition) -> Vec<i64> {
    let start = partition.log_start_offset();
    read_records(files, partition, start, 1 << 20, Isolation::ReadUncommitted).iter().map(|seen| seen.offset).collect()
}

fn reopen(files: &Rc<dyn Files>, config: &LogConfig, how: Startup, log_start_offset: i64) -> Partition {
    let checkpointed = Checkpointed { topic_id: TOPIC_ID, recovery_point: 0, log_start_offset, cleaned_offset: 0 };
    let known = Known { topic_id: TOPIC_ID, startup: how, checkpointed };
    Partition::open_at(files, &PathBuf::from("/log/topic-0"), config.clone(), known, WALL_MS).unwrap().0
}

#[test]
fn old_segments_go_while_as_much_as_retention_bytes_stays_without_them() {
    let (_, files, _, partition) = filled(&config(-1, -1), 1);
    let (size, sealed) = (partition.size_bytes() as i64, (partition.size_bytes() / 20 * 3) as i64);
    drop(partition);
    let of = |retention_bytes| {
        let config = config(retention_bytes, -1);
        let (_, files, _, mut partition) = filled(&config, 1);
        retain(&files, &mut partition, WALL_MS, true);
        assert_eq!(offsets(&files, &partition), (partition.log_start_offset()..20).collect::<Vec<_>>());
        (partition.log_start_offset(), partition.segment_count())
    };
    assert_eq!(of(-1), (0, 7), "no limit");
    assert_eq!(of(size), (0, 7));
    assert_eq!(of(size - sealed + 1), (0, 7), "a byte would be missing");
    assert_eq!(of(size - sealed), (3, 6));
    assert_eq!(of(size - 3 * sealed), (9, 4), "far below what is there");
    assert_eq!(of(0), (20, 1), "the active one too, which is rolled");
    assert_eq!(names(&files, ".deleted").len(), 0);
}

#[test]
fn segments_go_when_their_largest_timestamp_is_older_than_retention_ms() {
    let of = |retention_ms: i64| {
        let config = config(-1, retention_ms);
        let (_, files, _, mut partition) = filled(&config, 1);
        retain(&files, &mut partition, WALL_MS, true);
        (partition.log_start_offset(), partition.segment_count())
    };
    assert_eq!(of(-1), (0, 7), "never");
    // The first segment's last record is 3,617,000 ms old.
    assert_eq!(of(3_617_000), (0, 7), "older than, not as old as");
    assert_eq!(of(3_616_999), (3, 6));
    assert_eq!(of(3_605_000), (12, 3));
    assert_eq!(of(3_599_999), (20, 1), "all of it: the active one is rolled, and goes");
}

#[test]
fn what_readers_have_not_seen_stays_and_a_log_that_is_only_compacted_is_not_retained() {
    let unseen = LogConfig { flush_messages: 1, ..config(0, 0) };
    let (_, files, _, mut partition) = filled(&unseen, 1);
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (0, 0));
    flush(&files, &mut partition);
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (20, 20));
    flush(&files, &mut partition);
    append(&mut partition, &batch(WALL_MS, &[b"more"])).unwrap();
    flush(&files, &mut partition);
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (20, 21), "flushes go on");

    let compacted = LogConfig { compact: true, delete: false, ..config(0, 0) };
    let (_, files, _, mut partition) = filled(&compacted, 1);
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!(partition.log_start_offset(), 0);
    partition.delete_before(7).unwrap();
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!((partition.log_start_offset(), partition.segment_count()), (7, 5), "below its start it is");
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_and_no_further() {
    let (_, files, _, mut partition) = filled(&config(-1, -1), 1);
    for offset in [-1, 21, i64::MAX] {
        assert!(matches!(partition.delete_before(offset), Err(ReadError::OffsetOutOfRange { .. })), "{offset}");
    }
    assert!(partition.delete_before(8).unwrap());
    assert!(!partition.delete_before(8).unwrap() && !partition.delete_before(3).unwrap(), "it never goes back");
    let below = partition.read(7, 1 << 20, true, Isolation::ReadUncommitted);
    assert!(matches!(below, Err(ReadError::OffsetOutOfRange { log_start_offset: 8, .. })));
    assert_eq!(offsets(&files, &partition), (8..20).collect::<Vec<_>>());
    assert!(partition.delete_before(20).unwrap());
    assert_eq!(offsets(&files, &partition), [0; 0]);
    append(&mut partition, &batch(WALL_MS, &[b"next"])).unwrap();
    assert_eq!(offsets(&files, &partition), [20]);
}

#[test]
fn an_open_transaction_below_the_new_start_holds_readers_back_no_further() {
    let (_, files) = disk(1);
    let dir = PathBuf::from("/log/topic-0");
    let mut partition = Partition::create(&files, &dir, TOPIC_ID, config(-1, -1), WALL_MS).unwrap();
    append(&mut partition, &producer_batch(9, 0, 0, 2, true)).unwrap();
    append(&mut partition, &batch(WALL_MS, &[b"behind"])).unwrap();
    assert_eq!(partition.last_stable_offset(), 0);
    partition.delete_before(2).unwrap();
    assert_eq!(partition.last_stable_offset(), 2);
}

#[test]
fn no_file_is_touched_before_the_start_is_kept_and_the_delay_is_the_topics() {
    let config = LogConfig { file_delete_delay_ms: 1234, ..config(-1, 3_605_000) };
    let (_, files, _, mut partition) = filled(&config, 1);
    retain(&files, &mut partition, WALL_MS, false);
    assert_eq!((partition.log_start_offset(), names(&files, ".log").len()), (12, 7));
    assert!(partition.set_aside_due().is_none());
    partition.start_kept(5);
    set_aside(&files, &mut partition);
    assert_eq!(names(&files, ".log").len(), 6, "one of them ends at or below 5");
    partition.start_kept(12);
    set_aside(&files, &mut partition);
    assert_eq!((names(&files, ".log").len(), names(&files, ".log.deleted").len()), (3, 4));
    let mut removed = 0;
    while let Some((delay_ms, job)) = partition.removal() {
        assert_eq!(delay_ms, 1234);
        job.perform(&*files).unwrap();
        removed += 1;
    }
    assert_eq!((removed, names(&files, ".deleted").len()), (2, 0));
}

#[test]
fn who_reads_in_a_segment_that_goes_reads_on_and_gets_its_own_bytes() {
    let (_, files, _, mut partition) = filled(&config(0, -1), 1);
    let range = partition.read(4, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    let read = || {
        let mut bytes = vec![0; range.len];
        assert_eq!(files.read_at(&range.file, &mut bytes, range.position).unwrap(), range.len);
        bytes
    };
    let before = read();
    retain(&files, &mut partition, WALL_MS, true);
    let (_, job) = partition.removal().unwrap();
    job.perform(&*files).unwrap();
    assert_eq!(read(), before);
    assert!(partition.read(4, 1 << 20, true, Isolation::ReadUncommitted).is_err());
}

#[test]
fn an_idempotent_producer_goes_on_when_all_that_it_wrote_is_gone() {
    let config = config(0, -1);
    let (_, files) = disk(1);
    let dir = PathBuf::from("/log/topic-0");
    let mut partition = Partition::create(&files, &dir, TOPIC_ID, config, WALL_MS).unwrap();
    append(&mut partition, &producer_batch(9, 0, 0, 3, false)).unwrap();
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!(partition.log_start_offset(), 3);
    assert!(append(&mut partition, &producer_batch(9, 0, 0, 3, false)).unwrap().duplicate);
    assert!(append(&mut partition, &producer_batch(9, 0, 7, 1, false)).is_err(), "out of order");
    assert_eq!(append(&mut partition, &producer_batch(9, 0, 3, 1, false)).unwrap().base_offset, 3);
}

#[test]
fn a_power_cut_at_any_step_brings_nothing_back_and_takes_nothing_away() {
    for seed in 0..40 {
        for cut_after in 0..4 {
            let config = config(-1, 3_605_000);
            let (sim, files, _, mut partition) = filled(&config, seed);
            flush(&files, &mut partition);
            retain(&files, &mut partition, WALL_MS, false);
            assert_eq!(partition.log_start_offset(), 12);
            // 0: before the checkpoint; 1: after it; 2: after the renames; 3: after the removals.
            let kept = if cut_after == 0 { 0 } else { 12 };
            if cut_after >= 2 {
                partition.start_kept(kept);
                set_aside(&files, &mut partition);
            }
            if cut_after == 3 {
                let (_, job) = partition.removal().unwrap();
                job.perform(&*files).unwrap();
            }
            drop(partition);
            sim.crash();
            sim.power_on();
            let mut partition = reopen(&files, &config, Startup::NewBoot, kept);
            let what = format!("seed {seed}, cut after step {cut_after}");
            assert_eq!(partition.log_start_offset(), kept, "{what}");
            assert_eq!(offsets(&files, &partition), (kept..20).collect::<Vec<_>>(), "{what}");
            set_aside(&files, &mut partition);
            while let Some((_, job)) = partition.removal() {
                job.perform(&*files).unwrap();
            }
            assert_eq!(names(&files, ".deleted").len(), 0, "{what}");
            assert_eq!(names(&files, ".log").len() as i64, (21 - kept) / 3, "{what}");
        }
    }
}

/// Seeds 38711 and 84434 of the simulation: what was acknowledged behind segments that no flush had covered was cut off with them.
#[test]
fn a_flush_covers_what_is_to_go_while_the_checkpoint_does_not_say_that_it_goes() {
    for seed in 0..40 {
        let config = config(-1, 3_605_000);
        let (sim, files, _, mut partition) = filled(&config, seed);
        retain(&files, &mut partition, WALL_MS, false);
        assert_eq!(partition.log_start_offset(), 12);
        flush(&files, &mut partition);
        drop(partition);
        sim.crash();
        sim.power_on();
        let partition = reopen(&files, &config, Startup::NewBoot, 0);
        assert_eq!(offsets(&files, &partition), (0..20).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn a_log_that_ends_below_its_start_begins_anew_at_its_start() {
    let config = config(-1, -1);
    let (_, files, _, partition) = filled(&config, 1);
    drop(partition);
    let mut partition = reopen(&files, &config, Startup::NewBoot, 25);
    assert_eq!((partition.log_start_offset(), partition.end_offset(), partition.segment_count()), (25, 25, 1));
    assert_eq!(append(&mut partition, &batch(WALL_MS, &[b"next"])).unwrap().base_offset, 25);
    assert_eq!(offsets(&files, &reopen(&files, &config, Startup::SameBoot, 25)), [25]);
}

#[test]
fn a_full_disk_gets_room_from_retention_and_the_partition_comes_back() {
    let config = config(1, -1);
    let (sim, files, _, mut partition) = filled(&config, 1);
    sim.set_space_bytes(Some(0));
    assert!(append(&mut partition, &batch(WALL_MS, &[&VALUE])).is_err());
    retain(&files, &mut partition, WALL_MS, true);
    assert_eq!(partition.log_start_offset(), 18, "but the active segment: there is no room for the next one");
    sim.set_space_bytes(None);
    let again = support::append_at(&mut partition, &batch(WALL_MS, &[&VALUE]), WALL_MS + 1_000).unwrap();
    assert_eq!(again.base_offset, 20);
    assert_eq!(offsets(&files, &partition), [18, 19, 20]);
    assert!(partition.removal().is_some(), "what was set aside is still to be removed");
}

#[test]
fn files_that_cannot_be_set_aside_are_tried_again_and_are_no_part_of_the_log() {
    let config = config(0, -1);
    let (sim, files, _, mut partition) = filled(&config, 1);
    retain(&files, &mut partition, WALL_MS, false);
    partition.start_kept(20);
    sim.fail(Fault::nth(Op::Rename, 4, 5));
    let job = partition.set_aside_due().unwrap();
    partition.beside_done(job.perform(&*files), WALL_MS);
    assert_eq!((partition.log_start_offset(), partition.offline_reason()), (20, None));
    sim.heal();
    set_aside(&files, &mut partition);
    assert_eq!(names(&files, ".log").len(), 1);
}

#[test]
fn a_roll_by_time_comes_earlier_by_the_jitter_of_each_log() {
    let config = LogConfig { segment_ms: 1_000, segment_jitter_ms: 600, ..LogConfig::default() };
    let rolled_at = |name: &str| {
        let (_, files) = disk(1);
        let dir = PathBuf::from("/log").join(name);
        let mut partition = Partition::create(&files, &dir, TOPIC_ID, config.clone(), WALL_MS).unwrap();
        append(&mut partition, &batch(WALL_MS, &[b"first"])).unwrap();
        let rolls = |ms: &i64| {
            append(&mut partition, &batch(WALL_MS + ms, &[b"more"])).unwrap();
            partition.segment_count() > 1
        };
        (0..1_100).find(rolls).unwrap()
    };
    let times: Vec<i64> = (0..4).map(|i| rolled_at(&format!("topic-{i}"))).collect();
    assert!(times.iter().all(|ms| (400..=1_001).contains(ms)), "{times:?}");
    assert!(times.iter().any(|ms| *ms != times[0]), "{times:?}");
}

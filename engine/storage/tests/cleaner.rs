//! Compaction: of the records with one key the last one stays, whatever the batches, the segments, the size of the map, and
//! wherever it is broken off.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;
use ringlog_io::Files;
use ringlog_io::sim::{Fault, Op, SimFiles};
use ringlog_storage::{
    Checkpointed, Cleaned, CleanerOptions, Cleaning, Isolation, Known, LogConfig, Next, Origin, Partition, Ratio,
    Ready, Startup, Swap,
};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{BatchBuilder, Batches};
use ringlog_wire::compression::{Codec, Scratch};
use support::{WALL_MS, append, append_as, disk, flush, look, read_bytes};

const TOPIC_ID: Uuid = Uuid([7; 16]);
const DIR: &str = "/log/topic-0";
const HOUR_MS: i64 = 3_600_000;

/// A record as it was sent or is read: offset, timestamp, key, value.
type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>);

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 900,
        index_interval_bytes: 200,
        compact: true,
        delete: false,
        min_cleanable_dirty_ratio: Ratio::of(0.0),
        delete_retention_ms: HOUR_MS,
        ..LogConfig::default()
    }
}

fn options() -> CleanerOptions {
    CleanerOptions { map_bytes: 1 << 20, map_load: 0.9, piece_bytes: 256 }
}

fn created(config: &LogConfig, seed: u64) -> (Rc<SimFiles>, Rc<dyn Files>, Partition) {
    let (sim, files) = disk(seed);
    files.create_dir_all(Path::new(DIR)).unwrap();
    sim.settle();
    let partition = Partition::create(&files, Path::new(DIR), TOPIC_ID, config.clone(), WALL_MS).unwrap();
    sim.settle();
    (sim, files, partition)
}

fn keyed(codec: Codec, records: &[(u8, Option<usize>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.set_codec(codec, None);
    for (i, (key, len)) in records.iter().enumerate() {
        let value = len.map(|len| vec![*key; len]);
        builder.append(WALL_MS + i as i64, Some(&[b'k', *key]), value.as_deref(), &[(b"h", Some(b"v"))]);
    }
    builder.finish(&mut Scratch::default()).unwrap().to_vec()
}

/// Appends one record that fills a third of a segment.
fn put(partition: &mut Partition, key: u8, len: Option<usize>) -> i64 {
    append(partition, &keyed(Codec::None, &[(key, len)])).unwrap().base_offset
}

/// Appends so many records, one in a batch.
fn fill(partition: &mut Partition, count: u8, key: impl Fn(u8) -> u8, len: usize) {
    for i in 0..count {
        put(partition, key(i), Some(len));
    }
}

/// What a shard does from the map to the end. `None`: nothing is to be cleaned, or it was given up.
fn clean_with(
    files: &Rc<dyn Files>,
    partition: &mut Partition,
    options: CleanerOptions,
    wall_ms: i64,
) -> Option<Cleaned> {
    flush(files, partition);
    look(files, partition, |partition| partition.dirtiness(wall_ms))?;
    let cleaning = look(files, partition, |partition| partition.clean_begin(options, wall_ms))?;
    loop {
        match cleaning.next().0 {
            Next::Step => cleaning.step().perform(&**files).map(drop).unwrap(),
            Next::Swap => match partition.swap_begin(&cleaning) {
                Swap::Begun(job) => partition.beside_done(job.perform(&**files), wall_ms),
                Swap::Busy => unreachable!("jobs end at once here"),
                Swap::Outdated => return None,
            },
            Next::Failed { .. } => return None,
            Next::End => {
                partition.clean_end(&cleaning);
                return Some(cleaning.cleaned());
            }
        }
        // A swap that failed is not asked for again.
        partition.offline_reason().is_none().then_some(())?;
    }
}

fn clean(files: &Rc<dyn Files>, partition: &mut Partition, wall_ms: i64) -> Option<Cleaned> {
    clean_with(files, partition, options(), wall_ms)
}

/// The same with room for everything in one segment.
fn clean_into_one(files: &Rc<dyn Files>, partition: &mut Partition, wall_ms: i64) -> Option<Cleaned> {
    let config = partition.config().clone();
    partition.set_config(LogConfig { segment_bytes: 50_000, ..config.clone() });
    let cleaned = clean(files, partition, wall_ms);
    partition.set_config(config);
    cleaned
}

fn seen(files: &Rc<dyn Files>, partition: &Partition, isolation: Isolation) -> Vec<Seen> {
    let (mut offset, mut seen, mut scratch) = (partition.log_start_offset(), Vec::new(), Scratch::default());
    loop {
        let bytes = read_bytes(files, partition, offset, 300, isolation);
        if bytes.is_empty() {
            return seen;
        }
        let before = offset;
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            for record in batch.records(&mut scratch, 1 << 20).unwrap().map(Result::unwrap) {
                if record.offset >= before && !batch.header.is_control() {
                    let (key, value) = (record.key.unwrap_or_default().to_vec(), record.value.map(<[u8]>::to_vec));
                    assert_eq!(record.headers.len(), 1);
                    seen.push((record.offset, record.timestamp, key, value));
                }
            }
            offset = batch.header.next_offset();
        }
        assert!(offset > before, "a read goes on");
    }
}

fn offsets(files: &Rc<dyn Files>, partition: &Partition) -> Vec<i64> {
    seen(files, partition, Isolation::ReadUncommitted).into_iter().map(|(offset, ..)| offset).collect()
}

fn names(files: &Rc<dyn Files>) -> Vec<String> {
    let mut names: Vec<String> = files.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

fn reopen(files: &Rc<dyn Files>, config: &LogConfig, how: Startup, checkpointed: Checkpointed) -> Partition {
    let known = Known { topic_id: TOPIC_ID, startup: how, checkpointed };
    Partition::open_at(files, Path::new(DIR), config.clone(), known, WALL_MS).unwrap().0
}

#[test]
fn the_last_record_of_each_key_stays_where_it_was_and_small_segments_become_one() {
    let (_, files, mut partition) = created(&config(), 1);
    // Three records a segment: 0 1 2 | 0 1 2 | .. ; the last segment is written.
    fill(&mut partition, 14, |i| i % 3, 200);
    assert_eq!(partition.segment_count(), 5);
    let before = seen(&files, &partition, Isolation::ReadUncommitted);
    let cleaned = clean_into_one(&files, &mut partition, WALL_MS).unwrap();
    assert_eq!((cleaned.keys, cleaned.end_offset, partition.cleaned_offset()), (3, 12, 12));
    let after = seen(&files, &partition, Isolation::ReadUncommitted);
    assert_eq!(after, before[9..], "9, 10, 11 of what is cleaned; 12, 13 are in the segment that is written");
    assert_eq!((partition.segment_count(), partition.log_start_offset(), partition.end_offset()), (2, 0, 14));
    assert!(clean(&files, &mut partition, WALL_MS).is_none(), "nothing is dirty");
    let reopened = reopen(&files, &config(), Startup::SameBoot, partition.checkpointed());
    assert_eq!(seen(&files, &reopened, Isolation::ReadUncommitted), after);
    assert_eq!(reopened.cleaned_offset(), 12);
}

#[test]
fn tombstones_stay_for_delete_retention_ms_after_they_were_first_met() {
    let (_, files, mut partition) = created(&config(), 1);
    put(&mut partition, 1, Some(300));
    put(&mut partition, 2, Some(300));
    let tombstone = put(&mut partition, 1, None);
    let more = |partition: &mut Partition| fill(partition, 4, |_| 9, 300);
    more(&mut partition);
    clean(&files, &mut partition, WALL_MS).unwrap();
    assert!(offsets(&files, &partition).starts_with(&[1, tombstone]));
    more(&mut partition);
    clean(&files, &mut partition, WALL_MS + HOUR_MS - 1).unwrap();
    assert!(offsets(&files, &partition).starts_with(&[1, tombstone]), "not yet");
    more(&mut partition);
    clean(&files, &mut partition, WALL_MS + HOUR_MS).unwrap();
    let left = offsets(&files, &partition);
    assert!(left[0] == 1 && left[1] > tombstone, "{left:?}");
}

#[test]
fn what_is_too_young_too_little_or_not_flushed_is_left_and_what_is_too_old_is_not() {
    let filled = |config: &LogConfig| {
        let (_, files, mut partition) = created(config, 1);
        fill(&mut partition, 14, |i| i % 3, 200);
        (files, partition)
    };
    let dirty = |config: LogConfig, wall_ms: i64| {
        let (files, mut partition) = filled(&config);
        flush(&files, &mut partition);
        look(&files, &partition, |partition| partition.dirtiness(wall_ms)).is_some()
    };
    assert!(dirty(config(), WALL_MS));
    assert!(!dirty(LogConfig { compact: false, ..config() }, WALL_MS), "not a compacted topic");
    let lag = LogConfig { min_compaction_lag_ms: HOUR_MS, ..config() };
    assert!(!dirty(lag.clone(), WALL_MS + HOUR_MS - 1));
    assert!(dirty(lag, WALL_MS + HOUR_MS));
    // All of it is dirty the first time.
    assert!(!dirty(LogConfig { min_cleanable_dirty_ratio: Ratio::of(1.0), ..config() }, WALL_MS));
    let late = LogConfig { min_cleanable_dirty_ratio: Ratio::of(1.0), max_compaction_lag_ms: HOUR_MS, ..config() };
    assert!(!dirty(late.clone(), WALL_MS + HOUR_MS));
    assert!(dirty(late, WALL_MS + HOUR_MS + 1));
    let (files, partition) = filled(&config());
    assert!(look(&files, &partition, |partition| partition.dirtiness(WALL_MS)).is_none(), "not flushed");
}

#[test]
fn a_log_that_has_a_lag_to_keep_is_rolled_in_time() {
    let config = LogConfig { max_compaction_lag_ms: 1_000, ..config() };
    let (_, _, mut partition) = created(&config, 1);
    put(&mut partition, 1, None);
    let mut builder = BatchBuilder::new();
    builder.append(WALL_MS + 1_001, Some(b"k"), Some(b"v"), &[]);
    append(&mut partition, builder.finish(&mut Scratch::default()).unwrap()).unwrap();
    assert_eq!(partition.segment_count(), 2);
}

#[test]
fn the_last_batch_of_a_producer_stays_empty_and_tells_its_state_where_snapshots_are_lost() {
    let (_, files, mut partition) = created(&config(), 1);
    let sent = |sequence: i32, key: u8| {
        let mut builder = BatchBuilder::new();
        builder.set_producer(5, 3, sequence);
        builder.append(WALL_MS, Some(&[b'k', key]), Some(&[1; 100]), &[(b"h", None)]);
        builder.append(WALL_MS, Some(&[b'k', key]), Some(&[2; 100]), &[(b"h", None)]);
        builder.finish(&mut Scratch::default()).unwrap().to_vec()
    };
    append(&mut partition, &sent(0, 1)).unwrap();
    append(&mut partition, &sent(2, 1)).unwrap();
    fill(&mut partition, 6, |_| 1, 300);
    clean(&files, &mut partition, WALL_MS).unwrap();
    assert_eq!(offsets(&files, &partition)[0], 7, "the last of its key below the segment that is written");
    let checkpointed = partition.checkpointed();
    drop(partition);
    for name in names(&files).iter().filter(|name| name.ends_with(".snapshot")) {
        files.remove_file(&Path::new(DIR).join(name)).unwrap();
    }
    let mut partition = reopen(&files, &config(), Startup::SameBoot, checkpointed);
    assert!(append(&mut partition, &sent(2, 1)).unwrap().duplicate);
    assert!(append(&mut partition, &sent(6, 1)).is_err(), "out of order");
    assert!(!append(&mut partition, &sent(4, 1)).unwrap().duplicate);
}

#[test]
fn aborted_records_go_and_markers_follow_when_their_time_is_over() {
    let (_, files, mut partition) = created(&config(), 1);
    let data = |id: i64, sequence: i32, key: u8| {
        let mut builder = BatchBuilder::new();
        builder.set_producer(id, 0, sequence).set_transactional(true);
        builder.append(WALL_MS, Some(&[b'k', key]), Some(&[key; 200]), &[(b"h", None)]);
        builder.finish(&mut Scratch::default()).unwrap().to_vec()
    };
    let end = |partition: &mut Partition, id: i64, commit: bool| {
        let marker = BatchBuilder::marker(WALL_MS, id, 0, commit, 0);
        append_as(partition, &[&marker], Origin::Coordinator, 0).remove(0).unwrap();
    };
    let more = |partition: &mut Partition| fill(partition, 4, |_| 9, 300);
    append(&mut partition, &data(1, 0, 1)).unwrap(); // 0, committed
    append(&mut partition, &data(2, 0, 1)).unwrap(); // 1, aborted: it must not outdo the first
    append(&mut partition, &data(2, 1, 2)).unwrap(); // 2, aborted
    end(&mut partition, 2, false); // 3
    end(&mut partition, 1, true); // 4
    // Both producers go on elsewhere, so that nothing here is their last.
    for (id, sequence) in [(1, 1), (2, 2)] {
        append(&mut partition, &data(id, sequence, 10 + id as u8)).unwrap(); // 5, 7
        end(&mut partition, id, true); // 6, 8
    }
    more(&mut partition);
    let aborted = |partition: &Partition| {
        let upper = partition.end_offset();
        look(&files, partition, |partition| partition.aborted_transactions(0, upper)).len()
    };
    assert_eq!(aborted(&partition), 1);
    let mut wall_ms = WALL_MS;
    for expected_markers in [1, 0] {
        clean_into_one(&files, &mut partition, wall_ms).unwrap();
        assert!(offsets(&files, &partition).starts_with(&[0, 5, 7]), "committed");
        assert_eq!(
            seen(&files, &partition, Isolation::ReadCommitted),
            seen(&files, &partition, Isolation::ReadUncommitted)
        );
        assert_eq!(aborted(&partition), expected_markers, "a marker whose records were met is told once more");
        wall_ms += HOUR_MS;
        more(&mut partition);
    }
    let marker_offsets = |files: &Rc<dyn Files>, partition: &Partition| {
        let bytes = read_bytes(files, partition, 0, 1 << 20, Isolation::ReadUncommitted);
        let batches = Batches::new(&bytes).map(Result::unwrap).filter(|batch| batch.header.is_control());
        batches.map(|batch| batch.header.base_offset).collect::<Vec<_>>()
    };
    assert!(marker_offsets(&files, &partition).starts_with(&[3, 4]), "its horizon was set just now");
    clean_into_one(&files, &mut partition, wall_ms).unwrap();
    assert!(marker_offsets(&files, &partition).starts_with(&[4, 6, 8]), "the commit has its record still");
    let reopened = reopen(&files, &config(), Startup::NewBoot, Checkpointed::default());
    assert_eq!(aborted(&reopened), 0);
}

#[test]
fn what_is_not_ended_is_not_cleaned() {
    let (_, files, mut partition) = created(&config(), 1);
    put(&mut partition, 1, Some(300));
    append(&mut partition, &support::producer_batch(7, 0, 0, 1, true)).unwrap();
    fill(&mut partition, 8, |_| 1, 300);
    assert!(clean(&files, &mut partition, WALL_MS).is_none());
    let marker = BatchBuilder::marker(WALL_MS, 7, 0, false, 0);
    append_as(&mut partition, &[&marker], Origin::Coordinator, 0).remove(0).unwrap();
    assert!(clean(&files, &mut partition, WALL_MS).is_some());
}

#[test]
fn who_reads_in_an_old_segment_reads_on_and_who_comes_during_the_swap_waits() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 14, |i| i % 3, 200);
    flush(&files, &mut partition);
    partition.set_config(LogConfig { segment_bytes: 50_000, ..config() });
    let range = partition.read(4, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    let read = || {
        let mut bytes = vec![0; range.len];
        assert_eq!(files.read_at(&range.file, &mut bytes, range.position).unwrap(), range.len);
        bytes
    };
    let before = read();
    let cleaning = look(&files, &partition, |partition| partition.clean_begin(options(), WALL_MS)).unwrap();
    while cleaning.next().0 == Next::Step {
        cleaning.step().perform(&*files).unwrap();
    }
    let Swap::Begun(job) = partition.swap_begin(&cleaning) else { panic!("nothing else is under way") };
    assert!(matches!(partition.swap_begin(&cleaning), Swap::Busy));
    let ready =
        |partition: &Partition, offset| partition.read_ready(offset, 100, true, Isolation::ReadUncommitted).unwrap();
    assert!(matches!(ready(&partition, 4), Ready::Now(_)), "it is open");
    assert!(matches!(ready(&partition, 0), Ready::Later(None)), "it is not");
    assert!(matches!(ready(&partition, 13), Ready::Now(_)), "not one of them");
    partition.beside_done(job.perform(&*files), WALL_MS);
    assert_eq!(read(), before);
    let again = partition.read(4, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    let mut bytes = vec![0; again.len];
    files.read_at(&again.file, &mut bytes, again.position).unwrap();
    let first = Batches::new(&bytes).next().unwrap().unwrap().header.base_offset;
    assert!(first > 4, "{first}");
    let removals: Vec<_> = std::iter::from_fn(|| partition.removal()).collect();
    assert!(!removals.is_empty() && removals.iter().all(|(delay_ms, _)| *delay_ms == 60_000));
}

#[test]
fn a_log_that_changed_meanwhile_and_a_damaged_one_are_left_as_they_are() {
    let (sim, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 14, |i| i % 3, 200);
    flush(&files, &mut partition);
    let begin = |partition: &Partition| look(&files, partition, |it| it.clean_begin(options(), WALL_MS)).unwrap();
    let write = |cleaning: &Cleaning| {
        while cleaning.next().0 == Next::Step {
            cleaning.step().perform(&*files).unwrap();
        }
    };
    let cleaning = begin(&partition);
    write(&cleaning);
    partition.delete_before(3).unwrap();
    partition.start_kept(3);
    let job = partition.set_aside_due().unwrap();
    partition.beside_done(job.perform(&*files), WALL_MS);
    assert!(matches!(partition.swap_begin(&cleaning), Swap::Outdated));

    let path = Path::new(DIR).join("00000000000000000006.log");
    let mut bytes = files.read(&path).unwrap();
    bytes[100] ^= 1;
    support::put(&files, &path, &bytes);
    let cleaning = begin(&partition);
    write(&cleaning);
    let Next::Failed { reason, is_final } = cleaning.next().0 else { panic!("{:?}", cleaning.next()) };
    assert!(is_final && reason.contains("segment 6") && reason.to_lowercase().contains("crc"), "{reason}");
    partition.clean_failed(i64::MAX);
    assert!(clean(&files, &mut partition, WALL_MS).is_none());

    bytes[100] ^= 1;
    support::put(&files, &path, &bytes);
    partition.clean_failed(0);
    let cleaning = begin(&partition);
    sim.fail(Fault::nth(Op::Write, 1, 28));
    write(&cleaning);
    assert!(matches!(cleaning.next().0, Next::Failed { is_final: false, .. }), "{:?}", cleaning.next());
    sim.heal();
    assert_eq!(offsets(&files, &partition), (3..14).collect::<Vec<_>>());
    assert!(clean(&files, &mut partition, WALL_MS).is_some());
    assert!(!names(&files).iter().any(|name| name.ends_with(".cleaned")), "{:?}", names(&files));
}

/// Between two pieces of a cleaning the partition came back from a failure: opening it removed what was written so far.
#[test]
fn a_cleaning_whose_file_was_removed_meanwhile_fails_and_leaves_no_hole() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 14, |i| i % 3, 200);
    flush(&files, &mut partition);
    let before = seen(&files, &partition, Isolation::ReadUncommitted);
    let cleaning = look(&files, &partition, |it| it.clean_begin(options(), WALL_MS)).unwrap();
    let cleaned = || names(&files).into_iter().find(|name| name.ends_with(".log.cleaned"));
    let path = loop {
        cleaning.step().perform(&*files).unwrap();
        if let Some(path) = cleaned().map(|name| Path::new(DIR).join(name))
            && !files.read(&path).unwrap().is_empty()
        {
            break path;
        }
    };
    files.remove_file(&path).unwrap();
    while cleaning.next().0 == Next::Step {
        cleaning.step().perform(&*files).unwrap();
    }
    assert!(matches!(cleaning.next().0, Next::Failed { is_final: false, .. }), "{:?}", cleaning.next());
    assert_eq!(seen(&files, &partition, Isolation::ReadUncommitted), before);
}

#[test]
fn a_swap_that_fails_takes_the_partition_offline_and_it_comes_back_with_one_or_the_other() {
    for nth in 1..30 {
        let (sim, files, mut partition) = created(&config(), nth);
        fill(&mut partition, 14, |i| i % 3, 200);
        flush(&files, &mut partition);
        sim.fail(Fault::nth(Op::Rename, nth, 5));
        let done = clean_into_one(&files, &mut partition, WALL_MS).is_some();
        sim.heal();
        let again = support::append_at(&mut partition, &keyed(Codec::None, &[(9, Some(9))]), WALL_MS + 1_000).unwrap();
        assert_eq!(again.base_offset, 14);
        let left = offsets(&files, &partition);
        let (all, last): (Vec<i64>, Vec<i64>) = ((0..15).collect(), (9..15).collect());
        assert!(
            left == last || (!done && left.ends_with(&last) && left.iter().all(|it| all.contains(it))),
            "{nth}: {left:?}"
        );
        if done {
            assert_eq!(left, last);
        }
        clean(&files, &mut partition, WALL_MS + 2_000);
        assert_eq!(offsets(&files, &partition), last, "{nth}");
    }
}

/// Cuts the power at every change of the disk, with what was not synced lost or kept by the seed.
#[test]
fn a_power_cut_at_any_moment_leaves_the_log_as_it_was_or_as_it_becomes() {
    let mut kinds = BTreeSet::new();
    for seed in 0..12 {
        for after in 0..60 {
            let (sim, files, mut partition) = created(&config(), seed);
            fill(&mut partition, 14, |i| i % 3, 200);
            flush(&files, &mut partition);
            files.sync_dir(Path::new(DIR)).unwrap();
            partition.set_config(LogConfig { segment_bytes: 50_000, ..config() });
            let checkpointed = partition.checkpointed();
            let before = seen(&files, &partition, Isolation::ReadUncommitted);
            sim.cut_power_after(after);
            let is_done = run_until_the_power_goes(&files, &mut partition);
            drop(partition);
            sim.crash();
            sim.power_on();
            let found = names(&files);
            kinds.extend(found.iter().filter_map(|name| name.rsplit_once('.').map(|(_, kind)| kind.to_owned())));
            for how in [Startup::NewBoot, Startup::SameBoot] {
                // What it took is not known of what was not flushed; all of this is.
                let partition = reopen(&files, &config(), how, Checkpointed { recovery_point: 0, ..checkpointed });
                let left = seen(&files, &partition, Isolation::ReadUncommitted);
                let below: Vec<_> = left.iter().filter(|it| it.0 < 12).collect();
                let what = format!("seed {seed}, power cut after {after}: {found:?}");
                for record in &below {
                    assert_eq!(Some(*record), before.get(record.0 as usize).as_ref().copied(), "{what}");
                }
                let keys: BTreeMap<_, _> = below.iter().map(|it| (it.2.clone(), it.0)).collect();
                assert_eq!(keys.into_values().collect::<Vec<_>>(), [9, 10, 11], "{what}");
                assert!(!is_done || below.len() == 3, "{what}");
                assert!(!names(&files).iter().any(|name| name.ends_with(".swap") || name.ends_with(".cleaned")));
            }
            if is_done {
                break;
            }
        }
    }
    assert!(kinds.contains("swap") && kinds.contains("cleaned"), "the cuts meet all of it: {kinds:?}");
}

fn run_until_the_power_goes(files: &Rc<dyn Files>, partition: &mut Partition) -> bool {
    let Ok(Ready::Now(Some(cleaning))) = partition.clean_begin(options(), WALL_MS) else { panic!("nothing is cold") };
    loop {
        match cleaning.next().0 {
            Next::Step => cleaning.step().perform(&**files).map(drop).unwrap(),
            Next::Swap => match partition.swap_begin(&cleaning) {
                Swap::Begun(job) => partition.beside_done(job.perform(&**files), WALL_MS),
                Swap::Busy | Swap::Outdated => return false,
            },
            Next::Failed { .. } => return false,
            Next::End => return true,
        }
    }
}

#[test]
fn a_log_that_was_compacted_is_whole_to_an_open_that_knows_nothing_of_it() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 40, |i| i % 2, 200);
    clean(&files, &mut partition, WALL_MS).unwrap();
    fill(&mut partition, 40, |i| i % 2, 200);
    clean(&files, &mut partition, WALL_MS).unwrap();
    let left = seen(&files, &partition, Isolation::ReadUncommitted);
    drop(partition);
    let config = LogConfig { compact: false, ..config() };
    let (partition, report) = support::open(&files, Path::new(DIR), &config, Startup::NewBoot);
    assert_eq!((report.cuts, seen(&files, &partition, Isolation::ReadUncommitted)), (Vec::new(), left));
}

/// A power cut took what a first segment held, which was not flushed; the second one's file was written back by the kernel. That the
/// topic is compacted does not make it whole: a cleaner only touches what is on the disk.
#[test]
fn a_segment_that_a_power_cut_emptied_ends_a_compacted_log() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 8, |i| i, 200);
    let first = Path::new(DIR).join("00000000000000000000.log");
    drop(partition);
    support::put(&files, &first, &[]);
    let (partition, report) = support::open(&files, Path::new(DIR), &config(), Startup::NewBoot);
    assert_eq!(partition.end_offset(), 0, "nothing follows a loss");
    assert!(report.cuts.iter().any(|cut| cut.reason.contains("does not reach it")), "{:?}", report.cuts);
}

/// Kafka's cleaner, unlike ours, leaves gaps between segments: where its checkpoint says so they are no loss.
#[test]
fn below_what_was_cleaned_a_segment_may_end_early() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 8, |i| i, 200);
    let end_offset = partition.end_offset();
    drop(partition);
    support::put(&files, &Path::new(DIR).join("00000000000000000000.log"), &[]);
    let checkpointed = Checkpointed { cleaned_offset: end_offset, ..Checkpointed::default() };
    let known = Known { topic_id: TOPIC_ID, startup: Startup::NewBoot, checkpointed };
    let (partition, report) = Partition::open_at(&files, Path::new(DIR), config(), known, WALL_MS).unwrap();
    assert_eq!((partition.end_offset(), report.cuts.len()), (end_offset, 0));
    let read = partition.read(0, 1 << 20, true, Isolation::ReadUncommitted).unwrap();
    assert!(read.len > 0, "the next segment's records are found from the offsets that are gone");
}

// --- random lives ----------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Act {
    /// Records of one batch: key, and the value's length.
    Append {
        codec: Codec,
        records: Vec<(u8, Option<usize>)>,
    },
    /// Cleans with a map of so many places; so much later.
    Clean {
        places: usize,
        later_ms: i64,
    },
    Reopen(Startup),
}

fn act() -> impl Strategy<Value = Act> {
    let records = prop::collection::vec((0..12_u8, prop::option::weighted(0.8, 0..120_usize)), 1..6);
    let codec =
        prop_oneof![3 => Just(Codec::None), 1 => Just(Codec::Lz4), 1 => Just(Codec::Zstd), 1 => Just(Codec::Gzip)];
    let startup = prop_oneof![Just(Startup::Clean), Just(Startup::SameBoot), Just(Startup::NewBoot)];
    prop_oneof![
        12 => (codec, records).prop_map(|(codec, records)| Act::Append { codec, records }),
        3 => (prop_oneof![Just(1_usize), Just(18), Just(1_000)], 0..HOUR_MS)
            .prop_map(|(places, later_ms)| Act::Clean { places, later_ms }),
        1 => startup.prop_map(Act::Reopen),
    ]
}

/// What should be there: every record that was appended, whether it is left, and when it may go.
#[derive(Default)]
struct Model {
    records: Vec<(Seen, bool, Option<i64>)>,
}

impl Model {
    /// Records in `first_dirty..end` outdo earlier ones of their key below `end`.
    fn clean(&mut self, first_dirty: i64, end: i64, wall_ms: i64, segment_end: i64) {
        let mut last = BTreeMap::new();
        for ((offset, _, key, _), is_left, _) in &self.records {
            if (first_dirty..end).contains(offset) && *is_left {
                last.insert(key.clone(), *offset);
            }
        }
        // A batch has one horizon, which is set when a tombstone of it stays for the first time.
        for (record, is_left, horizon_ms) in self.records.iter_mut().filter(|it| it.0.0 < segment_end) {
            let is_behind = record.0 >= end;
            let is_outdone = last.get(&record.2).is_some_and(|latest| *latest > record.0);
            let is_over = record.3.is_none() && horizon_ms.is_some_and(|horizon_ms| horizon_ms <= wall_ms);
            *is_left &= is_behind || !(is_outdone || is_over);
            if record.3.is_none() && *is_left {
                horizon_ms.get_or_insert(wall_ms + HOUR_MS);
            }
        }
    }

    fn left(&self) -> Vec<Seen> {
        self.records.iter().filter(|(_, is_left, _)| *is_left).map(|(record, ..)| record.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn what_is_left_is_what_a_plain_model_says(acts in prop::collection::vec(act(), 1..120)) {
        let (_, files, mut partition) = created(&config(), 3);
        let (mut model, mut wall_ms) = (Model::default(), WALL_MS);
        for act in acts {
            match act {
                Act::Append { codec, records } => {
                    let base_offset = append(&mut partition, &keyed(codec, &records)).unwrap().base_offset;
                    for (i, (key, len)) in records.iter().enumerate() {
                        let (i, value) = (i as i64, len.map(|len| vec![*key; len]));
                        model.records.push(((base_offset + i, WALL_MS + i, vec![b'k', *key], value), true, None));
                    }
                }
                Act::Clean { places, later_ms } => {
                    wall_ms += later_ms;
                    let first_dirty = partition.cleaned_offset();
                    let options = CleanerOptions { map_bytes: 24 * places, ..options() };
                    let segment_ends = segment_ends(&files);
                    if let Some(cleaned) = clean_with(&files, &mut partition, options, wall_ms) {
                        prop_assert!(cleaned.end_offset > first_dirty);
                        let segment_end = segment_ends.into_iter().find(|end| *end >= cleaned.end_offset);
                        model.clean(first_dirty, cleaned.end_offset, wall_ms, segment_end.unwrap_or(i64::MAX));
                    }
                }
                Act::Reopen(how) => {
                    flush(&files, &mut partition);
                    let checkpointed = match how {
                        Startup::Clean => partition.close_clean().unwrap(),
                        _ => partition.checkpointed(),
                    };
                    drop(partition);
                    partition = reopen(&files, &config(), how, checkpointed);
                }
            }
            prop_assert_eq!(seen(&files, &partition, Isolation::ReadUncommitted), model.left());
        }
    }
}

/// Where segments end: the base offsets of the others.
fn segment_ends(files: &Rc<dyn Files>) -> Vec<i64> {
    let names = names(files);
    names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
}

#[test]
fn a_map_that_is_too_small_takes_some_turns() {
    let (_, files, mut partition) = created(&config(), 1);
    fill(&mut partition, 60, |i| i % 30, 200);
    let small = CleanerOptions { map_bytes: 0, ..options() };
    let turns = std::iter::from_fn(|| clean_with(&files, &mut partition, small, WALL_MS)).count();
    assert!(turns > 2, "{turns}");
    assert_eq!(
        offsets(&files, &partition),
        (27..60).collect::<Vec<_>>(),
        "57, 58, 59 are in the segment that is written"
    );
}

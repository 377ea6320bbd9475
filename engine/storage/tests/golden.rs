//! Folders that Apache Kafka wrote: we open them, agree with every file in them, and make the same files ourselves.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use ringlog_io::Files;
use ringlog_storage::{AbortedTransaction, EpochEnd, Isolation, LogConfig, Partition, Startup};
use std::rc::Rc;
use support::{WALL_MS, copy_golden, disk, look, open, read_records};

/// Folder, end offset, and records in it, markers included.
const FOLDERS: [(&str, i64); 6] = [
    ("t2-0", 645),
    ("t2-1", 869),
    ("__consumer_offsets-12", 15),
    ("__consumer_offsets-34", 20),
    ("__transaction_state-12", 13),
    ("__transaction_state-24", 13),
];
const BESIDE_THE_LOG: [&str; 3] = ["index", "timeindex", "txnindex"];

fn first(suffix: &str) -> String {
    format!("00000000000000000000.{suffix}")
}

fn original(folder: &str, name: &str) -> Option<Vec<u8>> {
    let (_, files) = disk(0);
    files.read(&copy_golden(&files, folder).join(name)).ok()
}

/// Takes files away, opens the rest as after a power cut, stops cleanly.
fn made_again(folder: &str, removed: &[String]) -> (Rc<dyn Files>, std::path::PathBuf) {
    let (_, files) = disk(0);
    let dir = copy_golden(&files, folder);
    for name in removed {
        if files.exists(&dir.join(name)) {
            files.remove_file(&dir.join(name)).unwrap();
        }
    }
    let (mut partition, report) = open(&files, &dir, &LogConfig::default(), Startup::NewBoot);
    assert_eq!(report.cuts, [], "{folder}");
    partition.close_clean().unwrap();
    (files, dir)
}

fn opened(folder: &str, how: Startup) -> (Rc<dyn Files>, Partition) {
    let (_, files) = disk(0);
    let dir = copy_golden(&files, folder);
    let (partition, report) = open(&files, &dir, &LogConfig::default(), how);
    assert!(report.is_quiet(), "{folder} {how:?}: {report:?}");
    (files, partition)
}

#[test]
fn every_folder_opens_as_it_is_after_each_kind_of_stop() {
    for (folder, end_offset) in FOLDERS {
        for how in [Startup::Clean, Startup::SameBoot, Startup::NewBoot] {
            let (files, partition) = opened(folder, how);
            assert_eq!(partition.end_offset(), end_offset, "{folder}");
            assert_eq!(partition.high_watermark(), end_offset);
            assert_eq!(partition.log_start_offset(), 0);
            let records = read_records(&files, &partition, 0, 5000, Isolation::ReadUncommitted);
            let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
            assert_eq!(offsets, (0..end_offset).collect::<Vec<_>>(), "{folder}");
        }
    }
}

#[test]
fn a_clean_stop_reads_no_header_for_producers() {
    let (_, files) = disk(0);
    let dir = copy_golden(&files, "t2-0");
    let (_, report) = open(&files, &dir, &LogConfig::default(), Startup::Clean);
    assert_eq!((report.producers_replayed_from, report.checked_bytes), (645, 0));
}

#[test]
fn indexes_made_from_the_log_are_kafkas_to_the_byte() {
    for (folder, _) in FOLDERS {
        let (files, dir) = made_again(folder, &BESIDE_THE_LOG.map(first));
        for suffix in ["index", "timeindex"] {
            let ours = files.read(&dir.join(first(suffix))).unwrap();
            assert_eq!(Some(ours), original(folder, &first(suffix)), "{folder} {suffix}");
        }
    }
}

#[test]
fn aborted_transactions_made_from_the_log_are_kafkas_to_the_byte() {
    for folder in ["t2-0", "t2-1", "__consumer_offsets-12"] {
        let snapshots = FOLDERS.map(|(_, end)| format!("{end:020}.snapshot"));
        let removed: Vec<String> = BESIDE_THE_LOG.map(first).into_iter().chain(snapshots).collect();
        let (files, dir) = made_again(folder, &removed);
        let ours = files.read(&dir.join(first("txnindex"))).unwrap();
        assert_eq!(Some(ours), original(folder, &first("txnindex")), "{folder}");
    }
}

#[test]
fn snapshots_made_from_the_log_are_kafkas_to_the_byte() {
    for (folder, end_offset) in FOLDERS {
        let name = format!("{end_offset:020}.snapshot");
        let (files, dir) = made_again(folder, std::slice::from_ref(&name));
        assert_eq!(files.read(&dir.join(&name)).ok(), original(folder, &name), "{folder}");
    }
}

#[test]
fn leader_epochs_made_from_the_log_are_kafkas_to_the_byte() {
    for (folder, _) in FOLDERS {
        let name = "leader-epoch-checkpoint".to_owned();
        let (files, dir) = made_again(folder, std::slice::from_ref(&name));
        assert_eq!(files.read(&dir.join(&name)).ok(), original(folder, &name), "{folder}");
    }
}

#[test]
fn the_topic_id_is_the_one_that_kafka_wrote() {
    let (_, partition) = opened("t2-0", Startup::Clean);
    assert_eq!(partition.topic_id().to_string(), "ZBIZP7ZlSHawOA4aYpK5yg");
}

#[test]
fn leader_epochs_end_where_kafka_says() {
    let (_, partition) = opened("t2-1", Startup::Clean);
    assert_eq!(partition.latest_epoch(), 0);
    assert_eq!(partition.end_offset_for_epoch(0), EpochEnd { epoch: 0, end_offset: 869 });
    assert_eq!(partition.end_offset_for_epoch(1), EpochEnd { epoch: -1, end_offset: -1 });
}

#[test]
fn aborted_transactions_are_found_by_range() {
    let (files, partition) = opened("t2-0", Startup::Clean);
    let [first, second] =
        [(14, 0x11c), (20, 0x1ae)].map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset });
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0, 645)), [first, second]);
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0x11f, 645)), [second]);
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0, 0x11c)), []);
    assert_eq!(look(&files, &partition, |log| log.aborted_transactions(0x11e, 0x11f)), [first]);
    assert_eq!(partition.last_stable_offset(), 645);
}

#[test]
fn timestamps_lead_to_the_record_that_a_full_scan_finds() {
    for folder in ["t2-0", "t2-1"] {
        let (files, partition) = opened(folder, Startup::Clean);
        let records = read_records(&files, &partition, 0, 1 << 20, Isolation::ReadUncommitted);
        let scan = |timestamp| records.iter().find(|record| record.timestamp_ms >= timestamp);
        for wanted in records.iter().step_by(7).flat_map(|record| [record.timestamp_ms, record.timestamp_ms + 1]) {
            let found = look(&files, &partition, |log| log.offset_for_timestamp(wanted)).map(|found| found.offset);
            assert_eq!(found, scan(wanted).map(|record| record.offset), "{folder} {wanted}");
        }
        assert_eq!(look(&files, &partition, |log| log.offset_for_timestamp(i64::MAX)), None);
        let largest = records.iter().map(|record| record.timestamp_ms).max().unwrap();
        let found = look(&files, &partition, |log| log.offset_of_max_timestamp()).unwrap();
        assert_eq!((found.timestamp_ms, Some(found.offset)), (largest, scan(largest).map(|record| record.offset)));
    }
}

#[test]
fn a_log_of_kafkas_goes_on_where_it_ended() {
    let (_, files) = disk(0);
    let dir = copy_golden(&files, "t2-0");
    let (mut partition, _) = open(&files, &dir, &LogConfig::default(), Startup::Clean);
    let appended = support::append(&mut partition, &support::batch(WALL_MS, &[b"ours"])).unwrap();
    assert_eq!(appended.base_offset, 645);
    let duplicate = support::append(&mut partition, &support::producer_batch(3, 0, 26, 1, false)).unwrap();
    assert_eq!((duplicate.duplicate, duplicate.base_offset), (true, 26), "what the snapshot remembers");
}

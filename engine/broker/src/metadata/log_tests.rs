use std::io::IoSlice;
use std::path::Path;

use ringlog_io::OpenMode;
use ringlog_io::sim::SimFiles;
use ringlog_wire::batch::Batches;
use ringlog_wire::records::metadata::{BeginTransactionRecord, TopicRecord};

use super::read::READ_BYTES;
use super::*;
use crate::metadata::controller::{Call, Decided};
use crate::metadata::fixtures::{create, decide, numbers, topic};
use crate::metadata::ids::{NodeId, ShardId};
use crate::metadata::image::Owner;

#[path = "log/snapshot_tests.rs"]
mod snapshots;

const WALL_MS: i64 = 1_800_000_000_000;

/// The metadata log of a real broker of the 4.3 line, and what its folder was formatted with.
const KAFKAS_LOG: &[u8] =
    include_bytes!("../../../storage/tests/data/golden-log/__cluster_metadata-0/00000000000000000000.log");
const KAFKAS_QUORUM_STATE: &[u8] =
    include_bytes!("../../../storage/tests/data/golden-log/__cluster_metadata-0/quorum-state");
const KAFKAS_BOOTSTRAP: &[u8] = include_bytes!("../../../storage/tests/data/golden-log/bootstrap.checkpoint");

fn disk() -> (Rc<SimFiles>, Rc<dyn Files>) {
    let sim = SimFiles::new(1);
    let files: Rc<dyn Files> = sim.clone();
    (sim, files)
}

fn log_dir(files: &Rc<dyn Files>, boot_id: &str) -> LogDir {
    crate::metadata::fixtures::log_dir(files, 1, boot_id).unwrap()
}

/// One start of a broker with so many shards.
fn start(files: &Rc<dyn Files>, shards: u16) -> (LogDir, Leading) {
    start_in_boot(files, shards, "boot")
}

fn start_in_boot(files: &Rc<dyn Files>, shards: u16, boot_id: &str) -> (LogDir, Leading) {
    let dir = log_dir(files, boot_id);
    let settings = Arc::new(Settings::of(&[("ringlog.shards", &shards.to_string())]));
    let ports: Vec<u16> = (9092..9092 + shards).collect();
    let leading = lead(files, &dir, &settings, &ports, &mut numbers(), WALL_MS).unwrap();
    (dir, leading)
}

fn put(files: &Rc<dyn Files>, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    files.create_dir_all(path.parent().unwrap()).unwrap();
    let file = files.open(path, OpenMode::Create).unwrap();
    files.write_all_at(&file, &[IoSlice::new(bytes)], 0).unwrap();
}

fn kafkas_folder(files: &Rc<dyn Files>) {
    put(files, "/log/__cluster_metadata-0/00000000000000000000.log", KAFKAS_LOG);
    put(files, "/log/__cluster_metadata-0/quorum-state", KAFKAS_QUORUM_STATE);
    put(files, "/log/__cluster_metadata-0/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
}

fn log_bytes(files: &Rc<dyn Files>) -> Vec<u8> {
    files.read(Path::new("/log/__cluster_metadata-0/00000000000000000000.log")).unwrap()
}

#[test]
fn kafkas_own_log_is_read_and_gone_on_with() {
    let (_, files) = disk();
    kafkas_folder(&files);
    let (_, leading) = start(&files, 1);
    let image = &leading.image;
    let t2 = image.topic("t2").unwrap();
    assert_eq!(t2.id.to_string(), "ZBIZP7ZlSHawOA4aYpK5yg");
    assert!(t2.partitions.len() >= 2);
    assert_eq!(image.owner(t2, 0, ShardId(0)), Owner::Local);
    assert_eq!(image.topic("__consumer_offsets").unwrap().partitions.len(), 50);
    let compact = image.topic("__consumer_offsets").unwrap().configs.get("cleanup.policy").cloned();
    assert_eq!(compact.as_deref(), Some("compact"));
    assert_eq!((image.next_producer_id(), image.feature_level("transaction.version")), (1000, 2));
    assert_eq!(image.brokers().map(|broker| (broker.node, broker.port)).collect::<Vec<_>>(), [(NodeId(1), 9092)]);
    // 770 records of Kafka's, the epoch, the broker, and a leader for each of 153 partitions: a clean stop of Kafka's
    // leaves them without one.
    assert_eq!((leading.log.epoch(), leading.log.end_offset()), (2, 770 + 1 + 1 + 153));
    let state = files.read(Path::new("/log/__cluster_metadata-0/quorum-state")).unwrap();
    assert_eq!(quorum::epoch_of(&String::from_utf8(state).unwrap()), Some(2));
}

#[test]
fn every_record_of_kafkas_log_is_written_back_byte_for_byte() {
    let mut scratch = Scratch::default();
    let mut count = 0;
    for batch in Batches::new(KAFKAS_LOG).map(Result::unwrap).filter(|batch| !batch.header.is_control()) {
        for record in batch.records(&mut scratch, READ_BYTES).unwrap() {
            let value = record.unwrap().value.unwrap().to_vec();
            let (record, version) = MetadataRecord::decode_value(&value).unwrap();
            assert_eq!(record.encode_value(version).unwrap(), value, "{record:?}");
            count += 1;
        }
    }
    assert_eq!(count, 769);
}

#[test]
fn an_epoch_begins_with_the_control_record_that_kafka_writes() {
    let (_, files) = disk();
    start(&files, 1);
    let ours = log_bytes(&files);
    let first = |log: &[u8]| {
        let batch = Batches::new(log).next().unwrap().unwrap();
        let mut scratch = Scratch::default();
        let record = batch.records(&mut scratch, READ_BYTES).unwrap().next().unwrap().unwrap();
        let (key, value) = (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec));
        (batch.header.attributes, batch.header.partition_leader_epoch, batch.header.base_offset, key, value)
    };
    assert_eq!(first(&ours), first(KAFKAS_LOG));
}

#[test]
fn a_new_folder_takes_the_features_that_it_was_formatted_with() {
    let (_, files) = disk();
    put(&files, "/log/bootstrap.checkpoint", KAFKAS_BOOTSTRAP);
    let (_, leading) = start(&files, 1);
    assert_eq!(leading.image.feature_level("transaction.version"), 2);
    assert_eq!(leading.image.feature_level("metadata.version"), 30);
    drop(leading);
    let (_, leading) = start(&files, 1);
    assert_eq!(leading.image.feature_level("transaction.version"), 2, "they are in the log now");
}

#[test]
fn what_was_written_is_there_after_each_kind_of_stop() {
    for clean in [true, false] {
        let (_, files) = disk();
        let (dir, mut leading) = start(&files, 2);
        let proposal = create(&mut leading.controller, vec![topic("t", 3, &[("flush.messages", "1")])]);
        leading.log.append(&proposal.records, WALL_MS).unwrap();
        let block = decide(&mut leading.controller, Call::ProducerIds(NodeId(2)));
        leading.log.append(&block.records, WALL_MS).unwrap();
        assert_eq!(block.outcome, Decided::ProducerIds(0..1000));
        assert_eq!(block.image.version() + 1, leading.log.end_offset());
        if clean {
            let checkpointed = leading.log.close().unwrap();
            dir.close_clean(&[(name(), checkpointed)].into()).unwrap();
        } else {
            drop((leading, dir));
        }
        let (_, again) = start(&files, 2);
        let partitions = |image: &Image| -> Vec<_> {
            let topic = image.topic("t").unwrap();
            topic.partitions.values().map(|partition| (partition.leader, partition.replicas.clone())).collect()
        };
        assert_eq!(partitions(&again.image), partitions(&block.image), "clean: {clean}");
        assert_eq!(again.image.topic("t").map(|topic| topic.id), block.image.topic("t").map(|topic| topic.id));
        assert_eq!(again.image.next_producer_id(), 1000);
        assert_eq!(again.log.epoch(), 2);
    }
}

#[test]
fn a_change_that_was_cut_off_never_happened() {
    let (_, files) = disk();
    let (dir, mut leading) = start(&files, 1);
    let before = log_bytes(&files).len();
    let proposal = create(&mut leading.controller, vec![topic("t", 3, &[])]);
    leading.log.append(&proposal.records, WALL_MS).unwrap();
    drop((leading, dir));
    let whole = log_bytes(&files).len();
    for len in [before + 1, before + 61, whole - 1] {
        let file =
            files.open(Path::new("/log/__cluster_metadata-0/00000000000000000000.log"), OpenMode::Write).unwrap();
        files.truncate(&file, len as u64).unwrap();
        let (_, again) = start(&files, 1);
        assert_eq!(again.image.topic("t"), None, "{len} bytes of {whole}");
    }
}

#[test]
fn a_power_cut_loses_no_change_that_was_synced() {
    let (sim, files) = disk();
    let (dir, mut leading) = start(&files, 1);
    let synced = create(&mut leading.controller, vec![topic("synced", 2, &[])]);
    let end = leading.log.append(&synced.records, WALL_MS).unwrap();
    leading.log.sync(files.as_ref()).unwrap();
    assert_eq!(leading.log.flushed_offset(), end);
    let lost = create(&mut leading.controller, vec![topic("unsynced", 2, &[])]);
    leading.log.append(&lost.records, WALL_MS).unwrap();
    drop((leading, dir));
    sim.crash();
    sim.power_on();
    let (_, again) = start_in_boot(&files, 1, "next boot");
    let id = |image: &Image| image.topic("synced").map(|topic| topic.id);
    assert_eq!(id(&again.image), id(&synced.image));
    assert_eq!(again.log.epoch(), 2);
}

#[test]
fn a_start_with_other_shards_moves_partitions_by_records() {
    let (_, files) = disk();
    let (dir, mut leading) = start(&files, 1);
    let proposal = create(&mut leading.controller, vec![topic("t", 6, &[])]);
    leading.log.append(&proposal.records, WALL_MS).unwrap();
    drop((leading, dir));
    let leaders = |image: &Image| -> Vec<i32> {
        image.topic("t").unwrap().partitions.values().map(|partition| partition.leader.0).collect()
    };
    for (shards, expected) in [(3, [1, 1, 3, 2, 3, 2]), (2, [1, 1, 1, 2, 2, 2]), (1, [1; 6])] {
        let (dir, leading) = start(&files, shards);
        assert_eq!(leaders(&leading.image), expected);
        assert_eq!(leading.image.brokers().count(), usize::from(shards));
        drop((leading, dir));
    }
}

/// KIP-320: after a power cut the same offsets hold other records, and a client that knows the old epoch can tell.
#[test]
fn an_unclean_stop_makes_the_leader_epoch_rise_and_a_clean_one_does_not() {
    let (sim, files) = disk();
    let (dir, mut leading) = start(&files, 1);
    let proposal = create(&mut leading.controller, vec![topic("t", 1, &[])]);
    leading.log.append(&proposal.records, WALL_MS).unwrap();
    let epoch = |leading: &Leading| leading.image.topic("t").unwrap().partition(0).unwrap().leader_epoch;
    let checkpointed = leading.log.close().unwrap();
    dir.close_clean(&[(name(), checkpointed)].into()).unwrap();
    let (dir, leading) = start(&files, 1);
    assert_eq!(epoch(&leading), 0, "after a clean stop");
    drop((leading, dir));
    let (dir, leading) = start(&files, 1);
    assert_eq!(epoch(&leading), 1, "after a kill");
    drop((leading, dir));
    sim.crash();
    sim.power_on();
    let (dir, leading) = start_in_boot(&files, 1, "next boot");
    assert_eq!(epoch(&leading), 2, "after a power cut");
    drop((leading, dir));
    sim.crash();
    sim.power_on();
    let (_, leading) = start_in_boot(&files, 1, "boot after");
    assert_eq!(epoch(&leading), 3, "a rise is on the disk before anybody is served");
}

#[test]
fn a_damaged_log_is_refused_with_the_offset() {
    let mut replay = Replay::new(Image::empty("c", Settings::of(&[]).here()), 0);
    let mut damaged = KAFKAS_LOG.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let error = replay.batches(&damaged).unwrap_err().to_string();
    assert!(error.contains("the batch at offset 769 cannot be read: CRC"), "{error}");
}

/// A controller of Kafka's writes a large change between two marks, and may be killed before the second one.
#[test]
fn a_transaction_that_was_left_open_is_ended_before_anything_is_written() {
    let (_, files) = disk();
    let (dir, mut leading) = start(&files, 1);
    let begun = BeginTransactionRecord { name: Some("Bootstrap records".to_owned()), ..Default::default() };
    let lost = TopicRecord { name: "lost".to_owned(), topic_id: Uuid([4; 16]), ..Default::default() };
    leading.log.append(&[begun.into(), lost.into()], WALL_MS).unwrap();
    drop((leading, dir));
    let (dir, mut leading) = start(&files, 1);
    assert_eq!(leading.image.topic("lost"), None);
    let proposal = create(&mut leading.controller, vec![topic("kept", 1, &[])]);
    leading.log.append(&proposal.records, WALL_MS).unwrap();
    let epochs = leading.image.brokers().map(|broker| broker.epoch).collect::<Vec<_>>();
    drop((leading, dir));
    let (_, again) = start(&files, 1);
    assert!(again.image.topic("kept").is_some() && again.image.topic("lost").is_none());
    // Leader and records of the first start, the two of the transaction, leader, abort: the broker's record follows.
    assert_eq!(epochs, [first_records() + 2 + 2]);
}

/// The offset after what a first start writes.
fn first_records() -> i64 {
    let (_, files) = disk();
    start(&files, 1).1.log.end_offset()
}

//! The folder that all partitions share: lock, identity, checkpoints, and how a broker stopped.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use ringlog_io::sim::{Fault, Op};
use ringlog_io::{Files, Job, OsFiles};
use ringlog_storage::{
    Checkpointed, Known, LogConfig, LogDir, LogDirOptions, Partition, PartitionName, Startup, StorageError,
};
use ringlog_wire::Uuid;
use support::{WALL_MS, append, batch, copy_golden, disk, golden, put};

fn options() -> LogDirOptions {
    LogDirOptions {
        cluster_id: None,
        new_cluster_id: "new-cluster".to_owned(),
        node_id: 1,
        new_directory_id: Uuid([5; 16]),
        boot_id: "boot-1".to_owned(),
    }
}

fn name(topic: &str, partition: i32) -> PartitionName {
    PartitionName { topic: topic.to_owned(), partition }
}

fn open(files: &Rc<dyn Files>, options: &LogDirOptions) -> Result<LogDir, StorageError> {
    LogDir::open(files, Path::new("/log"), options)
}

#[test]
fn a_log_directory_that_was_just_made_survives_a_power_cut() {
    for seed in 0..20 {
        let (sim, files) = disk(seed);
        LogDir::open(&files, Path::new("/data/kafka/log"), &options()).unwrap();
        sim.crash();
        sim.power_on();
        assert!(files.exists(Path::new("/data/kafka/log/meta.properties")), "seed {seed}");
    }
}

#[test]
fn the_note_of_the_last_stop_decides_how_to_start() {
    let (sim, files) = disk(1);
    let first = open(&files, &options()).unwrap();
    assert_eq!(first.startup(), Startup::NewBoot, "a new folder: nothing is known");
    drop(first);
    assert_eq!(open(&files, &options()).unwrap().startup(), Startup::NewBoot, "killed before it had recovered");
    open(&files, &options()).unwrap().recovered().perform(&*files).unwrap();
    assert_eq!(open(&files, &options()).unwrap().startup(), Startup::SameBoot);
    open(&files, &options()).unwrap().close_clean(&BTreeMap::new()).unwrap();
    assert!(files.exists(Path::new("/log/.kafka_cleanshutdown")));
    let clean = open(&files, &options()).unwrap();
    assert_eq!(clean.startup(), Startup::Clean);
    assert!(!files.exists(Path::new("/log/.kafka_cleanshutdown")), "it holds once");
    drop(clean);
    assert_eq!(open(&files, &options()).unwrap().startup(), Startup::SameBoot, "all was trusted in this boot");
    let next_boot = LogDirOptions { boot_id: "boot-2".to_owned(), ..options() };
    assert_eq!(open(&files, &next_boot).unwrap().startup(), Startup::NewBoot);
    sim.crash();
    sim.power_on();
    assert_eq!(open(&files, &next_boot).unwrap().startup(), Startup::NewBoot);
}

#[test]
fn a_second_broker_is_told_that_the_folder_is_in_use() {
    let (_, files) = disk(1);
    let first = open(&files, &options()).unwrap();
    let error = open(&files, &options()).err().unwrap();
    assert!(matches!(error, StorageError::Locked { .. }));
    assert!(error.to_string().contains("/log/.lock is in use by another broker"), "{error}");
    drop(first);
    open(&files, &options()).unwrap();
}

#[test]
fn a_new_folder_gets_its_identity_and_keeps_it() {
    let (_, files) = disk(1);
    let made = open(&files, &options()).unwrap();
    assert_eq!((made.cluster_id(), made.directory_id()), ("new-cluster", Uuid([5; 16])));
    drop(made);
    let other = LogDirOptions { new_cluster_id: "x".to_owned(), new_directory_id: Uuid([6; 16]), ..options() };
    let again = open(&files, &other).unwrap();
    assert_eq!((again.cluster_id(), again.directory_id()), ("new-cluster", Uuid([5; 16])));
}

#[test]
fn a_folder_of_another_node_or_cluster_is_refused() {
    let (_, files) = disk(1);
    drop(open(&files, &options()).unwrap());
    let error = open(&files, &LogDirOptions { node_id: 2, ..options() }).err().unwrap().to_string();
    assert!(error.contains("node.id=1 there, 2 in the settings"), "{error}");
    let error = open(&files, &LogDirOptions { cluster_id: Some("b".to_owned()), ..options() }).err().unwrap();
    assert!(error.to_string().contains("cluster.id=new-cluster there, b in the settings"), "{error}");
    put(&files, Path::new("/log/meta.properties"), b"version=1\nnode.id=1\n");
    assert!(matches!(open(&files, &options()).err().unwrap(), StorageError::Corrupt { .. }));
}

#[test]
fn checkpoints_are_kafkas_text() {
    let (_, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    let all = BTreeMap::from([
        (
            name("b-c", 1),
            Checkpointed { topic_id: Uuid([1; 16]), recovery_point: 7, log_start_offset: 3, cleaned_offset: 5 },
        ),
        (
            name("a", 0),
            Checkpointed { topic_id: Uuid([2; 16]), recovery_point: 9, log_start_offset: 0, cleaned_offset: 0 },
        ),
    ]);
    dir.write_checkpoints(&all).unwrap();
    drop(dir);
    let read = |name| String::from_utf8(files.read(&Path::new("/log").join(name)).unwrap()).unwrap();
    assert_eq!(read("recovery-point-offset-checkpoint"), "0\n2\na 0 9\nb-c 1 7\n");
    assert_eq!(read("log-start-offset-checkpoint"), "0\n1\nb-c 1 3\n");
    assert_eq!(read("cleaner-offset-checkpoint"), "0\n1\nb-c 1 5\n");
    let dir = open(&files, &options()).unwrap();
    assert_eq!(dir.checkpointed(&name("b-c", 1)), all[&name("b-c", 1)]);
    assert_eq!(dir.checkpointed(&name("unknown", 0)), Checkpointed::default());
}

#[test]
fn a_directory_of_kafkas_is_ours() {
    let (_, files) = disk(1);
    for folder in ["t2-0", "__consumer_offsets-12", "__cluster_metadata-0"] {
        copy_golden(&files, folder);
    }
    for file in ["meta.properties", "recovery-point-offset-checkpoint", "log-start-offset-checkpoint"] {
        put(&files, &Path::new("/log").join(file), &OsFiles::new().read(&golden(file)).unwrap());
    }
    let dir = open(&files, &options()).unwrap();
    assert_eq!(dir.cluster_id(), "X0CIDpPDSkS0efw0FcgJHw");
    assert_eq!(dir.directory_id().to_string(), "JluT1aNypd99MVN2Zdytiw");
    let names = dir.partitions().unwrap();
    assert_eq!(names, [name("__cluster_metadata", 0), name("__consumer_offsets", 12), name("t2", 0)]);
    assert_eq!(dir.checkpointed(&name("t2", 0)).recovery_point, 645);
}

fn partition(files: &Rc<dyn Files>, folder: &str, topic_id: Uuid) {
    let dir = Path::new("/log").join(folder);
    Partition::create(files, &dir, topic_id, LogConfig::default(), WALL_MS).unwrap();
}

#[test]
fn a_sweep_takes_what_is_no_topics_out_of_the_way_and_leaves_the_rest_alone() {
    let (_, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    let (now, before) = (Uuid([0xaa; 16]), Uuid([0xbb; 16]));
    for (folder, topic_id) in [("a-0", now), ("a-1", before), ("gone-0", before), ("gone-1", Uuid::ZERO)] {
        partition(&files, folder, topic_id);
    }
    for folder in ["unnamed-0", "b-1.0505-delete", "b-2.0505-stray", "not a partition", "c-x"] {
        files.create_dir_all(&Path::new("/log").join(folder)).unwrap();
    }
    let there = |name: &PartitionName| ["a", "unnamed"].contains(&name.topic.as_str());
    let jobs = dir.sweep(there).unwrap();
    // Whose the folders of a topic are that is there is asked when they are opened.
    assert_eq!(dir.partitions().unwrap(), [name("a", 0), name("a", 1), name("unnamed", 0)]);
    assert_eq!(jobs, [Job::RemoveDir { dir: "/log/b-1.0505-delete".into() }]);
    let kept = format!("/log/gone-0.{}-stray/00000000000000000000.log", "bb".repeat(16));
    assert!(files.exists(Path::new(&kept)), "no byte is lost");
    for folder in ["b-2.0505-stray", "not a partition", "c-x"] {
        assert!(files.exists(&Path::new("/log").join(folder)), "{folder}");
    }
    partition(&files, "gone-0", before);
    dir.sweep(there).unwrap();
    assert_eq!(dir.partitions().unwrap().len(), 3, "a second one finds a free name");
}

#[test]
fn a_folder_that_cannot_be_set_aside_stops_nobody() {
    let (sim, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    partition(&files, "gone-0", Uuid([1; 16]));
    partition(&files, "gone-1", Uuid([1; 16]));
    sim.fail(Fault::nth(Op::Rename, 1, 5));
    dir.sweep(|_| false).unwrap();
    assert_eq!(dir.partitions().unwrap(), [name("gone", 0)]);
}

#[test]
fn what_a_checkpoint_says_does_not_outlive_its_topic() {
    let (_, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    let (old, new) = (Uuid([1; 16]), Uuid([2; 16]));
    let said = Checkpointed { topic_id: old, recovery_point: 2, log_start_offset: 0, cleaned_offset: 0 };
    dir.write_checkpoints(&BTreeMap::from([(name("t", 0), said)])).unwrap();
    drop(dir);

    // The topic was deleted and made again; its second record reached the file, but not the disk.
    let path = Path::new("/log/t-0");
    let mut log = Partition::create(&files, path, new, LogConfig::default(), WALL_MS).unwrap();
    append(&mut log, &batch(1, &[b"first"])).unwrap();
    append(&mut log, &batch(2, &[b"second"])).unwrap();
    drop(log);
    let name_of_log = path.join("00000000000000000000.log");
    let mut bytes = files.read(&name_of_log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    put(&files, &name_of_log, &bytes);

    let checkpointed = open(&files, &options()).unwrap().checkpointed(&name("t", 0));
    assert_eq!(checkpointed, said);
    let known = Known { topic_id: new, startup: Startup::NewBoot, checkpointed };
    let (log, report) = Partition::open_at(&files, path, LogConfig::default(), known, WALL_MS).unwrap();
    assert_eq!((log.end_offset(), report.cuts.len()), (1, 1), "everything is checked");
}

#[test]
fn what_is_said_of_a_topic_that_was_made_after_the_last_checkpoint_does_not_count() {
    let (_, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    let at = |id| Checkpointed { topic_id: Uuid([id; 16]), recovery_point: 7, log_start_offset: 3, cleaned_offset: 0 };
    dir.write_checkpoints(&BTreeMap::from([(name("a", 0), at(1))])).unwrap();
    // A kill between the files: the offsets speak of a topic that the ids do not know yet.
    let both = BTreeMap::from([(name("a", 0), at(1)), (name("b", 0), at(2))]);
    dir.checkpoint_jobs(&both)[..2].iter().for_each(|job| drop(job.perform(&*files).unwrap()));
    drop(dir);
    let dir = open(&files, &options()).unwrap();
    assert_eq!(dir.checkpointed(&name("a", 0)), at(1));
    assert_eq!(dir.checkpointed(&name("b", 0)), Checkpointed::default());
}

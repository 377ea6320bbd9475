//! The folder that all partitions share: lock, identity, checkpoints, and how a broker stopped.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use ringlog_io::{Files, OsFiles};
use ringlog_storage::{Checkpointed, LogDir, LogDirOptions, PartitionName, Startup, StorageError};
use ringlog_wire::Uuid;
use support::{copy_golden, disk, golden, put};

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
fn the_note_of_the_last_stop_decides_how_to_start() {
    let (sim, files) = disk(1);
    let first = open(&files, &options()).unwrap();
    assert_eq!(first.startup(), Startup::NewBoot, "a new folder: nothing is known");
    drop(first);
    assert_eq!(open(&files, &options()).unwrap().startup(), Startup::NewBoot, "killed before it had recovered");
    open(&files, &options()).unwrap().recovered().unwrap();
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
        (name("b-c", 1), Checkpointed { recovery_point: 7, log_start_offset: 3 }),
        (name("a", 0), Checkpointed { recovery_point: 9, log_start_offset: 0 }),
    ]);
    dir.write_checkpoints(&all).unwrap();
    drop(dir);
    let read = |name| String::from_utf8(files.read(&Path::new("/log").join(name)).unwrap()).unwrap();
    assert_eq!(read("recovery-point-offset-checkpoint"), "0\n2\na 0 9\nb-c 1 7\n");
    assert_eq!(read("log-start-offset-checkpoint"), "0\n1\nb-c 1 3\n");
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

#[test]
fn folders_of_deleted_topics_are_removed_and_others_are_left_alone() {
    let (_, files) = disk(1);
    let dir = open(&files, &options()).unwrap();
    for folder in ["a-0", "b-1.0505-delete", "not a partition", "c-x"] {
        files.create_dir_all(&Path::new("/log").join(folder)).unwrap();
    }
    assert_eq!(dir.partitions().unwrap(), [name("a", 0)]);
    assert!(!files.exists(Path::new("/log/b-1.0505-delete")));
    assert!(files.exists(Path::new("/log/not a partition")) && files.exists(Path::new("/log/c-x")));
}

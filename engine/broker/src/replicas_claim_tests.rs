//! A topic that is deleted and made again has another id: what a kill left of the old one is never served for the new one.

use std::path::Path;

use ringlog_io::sim::SimFiles;
use ringlog_storage::{NewBatch, Origin};
use ringlog_wire::Uuid;
use ringlog_wire::batch::{BatchBuilder, Rules, validate};
use ringlog_wire::compression::Scratch;

use super::*;

const WALL_MS: i64 = 1_700_000_000_000;

fn opening(id: u8, how: Startup) -> Opening {
    Opening {
        topic: Rc::from("orders"),
        key: PartitionKey { topic_id: Uuid([id; 16]), partition: 0 },
        role: Role { leader_epoch: 0, rules: Rules::default(), in_sync_replicas_missing: 0 },
        config: LogConfig::default(),
        how,
        checkpointed: Checkpointed::default(),
    }
}

fn end_offset(replicas: &Replicas, id: u8) -> i64 {
    let place = replicas.find(PartitionKey { topic_id: Uuid([id; 16]), partition: 0 }).expect("led here");
    replicas.at(place).log().end_offset()
}

fn append(replicas: &mut Replicas, id: u8) {
    let place = replicas.find(PartitionKey { topic_id: Uuid([id; 16]), partition: 0 }).expect("led here");
    let mut builder = BatchBuilder::new();
    builder.append(WALL_MS, None, Some(b"of the first topic"), &[]);
    let bytes = builder.finish(&mut Scratch::default()).expect("a batch").to_vec();
    let validated = validate(&bytes, &Rules::default(), WALL_MS, &mut Scratch::default()).expect("a good one");
    let batch = NewBatch { validated: &validated, bytes: &bytes, origin: Origin::Client };
    replicas.at_mut(place).log_mut().append(&[batch], 0, WALL_MS).remove(0).expect("appended");
}

#[test]
fn a_topic_of_the_same_name_does_not_get_the_records_of_the_one_before() {
    let files: Rc<dyn Files> = SimFiles::new(1);
    files.create_dir_all(Path::new("/log")).expect("a folder");
    let replicas = || Replicas::new(Rc::clone(&files), "/log".into());
    let mut before = replicas();
    before.open(opening(1, Startup::NewBoot), WALL_MS).expect("made");
    append(&mut before, 1);
    // Killed after the topic was deleted, before its folder was; the next start did not find it either.
    drop(before);
    for how in [Startup::SameBoot, Startup::NewBoot, Startup::Clean] {
        let mut after = replicas();
        after.open(opening(2, how), WALL_MS).expect("made anew");
        assert_eq!(end_offset(&after, 2), 0, "{how:?}");
    }
    let names: Vec<String> = files.list(Path::new("/log")).expect("a list").into_iter().map(|it| it.name).collect();
    assert_eq!(names.len(), 2, "the new one, and the old one set aside: {names:?}");
}

#[test]
fn a_deleted_partition_leaves_nothing_behind() {
    let files: Rc<dyn Files> = SimFiles::new(1);
    let mut replicas = Replicas::new(Rc::clone(&files), "/log".into());
    replicas.open(opening(1, Startup::NewBoot), WALL_MS).expect("made");
    append(&mut replicas, 1);
    let key = PartitionKey { topic_id: Uuid([1; 16]), partition: 0 };
    let job = replicas.remove(key, &mut News::default()).expect("it was led here");
    let names: Vec<String> = files.list(Path::new("/log")).expect("a list").into_iter().map(|it| it.name).collect();
    assert!(names[0].ends_with("-delete"), "from now on it is no partition's: {names:?}");
    job.expect("renamed").perform(&*files).expect("removed");
    assert!(files.list(Path::new("/log")).expect("a list").is_empty());
}

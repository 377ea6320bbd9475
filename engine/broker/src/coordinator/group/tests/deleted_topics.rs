//! Offsets of deleted topics: what goes, what stays, and what a kill left behind.

use ringlog_wire::messages::offset_commit::OffsetCommitRequestPartition;
use ringlog_wire::records::group::GroupKey;

use super::commit::commit;
use super::*;

/// The topic `t` of [`ONE_TOPIC`] is gone.
fn deleted() -> BTreeMap<String, Uuid> {
    BTreeMap::from([("t".to_owned(), TOPIC_ID)])
}

impl Rig {
    fn topics_deleted(&mut self, deleted: &BTreeMap<String, Uuid>) {
        let effects = self.coordinator.topics_deleted(deleted, self.at);
        self.act(effects);
    }
}

/// Partitions of the tombstones from a place in the log on.
fn tombstones(log: &[KeyValue]) -> Vec<i32> {
    let partition = |(key, value): &KeyValue| match GroupKey::decode(key).unwrap() {
        GroupKey::Offset(key) if value.is_none() => key.partition,
        other => panic!("{other:?} {value:?}"),
    };
    log.iter().map(partition).collect()
}

#[test]
fn offsets_go_with_their_topic() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.stored(2, 7);
    let written = rig.log.len();
    rig.topics_deleted(&deleted());
    assert_eq!(rig.offset_of(2), Some(7), "what is not yet in the log still counts");
    rig.settle();
    assert_eq!((rig.offset_of(0), rig.offset_of(2)), (None, None));
    assert_eq!(tombstones(&rig.log[written..]), [0, 2]);
    rig.topics_deleted(&deleted());
    assert!(rig.appending.is_empty(), "there is nothing left to forget");
}

#[test]
fn members_lose_the_offsets_of_a_topic_too() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    let ids = rig.stable(2);
    rig.topics_deleted(&deleted());
    rig.settle();
    assert_eq!(rig.offset_of(0), None);
    assert_eq!((rig.state(), rig.members().len()), (State::Stable, ids.len()), "the group goes on");
}

#[test]
fn a_commit_that_was_on_its_way_goes_too_and_a_later_one_stays() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.ask(8, GroupRequest::OffsetCommit(commit(1, 6)));
    rig.topics_deleted(&deleted());
    rig.ask(8, GroupRequest::OffsetCommit(commit(0, 9)));
    rig.settle();
    assert_eq!((rig.offset_of(0), rig.offset_of(1)), (Some(9), None));
}

#[test]
fn the_offsets_of_another_topic_of_that_name_stay() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.topics_deleted(&BTreeMap::from([("t".to_owned(), Uuid([8; 16])), ("u".to_owned(), TOPIC_ID)]));
    assert!(rig.appending.is_empty());
}

#[test]
fn many_offsets_go_in_several_batches() {
    let wide = Cluster { id: Some(TOPIC_ID), partitions: 2_500 };
    let mut rig = Rig::new();
    let mut request = commit(0, 1);
    let one = request.topics[0].partitions[0].clone();
    request.topics[0].partitions =
        (0..2_500).map(|partition_index| OffsetCommitRequestPartition { partition_index, ..one.clone() }).collect();
    let caller = Caller { to: ReplyTo(0), api_version: 8, client_id: "", client_host: "" };
    rig.asked = 1;
    let request = GroupRequest::OffsetCommit(request);
    let effects = rig.coordinator.handle(caller, request, &wide, &mut || 1, rig.at);
    rig.act(effects);
    rig.settle();
    rig.topics_deleted(&deleted());
    assert_eq!(rig.appending.iter().map(|(_, records)| records.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    rig.settle();
    assert!(rig.coordinator.groups[GROUP].offsets.is_empty());
}

/// Every topic is gone.
const NO_TOPICS: Cluster = Cluster { id: None, partitions: 0 };

#[test]
fn what_a_kill_left_is_swept_when_the_partition_is_loaded() {
    let mut rig = Rig::new();
    rig.stored(1, 5);
    let effects = rig.coordinator.sweep(0, &ONE_TOPIC, rig.at);
    assert_eq!(effects, [], "the topic is there");
    let effects = rig.coordinator.sweep(0, &NO_TOPICS, rig.at);
    rig.act(effects);
    rig.settle();
    assert_eq!(rig.offset_of(1), None);
}

#[test]
fn tombstones_that_cannot_be_written_are_written_at_a_later_sweep() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.topics_deleted(&deleted());
    rig.fail_appends(ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!((rig.offset_of(0), rig.coordinator.has_unswept()), (Some(5), true));
    assert_eq!(rig.coordinator.take_unswept().into_iter().collect::<Vec<_>>(), [0]);
    let effects = rig.coordinator.sweep(0, &NO_TOPICS, rig.at);
    rig.act(effects);
    rig.settle();
    assert_eq!((rig.offset_of(0), rig.coordinator.has_unswept()), (None, false));
    rig.stored(0, 6);
    rig.topics_deleted(&deleted());
    let effects = rig.coordinator.unload(0);
    rig.act(effects);
    rig.settle();
    assert!(!rig.coordinator.has_unswept(), "who loads it next sweeps it");
}

//! DeleteGroups and OffsetDelete: who may go, what the log is told, and what came meanwhile.

use ringlog_wire::messages::consumer_protocol::ConsumerProtocolSubscription;
use ringlog_wire::messages::delete_groups::DeleteGroupsRequest;
use ringlog_wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ringlog_wire::records::group::GroupKey;
use ringlog_wire::{Message, Writer};

use super::commit::commit;
use super::*;

impl Rig {
    pub(super) fn stored(&mut self, partition: i32, offset: i64) {
        self.ask(8, GroupRequest::OffsetCommit(commit(partition, offset)));
        self.settle();
    }

    fn delete(&mut self, groups: &[&str]) -> Ask {
        let groups_names = groups.iter().map(|name| (*name).to_owned()).collect();
        self.ask(2, GroupRequest::Delete(DeleteGroupsRequest { groups_names, ..Default::default() }))
    }

    fn deleted(&self, ask: Ask) -> Vec<(String, ErrorCode)> {
        match self.answer(ask) {
            Some(GroupResponse::Delete(response)) => {
                response.results.iter().map(|one| (one.group_id.clone(), ErrorCode(one.error_code))).collect()
            }
            other => panic!("{ask:?} has no answer but {other:?}"),
        }
    }

    fn delete_offset(&mut self, group: &str, topic: &str, partition: i32) -> Ask {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: partition, ..Default::default() }];
        let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions, ..Default::default() }];
        let request = OffsetDeleteRequest { group_id: group.into(), topics, ..Default::default() };
        self.ask(0, GroupRequest::OffsetDelete(request))
    }

    /// The error of the request, and that of its only partition.
    fn offset_deleted(&self, ask: Ask) -> (ErrorCode, Option<ErrorCode>) {
        match self.answer(ask) {
            Some(GroupResponse::OffsetDelete(response)) => {
                let partition = response.topics.first().map(|topic| ErrorCode(topic.partitions[0].error_code));
                (ErrorCode(response.error_code), partition)
            }
            other => panic!("{ask:?} has no answer but {other:?}"),
        }
    }

    pub(super) fn offset_of(&self, partition: i32) -> Option<i64> {
        self.coordinator.groups.get(GROUP)?.offsets.get("t", partition).map(|committed| committed.offset)
    }
}

/// What a consumer of these topics sends when it joins.
fn subscribed(topics: &[&str]) -> Vec<u8> {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    let subscription = ConsumerProtocolSubscription { topics, ..Default::default() };
    let mut body = Writer::new();
    subscription.encode(&mut body, 1).unwrap();
    [&1_i16.to_be_bytes()[..], &body.bytes].concat()
}

#[test]
fn an_empty_group_goes_with_its_offsets_once_the_log_has_the_tombstones() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.stored(2, 7);
    let written = rig.log.len();
    let ask = rig.delete(&[GROUP]);
    assert!(rig.waits(ask));
    assert_eq!(rig.offset_of(2), Some(7), "what is not yet in the log still counts");
    rig.settle();
    assert_eq!(rig.deleted(ask), [(GROUP.to_owned(), ErrorCode::NONE)]);
    assert!(!rig.coordinator.groups.contains_key(GROUP));

    let tombstones = &rig.log[written..];
    assert!(tombstones.iter().all(|(_, value)| value.is_none()));
    let keys: Vec<GroupKey> = tombstones.iter().map(|(key, _)| GroupKey::decode(key).unwrap()).collect();
    let offsets: Vec<i32> = keys
        .iter()
        .filter_map(|key| match key {
            GroupKey::Offset(key) => Some(key.partition),
            _ => None,
        })
        .collect();
    assert_eq!(offsets, [0, 2]);
    assert!(matches!(&keys[2], GroupKey::Group(key) if key.group == GROUP), "the group itself is last");
}

#[test]
fn groups_are_refused_one_by_one() {
    let mut rig = Rig::new();
    rig.stable(1);
    let ask = rig.delete(&["nobody", GROUP, "nobody"]);
    let due = [("nobody".to_owned(), ErrorCode::GROUP_ID_NOT_FOUND), (GROUP.to_owned(), ErrorCode::NON_EMPTY_GROUP)];
    assert_eq!(rig.deleted(ask), due);
    rig.coordinator.unload(0);
    let ask = rig.delete(&[GROUP]);
    assert_eq!(rig.deleted(ask), [(GROUP.to_owned(), ErrorCode::NOT_COORDINATOR)]);
}

#[test]
fn what_comes_while_a_group_is_deleted_stays() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    let ask = rig.delete(&[GROUP]);
    rig.ask(8, GroupRequest::OffsetCommit(commit(1, 9)));
    rig.settle();
    assert_eq!(rig.deleted(ask), [(GROUP.to_owned(), ErrorCode::NONE)]);
    assert_eq!((rig.offset_of(0), rig.offset_of(1)), (None, Some(9)));

    let ask = rig.delete(&[GROUP]);
    let (member, join) = rig.arrive();
    rig.settle();
    assert_eq!(rig.deleted(ask), [(GROUP.to_owned(), ErrorCode::NONE)]);
    assert_eq!(rig.offset_of(1), None);
    rig.pass_ms(INITIAL_DELAY_MS);
    assert_eq!(rig.join_error(join), ErrorCode::NONE);
    assert_eq!(rig.members(), BTreeSet::from([member]));
}

#[test]
fn tombstones_that_cannot_be_written_leave_the_group_as_it_is() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    let group = rig.delete(&[GROUP]);
    let offset = rig.delete_offset(GROUP, "t", 0);
    rig.fail_appends(ErrorCode::KAFKA_STORAGE_ERROR);
    assert_eq!(rig.deleted(group), [(GROUP.to_owned(), ErrorCode::NOT_COORDINATOR)]);
    assert_eq!(rig.offset_deleted(offset), (ErrorCode::NOT_COORDINATOR, None));
    assert_eq!(rig.offset_of(0), Some(5));
}

#[test]
fn a_partition_that_is_unloaded_answers_who_deletes() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    let group = rig.delete(&[GROUP, "nobody"]);
    let offset = rig.delete_offset(GROUP, "t", 0);
    let effects = rig.coordinator.unload(0);
    rig.act(effects);
    assert_eq!(rig.deleted(group)[0].1, ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.offset_deleted(offset).0, ErrorCode::NOT_COORDINATOR);
    rig.settle();
}

#[test]
fn one_offset_goes_and_the_others_stay() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    rig.stored(1, 6);
    let ask = rig.delete_offset(GROUP, "t", 0);
    rig.settle();
    assert_eq!(rig.offset_deleted(ask), (ErrorCode::NONE, Some(ErrorCode::NONE)));
    assert_eq!((rig.offset_of(0), rig.offset_of(1)), (None, Some(6)));
    let log = rig.log.len();
    let again = rig.delete_offset(GROUP, "t", 0);
    assert_eq!(rig.offset_deleted(again), (ErrorCode::NONE, Some(ErrorCode::NONE)), "nothing to do is no error");
    assert_eq!(rig.log.len(), log);
}

#[test]
fn offsets_are_refused_in_kafkas_order() {
    let mut rig = Rig::new();
    let ask = rig.delete_offset("", "t", 0);
    assert_eq!(rig.offset_deleted(ask), (ErrorCode::INVALID_GROUP_ID, None));
    let ask = rig.delete_offset(GROUP, "t", 0);
    assert_eq!(rig.offset_deleted(ask), (ErrorCode::GROUP_ID_NOT_FOUND, None));
    rig.stored(0, 5);
    for (topic, partition) in [("t", 3), ("t", -1), ("other", 0)] {
        let ask = rig.delete_offset(GROUP, topic, partition);
        assert_eq!(rig.offset_deleted(ask).1, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{topic}-{partition}");
    }
}

#[test]
fn a_topic_that_a_member_reads_keeps_its_offsets() {
    for (metadata, due) in [
        (subscribed(&["t"]), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC),
        (subscribed(&["u"]), ErrorCode::NONE),
        (b"?".to_vec(), ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC),
    ] {
        let mut rig = Rig::new();
        rig.stored(0, 5);
        let member = |id: &str| JoinGroupRequest { protocols: vec![protocol("range", &metadata)], ..join(id) };
        let first = rig.join(9, member(""));
        let id = rig.joined(first).member_id.clone();
        rig.join(9, member(&id));
        rig.pass_ms(INITIAL_DELAY_MS);
        rig.sync_all(&[id]);
        rig.settle();
        let ask = rig.delete_offset(GROUP, "t", 0);
        rig.settle();
        assert_eq!(rig.offset_deleted(ask), (ErrorCode::NONE, Some(due)));
    }
}

#[test]
fn a_group_of_others_than_consumers_keeps_its_offsets_while_it_has_members() {
    let mut rig = Rig::new();
    rig.stored(0, 5);
    let worker = |id: &str| JoinGroupRequest { protocol_type: "connect".into(), ..join(id) };
    let first = rig.join(9, worker(""));
    let id = rig.joined(first).member_id.clone();
    rig.join(9, worker(&id));
    let ask = rig.delete_offset(GROUP, "t", 0);
    assert_eq!(rig.offset_deleted(ask), (ErrorCode::NON_EMPTY_GROUP, None));
}

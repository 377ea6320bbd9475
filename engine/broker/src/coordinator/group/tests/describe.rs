//! DescribeGroups, ListGroups, LeaveGroup's older forms, and groups that are not ours.

use ringlog_wire::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup};
use ringlog_wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};

use super::*;

impl Rig {
    fn describe(&mut self, api_version: i16, id: &str) -> DescribedGroup {
        let request = DescribeGroupsRequest {
            groups: vec![id.into()],
            include_authorized_operations: api_version >= 3,
            ..Default::default()
        };
        let ask = self.ask(api_version, GroupRequest::Describe(request));
        match self.answer(ask) {
            Some(GroupResponse::Describe(response)) => response.groups[0].clone(),
            other => panic!("no answer but {other:?}"),
        }
    }

    fn list(&mut self, states: &[&str], types: &[&str]) -> ListGroupsResponse {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let request =
            ListGroupsRequest { states_filter: owned(states), types_filter: owned(types), ..Default::default() };
        let ask = self.ask(5, GroupRequest::List(request));
        match self.answer(ask) {
            Some(GroupResponse::List(response)) => response.clone(),
            other => panic!("no answer but {other:?}"),
        }
    }
}

#[test]
fn a_stable_group_is_described_with_what_its_members_sent_and_got() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    let group = rig.describe(6, GROUP);
    assert_eq!((group.error_code, group.group_state.as_str(), group.protocol_type.as_str()), (0, "Stable", "consumer"));
    assert_eq!((group.protocol_data.as_str(), group.authorized_operations), ("range", 3400));
    let member = &group.members[0];
    assert_eq!((&member.member_id, member.client_id.as_str()), (&ids[0], "client"));
    assert_eq!(member.client_host, "/127.0.0.1");
    assert_eq!(
        (member.member_metadata.as_slice(), member.member_assignment.as_slice()),
        (&b"r"[..], ids[0].as_bytes())
    );

    rig.join(9, join(&ids[0]));
    let group = rig.describe(6, GROUP);
    assert_eq!((group.group_state.as_str(), group.protocol_data.as_str()), ("CompletingRebalance", ""));
    assert!(group.members[0].member_metadata.is_empty());
}

#[test]
fn a_group_that_does_not_exist_is_dead_and_from_version_6_not_found() {
    let mut rig = Rig::new();
    let group = rig.describe(5, "nobody");
    assert_eq!((group.error_code, group.group_state.as_str()), (0, "Dead"));
    let group = rig.describe(6, "nobody");
    assert_eq!((group.error_code, group.group_state.as_str()), (ErrorCode::GROUP_ID_NOT_FOUND.0, "Dead"));
    assert_eq!(group.error_message.as_deref(), Some("Group nobody not found."));
}

#[test]
fn groups_are_listed_by_state_and_type_whatever_the_case() {
    let mut rig = Rig::new();
    rig.stable(1);
    let all = rig.list(&[], &[]);
    let group = &all.groups[0];
    assert_eq!((group.group_id.as_str(), group.protocol_type.as_str()), (GROUP, "consumer"));
    assert_eq!((group.group_state.as_str(), group.group_type.as_str()), ("Stable", "classic"));
    assert_eq!(rig.list(&["sTABLE"], &["Classic"]).groups.len(), 1);
    assert_eq!(rig.list(&["Empty", "Dead"], &[]).groups.len(), 0);
    assert_eq!(rig.list(&[], &["consumer"]).groups.len(), 0);
}

#[test]
fn groups_that_are_not_ours_are_refused_by_every_request() {
    let mut rig = Rig::new();
    rig.coordinator.unload(0);
    every_request_gets(&mut rig, ErrorCode::NOT_COORDINATOR, ErrorCode::NOT_COORDINATOR);
    assert_eq!(rig.list(&[], &[]).error_code, 0);
}

#[test]
fn groups_that_are_being_loaded_are_refused_but_a_heartbeat_counts() {
    let mut rig = Rig::new();
    rig.coordinator.owned.begin_load(0);
    every_request_gets(&mut rig, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::NONE);
    assert_eq!(rig.list(&[], &[]).error_code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0);
}

fn every_request_gets(rig: &mut Rig, error: ErrorCode, heartbeat: ErrorCode) {
    let ask = rig.join(9, join(""));
    assert_eq!(rig.join_error(ask), error);
    let ask = rig.sync(sync("m", 1, &[]));
    assert_eq!(rig.sync_error(ask), error);
    assert_eq!(rig.heartbeat("m", 1), heartbeat);
    let leave = LeaveGroupRequest { group_id: GROUP.into(), ..Default::default() };
    let ask = rig.ask(5, GroupRequest::Leave(leave));
    assert!(matches!(rig.answer(ask), Some(GroupResponse::Leave(response)) if response.error_code == error.0));
    let ask = rig.ask(9, GroupRequest::OffsetCommit(super::commit::commit(0, 1)));
    let Some(GroupResponse::OffsetCommit(response)) = rig.answer(ask) else { panic!("no answer") };
    assert_eq!(response.topics[0].partitions[0].error_code, error.0);
    assert_eq!(rig.describe(5, GROUP).error_code, error.0);
}

#[test]
fn before_version_3_leaving_is_about_one_member_and_its_error_is_the_answers() {
    let mut rig = Rig::new();
    let ids = rig.stable(1);
    let mut leave = |member: &str| {
        let request = LeaveGroupRequest { group_id: GROUP.into(), member_id: member.into(), ..Default::default() };
        let ask = rig.ask(1, GroupRequest::Leave(request));
        match rig.answer(ask) {
            Some(GroupResponse::Leave(response)) => {
                assert!(response.members.is_empty());
                ErrorCode(response.error_code)
            }
            other => panic!("no answer but {other:?}"),
        }
    };
    assert_eq!(leave("stranger"), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(leave(&ids[0]), ErrorCode::NONE);
    assert_eq!(leave(&ids[0]), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_group_of_no_name_has_offsets_but_no_members() {
    let mut rig = Rig::new();
    let commit = ringlog_wire::messages::offset_commit::OffsetCommitRequest {
        group_id: String::new(),
        ..super::commit::commit(0, 1)
    };
    let ask = rig.ask(9, GroupRequest::OffsetCommit(commit));
    rig.settle();
    let Some(GroupResponse::OffsetCommit(response)) = rig.answer(ask) else { panic!("no answer") };
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    let ask = rig.sync(SyncGroupRequest { group_id: String::new(), ..sync("m", 1, &[]) });
    assert_eq!(rig.sync_error(ask), ErrorCode::INVALID_GROUP_ID);
}

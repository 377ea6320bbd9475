//! Every request in every state: what is answered, and what the group becomes.
//!
//! The group has two members. The one that asks is the follower; where the group prepares a rebalance, the leader has
//! joined again and the follower has not. Every row was compared with what Apache Kafka 4.3.1 answers over the wire.

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Missing,
    Empty,
    Preparing,
    Completing,
    Stable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    JoinAsNobody,
    JoinAsStranger,
    Join,
    JoinWithAnotherWish,
    Sync,
    SyncOfAnOldGeneration,
    SyncAsStranger,
    SyncWithAnotherProtocol,
    Heartbeat,
    HeartbeatOfAnOldGeneration,
    HeartbeatAsStranger,
    Leave,
    LeaveAsStranger,
    Commit,
    CommitOfAnOldGeneration,
    CommitAsNobody,
    Silence,
}

/// The answer: at once with this error, or later.
const LATER: ErrorCode = ErrorCode(i16::MAX);

fn build(before: Before) -> (Rig, Vec<String>) {
    let mut rig = Rig::new();
    let ids = match before {
        Before::Missing => return (rig, vec!["leader".into(), "follower".into()]),
        _ => rig.stable(2),
    };
    match before {
        Before::Missing | Before::Stable => {}
        Before::Empty => {
            rig.leave(&[(&ids[0], None), (&ids[1], None)]);
            rig.settle();
        }
        Before::Preparing => {
            rig.join(9, join(&ids[0]));
        }
        Before::Completing => {
            rig.join(9, join(&ids[0]));
            rig.join(9, join(&ids[1]));
        }
    }
    (rig, ids)
}

fn fire(rig: &mut Rig, event: Event, ids: &[String]) -> ErrorCode {
    use Event as V;
    let me = ids[1].as_str();
    let generation = rig.coordinator.groups.get(GROUP).map_or(0, |group| group.generation);
    let asked = match event {
        V::JoinAsNobody => rig.join(9, join("")),
        V::JoinAsStranger => rig.join(9, join("stranger")),
        V::Join => rig.join(9, join(me)),
        V::JoinWithAnotherWish => {
            rig.join(9, JoinGroupRequest { protocols: vec![protocol("range", b"other")], ..join(me) })
        }
        V::Sync => rig.sync(sync(me, generation, &[])),
        V::SyncOfAnOldGeneration => rig.sync(sync(me, generation - 1, &[])),
        V::SyncAsStranger => rig.sync(sync("stranger", generation, &[])),
        V::SyncWithAnotherProtocol => {
            rig.sync(SyncGroupRequest { protocol_name: Some("sticky".into()), ..sync(me, generation, &[]) })
        }
        V::Heartbeat => return rig.heartbeat(me, generation),
        V::HeartbeatOfAnOldGeneration => return rig.heartbeat(me, generation - 1),
        V::HeartbeatAsStranger => return rig.heartbeat("stranger", generation),
        V::Leave => return ErrorCode(rig.leave(&[(me, None)])[0].error_code),
        V::LeaveAsStranger => return ErrorCode(rig.leave(&[("stranger", None)])[0].error_code),
        V::Commit => commit(rig, me, generation),
        V::CommitOfAnOldGeneration => commit(rig, me, generation - 1),
        V::CommitAsNobody => commit(rig, "", -1),
        V::Silence => {
            rig.pass_ms(SESSION_MS as u64);
            return ErrorCode::NONE;
        }
    };
    match rig.answer(asked) {
        None => LATER,
        Some(GroupResponse::Join(response)) => ErrorCode(response.error_code),
        Some(GroupResponse::Sync(response)) => ErrorCode(response.error_code),
        Some(GroupResponse::OffsetCommit(response)) => ErrorCode(response.topics[0].partitions[0].error_code),
        Some(other) => panic!("{other:?}"),
    }
}

fn commit(rig: &mut Rig, member: &str, generation: i32) -> Ask {
    let mut request = super::commit::commit(0, 1);
    request.member_id = member.into();
    request.generation_id_or_member_epoch = generation;
    let ask = rig.ask(9, GroupRequest::OffsetCommit(request));
    rig.settle();
    ask
}

#[test]
fn every_request_in_every_state() {
    use Before as B;
    use ErrorCode as E;
    use Event as V;
    let missing = None;
    let empty = Some(State::Empty);
    let preparing = Some(State::PreparingRebalance);
    let completing = Some(State::CompletingRebalance);
    let stable = Some(State::Stable);
    let table: &[(Before, Event, ErrorCode, Option<State>)] = &[
        (B::Missing, V::JoinAsNobody, E::MEMBER_ID_REQUIRED, empty),
        (B::Missing, V::JoinAsStranger, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::Join, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::JoinWithAnotherWish, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::Sync, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::SyncOfAnOldGeneration, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::SyncAsStranger, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::SyncWithAnotherProtocol, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::Heartbeat, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::HeartbeatOfAnOldGeneration, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::HeartbeatAsStranger, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::Leave, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::LeaveAsStranger, E::UNKNOWN_MEMBER_ID, missing),
        (B::Missing, V::Commit, E::GROUP_ID_NOT_FOUND, missing),
        (B::Missing, V::CommitOfAnOldGeneration, E::NONE, empty),
        (B::Missing, V::CommitAsNobody, E::NONE, empty),
        (B::Missing, V::Silence, E::NONE, missing),
        (B::Empty, V::JoinAsNobody, E::MEMBER_ID_REQUIRED, empty),
        (B::Empty, V::JoinAsStranger, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::Join, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::JoinWithAnotherWish, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::Sync, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::SyncOfAnOldGeneration, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::SyncAsStranger, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::SyncWithAnotherProtocol, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::Heartbeat, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::HeartbeatOfAnOldGeneration, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::HeartbeatAsStranger, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::Leave, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::LeaveAsStranger, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::Commit, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::CommitOfAnOldGeneration, E::UNKNOWN_MEMBER_ID, empty),
        (B::Empty, V::CommitAsNobody, E::NONE, empty),
        (B::Empty, V::Silence, E::NONE, empty),
        (B::Preparing, V::JoinAsNobody, E::MEMBER_ID_REQUIRED, preparing),
        (B::Preparing, V::JoinAsStranger, E::UNKNOWN_MEMBER_ID, preparing),
        (B::Preparing, V::Join, E::NONE, completing),
        (B::Preparing, V::JoinWithAnotherWish, E::NONE, completing),
        (B::Preparing, V::Sync, E::REBALANCE_IN_PROGRESS, preparing),
        (B::Preparing, V::SyncOfAnOldGeneration, E::ILLEGAL_GENERATION, preparing),
        (B::Preparing, V::SyncAsStranger, E::UNKNOWN_MEMBER_ID, preparing),
        (B::Preparing, V::SyncWithAnotherProtocol, E::INCONSISTENT_GROUP_PROTOCOL, preparing),
        (B::Preparing, V::Heartbeat, E::REBALANCE_IN_PROGRESS, preparing),
        (B::Preparing, V::HeartbeatOfAnOldGeneration, E::ILLEGAL_GENERATION, preparing),
        (B::Preparing, V::HeartbeatAsStranger, E::UNKNOWN_MEMBER_ID, preparing),
        (B::Preparing, V::Leave, E::NONE, completing),
        (B::Preparing, V::LeaveAsStranger, E::UNKNOWN_MEMBER_ID, preparing),
        (B::Preparing, V::Commit, E::NONE, preparing),
        (B::Preparing, V::CommitOfAnOldGeneration, E::ILLEGAL_GENERATION, preparing),
        (B::Preparing, V::CommitAsNobody, E::UNKNOWN_MEMBER_ID, preparing),
        (B::Preparing, V::Silence, E::NONE, completing),
        (B::Completing, V::JoinAsNobody, E::MEMBER_ID_REQUIRED, completing),
        (B::Completing, V::JoinAsStranger, E::UNKNOWN_MEMBER_ID, completing),
        (B::Completing, V::Join, E::NONE, completing),
        (B::Completing, V::JoinWithAnotherWish, LATER, preparing),
        (B::Completing, V::Sync, LATER, completing),
        (B::Completing, V::SyncOfAnOldGeneration, E::ILLEGAL_GENERATION, completing),
        (B::Completing, V::SyncAsStranger, E::UNKNOWN_MEMBER_ID, completing),
        (B::Completing, V::SyncWithAnotherProtocol, E::INCONSISTENT_GROUP_PROTOCOL, completing),
        (B::Completing, V::Heartbeat, E::NONE, completing),
        (B::Completing, V::HeartbeatOfAnOldGeneration, E::ILLEGAL_GENERATION, completing),
        (B::Completing, V::HeartbeatAsStranger, E::UNKNOWN_MEMBER_ID, completing),
        (B::Completing, V::Leave, E::NONE, preparing),
        (B::Completing, V::LeaveAsStranger, E::UNKNOWN_MEMBER_ID, completing),
        (B::Completing, V::Commit, E::REBALANCE_IN_PROGRESS, completing),
        (B::Completing, V::CommitOfAnOldGeneration, E::ILLEGAL_GENERATION, completing),
        (B::Completing, V::CommitAsNobody, E::UNKNOWN_MEMBER_ID, completing),
        (B::Completing, V::Silence, E::NONE, empty),
        (B::Stable, V::JoinAsNobody, E::MEMBER_ID_REQUIRED, stable),
        (B::Stable, V::JoinAsStranger, E::UNKNOWN_MEMBER_ID, stable),
        (B::Stable, V::Join, E::NONE, stable),
        (B::Stable, V::JoinWithAnotherWish, LATER, preparing),
        (B::Stable, V::Sync, E::NONE, stable),
        (B::Stable, V::SyncOfAnOldGeneration, E::ILLEGAL_GENERATION, stable),
        (B::Stable, V::SyncAsStranger, E::UNKNOWN_MEMBER_ID, stable),
        (B::Stable, V::SyncWithAnotherProtocol, E::INCONSISTENT_GROUP_PROTOCOL, stable),
        (B::Stable, V::Heartbeat, E::NONE, stable),
        (B::Stable, V::HeartbeatOfAnOldGeneration, E::ILLEGAL_GENERATION, stable),
        (B::Stable, V::HeartbeatAsStranger, E::UNKNOWN_MEMBER_ID, stable),
        (B::Stable, V::Leave, E::NONE, preparing),
        (B::Stable, V::LeaveAsStranger, E::UNKNOWN_MEMBER_ID, stable),
        (B::Stable, V::Commit, E::NONE, stable),
        (B::Stable, V::CommitOfAnOldGeneration, E::ILLEGAL_GENERATION, stable),
        (B::Stable, V::CommitAsNobody, E::UNKNOWN_MEMBER_ID, stable),
        (B::Stable, V::Silence, E::NONE, empty),
    ];
    assert_eq!(table.len(), 5 * 17, "every pair once");
    for (index, (before, event, answer, after)) in table.iter().enumerate() {
        assert!(!table[..index].iter().any(|row| (row.0, row.1) == (*before, *event)), "{before:?} {event:?} twice");
        let (mut rig, ids) = build(*before);
        assert_eq!(fire(&mut rig, *event, &ids), *answer, "answer to {event:?} in {before:?}");
        let state = rig.coordinator.groups.get(GROUP).map(|group| group.state);
        assert_eq!(state, *after, "state after {event:?} in {before:?}");
    }
}

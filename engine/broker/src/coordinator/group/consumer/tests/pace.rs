//! Each member at its own pace: joins, gives back, takes, leaves, is silent.

use super::*;

/// Member `a` has all of `t`, then `b` joins.
fn two() -> (Rig, ConsumerGroupHeartbeatResponse, ConsumerGroupHeartbeatResponse) {
    let mut rig = Rig::new();
    let a = rig.beat(join("a"));
    assert_eq!((given(&a), a.member_epoch), (vec![0, 1, 2, 3], 1));
    let b = rig.beat(join("b"));
    (rig, a, b)
}

#[test]
fn a_partition_is_given_when_its_last_owner_has_given_it_back() {
    let (mut rig, a, b) = two();
    assert_eq!((given(&b), b.member_epoch, rig.state()), (vec![], 2, ConsumerState::Reconciling));
    let asked = rig.beat(alive("a", 1));
    let kept = asked.assignment.clone().unwrap();
    assert_eq!((given(&asked).len(), asked.member_epoch), (2, 1), "it keeps its epoch until it has given back");
    let waits = rig.beat(alive("b", 2));
    assert_eq!(waits.assignment, None, "nothing is free yet");
    // It still owns everything: nothing moves.
    assert_eq!(rig.beat(owning("a", 1, a.assignment.as_ref().unwrap())).member_epoch, 1);
    assert_eq!(rig.beat(owning("a", 1, &kept)).member_epoch, 2);
    let b = rig.beat(alive("b", 2));
    let mut both = [given(&b), partitions(&kept)].concat();
    both.sort_unstable();
    assert_eq!((both, rig.state()), (vec![0, 1, 2, 3], ConsumerState::Stable));
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again() {
    let (mut rig, _, _) = two();
    let kept = rig.beat(alive("a", 1)).assignment.unwrap();
    rig.beat(owning("a", 1, &kept));
    assert_eq!(
        error(&rig.beat(owning("a", 1, &kept))),
        ErrorCode::NONE,
        "its epoch before, and nothing that is not its own"
    );
    assert_eq!(error(&rig.beat(alive("a", 1))), ErrorCode::FENCED_MEMBER_EPOCH, "it does not say what it owns");
    assert_eq!(error(&rig.beat(alive("a", 9))), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(error(&rig.beat(alive("c", 1))), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn who_leaves_or_is_silent_is_out_and_the_others_have_its_share() {
    let (mut rig, _, _) = two();
    assert_eq!(rig.beat(alive("a", -1)).member_epoch, -1);
    assert_eq!(given(&rig.beat(alive("b", 2))), [0, 1, 2, 3]);
    rig.pass_ms(44_999);
    assert_eq!(rig.group().member_count(), 1);
    rig.pass_ms(1);
    rig.settle();
    assert_eq!(rig.state(), ConsumerState::Empty);
    assert_eq!(error(&rig.beat(alive("b", 3))), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn who_is_heard_before_its_session_is_over_stays_however_long_the_log_takes() {
    let (mut rig, _, _) = two();
    rig.pass_ms(44_000);
    let c = rig.send(join("c"));
    let (a, b) = (rig.send(alive("a", 1)), rig.send(alive("b", 2)));
    rig.pass_ms(1_000);
    rig.settle();
    assert_eq!([a, b, c].map(|ask| error(rig.heard(ask))), [ErrorCode::NONE; 3]);
    assert_eq!(rig.group().member_count(), 3);
    rig.pass_ms(45_000);
    rig.settle();
    assert_eq!(rig.state(), ConsumerState::Empty);
}

#[test]
fn who_does_not_give_back_in_time_is_out() {
    let (mut rig, _, _) = two();
    rig.beat(alive("a", 1));
    for _ in 0..5 {
        rig.pass_ms(10_000);
        rig.beat(alive("a", 1));
        rig.beat(alive("b", 2));
    }
    assert_eq!(rig.group().member_count(), 2);
    rig.pass_ms(10_000);
    rig.settle();
    assert_eq!(given(&rig.beat(alive("b", 2))), [0, 1, 2, 3]);
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had() {
    let mut rig = Rig::new();
    let fixed = |member: &str| ConsumerGroupHeartbeatRequest { instance_id: Some("i".into()), ..join(member) };
    assert_eq!(given(&rig.beat(fixed("a"))).len(), 4);
    rig.beat(join("b"));
    assert_eq!(error(&rig.beat(fixed("c"))), ErrorCode::UNRELEASED_INSTANCE_ID);
    let leaves = ConsumerGroupHeartbeatRequest { member_epoch: -2, ..fixed("a") };
    assert_eq!(rig.beat(leaves).member_epoch, -2);
    let epoch = rig.group().epoch;
    let back = rig.beat(fixed("c"));
    assert_eq!((given(&back).len(), back.member_epoch), (2, epoch), "its share, and no new target for it");
    let old = ConsumerGroupHeartbeatRequest { instance_id: Some("i".into()), ..alive("a", 1) };
    assert_eq!(error(&rig.beat(old)), ErrorCode::FENCED_INSTANCE_ID);
    let stranger = ConsumerGroupHeartbeatRequest { instance_id: Some("j".into()), ..alive("d", 1) };
    assert_eq!(error(&rig.beat(stranger)), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn topics_that_come_grow_and_go_are_seen_with_the_next_heartbeat() {
    let mut rig = Rig::new();
    let both =
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(vec!["t".into(), "u".into()]), ..join("a") };
    assert_eq!(given(&rig.beat(both)).len(), 4);
    assert_eq!(rig.beat(alive("a", 1)).assignment, None);
    rig.cluster.set("other", 9);
    assert_eq!(rig.beat(alive("a", 1)).member_epoch, 1, "nobody reads it");
    rig.cluster.set("u", 2);
    assert_eq!(given(&rig.beat(alive("a", 1))).len(), 6);
    rig.cluster.set("t", 5);
    assert_eq!(given(&rig.beat(alive("a", 2))).len(), 7);
    rig.cluster.remove("t");
    let asked = rig.beat(alive("a", 3));
    assert_eq!((given(&asked).len(), asked.member_epoch), (2, 3));
    assert_eq!(rig.beat(owning("a", 3, asked.assignment.as_ref().unwrap())).member_epoch, 4);
}

#[test]
fn a_pattern_is_resolved_and_looked_at_again_when_topics_come() {
    let mut rig = Rig::new();
    let pattern = |text: &str| ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(text.into()),
        ..join("a")
    };
    let refused = rig.beat(pattern("t("));
    assert_eq!(error(&refused), ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert!(refused.error_message.unwrap().contains("`t(` is not a valid regular expression"));
    assert!(!rig.coordinator.groups.contains_key(GROUP), "nothing is left of it");
    assert_eq!(given(&rig.beat(pattern("t.*"))).len(), 4);
    rig.cluster.set("tt", 3);
    assert_eq!(rig.beat(alive("a", 1)).assignment, None, "not before ten seconds have passed");
    rig.pass_ms(10_001);
    assert_eq!(given(&rig.beat(alive("a", 1))).len(), 7);
    assert!(rig.group().reads("tt") && !rig.group().reads("x"));
    let names = ConsumerGroupHeartbeatRequest {
        subscribed_topic_names: Some(vec!["t".into()]),
        subscribed_topic_regex: Some(String::new()),
        ..alive("a", 2)
    };
    assert_eq!(given(&rig.beat(names)).len(), 4);
    assert!(rig.group().patterns.is_empty());
}

#[test]
fn a_target_is_made_once_in_an_interval() {
    let mut rig = Rig::with(GroupSettings::default());
    assert_eq!(given(&rig.beat(join("a"))).len(), 4);
    assert_eq!(rig.beat(join("b")).member_epoch, 1, "the last target is too young");
    assert_eq!(rig.state(), ConsumerState::Assigning);
    rig.pass_ms(1_000);
    assert_eq!(rig.beat(alive("b", 1)).member_epoch, 2);
    // A group may have an interval of its own.
    rig.cluster.settings.insert("consumer.assignment.interval.ms".into(), "0".into());
    rig.cluster.settings.insert("consumer.heartbeat.interval.ms".into(), "7000".into());
    let c = rig.beat(join("c"));
    assert_eq!((c.member_epoch, c.heartbeat_interval_ms), (3, 7_000));
}

#[test]
fn a_commit_of_an_older_epoch_counts_for_what_the_member_had_then() {
    let (mut rig, _, _) = two();
    let kept = rig.beat(alive("a", 1)).assignment.unwrap();
    let (has, lost): (Vec<i32>, Vec<i32>) = (0..4).partition(|partition| partitions(&kept).contains(partition));
    assert_eq!(rig.commit("a", 1, lost[0]), ErrorCode::NONE, "it is to give it back, and has it");
    rig.beat(owning("a", 1, &kept));
    rig.beat(alive("b", 2));
    assert_eq!(rig.commit("a", 1, has[0]), ErrorCode::NONE);
    assert_eq!(rig.commit("a", 1, lost[0]), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(rig.commit("a", 3, has[0]), ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(rig.commit("b", 1, lost[0]), ErrorCode::STALE_MEMBER_EPOCH, "it was given in epoch 2");
    assert_eq!(rig.commit("x", 1, 0), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(rig.commit("", -1, 0), ErrorCode::UNKNOWN_MEMBER_ID, "members read it");
}

#[test]
fn what_comes_while_a_change_is_on_its_way_waits_for_it() {
    let mut rig = Rig::new();
    let (a, b) = (rig.send(join("a")), rig.send(join("b")));
    assert!(rig.answers.is_empty());
    assert_eq!(rig.appending.len(), 1);
    rig.settle();
    assert_eq!((rig.heard(a).member_epoch, rig.heard(b).member_epoch), (1, 2));
}

#[test]
fn a_change_that_is_not_written_did_not_happen() {
    let (mut rig, _, _) = two();
    rig.beat(alive("b", 2));
    let before =
        format!("{:?}", (&rig.group().members, &rig.group().current, &rig.group().target, &rig.group().owners));
    let (c, d) = (rig.send(join("c")), rig.send(alive("b", 2)));
    rig.fail_appends();
    assert_eq!(error(rig.heard(c)), ErrorCode::NOT_COORDINATOR);
    assert_eq!(error(rig.heard(d)), ErrorCode::NONE, "it was its turn then");
    let after = format!("{:?}", (&rig.group().members, &rig.group().current, &rig.group().target, &rig.group().owners));
    assert_eq!(before, after);
    assert_eq!(rig.group().epoch, 2);
    let mut rig = Rig::new();
    rig.send(join("a"));
    rig.fail_appends();
    assert!(!rig.coordinator.groups.contains_key(GROUP), "a group whose first change is lost is not there");
}

#[test]
fn a_group_has_room_for_so_many_and_an_unknown_form_is_refused() {
    let mut settings = GroupSettings::default();
    settings.consumer.group_size_max = 1;
    let mut rig = Rig::with(settings);
    rig.beat(join("a"));
    assert_eq!(error(&rig.beat(join("b"))), ErrorCode::GROUP_MAX_SIZE_REACHED);
    for (request, due) in [
        (ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..join("a") }, ErrorCode::INVALID_REQUEST),
        (ConsumerGroupHeartbeatRequest { topic_partitions: None, ..join("a") }, ErrorCode::INVALID_REQUEST),
        (ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..join("a") }, ErrorCode::INVALID_REQUEST),
        (ConsumerGroupHeartbeatRequest { instance_id: Some(String::new()), ..join("a") }, ErrorCode::INVALID_REQUEST),
        (alive("a", -2), ErrorCode::INVALID_REQUEST),
        (alive("a", -3), ErrorCode::INVALID_REQUEST),
        (alive("", 1), ErrorCode::INVALID_REQUEST),
        (ConsumerGroupHeartbeatRequest { group_id: String::new(), ..join("a") }, ErrorCode::INVALID_REQUEST),
        (
            ConsumerGroupHeartbeatRequest { server_assignor: Some("mine".into()), ..join("a") },
            ErrorCode::UNSUPPORTED_ASSIGNOR,
        ),
        (ConsumerGroupHeartbeatRequest { group_id: "none".into(), ..alive("a", 1) }, ErrorCode::GROUP_ID_NOT_FOUND),
    ] {
        let answer = rig.beat(request.clone());
        assert_eq!(error(&answer), due, "{request:?}");
        assert!(answer.error_message.is_some());
    }
}

#[test]
fn most_members_choose_the_assignor() {
    let mut rig = Rig::new();
    let with =
        |member: &str, name: &str| ConsumerGroupHeartbeatRequest { server_assignor: Some(name.into()), ..join(member) };
    rig.beat(join("a"));
    assert_eq!(rig.describe().assignor_name, "uniform");
    rig.beat(with("b", "range"));
    assert_eq!(rig.describe().assignor_name, "range");
    rig.beat(with("c", "uniform"));
    rig.beat(with("d", "uniform"));
    assert_eq!(rig.describe().assignor_name, "uniform");
}

//! Version 2 of transactions (KIP-890): every end raises the epoch, and leaders bring partitions in by themselves.

use ringlog_wire::ErrorCode as E;

use super::*;

const END_TV2: i16 = 5;
type Producer = (i64, i16);

impl Rig {
    fn claim((producer_id, producer_epoch): Producer) -> Claim {
        Claim { transactional_id: ID.to_owned(), producer_id, producer_epoch, is_tv2: true }
    }

    fn enter(&mut self, producer: Producer, partition: i32) -> Ask {
        self.ask(0, TxnRequest::Enter(Self::claim(producer), ("t".to_owned(), partition)))
    }

    fn end_tv2(&mut self, producer: Producer, committed: bool) -> Ask {
        self.end_in(END_TV2, producer, committed)
    }

    /// A client of version 2 whose transaction is in this state, and the producer that it has then.
    fn reach_tv2(state: State) -> (Self, Producer) {
        let mut rig = Self::new();
        rig.coordinator.set_level(2);
        let mut producer = rig.begin();
        if state != State::Empty {
            rig.enter(producer, 0);
            rig.enter(producer, 1);
            rig.settle();
        }
        if !matches!(state, State::Empty | State::Ongoing) {
            let ask = rig.end_tv2(producer, matches!(state, State::PrepareCommit | State::CompleteCommit));
            rig.settle();
            producer = rig.producer(ask);
        }
        if matches!(state, State::CompleteCommit | State::CompleteAbort) {
            rig.write_markers();
        }
        assert_eq!(rig.state(), Some(state));
        (rig, producer)
    }

    fn set_epoch(&mut self, epoch: i16) {
        self.coordinator.ids.get_mut(ID).unwrap().now.producer_epoch = epoch;
    }
}

/// What each state answers, in the order of [`STATES`].
fn check(what: &str, expected: [E; 6], ask: impl Fn(&mut Rig, Producer) -> Ask) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let (mut rig, producer) = Rig::reach_tv2(state);
        let asked = ask(&mut rig, producer);
        rig.settle();
        rig.write_markers();
        rig.pass_ms(100);
        assert_eq!(rig.error(asked), expected, "{what} in {state:?}");
    }
}

#[test]
fn every_request_in_every_state_has_kafkas_answer() {
    let busy = E::CONCURRENT_TRANSACTIONS;
    let (well, invalid, fenced, other) =
        (E::NONE, E::INVALID_TXN_STATE, E::PRODUCER_FENCED, E::INVALID_PRODUCER_ID_MAPPING);
    check("commit", [invalid, well, busy, busy, invalid, invalid], |rig, producer| rig.end_tv2(producer, true));
    check("abort", [well, well, busy, busy, well, well], |rig, producer| rig.end_tv2(producer, false));
    let before = |(id, epoch): Producer| (id, epoch - 1);
    check("commit again", [fenced, fenced, busy, busy, well, invalid], |rig, now| rig.end_tv2(before(now), true));
    check("abort again", [fenced, fenced, busy, busy, invalid, well], |rig, now| rig.end_tv2(before(now), false));
    let later = |(id, epoch): Producer| (id, epoch + 1);
    check("commit, of a later epoch", [fenced, fenced, busy, busy, fenced, fenced], |rig, now| {
        rig.end_tv2(later(now), true)
    });
    check("abort, of another id", [other, other, busy, busy, other, other], |rig, (id, epoch)| {
        rig.end_tv2((id + 1, epoch), false)
    });
    check("enter", [well; 6], |rig, producer| rig.enter(producer, 2));
    check("enter, of an old epoch", [fenced; 6], |rig, now| rig.enter(before(now), 0));
    check("enter, of another id", [other; 6], |rig, (id, epoch)| rig.enter((id + 1, epoch), 0));
    check("init", [well, busy, busy, busy, well, well], |rig, _| rig.init(None));
    check("init as before", [well, busy, busy, busy, well, well], |rig, producer| rig.init(Some(producer)));
    check("add", [well, well, busy, busy, well, well], |rig, producer| rig.add(producer, &[0, 2]));
    check("commit as before version 2", [invalid, well, busy, invalid, well, invalid], |rig, producer| {
        rig.end(producer, true)
    });
}

#[test]
fn every_end_raises_the_epoch_and_the_markers_bear_it() {
    let (mut rig, (id, epoch)) = Rig::reach_tv2(State::Ongoing);
    for (round, is_commit) in [(1, true), (2, false), (3, true)] {
        let ask = rig.end_tv2((id, epoch + round - 1), is_commit);
        rig.settle();
        assert_eq!(rig.producer(ask), (id, epoch + round));
        let markers = rig.write_markers();
        let marker = Marker { producer_id: id, producer_epoch: epoch + round, is_commit, is_tv2: true };
        assert_eq!(markers, if round == 1 { vec![marker; 2] } else { vec![marker] });
        let again = rig.end_tv2((id, epoch + round - 1), is_commit);
        assert_eq!(rig.producer(again), (id, epoch + round), "it had not heard the answer");
        let next = rig.enter((id, epoch + round), 0);
        rig.settle();
        assert_eq!(rig.error(next), E::NONE);
    }
}

#[test]
fn leaders_wait_while_the_last_transaction_ends_and_enter_with_one_record() {
    let (mut rig, producer) = Rig::reach_tv2(State::PrepareCommit);
    let asks: Vec<Ask> = (0..3).map(|partition| rig.enter(producer, partition)).collect();
    assert!(asks.iter().all(|ask| rig.waits(*ask)));
    let written = rig.log.len();
    rig.write_markers();
    assert!(asks.iter().all(|ask| rig.error(*ask) == E::NONE));
    assert_eq!(
        (rig.state(), rig.log.len()),
        (Some(State::Ongoing), written + 2),
        "Complete, and Ongoing for all three"
    );
    assert_eq!(rig.verify(producer, 2), E::NONE);
    let known = rig.enter(producer, 2);
    assert_eq!((rig.error(known), rig.appending.len()), (E::NONE, 0));
}

#[test]
fn a_leader_is_told_to_ask_again_where_the_markers_take_too_long() {
    let (mut rig, producer) = Rig::reach_tv2(State::PrepareAbort);
    let first = rig.enter(producer, 0);
    rig.pass_ms(60);
    let second = rig.enter(producer, 1);
    assert_eq!(rig.coordinator.next_deadline(), Some(Nanos(100_000_001)));
    rig.pass_ms(40);
    assert_eq!((rig.error(first), rig.waits(second)), (E::CONCURRENT_TRANSACTIONS, true));
    rig.write_markers();
    assert_eq!(rig.error(second), E::NONE);
    rig.pass_ms(100);
}

#[test]
fn who_waits_is_told_when_the_id_goes() {
    let (mut rig, producer) = Rig::reach_tv2(State::PrepareCommit);
    let ask = rig.enter(producer, 0);
    let effects = rig.coordinator.unload(0, rig.at);
    rig.act(effects);
    assert_eq!(rig.error(ask), E::NOT_COORDINATOR);
    let (mut rig, producer) = Rig::reach_tv2(State::CompleteCommit);
    rig.pass_ms(604_800_000);
    let ask = rig.enter(producer, 0);
    assert!(rig.waits(ask), "a tombstone is on its way");
    rig.settle();
    assert_eq!((rig.error(ask), rig.state()), (E::INVALID_PRODUCER_ID_MAPPING, None));
}

#[test]
fn leaders_are_refused_with_what_the_log_refuses() {
    let (mut rig, producer) = Rig::reach_tv2(State::Empty);
    let (first, second) = (rig.enter(producer, 0), rig.enter(producer, 1));
    rig.fail_appends(E::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(
        (rig.error(first), rig.waits(second)),
        (E::NOT_COORDINATOR, true),
        "the second one has a record of its own"
    );
    rig.settle();
    assert_eq!((rig.error(second), rig.state()), (E::NONE, Some(State::Ongoing)));
}

#[test]
fn where_the_epochs_are_used_up_the_end_brings_another_producer_id() {
    let last = i16::MAX - 1;
    for is_commit in [true, false] {
        let (mut rig, (id, _)) = Rig::reach_tv2(State::Ongoing);
        rig.set_epoch(last);
        let ask = rig.end_tv2((id, last), is_commit);
        rig.settle();
        assert_eq!(rig.producer(ask), (id + 1, 0));
        let early = rig.enter((id + 1, 0), 0);
        assert!(rig.waits(early));
        let mut taken_over = Rig::on(&rig.log);
        for rig in [&mut rig, &mut taken_over] {
            let markers = rig.write_markers();
            let marker = Marker { producer_id: id, producer_epoch: i16::MAX, is_commit, is_tv2: true };
            assert_eq!(markers, [marker; 2]);
        }
        assert_eq!(rig.error(early), E::NONE);
        let again = taken_over.end_tv2((id, last), is_commit);
        assert_eq!(taken_over.producer(again), (id + 1, 0), "whoever takes over knows it, too");
        let old = taken_over.end_tv2((id, last - 1), is_commit);
        assert_eq!(taken_over.error(old), E::INVALID_PRODUCER_ID_MAPPING);
    }
}

#[test]
fn who_takes_over_between_the_decision_and_its_end_goes_on_with_the_raised_epoch() {
    for (state, is_commit) in [(State::PrepareCommit, true), (State::PrepareAbort, false)] {
        let (rig, (id, epoch)) = Rig::reach_tv2(state);
        let mut next = Rig::on(&rig.log);
        let marker = Marker { producer_id: id, producer_epoch: epoch, is_commit, is_tv2: true };
        assert_eq!(next.write_markers(), [marker; 2]);
        let again = next.end_tv2((id, epoch - 1), is_commit);
        assert_eq!(next.producer(again), (id, epoch));
        let other = next.end_tv2((id, epoch - 1), !is_commit);
        assert_eq!(next.error(other), E::INVALID_TXN_STATE);
    }
}

#[test]
fn clients_of_both_versions_follow_each_other_on_one_id() {
    let (mut rig, (id, epoch)) = Rig::reach_tv2(State::CompleteCommit);
    let old = rig.init(None);
    rig.settle();
    let producer = rig.producer(old);
    assert_eq!(producer, (id, epoch + 1));
    rig.add(producer, &[0]);
    rig.settle();
    let ask = rig.end(producer, true);
    rig.settle();
    assert_eq!(rig.producer(ask), (-1, -1), "its epoch stays");
    let same = Marker { producer_id: id, producer_epoch: epoch + 1, is_commit: true, is_tv2: false };
    assert_eq!(rig.write_markers(), [same]);
    let mut rig = Rig::on(&rig.log);
    rig.coordinator.set_level(2);
    let new = rig.init(None);
    rig.settle();
    let producer = rig.producer(new);
    rig.enter(producer, 0);
    rig.settle();
    let ask = rig.end_tv2(producer, false);
    rig.settle();
    assert_eq!(rig.producer(ask), (id, epoch + 3));
}

#[test]
fn what_is_fenced_or_timed_out_is_ended_in_the_version_of_the_cluster() {
    for (level, is_tv2) in [(0, false), (1, false), (2, true)] {
        let (mut rig, (id, epoch)) = Rig::reach_tv2(State::Ongoing);
        rig.coordinator.set_level(level);
        rig.pass_ms(60_000 + 10_000);
        rig.settle();
        let marker = Marker { producer_id: id, producer_epoch: epoch + 1, is_commit: false, is_tv2 };
        assert_eq!(rig.write_markers(), [marker; 2]);
    }
    let (mut rig, (id, epoch)) = Rig::reach_tv2(State::Ongoing);
    rig.init(None);
    rig.settle();
    let marker = Marker { producer_id: id, producer_epoch: epoch + 1, is_commit: false, is_tv2: true };
    assert_eq!(rig.write_markers(), [marker; 2]);
    let late = rig.end_tv2((id, epoch), true);
    assert_eq!(rig.error(late), E::INVALID_TXN_STATE);
    let given_up = rig.end_tv2((id, epoch), false);
    assert_eq!(rig.producer(given_up), (id, epoch + 1), "what it wants has happened");
}

#[test]
fn below_level_1_records_are_of_version_0() {
    for (level, version) in [(0, 0), (1, 1), (2, 1)] {
        let mut rig = Rig::new();
        rig.coordinator.set_level(level);
        rig.begin();
        let (_, value) = rig.log.last().unwrap();
        assert_eq!(value.as_ref().unwrap()[..2], [0, version], "level {level}");
        assert_eq!(Rig::on(&rig.log).state(), Some(State::Empty));
    }
}

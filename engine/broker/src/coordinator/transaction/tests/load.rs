//! What is left of the coordinator when another one takes over.

use ringlog_wire::ErrorCode as E;

use super::*;

#[test]
fn what_was_decided_is_carried_out_by_who_takes_over_and_never_decided_otherwise() {
    for is_commit in [true, false] {
        let state = if is_commit { State::PrepareCommit } else { State::PrepareAbort };
        let (rig, producer) = Rig::reach(state);
        let mut next = Rig::on(&rig.log);
        assert_eq!((next.state(), next.marking.len()), (Some(state), 2));
        let refused = next.end(producer, !is_commit);
        assert_eq!(next.error(refused), E::INVALID_TXN_STATE);
        assert!(next.write_markers().iter().all(|marker| marker.is_commit == is_commit));
        let ask = next.end(producer, is_commit);
        assert_eq!(next.error(ask), E::NONE);
    }
}

#[test]
fn a_transaction_that_is_open_stays_open_and_a_forgotten_id_is_forgotten() {
    let (mut rig, producer) = Rig::reach(State::Ongoing);
    let before = rig.coordinator.ids[ID].now.clone();
    let mut next = Rig::on(&rig.log);
    assert_eq!(next.coordinator.ids[ID].now, before);
    assert_eq!(next.verify(producer, 1), E::NONE);
    let ask = next.end(producer, true);
    next.settle();
    assert_eq!(next.error(ask), E::NONE);
    let tombstone = (rig.log[0].0.clone(), None);
    rig.log.push(tombstone);
    assert_eq!(Rig::on(&rig.log).state(), None);
}

#[test]
fn who_waits_when_leadership_goes_is_told_so_and_late_news_change_nothing() {
    let (mut rig, producer) = Rig::reach(State::Ongoing);
    let ask = rig.end(producer, true);
    let effects = rig.coordinator.unload(0, rig.at);
    rig.act(effects);
    assert_eq!(rig.error(ask), E::NOT_COORDINATOR);
    rig.settle();
    assert!(rig.marking.is_empty());
    let late = rig.init(None);
    assert_eq!(rig.error(late), E::NOT_COORDINATOR);
    rig.coordinator.owned.begin_load(0);
    let early = rig.init(None);
    assert_eq!(rig.error(early), E::COORDINATOR_LOAD_IN_PROGRESS);
}

#[test]
fn a_log_that_is_damaged_is_not_served() {
    let (rig, _) = Rig::reach(State::Ongoing);
    let bytes = batch(&rig.log);
    for at in 21..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let mut coordinator = TransactionCoordinator::new(TxnSettings::default());
        coordinator.owned.set_count(1);
        coordinator.owned.begin_load(0);
        assert!(coordinator.load_part(0, &bad).is_err(), "byte {at}");
    }
}

//! What comes with time.

use ringlog_wire::ErrorCode as E;

use super::*;

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced() {
    let (mut rig, (id, epoch)) = Rig::reach(State::Ongoing);
    rig.pass_ms(60_000);
    assert_eq!(rig.appending.len(), 0, "it may take so long");
    rig.pass_ms(10_000);
    rig.settle();
    let markers = rig.write_markers();
    assert_eq!(markers, [Marker { producer_id: id, producer_epoch: epoch + 1, is_commit: false, is_tv2: false }; 2]);
    assert_eq!(rig.state(), Some(State::CompleteAbort));
    let late = rig.end((id, epoch), true);
    assert_eq!(rig.error(late), E::PRODUCER_FENCED);
}

#[test]
fn an_id_that_nobody_uses_is_forgotten_and_one_with_an_open_transaction_is_not() {
    let week_ms = 604_800_000;
    let (mut rig, producer) = Rig::reach(State::CompleteCommit);
    rig.pass_ms(week_ms - 1);
    assert_eq!(rig.appending.len(), 0);
    rig.pass_ms(3_600_000);
    assert_eq!(rig.appending[0].1[0].1, None, "a tombstone");
    let meanwhile = rig.add(producer, &[0]);
    assert_eq!(rig.error(meanwhile), E::CONCURRENT_TRANSACTIONS);
    rig.settle();
    assert_eq!((rig.state(), rig.coordinator.next_deadline()), (None, None));
    let later = rig.end(producer, true);
    assert_eq!(rig.error(later), E::INVALID_PRODUCER_ID_MAPPING);
}

#[test]
fn a_completion_that_the_log_refused_is_written_again() {
    let (mut rig, producer) = Rig::reach(State::PrepareCommit);
    while let Some((ticket, ..)) = rig.marking.pop_front() {
        let effects = rig.coordinator.marked(ticket, rig.at);
        rig.act(effects);
    }
    rig.fail_appends(E::NOT_ENOUGH_REPLICAS);
    assert_eq!(rig.state(), Some(State::PrepareCommit));
    rig.pass_ms(10_000);
    rig.settle();
    assert_eq!(rig.state(), Some(State::CompleteCommit));
    let ask = rig.end(producer, true);
    assert_eq!(rig.error(ask), E::NONE);
}

#[test]
fn a_transaction_without_partitions_is_complete_when_it_is_decided() {
    let mut rig = Rig::new();
    let producer = rig.begin();
    rig.add(producer, &[]);
    rig.settle();
    rig.end(producer, true);
    rig.settle();
    assert_eq!((rig.state(), rig.marking.len()), (Some(State::CompleteCommit), 0));
}

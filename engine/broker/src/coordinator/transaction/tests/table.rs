//! Every request in every state.

use ringlog_wire::ErrorCode as E;
use ringlog_wire::messages::add_partitions_to_txn::{AddPartitionsToTxnRequest, AddPartitionsToTxnTransaction};
use ringlog_wire::messages::describe_transactions::DescribeTransactionsRequest;
use ringlog_wire::messages::list_transactions::ListTransactionsRequest;

use super::*;

/// What each state answers, in the order of [`STATES`].
fn check(what: &str, expected: [E; 6], ask: impl Fn(&mut Rig, (i64, i16)) -> Ask) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let (mut rig, producer) = Rig::reach(state);
        let asked = ask(&mut rig, producer);
        rig.settle();
        assert_eq!(rig.error(asked), expected, "{what} in {state:?}");
    }
}

#[test]
fn every_request_in_every_state_has_kafkas_answer() {
    let busy = E::CONCURRENT_TRANSACTIONS;
    let (well, invalid, fenced, other) =
        (E::NONE, E::INVALID_TXN_STATE, E::PRODUCER_FENCED, E::INVALID_PRODUCER_ID_MAPPING);
    check("init", [well, busy, busy, busy, well, well], |rig, _| rig.init(None));
    check("init as before", [well, busy, busy, busy, well, well], |rig, producer| rig.init(Some(producer)));
    check("init as another", [fenced; 6], |rig, (id, epoch)| rig.init(Some((id + 1, epoch))));
    check("add", [well, well, busy, busy, well, well], |rig, producer| rig.add(producer, &[0, 2]));
    check("add, of an old epoch", [fenced, fenced, busy, busy, fenced, fenced], |rig, (id, epoch)| {
        rig.add((id, epoch - 1), &[0])
    });
    check("add, of another id", [other, other, busy, busy, other, other], |rig, (id, epoch)| {
        rig.add((id + 1, epoch), &[0])
    });
    check("commit", [invalid, well, busy, invalid, well, invalid], |rig, producer| rig.end(producer, true));
    check("abort", [invalid, well, invalid, busy, invalid, well], |rig, producer| rig.end(producer, false));
    check("commit, of a later epoch", [fenced; 6], |rig, (id, epoch)| rig.end((id, epoch + 1), true));
}

#[test]
fn a_partition_is_part_of_the_transaction_that_is_open_and_of_no_other() {
    let (absent, busy) = (E::TRANSACTION_ABORTABLE, E::CONCURRENT_TRANSACTIONS);
    for (state, expected) in STATES.into_iter().zip([absent, E::NONE, busy, busy, absent, absent]) {
        let (rig, (id, epoch)) = Rig::reach(state);
        assert_eq!(rig.verify((id, epoch), 1), expected, "{state:?}");
        assert_eq!(rig.verify((id, epoch - 1), 1), E::PRODUCER_FENCED, "{state:?}");
        assert_eq!(rig.verify((id + 1, epoch), 1), E::INVALID_PRODUCER_ID_MAPPING, "{state:?}");
    }
    let (rig, producer) = Rig::reach(State::Ongoing);
    assert_eq!(rig.verify(producer, 7), absent);
}

#[test]
fn nothing_is_answered_before_it_is_in_the_log_and_one_change_goes_there_at_a_time() {
    let (mut rig, producer) = Rig::reach(State::Ongoing);
    let ask = rig.end(producer, true);
    assert!(rig.waits(ask) && rig.marking.is_empty());
    for second in [rig.end(producer, true), rig.add(producer, &[9]), rig.init(None)] {
        assert_eq!(rig.error(second), E::CONCURRENT_TRANSACTIONS);
    }
    rig.settle();
    assert_eq!((rig.error(ask), rig.marking.len()), (E::NONE, 2));
    let written = rig.write_markers();
    assert!(
        written
            .iter()
            .all(|marker| *marker == Marker { producer_id: 1000, producer_epoch: 0, is_commit: true, is_tv2: false })
    );
    assert_eq!(rig.state(), Some(State::CompleteCommit));
}

#[test]
fn what_the_log_refuses_has_not_happened() {
    let (mut rig, producer) = Rig::reach(State::Ongoing);
    let ask = rig.end(producer, true);
    rig.fail_appends(E::NOT_LEADER_OR_FOLLOWER);
    assert_eq!((rig.error(ask), rig.state(), rig.marking.len()), (E::NOT_COORDINATOR, Some(State::Ongoing), 0));
    let ask = rig.end(producer, false);
    rig.settle();
    assert_eq!((rig.error(ask), rig.marking.len()), (E::NONE, 2));
    let mut rig = Rig::new();
    let ask = rig.init(None);
    rig.fail_appends(E::NOT_ENOUGH_REPLICAS);
    assert_eq!((rig.error(ask), rig.state()), (E::COORDINATOR_NOT_AVAILABLE, None));
}

#[test]
fn who_comes_anew_fences_the_one_before_and_its_transaction_is_aborted() {
    let (mut rig, (id, epoch)) = Rig::reach(State::Ongoing);
    let ask = rig.init(None);
    rig.settle();
    assert_eq!(rig.error(ask), E::CONCURRENT_TRANSACTIONS);
    let markers = rig.write_markers();
    assert_eq!(markers, [Marker { producer_id: id, producer_epoch: epoch + 1, is_commit: false, is_tv2: false }; 2]);
    let ask = rig.init(None);
    rig.settle();
    assert_eq!(rig.producer(ask), (id, epoch + 2));
    let zombie = rig.end((id, epoch), true);
    assert_eq!(rig.error(zombie), E::PRODUCER_FENCED);
}

#[test]
fn older_versions_are_told_of_an_invalid_epoch_where_they_do_not_know_fencing() {
    let (mut rig, (id, epoch)) = Rig::reach(State::Ongoing);
    let transactional_id = ID.to_owned();
    let request = EndTxnRequest {
        transactional_id,
        producer_id: id,
        producer_epoch: epoch + 1,
        committed: true,
        ..Default::default()
    };
    let ask = rig.ask(1, TxnRequest::EndTxn(request));
    assert_eq!(rig.error(ask), E::INVALID_PRODUCER_EPOCH);
}

#[test]
fn a_client_that_asks_again_is_given_the_same_epoch_and_another_one_is_fenced() {
    let (mut rig, (id, epoch)) = Rig::reach(State::Empty);
    for _ in 0..2 {
        let ask = rig.init(Some((id, epoch)));
        rig.settle();
        assert_eq!(rig.producer(ask), (id, epoch + 1));
    }
    let ask = rig.init(Some((id, epoch + 3)));
    assert_eq!(rig.error(ask), E::PRODUCER_FENCED);
}

#[test]
fn where_the_epochs_are_used_up_there_is_another_producer_id() {
    let (mut rig, (id, _)) = Rig::reach(State::Empty);
    rig.coordinator.ids.get_mut(ID).unwrap().now.producer_epoch = i16::MAX - 1;
    let ask = rig.init(Some((id, i16::MAX - 1)));
    rig.settle();
    assert_eq!(rig.producer(ask), (id + 1, 0));
    let again = rig.init(Some((id, i16::MAX - 1)));
    rig.settle();
    assert_eq!(rig.producer(again), (id + 1, 0), "it had not heard the answer");
}

#[test]
fn a_time_that_is_too_long_or_none_is_refused() {
    let mut rig = Rig::new();
    for transaction_timeout_ms in [0, -1, 900_001] {
        let transactional_id = Some(ID.to_owned());
        let request = InitProducerIdRequest { transactional_id, transaction_timeout_ms, ..Default::default() };
        let ask = rig.ask(INIT_VERSION, TxnRequest::InitProducerId(request));
        assert_eq!(rig.error(ask), E::INVALID_TRANSACTION_TIMEOUT, "{transaction_timeout_ms}");
    }
}

#[test]
fn several_transactions_of_a_request_are_answered_together() {
    let (mut rig, (producer_id, producer_epoch)) = Rig::reach(State::Ongoing);
    let of = |transactional_id: &str, verify_only, partitions: &[i32]| AddPartitionsToTxnTransaction {
        transactional_id: transactional_id.to_owned(),
        producer_id,
        producer_epoch,
        verify_only,
        topics: vec![topic(partitions)],
        ..Default::default()
    };
    let transactions = vec![of(ID, true, &[0, 5]), of("nobody", false, &[1]), of(ID, false, &[8])];
    let ask = rig.ask(4, TxnRequest::AddPartitions(AddPartitionsToTxnRequest { transactions, ..Default::default() }));
    assert!(rig.waits(ask));
    rig.settle();
    let TxnResponse::AddPartitions(answer) = &rig.answers[&ask.0] else { panic!("another answer") };
    let codes: Vec<Vec<i16>> = answer
        .results_by_transaction
        .iter()
        .map(|result| result.topic_results[0].results_by_partition.iter().map(|one| one.partition_error_code).collect())
        .collect();
    assert_eq!(codes, [vec![0, E::TRANSACTION_ABORTABLE.0], vec![E::INVALID_PRODUCER_ID_MAPPING.0], vec![0]]);
    assert_eq!(rig.verify((producer_id, producer_epoch), 8), E::NONE);
}

#[test]
fn ids_are_described_and_listed_by_what_is_asked_for() {
    let (mut rig, (id, epoch)) = Rig::reach(State::Ongoing);
    let transactional_ids = [ID, "nobody", ""].map(str::to_owned).to_vec();
    let ask = rig.ask(0, TxnRequest::Describe(DescribeTransactionsRequest { transactional_ids, ..Default::default() }));
    let TxnResponse::Describe(answer) = &rig.answers[&ask.0] else { panic!("another answer") };
    let [found, absent, nameless] = &answer.transaction_states[..] else { panic!("{answer:?}") };
    assert_eq!((found.producer_id, found.producer_epoch, found.transaction_state.as_str()), (id, epoch, "Ongoing"));
    assert_eq!((found.topics[0].topic.as_str(), &found.topics[0].partitions[..]), ("t", &[0, 1][..]));
    assert_eq!(absent.error_code, E::TRANSACTIONAL_ID_NOT_FOUND.0);
    assert_eq!(nameless.error_code, E::INVALID_REQUEST.0);
    rig.pass_ms(1_000);
    let all = || ListTransactionsRequest { duration_filter: -1, ..Default::default() };
    let states = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    for (request, count, unknown) in [
        (all(), 1, 0),
        (ListTransactionsRequest { state_filters: states(&["Ongoing", "Odd"]), ..all() }, 1, 1),
        (ListTransactionsRequest { state_filters: states(&["Odd"]), ..all() }, 0, 1),
        (ListTransactionsRequest { producer_id_filters: vec![id + 1], ..all() }, 0, 0),
        (ListTransactionsRequest { duration_filter: 999, ..all() }, 1, 0),
        (ListTransactionsRequest { duration_filter: 1_000, ..all() }, 0, 0),
        (ListTransactionsRequest { transactional_id_pattern: Some("cop.*".to_owned()), ..all() }, 1, 0),
        (ListTransactionsRequest { transactional_id_pattern: Some("cop".to_owned()), ..all() }, 0, 0),
    ] {
        let ask = rig.ask(2, TxnRequest::List(request.clone()));
        let TxnResponse::List(answer) = &rig.answers[&ask.0] else { panic!("another answer") };
        let told = (answer.transaction_states.len(), answer.unknown_state_filters.len());
        assert_eq!(told, (count, unknown), "{request:?}");
    }
    let odd = ListTransactionsRequest { transactional_id_pattern: Some("(".to_owned()), ..all() };
    let ask = rig.ask(2, TxnRequest::List(odd));
    let TxnResponse::List(answer) = &rig.answers[&ask.0] else { panic!("another answer") };
    assert_eq!(answer.error_code, E::INVALID_REGULAR_EXPRESSION.0);
}

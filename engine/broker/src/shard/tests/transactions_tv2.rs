//! Version 2 of transactions (KIP-890) through a shard: what is written to becomes part of one, and every end brings the next epoch.

use std::rc::Rc;

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::api_versions::ApiVersionsRequest;
use ringlog_wire::messages::end_txn::EndTxnRequest;
use ringlog_wire::messages::produce::ProduceRequest;
use ringlog_wire::messages::update_features::{FeatureUpdateKey, UpdateFeaturesRequest};

use super::rig::{ClientId, Rig, produce_in};
use super::transactions::{
    ID, Producer, SETTINGS, add, batch, commit_offset_in, committed, end, ends, init, produce, rig,
};

const PRODUCE_TV2: i16 = 12;
const END_TV2: i16 = 5;
const COMMIT_TV2: i16 = 5;

fn produce_tv2(rig: &mut Rig, client: ClientId, producer: Producer, sequence: i32) -> ErrorCode {
    rig.send(client, &[produce_in(PRODUCE_TV2, Some(ID), ("t", 0), -1, &batch(producer, sequence))]);
    produced(rig, client).expect("an answer")
}

fn produced(rig: &mut Rig, client: ClientId) -> Option<ErrorCode> {
    let answer = rig.answer::<ProduceRequest>(client, PRODUCE_TV2)?;
    Some(ErrorCode(answer.responses[0].partition_responses[0].error_code))
}

/// What the client is from the end on, or why it has not ended.
fn end_tv2(
    rig: &mut Rig,
    client: ClientId,
    (producer_id, producer_epoch): Producer,
    committed: bool,
) -> Result<Producer, ErrorCode> {
    let transactional_id = ID.to_owned();
    let request = EndTxnRequest { transactional_id, producer_id, producer_epoch, committed, ..Default::default() };
    let answer = rig.ask(client, END_TV2, &request);
    match ErrorCode(answer.error_code) {
        ErrorCode::NONE => Ok((answer.producer_id, answer.producer_epoch)),
        error => Err(error),
    }
}

/// The broker is gone, and started again on what its disk has.
fn restarted(rig: Rig) -> Rig {
    let files = Rc::clone(&rig.files);
    drop(rig);
    Rig::on(files, &SETTINGS)
}

#[test]
fn what_is_written_to_becomes_part_of_the_transaction_and_its_end_brings_the_next_epoch() {
    let (mut rig, client) = rig(&[]);
    let mut producer = init(&mut rig, client);
    for (round, is_commit) in [(0, true), (1, false), (2, true)] {
        let begin = i64::from(round) * 3;
        assert_eq!(produce_tv2(&mut rig, client, producer, 0), ErrorCode::NONE);
        assert_eq!(produce_tv2(&mut rig, client, producer, 1), ErrorCode::NONE);
        assert_eq!(ends(&mut rig, client), (begin, begin + 2));
        let next = end_tv2(&mut rig, client, producer, is_commit).unwrap();
        assert_eq!(next, (producer.0, producer.1 + 1));
        assert_eq!(end_tv2(&mut rig, client, producer, is_commit), Ok(next), "it asks again");
        assert_eq!(ends(&mut rig, client), (begin + 3, begin + 3), "two records and one marker");
        let late = produce_tv2(&mut rig, client, producer, 2);
        assert_eq!(late, ErrorCode::INVALID_PRODUCER_EPOCH, "one that was on its way for too long");
        producer = next;
    }
    assert_eq!(end_tv2(&mut rig, client, producer, true), Err(ErrorCode::INVALID_TXN_STATE), "nothing was written");
    assert_eq!(end_tv2(&mut rig, client, producer, false), Ok((producer.0, producer.1 + 1)));
}

#[test]
fn offsets_become_part_of_the_transaction_with_their_commit() {
    let (mut rig, client) = rig(&[]);
    let mut producer = init(&mut rig, client);
    for (offset, is_commit, then) in [(7, true, 7), (9, false, 7)] {
        committed(&mut rig, client);
        assert_eq!(commit_offset_in(COMMIT_TV2, &mut rig, client, producer, offset), ErrorCode::NONE);
        assert_eq!(committed(&mut rig, client).0, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        producer = end_tv2(&mut rig, client, producer, is_commit).unwrap();
        assert_eq!(committed(&mut rig, client), (ErrorCode::NONE, then));
    }
    let old = (producer.0, producer.1 - 1);
    assert_eq!(commit_offset_in(COMMIT_TV2, &mut rig, client, old, 11), ErrorCode::INVALID_PRODUCER_EPOCH);
}

#[test]
fn what_follows_an_end_at_once_waits_until_its_markers_are_written_but_not_for_ever() {
    for is_written in [true, false] {
        let (mut rig, client) = rig(&[("flush.messages", "1")]);
        let producer = init(&mut rig, client);
        assert_eq!(produce_tv2(&mut rig, client, producer, 0), ErrorCode::NONE);
        rig.holds_syncs = true;
        let next = end_tv2(&mut rig, client, producer, true).expect("it is decided");
        rig.send(client, &[produce_in(PRODUCE_TV2, Some(ID), ("t", 0), -1, &batch(next, 0))]);
        assert_eq!(produced(&mut rig, client), None, "the marker waits for the disk");
        if is_written {
            rig.holds_syncs = false;
            rig.end_syncs();
            assert_eq!(produced(&mut rig, client), Some(ErrorCode::NONE));
            assert_eq!(ends(&mut rig, client), (2, 3));
        } else {
            rig.pass_ms(100);
            assert_eq!(produced(&mut rig, client), Some(ErrorCode::CONCURRENT_TRANSACTIONS));
        }
    }
}

#[test]
fn clients_of_both_versions_follow_each_other_on_one_id_and_over_a_restart() {
    let (mut first, client) = rig(&[]);
    let producer = init(&mut first, client);
    assert_eq!(produce_tv2(&mut first, client, producer, 0), ErrorCode::NONE);
    let producer = end_tv2(&mut first, client, producer, true).unwrap();
    let old = init(&mut first, client);
    assert_eq!(old, (producer.0, producer.1 + 1));
    assert_eq!(
        produce(&mut first, client, old, 0),
        ErrorCode::INVALID_TXN_STATE,
        "who speaks version 1 adds partitions"
    );
    assert_eq!(add(&mut first, client, old), ErrorCode::NONE);
    assert_eq!(produce(&mut first, client, old, 0), ErrorCode::NONE);
    assert_eq!(end(&mut first, client, old, true), ErrorCode::NONE);
    let mut rig = restarted(first);
    let client = rig.connect();
    rig.pass_ms(1_000);
    let new = init(&mut rig, client);
    assert_eq!(new, (old.0, old.1 + 1));
    assert_eq!(produce_tv2(&mut rig, client, new, 1), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(produce_tv2(&mut rig, client, new, 0), ErrorCode::NONE);
    assert_eq!(end_tv2(&mut rig, client, new, false), Ok((new.0, new.1 + 1)));
    assert_eq!(ends(&mut rig, client), (6, 6));
}

#[test]
fn what_was_decided_before_a_kill_is_carried_out_after_it_and_the_client_may_ask_again() {
    for is_commit in [true, false] {
        let (mut first, client) = rig(&[("flush.messages", "1")]);
        let producer = init(&mut first, client);
        assert_eq!(produce_tv2(&mut first, client, producer, 0), ErrorCode::NONE);
        assert_eq!(commit_offset_in(COMMIT_TV2, &mut first, client, producer, 7), ErrorCode::NONE);
        first.holds_syncs = true;
        let next = end_tv2(&mut first, client, producer, is_commit).expect("it is decided");
        let mut rig = restarted(first);
        let client = rig.connect();
        rig.pass_ms(1_000);
        assert_eq!(end_tv2(&mut rig, client, producer, !is_commit), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(end_tv2(&mut rig, client, producer, is_commit), Ok(next));
        let (stable, visible) = ends(&mut rig, client);
        assert!(stable == visible && visible >= 2, "{stable} of {visible}");
        assert_eq!(committed(&mut rig, client), (ErrorCode::NONE, if is_commit { 7 } else { -1 }));
        assert_eq!(produce_tv2(&mut rig, client, next, 0), ErrorCode::NONE, "the next transaction");
        assert_eq!(ends(&mut rig, client).0, stable);
    }
}

#[test]
fn the_level_is_announced_and_a_change_outlives_a_restart() {
    let level = |rig: &mut Rig, client: ClientId| {
        let request = ApiVersionsRequest {
            client_software_name: "rig".to_owned(),
            client_software_version: "1".to_owned(),
            ..Default::default()
        };
        let answer = rig.ask(client, 4, &request);
        let supported = answer.supported_features.iter().find(|feature| feature.name == "transaction.version").unwrap();
        assert_eq!((supported.min_version, supported.max_version), (0, 2));
        let found = answer.finalized_features.iter().find(|feature| feature.name == "transaction.version");
        found.map_or(0, |feature| feature.max_version_level)
    };
    let (mut rig, client) = rig(&[]);
    assert_eq!(level(&mut rig, client), 2);
    for (to, upgrade_type) in [(1, 2), (0, 3)] {
        let feature = "transaction.version".to_owned();
        let update = FeatureUpdateKey { feature, max_version_level: to, upgrade_type, ..Default::default() };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
        assert_eq!(rig.ask(client, 2, &request).error_code, 0);
        assert_eq!(level(&mut rig, client), to);
    }
    let mut again = restarted(rig);
    let client = again.connect();
    assert_eq!(level(&mut again, client), 0);
}

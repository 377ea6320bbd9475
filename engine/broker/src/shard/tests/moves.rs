//! A coordinator moves to another shard in the middle of what its clients do.

use ringlog_wire::ErrorCode;
use ringlog_wire::messages::produce::ProduceRequest;

use super::rig::{PRODUCE_VERSION, Pair};
use super::transactions::{Producer, SETTINGS, added, addition, end_of, ending, initiation, latest_of, production};
use crate::metadata::image::TRANSACTIONS_TOPIC;

/// Two shards, a topic with a partition at each, a producer with a transactional id, and the shard that coordinates it.
fn pair(configs: &[(&str, &str)]) -> (Pair, Producer, usize) {
    let mut pair = Pair::new(&SETTINGS);
    pair.create_topic("t", 2, configs);
    pair.create_topic(TRANSACTIONS_TOPIC, 1, &[]);
    assert_ne!(pair.leader("t", 0), pair.leader("t", 1));
    let coordinator = pair.leader(TRANSACTIONS_TOPIC, 0);
    let answer = pair.ask(coordinator, 4, &initiation());
    assert_eq!(answer.error_code, 0);
    (pair, (answer.producer_id, answer.producer_epoch), coordinator)
}

fn add(pair: &mut Pair, coordinator: usize, producer: Producer, partitions: &[i32]) -> ErrorCode {
    added(&pair.ask(coordinator, 3, &addition(producer, partitions)))
}

fn end(pair: &mut Pair, coordinator: usize, producer: Producer, committed: bool) -> ErrorCode {
    ErrorCode(pair.ask(coordinator, 3, &ending(producer, committed)).error_code)
}

fn produce(pair: &mut Pair, producer: Producer, partition: i32, sequence: i32) -> ErrorCode {
    let leader = pair.leader("t", partition);
    let answer = pair.send::<ProduceRequest>(leader, PRODUCE_VERSION, production(producer, partition, sequence));
    ErrorCode(answer.responses[0].partition_responses[0].error_code)
}

/// The last stable offset of a partition, and its high watermark.
fn ends(pair: &mut Pair, partition: i32) -> (i64, i64) {
    let leader = pair.leader("t", partition);
    let mut latest = |isolation_level| end_of(&pair.ask(leader, 5, &latest_of(partition, isolation_level)));
    (latest(1), latest(0))
}

#[test]
fn a_transaction_that_was_begun_before_its_coordinator_moved_ends_after_it() {
    let (mut pair, producer, mut coordinator) = pair(&[]);
    for (round, is_commit) in [(0, true), (1, false), (2, true)] {
        let begin = i64::from(round) * 2;
        assert_eq!(add(&mut pair, coordinator, producer, &[0, 1]), ErrorCode::NONE);
        assert_eq!(produce(&mut pair, producer, 0, round), ErrorCode::NONE);
        let before = std::mem::replace(&mut coordinator, pair.move_partition(TRANSACTIONS_TOPIC, 0));
        assert_eq!(end(&mut pair, before, producer, is_commit), ErrorCode::NOT_COORDINATOR);
        assert_eq!(produce(&mut pair, producer, 1, round), ErrorCode::NONE, "verified by the new one");
        for partition in [0, 1] {
            assert_eq!(ends(&mut pair, partition), (begin, begin + 1), "open");
        }
        assert_eq!(end(&mut pair, coordinator, producer, is_commit), ErrorCode::NONE);
        for partition in [0, 1] {
            assert_eq!(ends(&mut pair, partition), (begin + 2, begin + 2), "a record and its marker");
        }
    }
}

#[test]
fn what_was_decided_before_its_coordinator_moved_is_carried_out_after_it() {
    for is_commit in [true, false] {
        let (mut pair, producer, coordinator) = pair(&[("flush.messages", "1")]);
        // The controller's shard has its own log to sync.
        let partition = i32::from(pair.leader("t", 1) == 1);
        assert_eq!(add(&mut pair, coordinator, producer, &[partition]), ErrorCode::NONE);
        assert_eq!(produce(&mut pair, producer, partition, 0), ErrorCode::NONE);
        pair.shards[1].0.holds_syncs = true;
        assert_eq!(end(&mut pair, coordinator, producer, is_commit), ErrorCode::NONE, "it is decided");
        assert_eq!(ends(&mut pair, partition), (0, 1), "the marker waits for the disk");
        let next = pair.move_partition(TRANSACTIONS_TOPIC, 0);
        assert_eq!(add(&mut pair, next, producer, &[partition]), ErrorCode::CONCURRENT_TRANSACTIONS);
        pair.shards[1].0.holds_syncs = false;
        pair.shards[1].0.end_syncs();
        pair.pass_ms(1_000);
        let (stable, visible) = ends(&mut pair, partition);
        assert!(stable == visible && visible >= 2, "{stable} of {visible}");
        assert_eq!(end(&mut pair, next, producer, !is_commit), ErrorCode::INVALID_TXN_STATE);
        assert_eq!(add(&mut pair, next, producer, &[partition]), ErrorCode::NONE, "the next transaction");
        assert_eq!(produce(&mut pair, producer, partition, 1), ErrorCode::NONE);
        assert_eq!(ends(&mut pair, partition).0, stable);
    }
}

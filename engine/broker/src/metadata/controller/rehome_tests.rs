use std::sync::Arc;

use proptest::prelude::*;
use ringlog_wire::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use ringlog_wire::records::metadata::MetadataRecord;

use super::super::{Controller, Proposal, Start};
use super::*;
use crate::metadata::fixtures::{DIRECTORY, create, numbers, topic};
use crate::settings::Settings;

/// A start of so many shards on what the last one left.
fn start(shards: usize, last: Option<&Controller>, unclean: bool) -> (Controller, Proposal) {
    let settings =
        Arc::new(Settings::of(&[("ringlog.shards", &shards.to_string()), ("allow.colocated.replicas", "true")]));
    let ports: Vec<u16> = (9092..).take(shards).collect();
    let image = match last {
        Some(last) => last.image().as_ref().clone().on(settings.here()),
        None => Image::empty("cluster", settings.here()),
    };
    let end_offset = image.version() + 1;
    let bootstrap = Vec::new();
    let start = Start {
        settings,
        image,
        bootstrap,
        directory_id: DIRECTORY,
        ports: &ports,
        end_offset,
        unclean,
        ends_in_transaction: false,
    };
    let (mut controller, proposal) = Controller::start(start, &mut numbers()).unwrap();
    controller.stand_on(Arc::clone(&proposal.image));
    (controller, proposal)
}

fn leaders(controller: &Controller, name: &str) -> Vec<i32> {
    controller.image().topic(name).unwrap().partitions.values().map(|partition| partition.leader.0).collect()
}

fn changes(proposal: &Proposal) -> usize {
    proposal.records.iter().filter(|record| matches!(record, MetadataRecord::PartitionChangeRecord(_))).count()
}

/// How far apart the brokers are: of all partitions, and of those of the most uneven topic.
fn unevenness(image: &Image) -> (usize, usize) {
    let spread = |leaders: Vec<NodeId>| {
        let count = |node: NodeId| leaders.iter().filter(|leader| **leader == node).count();
        let counts: Vec<usize> = image.live_brokers().map(|broker| count(broker.node)).collect();
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    };
    let leaders = |topic: &Arc<super::super::super::image::Topic>| -> Vec<NodeId> {
        topic.partitions.values().map(|partition| partition.leader).collect()
    };
    let all = image.topics().flat_map(leaders).collect();
    (spread(all), image.topics().map(|topic| spread(leaders(topic))).max().unwrap_or(0))
}

#[test]
fn leaders_spread_over_the_shards_that_there_are() {
    let (mut one, _) = start(1, None, false);
    create(&mut one, vec![topic("t", 6, &[]), topic("u", 1, &[]), topic("v", 2, &[])]);
    assert_eq!(leaders(&one, "t"), [1; 6]);
    let (three, proposal) = start(3, Some(&one), false);
    assert_eq!(leaders(&three, "t"), [1, 1, 3, 2, 3, 2]);
    assert_eq!(unevenness(three.image()), (0, 1));
    assert_eq!(changes(&proposal), 6, "3 of 9 stay");
    let moved = three.image().topic("t").unwrap().partition(5).unwrap().clone();
    assert_eq!((moved.leader_epoch, moved.replicas, moved.isr), (1, vec![NodeId(2)], vec![NodeId(2)]));
    let (two, proposal) = start(2, Some(&three), false);
    assert_eq!((unevenness(two.image()), changes(&proposal)), ((1, 1), 3), "what shard 2 led, and nothing else");
    let (one, _) = start(1, Some(&two), false);
    assert_eq!(leaders(&one, "t"), [1; 6]);
    assert_eq!(one.image().brokers().count(), 1);
}

#[test]
fn the_same_shards_keep_what_they_lead() {
    let (mut controller, _) = start(2, None, false);
    let assignments = (0..4).map(|partition_index| CreatableReplicaAssignment {
        partition_index,
        broker_ids: vec![2],
        ..Default::default()
    });
    create(&mut controller, vec![CreatableTopic { assignments: assignments.collect(), ..topic("by-hand", -1, &[]) }]);
    let (again, proposal) = start(2, Some(&controller), false);
    assert_eq!((leaders(&again, "by-hand"), changes(&proposal)), (vec![2; 4], 0));
}

#[test]
fn the_epoch_rises_with_every_start_after_an_unclean_stop() {
    let (mut controller, _) = start(2, None, false);
    create(&mut controller, vec![topic("t", 2, &[])]);
    let epochs = |controller: &Controller| -> Vec<(i32, i32)> {
        let topic = controller.image().topic("t").unwrap();
        topic.partitions.values().map(|partition| (partition.leader.0, partition.leader_epoch)).collect()
    };
    let (clean, proposal) = start(2, Some(&controller), false);
    assert_eq!((epochs(&clean), changes(&proposal)), (vec![(1, 0), (2, 0)], 0));
    let (unclean, proposal) = start(2, Some(&clean), true);
    assert_eq!((epochs(&unclean), changes(&proposal)), (vec![(1, 1), (2, 1)], 2));
    let (moved, proposal) = start(1, Some(&unclean), true);
    assert_eq!((epochs(&moved), changes(&proposal)), (vec![(1, 2), (1, 2)], 2), "a move is a new epoch, once");
}

#[test]
fn a_move_keeps_the_replication_factor() {
    let (mut controller, _) = start(2, None, false);
    create(&mut controller, vec![CreatableTopic { replication_factor: 2, ..topic("t", 6, &[]) }]);
    let (three, _) = start(3, Some(&controller), false);
    let replicas = |number| three.image().topic("t").unwrap().partition(number).unwrap().replicas.clone();
    assert_eq!(leaders(&three, "t"), [1, 2, 1, 2, 3, 3]);
    assert_eq!(replicas(4), [NodeId(3), NodeId(1)]);
    assert!(three.image().topic("t").unwrap().partitions.values().all(|partition| partition.directories.len() == 2));
    let (one, _) = start(1, Some(&three), false);
    assert_eq!(one.image().topic("t").unwrap().partition(4).unwrap().replicas, [NodeId(1)]);
}

proptest! {
    #[test]
    fn any_start_is_even_and_a_second_one_moves_nothing(
        counts in prop::collection::vec(1..9_i32, 1..12),
        shards in prop::collection::vec(1..6_usize, 1..6),
    ) {
        let (mut controller, _) = start(1, None, false);
        let topics = (0..).zip(&counts).map(|(number, count)| topic(&format!("t{number}"), *count, &[]));
        create(&mut controller, topics.collect());
        for shards in shards {
            let (next, proposal) = start(shards, Some(&controller), false);
            let (all, of_a_topic) = unevenness(next.image());
            prop_assert!(all <= 1 && of_a_topic <= 1, "{all} {of_a_topic}");
            prop_assert_eq!(start(shards, Some(&controller), false).1.records, proposal.records, "the same moves");
            let (again, proposal) = start(shards, Some(&next), false);
            prop_assert_eq!(changes(&proposal), 0);
            controller = again;
        }
    }
}

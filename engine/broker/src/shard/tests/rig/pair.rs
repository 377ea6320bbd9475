//! Two shards that share a disk: what one tells the other arrives, and partitions move between them.

use std::sync::Arc;

use ringlog_io::sim::{SimFiles, World};
use ringlog_wire::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};

use super::*;
use crate::metadata::ids::NodeId;

/// So often each of the two comes to rest until nothing comes of it any more: a move takes eight letters.
const ROUNDS: usize = 16;
const REASSIGN_VERSION: i16 = 0;

/// See the head of the file. Each has a client, the first shard the controller.
pub(in super::super) struct Pair {
    pub(in super::super) shards: [(Rig, ClientId); 2],
}

impl Pair {
    pub(in super::super) fn new(settings: &[(&str, &str)]) -> Self {
        let (world, files) = (World::new(7), SimFiles::new(7));
        let settings = settings_of(&[settings, &[("ringlog.shards", "2")]].concat());
        let mut drivers = [world.driver(&files, 4, CHUNK_BYTES).1, world.driver(&files, 4, CHUNK_BYTES).1];
        let addresses = drivers.each_mut().map(|driver| Address::new(2, driver.waker().unwrap()));
        let Led { desk, checkpointed } = led(&files, &settings, &[9092, 9093], &*drivers[0]);
        let newest = desk.newest();
        let mut desk = Some(desk);
        let mut number = 0..;
        let shards = drivers.map(|driver| {
            let number = number.next().map(ShardId).unwrap();
            let bus = Bus::new(number, addresses.to_vec());
            let seat = Seat { number, driver, bus, desk: desk.take(), newest: Arc::clone(&newest) };
            let mut rig = Rig::seated(Rc::clone(&files), Arc::clone(&settings), seat, &checkpointed);
            let client = rig.connect();
            (rig, client)
        });
        let mut pair = Self { shards };
        pair.run();
        pair
    }

    /// Turns of both, until nothing comes of it any more.
    pub(in super::super) fn run(&mut self) {
        (0..ROUNDS).for_each(|_| self.shards.iter_mut().for_each(|(rig, _)| rig.run()));
    }

    /// Time passes at both.
    pub(in super::super) fn pass_ms(&mut self, span_ms: u64) {
        self.shards.iter_mut().for_each(|(rig, _)| rig.pass_ms(span_ms));
        self.run();
    }

    /// A shard is sent a frame, and answers.
    pub(in super::super) fn send<R: Request>(&mut self, shard: usize, version: i16, frame: Vec<u8>) -> R::Response {
        let (rig, client) = &mut self.shards[shard];
        let client = *client;
        rig.send(client, &[frame]);
        self.run();
        self.shards[shard].0.answer::<R>(client, version).expect("an answer")
    }

    /// A shard is asked, and answers.
    pub(in super::super) fn ask<R: Request>(&mut self, shard: usize, version: i16, request: &R) -> R::Response {
        self.send::<R>(shard, version, frame(version, request))
    }

    pub(in super::super) fn create_topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let answer = self.ask(0, CREATE_VERSION, &creation(name, partitions, configs));
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
    }

    /// The shard that leads a partition.
    pub(in super::super) fn leader(&self, name: &str, partition: i32) -> usize {
        let broker = &self.shards[0].0.shard.broker;
        let leader = broker.image.topic(name).and_then(|topic| topic.partition(partition)).expect("it is there").leader;
        broker.image.here().shard(leader).expect("it is led").0
    }

    /// A partition moves to the other shard, which then leads it. Gives which that is.
    pub(in super::super) fn move_partition(&mut self, name: &str, partition: i32) -> usize {
        let to = 1 - self.leader(name, partition);
        let NodeId(node) = self.shards[0].0.shard.broker.image.here().node(ShardId(to));
        let target =
            ReassignablePartition { partition_index: partition, replicas: Some(vec![node]), ..Default::default() };
        let topic = ReassignableTopic { name: name.to_owned(), partitions: vec![target], ..Default::default() };
        let request = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
        let answer = self.ask(0, REASSIGN_VERSION, &request);
        assert_eq!(answer.responses[0].partitions[0].error_code, 0, "{answer:?}");
        assert_eq!(self.leader(name, partition), to);
        to
    }
}

use std::time::Duration;

use proptest::prelude::*;
use ringlog_io::sim::{SimFiles, World};
use ringlog_io::{Driver, Event};

use super::*;

const SHARDS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Send { from: usize, to: usize, count: usize },
    Receive { at: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let count = prop_oneof![4 => 1..20_usize, 1 => Just(limits::LANE_MAIL), 1 => Just(2 * limits::LANE_MAIL)];
    prop_oneof![
        3 => (0..SHARDS, 0..SHARDS, count).prop_map(|(from, to, count)| Step::Send { from, to, count }),
        2 => (0..SHARDS).prop_map(|at| Step::Receive { at }),
    ]
}

/// Seats with bells that can be listened to, and for each pair what was sent and what arrived.
struct Rig {
    seats: Vec<Bus<u64>>,
    drivers: Vec<Box<dyn Driver>>,
    sent: [[u64; SHARDS]; SHARDS],
    arrived: [[u64; SHARDS]; SHARDS],
    /// Who got mail back and was not woken since.
    refused: [[bool; SHARDS]; SHARDS],
}

impl Rig {
    fn new() -> Self {
        let (world, files) = (World::new(1), SimFiles::new(1));
        let mut drivers: Vec<_> = (0..SHARDS).map(|_| world.driver(&files, 1, 1).1).collect();
        let addresses: Vec<Address<u64>> =
            drivers.iter_mut().map(|driver| Address::new(SHARDS, driver.waker().unwrap())).collect();
        let seats = (0..SHARDS).map(|me| Bus::new(ShardId(me), addresses.clone())).collect();
        let (none, nobody) = ([[0; SHARDS]; SHARDS], [[false; SHARDS]; SHARDS]);
        Self { seats, drivers, sent: none, arrived: none, refused: nobody }
    }

    /// Whether somebody rang for a shard since the last time.
    fn was_woken(&mut self, shard: usize) -> bool {
        let mut events = Vec::new();
        self.drivers[shard].wait(Some(Duration::ZERO), &mut events).unwrap();
        events.iter().any(|event| matches!(event, Event::Woken))
    }

    fn in_lane(&self, from: usize, to: usize) -> u64 {
        self.sent[from][to] - self.arrived[from][to]
    }

    fn send(&mut self, from: usize, to: usize, count: usize) {
        let was_empty = self.in_lane(from, to) == 0;
        self.was_woken(to);
        for _ in 0..count {
            let number = self.sent[from][to];
            let has_room = self.in_lane(from, to) < limits::LANE_MAIL as u64;
            match self.seats[from].send(ShardId(to), number) {
                Ok(()) => self.sent[from][to] += 1,
                Err(back) => {
                    assert_eq!(back, number, "what is refused comes back");
                    self.refused[from][to] = true;
                }
            }
            assert_eq!(self.sent[from][to] > number, has_room, "refused where the lane is full, and only there");
        }
        assert_eq!(self.was_woken(to), was_empty, "a lane that was not empty has rung already");
    }

    fn receive(&mut self, at: usize) {
        for shard in 0..SHARDS {
            self.was_woken(shard);
        }
        for (from, number) in self.seats[at].receive() {
            assert_eq!(number, self.arrived[from.0][at], "in the order in which it was sent, none twice, none lost");
            self.arrived[from.0][at] += 1;
        }
        for from in 0..SHARDS {
            assert_eq!(self.in_lane(from, at), 0, "everything was taken");
            let waits = std::mem::take(&mut self.refused[from][at]);
            assert_eq!(self.was_woken(from), waits, "who waits for room is woken, and nobody else");
        }
    }
}

proptest! {
    #[test]
    fn mail_arrives_in_order_and_what_does_not_fit_comes_back(steps in prop::collection::vec(step(), 1..60)) {
        let mut rig = Rig::new();
        for step in steps {
            match step {
                Step::Send { from, to, count } => rig.send(from, to, count),
                Step::Receive { at } => rig.receive(at),
            }
        }
        (0..SHARDS).for_each(|at| rig.receive(at));
        prop_assert_eq!(rig.sent, rig.arrived);
    }
}

#[test]
fn two_threads_lose_nothing() {
    const COUNT: u64 = 20_000;
    let bell = || ringlog_io::driver::open(Default::default()).unwrap().waker().unwrap();
    let addresses = vec![Address::new(2, bell()), Address::new(2, bell())];
    let sender = Bus::new(ShardId(0), addresses.clone());
    let sending = std::thread::spawn(move || {
        for number in 0..COUNT {
            while sender.send(ShardId(1), number).is_err() {
                std::thread::yield_now();
            }
        }
    });
    let receiver = Bus::new(ShardId(1), addresses);
    let mut next = 0;
    while next < COUNT {
        for (from, number) in receiver.receive() {
            assert_eq!((from, number), (ShardId(0), next));
            next += 1;
        }
    }
    sending.join().unwrap();
}
